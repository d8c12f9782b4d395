//! What is wrong with a key.

use std::{error, fmt, io, sync::Arc};

use super::id::KeyId;

/// The fewest bytes that a secret has.
pub(super) const MIN_LEN: usize = 32;

/// A key could not be read or used.
///
/// `Debug` shows the same sentence as `Display`, because that is what a `main` that returns it
/// prints.
#[derive(Clone)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set, or empty.
    MissingVariable(String),
    /// What is wrong with the keys of an environment variable or a file.
    In {
        /// The variable's name, or the file's path.
        place: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// The key file could not be read.
    Unreadable(Arc<io::Error>),
    /// There is no key in the text.
    NoKey,
    /// The text is neither hexadecimal nor base64.
    InvalidEncoding,
    /// The secret has fewer than 32 bytes.
    TooShort {
        /// How many it has.
        len: usize,
    },
    /// All bytes of the secret are the same.
    Weak,
    /// The key is given twice.
    Duplicate(KeyId),
    /// There is no such key.
    Unknown(KeyId),
    /// The key was revoked and cannot come back.
    Revoked(KeyId),
    /// Exactly one key must be active, before and after.
    NotOneActive,
    /// The operating system gave no random bytes.
    RandomFailed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingVariable(name) => write!(
                f,
                "the environment variable {name} is not set: set it to a random key, as from `openssl rand -base64 32`"
            ),
            Self::In { place, source } => write!(f, "{place}: {source}"),
            Self::Unreadable(error) => write!(f, "the key file cannot be read: {error}"),
            Self::NoKey => f.write_str("there is no key in the text"),
            Self::InvalidEncoding => f.write_str(
                "a key is neither hexadecimal nor base64 (nor active:, pending:, retired: or revoked: and one of \
                 these): make one with `openssl rand -base64 32`",
            ),
            Self::TooShort { len } => write!(
                f,
                "a key of {len} bytes is too short: it takes {MIN_LEN} random bytes, as from `openssl rand -base64 32`"
            ),
            Self::Weak => f.write_str("all bytes of a key are the same: it takes random ones"),
            Self::Duplicate(id) => write!(f, "the key {id} is given twice"),
            Self::Unknown(id) => write!(f, "there is no key {id}"),
            Self::Revoked(id) => write!(f, "the key {id} was revoked"),
            Self::NotOneActive => f.write_str("exactly one key must be active, the first by default"),
            Self::RandomFailed => f.write_str("the operating system gave no random bytes"),
        }
    }
}

impl fmt::Debug for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for KeyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(&**error),
            Self::In { source, .. } => source.source(),
            _ => None,
        }
    }
}
