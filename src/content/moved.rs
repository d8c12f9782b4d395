//! The memory of a session that came in another library's cookie: its records.
//!
//! ```text
//! moved: 25 u8 | set u40 s | salt (24) | AES-256-GCM of the records' IDs (32 each) | tag (16)
//! ```
//!
//! It is stored under a key derived from the cookie, and sealed by another derived key, which the
//! store alone does not give away.

use super::mark::Unreadable;
use crate::{
    binary::{put_u40, take_u40},
    clock::Timestamp,
    crypto::{self, RandomError, RootKey, SALT_LEN, SealKey},
    id::{RecordKey, SessionId},
    store::{Bytes, RecordKind},
};

const MOVED: u8 = 25;
const HEAD: usize = 1 + 5 + SALT_LEN;
const ID_LEN: usize = 32;
const CONTEXT: &[u8] = b"silverback moved v1";

/// Identifies a cookie of another library: a hash of what nobody else knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin([u8; 32]);

/// The records of a session that came in such a cookie. If several visitors may have that cookie,
/// each has a copy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moved {
    pub(crate) ids: Vec<SessionId>,
    /// When the last one was created.
    pub(crate) set: Timestamp,
}

impl Origin {
    #[cfg(any(test, feature = "gorilla"))]
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The ID that a session from such a cookie has in a cookie of ours.
    #[cfg(feature = "gorilla")]
    pub(crate) fn token_id(&self) -> SessionId {
        let (id, _) = self.0.split_first_chunk().expect("16 of 32 bytes");
        SessionId::of_token(id)
    }

    /// The key under which the session's records are remembered.
    pub(crate) fn key(&self) -> RecordKey {
        RecordKey::of(&[CONTEXT, &self.0].concat())
    }

    fn seal(&self) -> SealKey {
        SealKey::new(&RootKey::extract(CONTEXT, &self.0).expand(&[b"seal"]))
    }
}

impl Moved {
    pub(crate) fn encode(&self, origin: &Origin) -> Result<Bytes, RandomError> {
        let salt: [u8; SALT_LEN] = crypto::random()?;
        let mut out = vec![MOVED];
        put_u40(&mut out, self.set);
        out.extend_from_slice(&salt);
        for id in &self.ids {
            out.extend_from_slice(id.as_bytes());
        }
        origin.seal().seal(&salt, &mut out, HEAD);
        Ok(out.into())
    }

    /// Decodes the memory. If it is damaged, nobody knows where the session is.
    pub(crate) fn decode(bytes: &[u8], origin: &Origin) -> Result<Self, Unreadable> {
        if RecordKind::is_later(bytes) {
            return Err(Unreadable::Later);
        }
        Self::open(bytes, origin).ok_or(Unreadable::Damaged)
    }

    fn open(bytes: &[u8], origin: &Origin) -> Option<Self> {
        let (set, rest) = take_u40(bytes.strip_prefix(&[MOVED])?)?;
        let (salt, _) = rest.split_first_chunk()?;
        let mut message = bytes.to_vec();
        let end = origin.seal().open(salt, &mut message, HEAD).ok()?;
        let ids = message.get(HEAD..end)?.chunks(ID_LEN);
        let ids = ids.map(SessionId::from_slice).collect::<Option<Vec<_>>>()?;
        Some(Self { ids, set })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(count: usize) -> Moved {
        let id = |_| SessionId::generate().unwrap();
        Moved {
            ids: (0..count).map(id).collect(),
            set: Timestamp::from_secs(1_800_000_000),
        }
    }

    #[test]
    fn it_opens_only_unchanged_and_with_its_cookie() {
        let (origin, other) = (Origin::new([1; 32]), Origin::new([2; 32]));
        assert_ne!(origin.key(), other.key());
        for count in 1..4 {
            let moved = moved(count);
            let bytes = moved.encode(&origin).unwrap();
            let damaged = Err(Unreadable::Damaged);
            assert_eq!(Moved::decode(&bytes, &other), damaged);
            for bit in 8..bytes.len() * 8 {
                let mut bent = bytes.to_vec();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Moved::decode(&bent, &origin), damaged, "bit {bit}");
            }
            for len in 0..bytes.len() {
                let cut = Moved::decode(&bytes[..len], &origin);
                assert_eq!(cut, damaged, "{len} bytes");
            }
            assert_eq!(Moved::decode(&bytes, &origin), Ok(moved));
            let later = [&[26], &bytes[1..]].concat();
            let decoded = Moved::decode(&later, &origin);
            assert_eq!(decoded, Err(Unreadable::Later));
        }
    }
}
