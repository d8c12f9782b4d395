//! The IDs of sessions in gorilla's stores: random bytes in base32.

use std::fmt;

use super::gob::{Gob, GobError, Types, Value};
use crate::crypto::{self, RandomError};

/// The ID of a session in one of gorilla's stores. It is a secret: an unsigned ID is the cookie
/// itself.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct GoId(String);

const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl GoId {
    /// The random bytes of an ID in a signed cookie.
    pub(crate) const SIGNED: usize = 32;
    /// The random bytes of an ID that is the cookie itself.
    pub(crate) const BARE: usize = 64;

    /// Parses the digits of this many bytes. Returns `None` for anything else.
    pub(crate) fn parse(text: &str, bytes: usize) -> Option<Self> {
        let is_id = text.len() == digits(bytes) && text.bytes().all(|byte| DIGITS.contains(&byte));
        is_id.then(|| Self(text.to_owned()))
    }

    pub(crate) fn random<const BYTES: usize>() -> Result<Self, RandomError> {
        Ok(Self(base32(&crypto::random::<BYTES>()?)))
    }

    /// Returns the ID as `EncodeMulti` serializes it.
    pub(crate) fn to_gob(&self) -> Result<Vec<u8>, GobError> {
        Gob::new(Types::new(), Value::string(&*self.0)).encode()
    }

    pub(crate) fn of_gob(payload: &[u8], bytes: usize) -> Option<Self> {
        Self::parse(Gob::decode(payload).ok()?.value.as_str()?, bytes)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Shows no ID.
impl fmt::Debug for GoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GoId(..)")
    }
}

const fn digits(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    let digits = bytes.chunks(5).flat_map(|chunk| {
        let word = chunk
            .iter()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let word = word << (40 - chunk.len() * 8);
        (0..digits(chunk.len())).map(move |at| (word >> (35 - 5 * at)) as usize & 31)
    });
    let digits = digits.filter_map(|digit| DIGITS.get(digit));
    digits.map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_go() {
        let bytes: Vec<_> = (0..32).map(|at| at * 8 + 1).collect();
        // Python: base64.b32encode(bytes(at * 8 + 1 for at in range(32))).rstrip(b"=")
        assert_eq!(
            base32(&bytes),
            "AEERCGJBFEYTSQKJKFMWC2LRPGAYTEMZUGU3DOOBZHI5TYPJ6H4Q"
        );
        assert_eq!(base32(b"f"), "MY");
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
        let id = GoId::random::<32>().unwrap();
        assert_eq!(GoId::of_gob(&id.to_gob().unwrap(), 32), Some(id));
        let id = GoId::random::<64>().unwrap();
        assert_eq!(GoId::parse(id.as_str(), 64), Some(id));
    }

    #[test]
    fn nothing_else_is_an_id() {
        for text in [
            "",
            "A",
            "../../../../etc/passwd",
            &"a".repeat(52),
            &"A".repeat(53),
            &"A".repeat(103),
            &format!("{}/..", "A".repeat(49)),
        ] {
            assert_eq!(GoId::parse(text, 32), None);
        }
        assert_eq!(GoId::parse(&"A".repeat(104), 64), None);
    }
}
