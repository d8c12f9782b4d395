//! Numbers and texts as bytes, for tokens and records. Fixed widths are big-endian.

use std::{fmt, ops::Range};

use crate::clock::Timestamp;

/// Bytes behind others that were read already: moving them to the front would be a copy.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    start: usize,
}

impl Tail {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Passes over the first so many bytes.
    pub(crate) fn advance(&mut self, len: usize) {
        self.start = self.bytes.len().min(self.start + len);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        self.bytes
            .drain(self.start + range.start..self.start + range.end);
    }

    pub(crate) fn get_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        self.bytes.get_mut(self.start..)?.get_mut(range)
    }

    /// For appending.
    pub(crate) fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Tail {
    /// What is in this range of the bytes.
    pub(crate) fn within(mut bytes: Vec<u8>, range: Range<usize>) -> Self {
        bytes.truncate(range.end);
        let start = range.start.min(bytes.len());
        Self { bytes, start }
    }
}

impl From<Vec<u8>> for Tail {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Forty bits of seconds last for 34,000 years; what is later than that is cut to it.
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

/// Seven bits a byte, low ones first; the high bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// At most four bytes, so lengths end at 256 MiB; a longer spelling than needed is refused.
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

/// The length, then the text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = take_varint(bytes)?;
    let (text, rest) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}
