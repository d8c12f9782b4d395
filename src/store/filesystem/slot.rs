//! The bytes of a record's file: two slots of equal size. The valid one with the higher sequence
//! counts.
//!
//! ```text
//!  0   8  magic: "slvrbk", the format's version, and that version inverted
//!  8  16  checksum: the first half of the SHA-256 of all that follows
//! 24  32  the record's key, so that a file under another's name is noticed
//! 56   8  sequence, counts writes to the file
//! 64  16  version
//! 80   8  expiry, in seconds since 1970
//! 88   8  length of the data
//! 96   -  data
//! ```
//!
//! Numbers are little-endian. The magic keeps its place in every later format, so that a record of
//! a later format is refused and left alone.
//!
//! SHA-256 because the crate has it. Hashing a usual record costs little beside the system calls.
//! Over millions of torn reads, the 32 bits of a CRC would eventually miss one. The checksum guards
//! against accidents, not against forgers.

use std::ops::Range;

use crate::{
    clock::Timestamp,
    crypto,
    store::{Bytes, RecordKey, Version},
};

pub(super) const HEADER: usize = 96;
/// Two of them fill a block of the usual file system. Every slot size is a multiple of this, so no
/// disk sector has parts of both slots, and a torn write spares the other slot.
pub(super) const SMALLEST: usize = 2_048;
pub(super) const MAGIC_LEN: usize = 8;

const FORMAT: u8 = 2;
const CHECKED: usize = 24;

/// One state of a record. `D` is its data, or the data's place in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Slot<D = Bytes> {
    pub(super) half: Half,
    /// Whether the other slot was never written, or was revoked.
    pub(super) is_alone: bool,
    /// The size of each slot in its file.
    pub(super) size: usize,
    pub(super) sequence: u64,
    pub(super) version: Version,
    pub(super) expires: Timestamp,
    pub(super) data: D,
}

impl<D> Slot<D> {
    fn map<E>(self, data: impl FnOnce(D) -> E) -> Slot<E> {
        Slot {
            half: self.half,
            is_alone: self.is_alone,
            size: self.size,
            sequence: self.sequence,
            version: self.version,
            expires: self.expires,
            data: data(self.data),
        }
    }
}

/// Which half of its file a slot is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    First,
    Second,
}

impl Half {
    pub(super) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    pub(super) fn offset(self, size: usize) -> u64 {
        self.start(size) as u64
    }

    fn start(self, size: usize) -> usize {
        match self {
            Self::First => 0,
            Self::Second => size,
        }
    }
}

/// The result of reading a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum View<D = Bytes> {
    /// The current state.
    Whole(Slot<D>),
    /// The current state, if nobody is writing. The other slot is torn, by a crash or by a writer
    /// at work.
    Doubtful(Slot<D>),
    /// No slot is valid.
    Damaged,
    /// A slot is in a later format.
    Newer,
}

impl<D> View<D> {
    pub(super) fn map<E>(self, data: impl FnOnce(D) -> E) -> View<E> {
        match self {
            Self::Whole(slot) => View::Whole(slot.map(data)),
            Self::Doubtful(slot) => View::Doubtful(slot.map(data)),
            Self::Damaged => View::Damaged,
            Self::Newer => View::Newer,
        }
    }
}

impl View<Range<usize>> {
    /// Interprets a whole file. The slots must have been read in order.
    ///
    /// A state with the version `seen` is not checked again: the caller has seen it whole, and
    /// nobody writes to the slot that counts.
    pub(super) fn of(key: &RecordKey, file: &[u8], seen: Option<Version>) -> Self {
        let (first, second) = file.split_at(file.len() / 2);
        let first = Content::of(key, first, Half::First);
        let second = Content::of(key, second, Half::Second);
        match (first, second) {
            (Content::Newer, _) | (_, Content::Newer) => Self::Newer,
            (Content::Claim(one), Content::Claim(other))
                if one.slot.sequence >= other.slot.sequence =>
            {
                Self::of_claims(one, other, seen)
            }
            (Content::Claim(one), Content::Claim(other)) => Self::of_claims(other, one, seen),
            (Content::Claim(claim), Content::Empty) | (Content::Empty, Content::Claim(claim)) => {
                claim.checked(seen).map_or(Self::Damaged, |slot| {
                    Self::Whole(Slot {
                        is_alone: true,
                        ..slot
                    })
                })
            }
            (Content::Claim(claim), Content::Torn) | (Content::Torn, Content::Claim(claim)) => {
                claim.checked(seen).map_or(Self::Damaged, Self::Doubtful)
            }
            (Content::Empty | Content::Torn, Content::Empty | Content::Torn) => Self::Damaged,
        }
    }

    /// The older slot need not be valid: a write to it starts with its header.
    fn of_claims(newer: Claim<'_>, older: Claim<'_>, seen: Option<Version>) -> Self {
        // A touch that was cut off leaves two slots of one version, one of them torn.
        let seen = seen.filter(|_| newer.slot.version != older.slot.version);
        match newer.checked(seen) {
            Some(slot) => Self::Whole(slot),
            None => older.checked(seen).map_or(Self::Damaged, Self::Doubtful),
        }
    }
}

enum Content<'a> {
    Empty,
    Torn,
    Newer,
    Claim(Claim<'a>),
}

/// A slot whose checksum has not been checked yet.
struct Claim<'a> {
    slot: Slot<Range<usize>>,
    checksum: [u8; 16],
    checked: &'a [u8],
}

impl<'a> Content<'a> {
    fn of(key: &RecordKey, bytes: &'a [u8], half: Half) -> Self {
        match bytes.first_chunk::<MAGIC_LEN>() {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => Self::Empty,
            Some(found) if *found == magic(FORMAT) => {
                Claim::of(key, bytes, half).map_or(Self::Torn, Self::Claim)
            }
            Some(_) if is_newer(bytes) => Self::Newer,
            _ => Self::Torn,
        }
    }
}

/// The header of a slot, and the first byte of its data if there is one.
pub(super) struct Head {
    checksum: [u8; 16],
    pub(super) sequence: u64,
    version: Version,
    pub(super) expires: Timestamp,
    pub(super) len: usize,
    pub(super) first: Option<u8>,
}

impl Head {
    /// Parses the header of a slot of this key. Returns `None` for anything else.
    pub(super) fn of(key: &RecordKey, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&magic(FORMAT))?;
        let checksum = take(&mut rest)?;
        let of = take::<32>(&mut rest)?;
        let sequence = u64::from_le_bytes(take(&mut rest)?);
        let version = Version::from_bytes(take(&mut rest)?);
        let expires = Timestamp::from_secs(u64::from_le_bytes(take(&mut rest)?));
        let len = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        (of == *key.as_bytes()).then_some(Self {
            checksum,
            sequence,
            version,
            expires,
            len,
            first: rest.first().copied().filter(|_| len > 0),
        })
    }
}

impl<'a> Claim<'a> {
    fn of(key: &RecordKey, bytes: &'a [u8], half: Half) -> Option<Self> {
        let head = Head::of(key, bytes)?;
        let end = HEADER
            .checked_add(head.len)
            .filter(|end| *end <= bytes.len())?;
        let start = half.start(bytes.len());
        let checked = bytes.get(CHECKED..end)?;
        let slot = Slot {
            half,
            is_alone: false,
            size: bytes.len(),
            sequence: head.sequence,
            version: head.version,
            expires: head.expires,
            data: start + HEADER..start + end,
        };
        Some(Self {
            checksum: head.checksum,
            checked,
            slot,
        })
    }

    fn checked(self, seen: Option<Version>) -> Option<Slot<Range<usize>>> {
        let is_sound = seen == Some(self.slot.version) || checksum(self.checked) == self.checksum;
        is_sound.then_some(self.slot)
    }
}

/// Makes a slot's bytes, without the padding.
pub(super) fn encode(
    key: &RecordKey,
    sequence: u64,
    version: Version,
    expires: Timestamp,
    data: &[u8],
) -> Vec<u8> {
    let mut checked = Vec::with_capacity(HEADER + data.len());
    checked.extend_from_slice(&magic(FORMAT));
    checked.extend_from_slice(&[0; 16]);
    checked.extend_from_slice(key.as_bytes());
    checked.extend_from_slice(&sequence.to_le_bytes());
    checked.extend_from_slice(version.as_bytes());
    checked.extend_from_slice(&expires.as_secs().to_le_bytes());
    checked.extend_from_slice(&(data.len() as u64).to_le_bytes());
    checked.extend_from_slice(data);
    let sum = checked.get(CHECKED..).map(checksum).unwrap_or_default();
    checked
        .iter_mut()
        .skip(MAGIC_LEN)
        .zip(sum)
        .for_each(|(place, byte)| *place = byte);
    checked
}

/// The slot size for a record of this many bytes. A quarter of it is spare, since growing costs a
/// new file.
pub(super) fn size_for(encoded: usize) -> usize {
    encoded
        .saturating_add(encoded / 4)
        .next_multiple_of(SMALLEST)
        .max(SMALLEST)
}

/// Returns whether a file of this length has two slots.
pub(super) const fn is_file_len(len: u64) -> bool {
    len > 0 && len.is_multiple_of(2 * SMALLEST as u64)
}

/// Makes a whole file of two slots. All of it is written at once, so that later writes need no room
/// on the disk.
pub(super) fn file_of(slot_size: usize, first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut file = first.to_vec();
    file.resize(slot_size, 0);
    file.extend_from_slice(second);
    file.resize(slot_size * 2, 0);
    file
}

/// Returns whether the bytes begin like a slot of a later format.
pub(super) fn is_newer(bytes: &[u8]) -> bool {
    match bytes.first_chunk::<MAGIC_LEN>() {
        Some([.., format, _]) => *format > FORMAT && bytes.starts_with(&magic(*format)),
        None => false,
    }
}

fn magic(format: u8) -> [u8; MAGIC_LEN] {
    [b's', b'l', b'v', b'r', b'b', b'k', format, !format]
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let hash = crypto::sha256(bytes);
    *hash
        .first_chunk()
        .expect("a hash has 32 bytes, and 16 are fewer")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}
