//! Numbers and texts as bytes, for tokens and records. Fixed-width numbers are big-endian.

use std::{fmt, mem, ops::Range};

use bytes::Bytes;

use crate::clock::Timestamp;

/// Bytes that follow others already read: moving them to the front would be a copy.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    buffer: Buffer,
    start: usize,
}

#[derive(Clone)]
enum Buffer {
    Own(Vec<u8>),
    /// A store may have them too, so they are copied before a change.
    Shared(Bytes),
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Tail {
    pub(crate) fn as_slice(&self) -> &[u8] {
        let all = match &self.buffer {
            Buffer::Own(bytes) => bytes,
            Buffer::Shared(bytes) => &**bytes,
        };
        all.get(self.start..).unwrap_or_default()
    }

    /// Skips the first `len` bytes, which must exist.
    pub(crate) fn advance(&mut self, len: usize) {
        debug_assert!(len <= self.as_slice().len(), "{len} bytes were read");
        self.start += len;
    }

    pub(crate) fn clear(&mut self) {
        let start = self.start;
        self.as_mut_vec().truncate(start);
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        let start = self.start;
        self.as_mut_vec()
            .drain(start + range.start..start + range.end);
    }

    /// Removes several ranges in one pass. They are in order and do not overlap.
    pub(crate) fn remove_all(&mut self, ranges: &[Range<usize>]) {
        let Some(first) = ranges.first() else {
            return;
        };
        let start = self.start;
        let bytes = self.as_mut_vec();
        let mut end = start + first.start;
        let nexts = ranges.iter().skip(1).map(|next| start + next.start);
        let nexts = nexts.chain([bytes.len()]);
        for (range, next) in ranges.iter().zip(nexts) {
            let between = start + range.end..next;
            let len = between.len();
            bytes.copy_within(between, end);
            end += len;
        }
        bytes.truncate(end);
    }

    pub(crate) fn get_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        let start = self.start;
        self.as_mut_vec().get_mut(start..)?.get_mut(range)
    }

    /// The whole vector, for appending.
    pub(crate) fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        loop {
            match self.buffer {
                Buffer::Own(ref mut bytes) => return bytes,
                Buffer::Shared(ref mut bytes) => {
                    self.buffer = Buffer::Own(mem::take(bytes).into());
                }
            }
        }
    }

    /// Writes a head directly in front of the bytes, over those already read, and shares both.
    /// Returns `None` if there is no room, or if they are shared already.
    ///
    /// A store counts their length, so most of the spare capacity is given back.
    pub(crate) fn share_behind(&mut self, head: &[u8]) -> Option<Bytes> {
        let Buffer::Own(bytes) = &mut self.buffer else {
            return None;
        };
        let start = self.start.checked_sub(head.len())?;
        bytes.get_mut(start..self.start)?.copy_from_slice(head);
        let mut bytes = mem::take(bytes);
        if bytes.capacity() - bytes.len() > bytes.len() / 4 {
            bytes.shrink_to_fit();
        }
        let bytes = Bytes::from(bytes);
        let shared = bytes.slice(start..);
        self.buffer = Buffer::Shared(bytes);
        Some(shared)
    }
}

impl Tail {
    /// The bytes in this range.
    pub(crate) fn within(mut bytes: Vec<u8>, range: Range<usize>) -> Self {
        bytes.truncate(range.end);
        let start = range.start.min(bytes.len());
        let buffer = Buffer::Own(bytes);
        Self { buffer, start }
    }
}

impl From<Vec<u8>> for Tail {
    fn from(bytes: Vec<u8>) -> Self {
        let buffer = Buffer::Own(bytes);
        Self { buffer, start: 0 }
    }
}

/// Copies nothing. The bytes become a vector when they change; most are only read.
impl From<Bytes> for Tail {
    fn from(bytes: Bytes) -> Self {
        let buffer = Buffer::Shared(bytes);
        Self { buffer, start: 0 }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Forty bits of seconds last for 34,000 years. Later times are cut to the maximum.
pub(crate) fn put_u40(out: &mut Vec<u8>, time: Timestamp) {
    let [_, _, _, low @ ..] = time.as_secs().min((1 << 40) - 1).to_be_bytes();
    out.extend_from_slice(&low);
}

pub(crate) fn take_u40(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (low, rest) = bytes.split_first_chunk::<5>()?;
    let [a, b, c, d, e] = *low;
    Some((
        Timestamp::from_secs(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])),
        rest,
    ))
}

pub(crate) fn varint_len(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Seven bits a byte, low ones first. The high bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// At most four bytes, so lengths end at 256 MiB. A spelling longer than necessary is refused.
pub(crate) fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [byte, rest @ ..] if byte & 0x80 == 0 => Some((usize::from(*byte), rest)),
        _ => take_long_varint(bytes),
    }
}

fn take_long_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let padded = index > 0 && *byte == 0;
            return if padded {
                None
            } else {
                Some((number, bytes.get(index + 1..)?))
            };
        }
    }
    None
}

/// Writes the length, then the text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = take_varint(bytes)?;
    let (text, rest) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}
