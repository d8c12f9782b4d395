//! Why a store failed to do what it was asked.

use std::{error, fmt, io};

use crate::{
    clock::Timestamp,
    error::{BoxError, Error, ErrorKind},
};

/// Why a store failed to do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// A record exists under this key already.
    Exists,
    /// The record has another version than expected.
    Conflict,
    /// The record does not exist, or no longer.
    Gone,
    /// The record is larger than the store takes. Sizes are in bytes.
    TooLarge {
        /// The record's size.
        size: usize,
        /// The store's limit.
        limit: usize,
    },
    /// The record would be over at once, because the store's clock is ahead of the session's: one
    /// of them is a [manual](crate::Clock::manual) clock that the other was not given. See
    /// [`Expiry::checked_at`](super::Expiry::checked_at).
    ClocksDiffer {
        /// The time by the session's clock.
        session: Timestamp,
        /// The time by the store's clock.
        store: Timestamp,
    },
    /// The data under the key is damaged, or not a record. Its session is over, and the next write
    /// makes a new one.
    Corrupt(BoxError),
    /// The store cannot be reached, or did not answer. A write may have happened or not.
    Unavailable(BoxError),
    /// The store was asked, did not do it, and would not do it the next time: it is full or
    /// read-only, or its data was written by a later release.
    Refused(BoxError),
}

impl StoreError {
    /// Makes an error from what the store's client reports about the connection, or from a
    /// sentence.
    ///
    /// ```
    /// use silverback::store::StoreError;
    ///
    /// fn of_client(error: std::io::Error) -> StoreError {
    ///     StoreError::unavailable(error) // the session asks once more
    /// }
    /// ```
    #[must_use]
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The error's kind, as a label of a metric.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::TooLarge { .. } => "too_large",
            Self::ClocksDiffer { .. } => "clocks_differ",
            Self::Corrupt(_) => "corrupt",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
        }
    }

    /// Makes an error from what the server answers, or from a sentence.
    ///
    /// ```
    /// use silverback::store::StoreError;
    ///
    /// let full = StoreError::refused("the disk quota is used up"); // nobody asks again
    /// ```
    #[must_use]
    pub fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused(source.into())
    }
}

/// The answers of a call about `count` records that failed as a whole.
pub(crate) fn all_failed<T>(count: usize, error: &StoreError) -> Vec<Result<T, StoreError>> {
    let cause = error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let of: fn(String) -> StoreError = match error {
        StoreError::Refused(_) => StoreError::refused,
        _ => StoreError::unavailable,
    };
    let repeated = || Err(of(cause.clone()));
    std::iter::repeat_with(repeated).take(count).collect()
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the record exists already"),
            Self::Conflict => f.write_str("the record has another version"),
            Self::Gone => f.write_str("the record does not exist"),
            Self::TooLarge { size, limit } => {
                write!(f, "a record of {size} bytes is over the limit of {limit}")
            }
            Self::ClocksDiffer { session, store } => write!(
                f,
                "the session's clock says {session} and the store's {store}"
            ),
            Self::Corrupt(_) => f.write_str("the record is damaged"),
            Self::Unavailable(_) => f.write_str("the store cannot be reached"),
            Self::Refused(_) => f.write_str("the store refused"),
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Corrupt(source) | Self::Unavailable(source) | Self::Refused(source) => {
                Some(&**source)
            }
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::new(ErrorKind::Conflict),
            StoreError::Gone => Self::new(ErrorKind::Gone),
            StoreError::TooLarge { size, limit } => Self::new(ErrorKind::TooLarge { size, limit }),
            StoreError::ClocksDiffer { .. } => Self::with_source(ErrorKind::ClocksDiffer, error),
            other => Self::with_source(ErrorKind::StoreFailed, other),
        }
    }
}

/// A full or read-only disk refuses. After any other error, the operation may have happened.
impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied => Self::refused(error),
            _ => Self::unavailable(error),
        }
    }
}
