//! What went wrong on the way to the server.

use std::{error, io};

use silverback::store::StoreError;

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The connection was over before: the server was not asked.
    Unsent,
    /// The server may have done it.
    Unanswered,
}

/// What was expected of the server by its protocol, and did not come.
pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn lost() -> StoreError {
    StoreError::unavailable("the connection was lost before memcached answered")
}

/// What a call about so many records answers that failed as a whole.
pub(crate) fn all_failed<T>(count: usize, error: &StoreError) -> Vec<Result<T, StoreError>> {
    let cause = error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let of: fn(String) -> StoreError = match error {
        StoreError::Refused(_) => StoreError::refused,
        _ => StoreError::unavailable,
    };
    let failed = || Err(of(cause.clone()));
    std::iter::repeat_with(failed).take(count).collect()
}
