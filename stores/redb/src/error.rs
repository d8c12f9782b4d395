//! The meaning of redb's errors.

use std::{error, fmt, io, sync::Arc};

use redb::{DatabaseError, StorageError};
use silverback::store::StoreError;

/// Why a file could not be opened.
///
/// `Debug` is what a `main` that returns the error prints: the sentence, its cause and the remedy.
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the file open, or another store in this process.
    InUse,
    /// The file is damaged, or not redb's. Move it away to start with an empty one: everybody logs
    /// in again.
    Damaged(Box<dyn error::Error + Send + Sync>),
    /// The file cannot be created, read or written.
    Io(io::Error),
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Io(error) => error.into(),
            other => Self::Damaged(other.into()),
        }
    }
}

/// redb reports invalid data for a file that is not its own, and an unexpected end for a truncated
/// one.
impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.into())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<DatabaseError> for OpenError {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "another process has the file of sessions open",
            Self::Damaged(_) => "the file of sessions is damaged",
            Self::Io(_) => "the file of sessions cannot be opened",
        })
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self {
            Self::InUse => return write!(f, "{self}: end that process, or clone the store"),
            Self::Damaged(_) => "move it away, and everybody logs in again",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => "make its directory first",
                io::ErrorKind::PermissionDenied => "let the user of this process write it",
                _ => "give the path of a file that can be written",
            },
        };
        let cause = error::Error::source(self).map(ToString::to_string);
        write!(f, "{self} ({}): {remedy}", cause.unwrap_or_default())
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::InUse => None,
            Self::Damaged(source) => Some(&**source),
            Self::Io(source) => Some(source),
        }
    }
}

/// A failure of the file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing was written.
    Undone(redb::Error),
    /// The write may have happened.
    Unknown(redb::Error),
    /// redb panicked, as it does on a file that was damaged while it was open.
    Panicked,
    /// The file is not open, and this is why it could not be reopened.
    Closed(Option<Arc<OpenError>>),
}

impl Fault {
    pub(crate) fn undone(error: impl Into<redb::Error>) -> Self {
        Self::Undone(error.into())
    }

    pub(crate) fn unknown(error: impl Into<redb::Error>) -> Self {
        Self::Unknown(error.into())
    }

    /// The error for each waiting call.
    pub(crate) fn error(&self) -> StoreError {
        match self {
            Self::Undone(redb::Error::Io(error)) => copy(error).into(),
            Self::Undone(redb::Error::Corrupted(what)) => damaged(what),
            Self::Unknown(redb::Error::Io(error)) => StoreError::unavailable(copy(error)),
            Self::Undone(error) | Self::Unknown(error) => {
                StoreError::unavailable(error.to_string())
            }
            Self::Panicked => damaged("redb panicked"),
            Self::Closed(Some(why)) => StoreError::unavailable(Arc::clone(why)),
            Self::Closed(None) => StoreError::unavailable("the file of sessions is not open"),
        }
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::undone(error)
    }
}

/// The answers of a call about `count` records that failed as a whole.
pub(crate) fn all_failed<T>(count: usize, error: &StoreError) -> Vec<Result<T, StoreError>> {
    let causes = std::iter::successors(error::Error::source(error), |cause| cause.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    let of: fn(String) -> StoreError = match error {
        StoreError::Refused(_) => StoreError::refused,
        _ => StoreError::unavailable,
    };
    let failed = || Err(of(causes.join(": ")));
    std::iter::repeat_with(failed).take(count).collect()
}

fn damaged(what: &str) -> StoreError {
    StoreError::refused(format!("the file of sessions is damaged: {what}"))
}

/// Copies an error for every call that waits for the same write.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
