//! What a cookie reveals without a key.

use base64_simd::URL_SAFE_NO_PAD;

use super::{
    Mode,
    token::{KID, Purpose, Stamp},
};
use crate::{clock::Timestamp, cookie::MAX_COOKIE_LEN, key::KeyId};

/// What anyone can read from a cookie's value without a key: for an operator who wants to know what
/// a cookie is. None of it is verified, as that takes the key; see
/// [`SessionConfig::explain`](crate::SessionConfig::explain).
///
/// ```
/// use silverback::TokenHead;
///
/// assert_eq!(TokenHead::read("not a session"), None);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenHead {
    /// The version of the format.
    pub version: u8,
    /// Whether the rest is encrypted. If not, it is signed, and anyone can read it.
    pub is_sealed: bool,
    /// The key it names.
    pub key: KeyId,
    /// The length of the token in bytes, which base64 makes a third longer.
    pub len: usize,
    /// The times that a signed token claims.
    pub claims: Option<TokenTimes>,
}

/// When a token was made, and how long it is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenTimes {
    /// When the token was made. A session in a store gets another token only with a new ID, a
    /// `Max-Age` or a new key.
    pub issued: Timestamp,
    /// When the session was created.
    pub created: Timestamp,
    /// When the token expires by itself. The session may end earlier.
    pub expires: Timestamp,
}

impl TokenHead {
    /// Reads a cookie's value, without its name. Returns `None` if it is not a token of any
    /// version.
    #[must_use]
    pub fn read(cookie: &str) -> Option<Self> {
        if cookie.len() > MAX_COOKIE_LEN {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode_to_vec(cookie).ok()?;
        let first = *token.first()?;
        let is_sealed = match first >> 4 {
            1 => true,
            2 => false,
            _ => return None,
        };
        let key = KeyId::from_slice(token.get(KID)?)?;
        let is_signed_now = first == Mode::Signed.version();
        let claims = is_signed_now.then(|| token.get(KID.end..)).flatten();
        // Both kinds of signed tokens begin with the same times.
        let stamp = claims.and_then(|claims| Stamp::decode(claims, Purpose::Reference));
        Some(Self {
            version: first & 0xf,
            is_sealed,
            key,
            len: token.len(),
            claims: stamp.map(|(stamp, _)| stamp.times()),
        })
    }
}

impl Stamp {
    pub(crate) fn times(&self) -> TokenTimes {
        TokenTimes {
            issued: self.issued,
            created: self.created,
            expires: self.expires(),
        }
    }
}
