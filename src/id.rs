//! Names of sessions: the secret in the cookie, and the hash of it that everything else sees.

use std::fmt;

use zeroize::Zeroize;

use crate::crypto::{self, RandomError};

/// The secret that refers to a server-side session: 32 random bytes, minted here and nowhere else.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct SessionId([u8; Self::LEN]);

impl SessionId {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn generate() -> Result<Self, RandomError> {
        crypto::random().map(Self)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(crate) fn record_key(&self) -> RecordKey {
        RecordKey::of(&self.0)
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// What a store files a session under: the SHA-256 of the session's secret ID.
///
/// Nobody can turn it back into a cookie, so it may be logged, listed and leaked. It prints as 64 lower-case
/// hexadecimal digits, which are safe as a file name and in any query.
///
/// ```
/// use silverback::store::RecordKey;
///
/// let key = RecordKey::from_bytes([0xab; 32]);
/// assert_eq!(key.to_string(), "ab".repeat(32));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// Makes a key of the 32 bytes a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(crypto::sha256(secret))
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_hide_themselves() {
        let id = SessionId::generate().unwrap();
        assert_ne!(id, SessionId::generate().unwrap());
        assert_eq!(format!("{id:?}"), "SessionId(..)");
    }

    #[test]
    fn every_bit_of_an_id_is_random() {
        let rounds = 4_096;
        let mut ones = [0_u32; 256];
        for _ in 0..rounds {
            let id = SessionId::generate().unwrap();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(id.0[bit / 8] >> (bit % 8) & 1);
            }
        }
        // Eight standard deviations (sqrt(4096) / 2 = 32) on either side: one false alarm in 10^12 runs.
        assert!(ones.iter().all(|&count| (2_048 - 256..=2_048 + 256).contains(&count)), "{ones:?}");
    }
}
