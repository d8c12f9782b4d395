//! The bytes of records that are being moved.
//!
//! ```text
//! moving: 0x80 | first byte, data | TAIL               in `from`
//! copy:   0xa0 | first byte, data | version (16) | TAIL    in `to`; of the record that it replaces
//! moved:  0xc0 | [version of the copy (16)] | TAIL         in `from`
//! ```
//!
//! The first byte of the data keeps its lower bits, and the rest of the data its place, so a store
//! that evicts still recognises the record's kind. Data that begins with a byte above 30, which
//! this crate never writes, follows whole. Plain data cannot be mistaken for wrapped data, since
//! everything this crate stores begins with a lower byte.

use crate::store::{
    Bytes, Version,
    record::{COPY, FIRST, MOVED, MOVING},
};

const TAIL: &[u8; 8] = b"\xf2slvmov\x01";
const VERSION_LEN: usize = 16;

/// The most bytes that wrapping adds to a record's data.
pub(super) const OVERHEAD: usize = 1 + VERSION_LEN + TAIL.len();

/// The form of a record's bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// The session's own data.
    Plain,
    /// A record whose move has begun, with its data.
    Moving(Bytes),
    /// A copy of a moving record, or the saved data that replaces a plain one. `of` is the version
    /// of the replaced record.
    Copy { data: Bytes, of: Version },
    /// A record that is in the other store, and the version of the copy that counts. Without a
    /// version the record was created there.
    Moved(Option<Version>),
}

impl Form {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::of_wrapped(bytes).unwrap_or(Self::Plain)
    }

    fn of_wrapped(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.strip_suffix(TAIL)?.split_first()?;
        match *first {
            MOVING..COPY => Some(Self::Moving(unwrapped(*first, rest))),
            COPY..MOVED => {
                let (data, version) = rest.split_last_chunk::<VERSION_LEN>()?;
                Some(Self::Copy {
                    data: unwrapped(*first, data),
                    of: Version::from_bytes(*version),
                })
            }
            MOVED if rest.is_empty() => Some(Self::Moved(None)),
            MOVED => {
                let version = <[u8; VERSION_LEN]>::try_from(rest).ok()?;
                Some(Self::Moved(Some(Version::from_bytes(version))))
            }
            _ => None,
        }
    }
}

pub(super) fn moving(data: &[u8]) -> Bytes {
    wrapped(MOVING, data, &[])
}

pub(super) fn copy(data: &[u8], of: Version) -> Bytes {
    wrapped(COPY, data, of.as_bytes())
}

pub(super) fn moved(copy: Option<Version>) -> Bytes {
    let version = copy.as_ref().map_or(&[][..], |version| version.as_bytes());
    [&[MOVED], version, TAIL].concat().into()
}

fn wrapped(kind: u8, data: &[u8], version: &[u8]) -> Bytes {
    let (first, rest) = match data.split_first() {
        Some((first, rest)) if *first < FIRST => (*first, rest),
        _ => (FIRST, data),
    };
    [&[kind | first], rest, version, TAIL].concat().into()
}

fn unwrapped(first: u8, rest: &[u8]) -> Bytes {
    match first & FIRST {
        FIRST => Bytes::copy_from_slice(rest),
        first => [&[first], rest].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RecordKind;

    #[test]
    fn wrapped_data_reads_back_as_it_was() {
        let version = Version::from_u64(7);
        let firsts = (0..=255).map(|first| vec![first, 1, 2, 3]);
        for data in firsts.chain([Vec::new(), vec![1], TAIL.to_vec()]) {
            assert_eq!(Form::of(&data), Form::Plain, "{data:?}");
            let data = Bytes::from(data);
            assert_eq!(Form::of(&moving(&data)), Form::Moving(data.clone()));
            let copied = copy(&data, version);
            assert!(copied.len() <= data.len() + OVERHEAD);
            let form = Form::Copy { data, of: version };
            assert_eq!(Form::of(&copied), form);
        }
        for version in [None, Some(version)] {
            assert_eq!(Form::of(&moved(version)), Form::Moved(version));
        }
    }

    #[test]
    fn a_store_that_evicts_recognises_a_moving_records_kind() {
        for (first, kind) in [
            (1, RecordKind::Session),
            (9, RecordKind::Mark),
            (16, RecordKind::Roster),
            (24, RecordKind::End),
        ] {
            let data = [first, 0, 0, 0, 1, 2, 3];
            for wrapped in [moving(&data), copy(&data, Version::from_u64(1))] {
                assert_eq!(RecordKind::of(&wrapped), Some(kind));
                assert_eq!(wrapped[1..6], data[1..6], "its time");
            }
        }
        assert_eq!(RecordKind::of(&moved(None)), Some(RecordKind::Moved));
        assert_eq!(RecordKind::of(&moving(b"foreign")), None);
    }
}
