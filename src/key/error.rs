//! Why a key cannot be read or used.

use std::{error, fmt, io, sync::Arc};

use super::id::KeyId;

/// The fewest bytes of a secret.
pub(super) const MIN_LEN: usize = 32;

/// The command that makes a key: one line of 44 characters.
const MAKE: &str = "`openssl rand -base64 32`";

/// A key could not be read or used.
///
/// `Debug` shows the same sentence as `Display`, because it is what a `main` that returns the error
/// prints.
#[derive(Clone)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set, or empty.
    MissingVariable(String),
    /// The keys of an environment variable or a file are wrong.
    In {
        /// The variable's name, or the file's path.
        place: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// The key file could not be read.
    Unreadable(Arc<io::Error>),
    /// The text has no key.
    NoKey,
    /// The text is neither hexadecimal nor base64.
    InvalidEncoding,
    /// The text has quotes, as from an env file whose reader keeps them.
    Quoted,
    /// A key in base64 seems to continue on the next line.
    Wrapped,
    /// The secret has fewer than 32 bytes.
    TooShort {
        /// The number of its bytes.
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
    /// Exactly one key must be active, before and after the change.
    NotOneActive,
    /// The operating system gave no random bytes.
    RandomFailed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingVariable(name) => write!(
                f,
                "the environment variable {name} is not set, or empty: set it to a random key, as \
                 from {MAKE}"
            ),
            Self::In { place, source } => write!(f, "{place}: {source}"),
            Self::Unreadable(error) => {
                let advice = match error.kind() {
                    io::ErrorKind::NotFound => {
                        "make one that only you can read, by `(umask 077; openssl rand -base64 32 > FILE)`"
                    }
                    io::ErrorKind::PermissionDenied => "let the user of this process read it",
                    io::ErrorKind::InvalidData => "write the key as text, hexadecimal or base64",
                    _ => "give the path of a file with a key",
                };
                write!(f, "the key file cannot be read ({error}): {advice}")
            }
            Self::NoKey => write!(f, "there is no key in the text: make one with {MAKE}"),
            Self::InvalidEncoding => write!(
                f,
                "a key is neither hexadecimal nor base64: make one with {MAKE}. Nothing may stand before \
                 it but active:, pending:, retired: or revoked:",
            ),
            Self::Quoted => f.write_str(
                "there are quotes around a key: remove them, since not every reader of env files does",
            ),
            Self::Wrapped => f.write_str(
                "a key in base64 seems to continue on the next line: put it on one line, as with \
                 `openssl rand -base64 96 | tr -d '\\n'`. If these are two keys, write a comma between them",
            ),
            Self::TooShort { len: 0 } => write!(
                f,
                "a key is empty: make one with {MAKE}. If a word such as active: stands before it, leave out the \
                 space between them"
            ),
            Self::TooShort { len } => write!(
                f,
                "a key of {len} bytes is too short: use at least {MIN_LEN} random bytes, as from {MAKE}"
            ),
            Self::Weak => write!(
                f,
                "all bytes of a key are the same: use random ones, as from {MAKE}"
            ),
            Self::Duplicate(id) => write!(f, "the key {id} is there already: give each key once"),
            Self::Unknown(id) => write!(f, "there is no key {id}: `Keys::list` has the ids"),
            Self::Revoked(id) => {
                write!(f, "the key {id} was revoked for good: make a new one with {MAKE}")
            }
            Self::NotOneActive => f.write_str(
                "exactly one key must be active: write `active:` before one, and before no other. In a \
                 running program, first make another key active with `Keys::rotate`",
            ),
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
