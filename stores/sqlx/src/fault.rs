//! The meaning of sqlx's errors.

use std::{error, fmt};

use silverback::store::StoreError;
use sqlx::{Error, error::DatabaseError};

/// What an error of the server means for the statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    /// Others were in the way. The statement was rolled back and would succeed if repeated.
    Passing,
    /// The server is starting, stopping or overloaded, or the connection to it is broken.
    Unavailable,
    /// The server only answers reads: it is a replica, or another one has become the primary.
    #[cfg_attr(
        not(any(feature = "mysql", feature = "postgres")),
        expect(dead_code, reason = "SQLite is no server")
    )]
    NotPrimary,
    /// The table is missing.
    NoTable,
    /// The server does not have the statement that the connection has prepared, or already has
    /// another one of its name.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "others number their statements by themselves")
    )]
    Mixed,
    /// Any other error of the server: it did not run the statement, and would not if asked again.
    Refused,
}

/// Why a statement was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing has happened, so try again.
    Passing(Error),
    /// Nothing has happened. Another connection may lead to the primary.
    NotPrimary(Error),
    Final(StoreError),
}

impl Fault {
    /// Classifies an error. `class` classifies those of the server.
    ///
    /// An error of the client leaves open how far the server got.
    pub(crate) fn of(error: Error, class: fn(&dyn DatabaseError) -> Class) -> Self {
        let class = match &error {
            Error::Database(from_server) => class(&**from_server),
            Error::Encode(_) | Error::InvalidArgument(_) | Error::Configuration(_) => {
                Class::Refused
            }
            _ => Class::Unavailable,
        };
        match class {
            Class::Passing => Self::Passing(error),
            Class::NotPrimary => Self::NotPrimary(error),
            Class::Unavailable => Self::Final(StoreError::unavailable(error)),
            Class::NoTable => Self::Final(StoreError::refused(Hint(MAKE_TABLE, error))),
            Class::Mixed => Self::Final(StoreError::refused(Hint(KEEP_APART, error))),
            Class::Refused => Self::Final(StoreError::refused(error)),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

/// A caller that gets a passing error, or one of a server that is not the primary, may come again:
/// nothing has happened.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Passing(error) | Fault::NotPrimary(error) => Self::unavailable(error),
            Fault::Final(error) => error,
        }
    }
}

const MAKE_TABLE: &str = "the table of sessions is missing: call `create_table` when the \
    application starts, or run the statements of `schema`";

const KEEP_APART: &str = "prepared statements are mixed up: behind PgBouncer, set \
    `max_prepared_statements` there, or the pool mode `session`";

/// An error with a sentence on what to do about it.
#[derive(Debug)]
struct Hint(&'static str, Error);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for Hint {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.1)
    }
}

/// The answers of a statement about this many records that failed as a whole.
pub(crate) fn all_failed<T>(count: usize, error: &StoreError) -> Vec<Result<T, StoreError>> {
    let cause = error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let of: fn(String) -> StoreError = match error {
        StoreError::Refused(_) => StoreError::refused,
        _ => StoreError::unavailable,
    };
    std::iter::repeat_with(|| Err(of(cause.clone())))
        .take(count)
        .collect()
}
