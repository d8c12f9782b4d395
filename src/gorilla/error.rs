//! Why a cookie of gorilla/securecookie is refused, or cannot be made.

use std::{error, fmt};

/// Why a cookie of gorilla/securecookie was refused, or could not be made.
///
/// It has the messages of gorilla/securecookie and its three classes: [`is_usage`](Self::is_usage),
/// [`is_decode`](Self::is_decode), [`is_internal`](Self::is_internal).
///
/// ```
/// use silverback::gorilla::{KeyPair, SecureCookieError};
///
/// let error = KeyPair::signing("").unwrap_err();
/// assert_eq!(error, SecureCookieError::EmptyHashKey);
/// assert!(error.is_usage());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SecureCookieError {
    /// There is no pair of keys.
    NoKeyPairs,
    /// The hash key is empty, as if its environment variable were not set.
    EmptyHashKey,
    /// The block key has this many bytes, but AES takes 16, 24 or 32.
    BlockKeyLength(usize),
    /// The new cookie would have this many bytes, which is too many.
    TooLongToEncode(usize),
    /// The received cookie has this many bytes, which is too many.
    TooLong(usize),
    /// The cookie is not base64 in the URL alphabet, with padding (RFC 4648, section 5).
    InvalidBase64,
    /// The MAC is wrong: the cookie was changed, or made with other keys or for another name.
    InvalidMac,
    /// The cookie's time is not a number.
    InvalidTimestamp,
    /// The cookie is younger than [`min_age`](super::SecureCookie::min_age).
    TooNew,
    /// The cookie is older than [`max_age`](super::SecureCookie::max_age).
    Expired,
    /// The cookie is too short to be encrypted.
    Undecryptable,
    /// The payload could not be read.
    Unreadable,
    /// The operating system gave no random bytes.
    RandomFailed,
}

impl SecureCookieError {
    /// Returns whether the program is at fault: its keys, or what it puts into a cookie.
    #[must_use]
    pub const fn is_usage(self) -> bool {
        matches!(
            self,
            Self::NoKeyPairs
                | Self::EmptyHashKey
                | Self::BlockKeyLength(_)
                | Self::TooLongToEncode(_)
        )
    }

    /// Returns whether the cookie is at fault.
    #[must_use]
    pub const fn is_decode(self) -> bool {
        !self.is_usage() && !self.is_internal()
    }

    /// Returns whether the machine is at fault.
    #[must_use]
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::RandomFailed)
    }
}

impl fmt::Display for SecureCookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("securecookie: ")?;
        match self {
            Self::NoKeyPairs => f.write_str("no codecs provided"),
            Self::EmptyHashKey => f.write_str("hash key is not set"),
            Self::BlockKeyLength(len) => write!(f, "invalid key size {len}"),
            Self::TooLongToEncode(len) | Self::TooLong(len) => {
                write!(f, "the value is too long: {len}")
            }
            Self::InvalidBase64 => f.write_str("base64 decode failed"),
            Self::InvalidMac => f.write_str("the value is not valid"),
            Self::InvalidTimestamp => f.write_str("invalid timestamp"),
            Self::TooNew => f.write_str("timestamp is too new"),
            Self::Expired => f.write_str("expired timestamp"),
            Self::Undecryptable => f.write_str("the value could not be decrypted"),
            Self::Unreadable => f.write_str("the value could not be read"),
            Self::RandomFailed => f.write_str("failed to generate random iv"),
        }
    }
}

impl error::Error for SecureCookieError {}
