//! Session IDs: the secret in the cookie, and its hash that everything else sees.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{DefaultIsZeroes, Zeroize};

use crate::{
    crypto::{self, RandomError, SALT_LEN, Salt},
    text::{self, OfText, ParseError, Text},
};

/// The secret that names a session, created here and nowhere else. It has 32 random bytes for a
/// session in a store, 16 for a session that is, or can be, in its cookie, and none for a session
/// known only by its record.
#[derive(Clone)]
pub(crate) struct SessionId {
    secret: Secret,
    len: u8,
    /// Not hashed in advance for a session in its cookie.
    key: Option<RecordKey>,
}

/// Wiped by one write instead of byte by byte.
#[derive(Clone, Copy, Default)]
struct Secret([u8; SessionId::LEN]);

impl DefaultIsZeroes for Secret {}

/// The id of a session in its cookie.
pub(crate) type TokenId = [u8; 16];

impl SessionId {
    const LEN: usize = 32;

    pub(crate) fn generate() -> Result<Self, RandomError> {
        Ok(Self::of_secret(crypto::random()?).hashed())
    }

    /// A new ID for a session in its cookie, and a salt to seal that cookie with. Drawn together,
    /// because asking the operating system twice would take twice as long.
    pub(crate) fn generate_in_cookie() -> Result<(Self, Salt), RandomError> {
        let bytes = crypto::random::<{ size_of::<TokenId>() + SALT_LEN }>()?;
        let (mut id, mut salt) = (TokenId::default(), Salt::default());
        let (of_id, of_salt) = bytes.split_at(id.len());
        id.copy_from_slice(of_id);
        salt.copy_from_slice(of_salt);
        Ok((Self::of_token(&id), salt))
    }

    fn of_secret(bytes: [u8; Self::LEN]) -> Self {
        Self {
            secret: Secret(bytes),
            len: Self::LEN as u8,
            key: None,
        }
    }

    /// The ID of a session in its cookie. It stays the same if the session moves into a store.
    pub(crate) fn of_token(id: &TokenId) -> Self {
        let mut secret = Secret::default();
        let (start, _) = secret.0.split_at_mut(id.len());
        start.copy_from_slice(id);
        Self {
            secret,
            len: id.len() as u8,
            key: None,
        }
    }

    /// The ID of a session whose cookie is not at hand. It can make no cookie, and open no
    /// encrypted record.
    pub(crate) fn of_record(key: RecordKey) -> Self {
        Self {
            secret: Secret::default(),
            len: 0,
            key: Some(key),
        }
    }

    /// Returns whether the secret is known, and not only its hash.
    pub(crate) fn has_secret(&self) -> bool {
        self.len > 0
    }

    /// The session's id in its cookie, or `None` if it cannot be in one.
    pub(crate) fn token_id(&self) -> Option<TokenId> {
        self.as_bytes().try_into().ok()
    }

    /// The ID of a session in a store, from its bytes.
    pub(crate) fn from_slice(slice: &[u8]) -> Option<Self> {
        let id = match slice.try_into() {
            Ok(id) => Self::of_token(id),
            Err(_) => Self::of_secret(slice.try_into().ok()?),
        };
        Some(id.hashed())
    }

    fn hashed(mut self) -> Self {
        self.key = Some(self.record_key());
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.secret.0.get(..self.len.into()).unwrap_or_default()
    }

    pub(crate) fn record_key(&self) -> RecordKey {
        self.key.unwrap_or_else(|| RecordKey::of(self.as_bytes()))
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes() && (self.has_secret() || self.key == other.key)
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A session's name in its store: the SHA-256 of the session's secret ID.
///
/// Nobody can turn it back into a cookie, so you may log and list it. It displays as 64 lower-case
/// hexadecimal digits, which are safe as a file name and in any query. It parses from these digits
/// alone, and serde uses them too. Any other spelling is a [`ParseError`](crate::ParseError).
///
/// ```
/// use silverback::store::RecordKey;
///
/// let key = RecordKey::from_bytes([0xab; 32]);
/// assert_eq!(key.to_string(), "ab".repeat(32));
/// assert_eq!("ab".repeat(32).parse(), Ok(key));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// Makes a key from the 32 bytes that a store has kept.
    ///
    /// ```
    /// # use silverback::store::RecordKey;
    /// fn key_of_row(column: &[u8]) -> Option<RecordKey> {
    ///     Some(RecordKey::from_bytes(column.try_into().ok()?))
    /// }
    /// ```
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    ///
    /// ```
    /// # use silverback::store::RecordKey;
    /// let key = RecordKey::from_bytes([7; 32]);
    /// assert_eq!(key.as_bytes(), &[7; 32]);
    /// ```
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of the session's remembered end, which may be in the same store as its record.
    pub(crate) fn end_key(self) -> Self {
        Self::of(&[b"silverback ended v1" as &[u8], &self.0].concat())
    }

    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(crypto::sha256(secret))
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", base16ct::HexDisplay(&self.0))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

impl Text for RecordKey {
    const EXPECTED: &'static str = "64 lower-case hexadecimal digits";
}

impl FromStr for RecordKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::from_hex(text).map(Self).ok_or(Self::ERROR)
    }
}

impl Serialize for RecordKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(OfText::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let text = RecordKey::of(b"x").to_string();
        assert_eq!(text.parse(), Ok(RecordKey::of(b"x")));
        let others = [
            text.to_uppercase(),
            format!("{text}0"),
            format!(" {}", &text[1..]),
            text[1..].into(),
            "ä".repeat(32),
        ];
        for other in others {
            assert_eq!(other.parse::<RecordKey>(), Err(RecordKey::ERROR), "{other}");
        }
    }

    #[test]
    fn an_id_is_not_shown() {
        let id = SessionId::generate().unwrap();
        assert_eq!(format!("{id:?}"), "SessionId(..)");
    }

    /// Compares halves, so that IDs of which a part repeats are found as well.
    #[test]
    fn a_million_ids_are_distinct() {
        let ids = (0..1_000_000).map(|_| SessionId::generate().unwrap());
        let mut halves = [Vec::new(), Vec::new()];
        for id in ids {
            let (start, end) = id.as_bytes().split_at(16);
            halves[0].push(u128::from_ne_bytes(start.try_into().unwrap()));
            halves[1].push(u128::from_ne_bytes(end.try_into().unwrap()));
        }
        for mut half in halves {
            half.sort_unstable();
            assert!(half.is_sorted_by(|one, next| one < next));
        }
    }

    #[test]
    fn a_session_has_one_id_in_cookie_and_store() {
        let id = SessionId::of_token(&[7; 16]);
        assert_eq!(
            (id.token_id(), id.record_key()),
            (Some([7; 16]), RecordKey::of(&[7; 16]))
        );
        assert_eq!(SessionId::from_slice(id.as_bytes()), Some(id));
        let long = SessionId::generate().unwrap();
        assert_eq!((long.token_id(), long.as_bytes().len()), (None, 32));
        assert_eq!(SessionId::from_slice(long.as_bytes()), Some(long));
        assert!(
            [0, 15, 17, 31, 33]
                .iter()
                .all(|len| SessionId::from_slice(&vec![0; *len]).is_none())
        );
    }

    #[test]
    fn a_session_known_by_its_record_has_no_secret() {
        let secret = SessionId::of_token(&[7; 16]);
        let known = SessionId::of_record(secret.record_key());
        assert_eq!(known.record_key(), secret.record_key());
        assert_eq!((known.token_id(), known.has_secret()), (None, false));
        assert_ne!(known, secret);
        assert_eq!(known, known.clone());
        assert_ne!(known, SessionId::of_record(RecordKey::of(&[8; 16])));
    }

    #[test]
    fn every_bit_of_an_id_is_random() {
        every_bit_is_random(|| SessionId::generate().unwrap().as_bytes().to_vec());
        every_bit_is_random(|| {
            let (id, salt) = SessionId::generate_in_cookie().unwrap();
            let both = [id.as_bytes(), &salt].concat();
            assert_eq!(both.len(), 16 + 24);
            both
        });
    }

    fn every_bit_is_random(draw: impl Fn() -> Vec<u8>) {
        let rounds = 4_096;
        let mut ones = vec![0_u32; draw().len() * 8];
        for _ in 0..rounds {
            let bytes = draw();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(bytes[bit / 8] >> (bit % 8) & 1);
            }
        }
        // Eight standard deviations (sqrt(4096) / 2 = 32) on either side: one false alarm in 10^12
        // runs.
        assert!(
            ones.iter()
                .all(|&count| (2_048 - 256..=2_048 + 256).contains(&count)),
            "{ones:?}"
        );
    }
}
