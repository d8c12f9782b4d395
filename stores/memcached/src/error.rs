//! Failures on the way to the server.

use std::{error, io};

use silverback::store::StoreError;

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The connection was over before, so the server was not asked.
    Unsent,
    /// The server may have executed the command.
    Unanswered,
}

/// A breach of the server's protocol.
pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn lost() -> StoreError {
    StoreError::unavailable("the connection was lost before memcached answered")
}

/// The answers of a call about `count` records that failed as a whole.
pub(crate) fn all_failed<T>(count: usize, error: &StoreError) -> Vec<Result<T, StoreError>> {
    let cause = error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let of: fn(String) -> StoreError = match error {
        StoreError::Refused(_) => StoreError::refused,
        _ => StoreError::unavailable,
    };
    let failed = || Err(of(cause.clone()));
    std::iter::repeat_with(failed).take(count).collect()
}
