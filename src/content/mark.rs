//! The traces of a session that was renewed or destroyed: a mark in the place of its record, or an
//! end beside the sessions in cookies.
//!
//! ```text
//! mark:   8 u8 | fate u8 | write id (8) | last writes | [successor's key (32)]
//! sealed: 9 u8 | salt (24) | AES-256-GCM of a mark and [successor's mark key (32)] | tag (16)
//! end:    24 u8 | set u40 s | fate u8 | write id (8) | last writes | [successor's key (32)]
//! fate:   0 ended, 1 renewed: a successor follows
//! last writes: those of the record that a renewal replaces, as in a record; none of a logout
//! ```
//!
//! A sealed mark's key is derived from the session's ID, separately from its record's key. So one
//! mark can pass on the key of the next, for a logout that follows them, without the ID that opens
//! the session.

use super::writes::{WriteId, Writes};
use crate::{
    binary::{put_u40, take_u40},
    clock::Timestamp,
    crypto::{self, RandomError, RootKey, SALT_LEN, SealKey},
    error::Rejection,
    id::{RecordKey, SessionId},
    store::{Bytes, RecordKind},
};

pub(super) const MARK: u8 = 8;
const SEALED_MARK: u8 = 9;
const END: u8 = 24;
const SEALED_HEAD: usize = 1 + SALT_LEN;
const KEY_LEN: usize = size_of::<RecordKey>();

const ENDED: u8 = 0;
const RENEWED: u8 = 1;

/// What became of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Ended,
    /// It lives under another name.
    Renewed(Name),
}

impl Fate {
    /// The reason given to a request that carries the session's old name.
    pub(crate) fn reason(&self) -> Rejection {
        match self {
            Self::Ended => Rejection::Ended,
            Self::Renewed(_) => Rejection::Renewed,
        }
    }
}

/// The mark that replaces a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) fate: Fate,
    pub(crate) write: WriteId,
    /// The last writes of the record that it replaces: their changes were carried along.
    pub(crate) before: Writes,
}

impl Mark {
    pub(crate) fn is_renewal(&self) -> bool {
        matches!(self.fate, Fate::Renewed(_))
    }
}

/// The remembered end of a session that cookies hold copies of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct End {
    pub(crate) mark: Mark,
    pub(crate) set: Timestamp,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// It is not as it was written, or is not sealed although it should be.
    Damaged,
    /// A later release wrote it.
    Later,
}

/// A session's name as a mark may reveal it: enough to find and end the session, but not to open
/// it.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Name {
    pub(crate) key: RecordKey,
    /// The key that seals its marks, if records are encrypted.
    seal: Option<[u8; KEY_LEN]>,
}

impl Name {
    pub(crate) fn of(id: &SessionId, is_sealed: bool) -> Self {
        let seal = || {
            let root = RootKey::extract(b"silverback record v1", id.as_bytes());
            *root.expand::<KEY_LEN>(&[b"mark"])
        };
        Self {
            key: id.record_key(),
            seal: is_sealed.then(seal),
        }
    }

    fn of_key(key: RecordKey) -> Self {
        Self { key, seal: None }
    }

    /// Returns whether its marks are sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// Encodes a mark under this name.
    pub(crate) fn encode(&self, mark: &Mark) -> Result<Vec<u8>, RandomError> {
        let mut plain = vec![MARK];
        mark.encode(&mut plain);
        let Some(key) = &self.seal else {
            return Ok(plain);
        };
        if let Fate::Renewed(successor) = &mark.fate {
            plain.extend_from_slice(&successor.seal.unwrap_or_default());
        }
        let salt: [u8; SALT_LEN] = crypto::random()?;
        let mut sealed = vec![SEALED_MARK];
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&plain);
        SealKey::new(key).seal(&salt, &mut sealed, SEALED_HEAD);
        Ok(sealed)
    }

    /// Decodes the record under this name. Returns `None` if it is not a mark.
    pub(crate) fn decode(&self, record: &[u8]) -> Result<Option<Mark>, Unreadable> {
        let mark = match (record, &self.seal) {
            ([MARK, rest @ ..], None) => Mark::decode(rest).filter(|(_, rest)| rest.is_empty()),
            ([SEALED_MARK, ..], Some(key)) => {
                open(key, record.to_vec()).and_then(|plain| Mark::decode_sealed(&plain))
            }
            ([MARK | SEALED_MARK, ..], _) => None,
            _ if RecordKind::is_later(record) => return Err(Unreadable::Later),
            _ => return Ok(None),
        };
        let (mark, _) = mark.ok_or(Unreadable::Damaged)?;
        Ok(Some(mark))
    }
}

/// Shows no key that opens anything.
impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Name({})", self.key)
    }
}

fn open(key: &[u8; KEY_LEN], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let salt: [u8; SALT_LEN] = sealed.get(1..SEALED_HEAD)?.try_into().ok()?;
    let end = SealKey::new(key).open(&salt, &mut sealed, SEALED_HEAD);
    sealed.truncate(end.ok()?);
    Some(sealed.split_off(SEALED_HEAD))
}

type Decoded<'a> = Option<(Mark, &'a [u8])>;

impl Mark {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.fate {
            Fate::Ended => ENDED,
            Fate::Renewed(_) => RENEWED,
        });
        out.extend_from_slice(&self.write);
        self.before.encode(out);
        if let Fate::Renewed(successor) = &self.fate {
            out.extend_from_slice(successor.key.as_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Decoded<'_> {
        let (fate, rest) = bytes.split_first()?;
        let (&write, rest) = rest.split_first_chunk()?;
        let (before, rest) = Writes::decode(rest)?;
        let (fate, rest) = match *fate {
            ENDED => (Fate::Ended, rest),
            RENEWED => {
                let (key, rest) = rest.split_first_chunk()?;
                let successor = Name::of_key(RecordKey::from_bytes(*key));
                (Fate::Renewed(successor), rest)
            }
            _ => return None,
        };
        let mark = Self {
            fate,
            write,
            before,
        };
        Some((mark, rest))
    }

    fn decode_sealed(plain: &[u8]) -> Decoded<'static> {
        let (mut mark, rest) = Self::decode(plain.strip_prefix(&[MARK])?)?;
        match &mut mark.fate {
            Fate::Ended if rest.is_empty() => {}
            Fate::Renewed(successor) => successor.seal = Some(rest.try_into().ok()?),
            Fate::Ended => return None,
        }
        Some((mark, &[]))
    }
}

impl End {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = vec![END];
        put_u40(&mut out, self.set);
        self.mark.encode(&mut out);
        out.into()
    }

    /// Decodes an end. A damaged one counts as an end all the same.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let end = || {
            let (set, rest) = take_u40(bytes.strip_prefix(&[END])?)?;
            let (mark, rest) = Mark::decode(rest)?;
            rest.is_empty().then_some(Self { mark, set })
        };
        match RecordKind::is_later(bytes) {
            true => Err(Unreadable::Later),
            false => end().ok_or(Unreadable::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Name, Name) {
        let id = || SessionId::generate().unwrap();
        (Name::of(&id(), true), Name::of(&id(), true))
    }

    fn marks(successor: &Name) -> [Mark; 2] {
        let write = *b"12345678";
        [Fate::Ended, Fate::Renewed(successor.clone())].map(|fate| Mark {
            fate,
            write,
            before: Writes::default().with(
                Some(*b"87654321"),
                Timestamp::from_secs(9),
                std::time::Duration::ZERO,
            ),
        })
    }

    #[test]
    fn a_mark_reads_back_as_it_was() {
        let (name, successor) = names();
        for mark in marks(&successor) {
            let bytes = name.encode(&mark).unwrap();
            assert_eq!(name.decode(&bytes), Ok(Some(mark)));
        }
        let (name, successor) = (Name::of_key(name.key), Name::of_key(successor.key));
        for mark in marks(&successor) {
            let bytes = name.encode(&mark).unwrap();
            assert_eq!(name.decode(&bytes), Ok(Some(mark)));
        }
    }

    #[test]
    fn an_end_reads_back_as_it_was() {
        let (_, successor) = names();
        for mark in marks(&Name::of_key(successor.key)) {
            let set = Timestamp::from_secs(1_800_000_000);
            let end = End { mark, set };
            let bytes = end.encode();
            assert_eq!(End::decode(&bytes), Ok(end));
            for len in 0..bytes.len() {
                let cut = End::decode(&bytes[..len]);
                assert_eq!(cut, Err(Unreadable::Damaged), "{len}");
            }
        }
    }

    #[test]
    fn a_sealed_mark_opens_only_unchanged_and_under_its_name() {
        let (name, successor) = names();
        for mark in marks(&successor) {
            let sealed = name.encode(&mark).unwrap();
            assert_eq!(successor.decode(&sealed), Err(Unreadable::Damaged));
            assert_eq!(
                Name::of_key(name.key).decode(&sealed),
                Err(Unreadable::Damaged)
            );
            for bit in 8..sealed.len() * 8 {
                let mut bent = sealed.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(name.decode(&bent), Err(Unreadable::Damaged), "bit {bit}");
            }
            let plain = Name::of_key(name.key).encode(&mark).unwrap();
            let forged = name.decode(&plain);
            assert_eq!(forged, Err(Unreadable::Damaged), "a forged mark is refused");
        }
    }

    #[test]
    fn a_mark_of_a_later_format_is_not_guessed_at() {
        let (name, _) = names();
        assert_eq!(name.decode(&[10, 1, 2]), Err(Unreadable::Later));
        assert_eq!(name.decode(&[1, 1, 2]), Ok(None), "a session");
        assert_eq!(name.decode(&[4, 1, 2]), Err(Unreadable::Later));
        assert_eq!(End::decode(&[26, 1, 2]), Err(Unreadable::Later));
    }
}
