//! Errors for tower-sessions, which has three kinds with a sentence each.

use std::{error, fmt::Write as _};

use silverback::{ErrorKind, store::StoreError};

#[derive(Debug)]
pub(crate) enum Failure {
    Encode(String),
    Decode(String),
    Backend(String),
}

impl Failure {
    /// A database has failed.
    #[cfg(any(feature = "redis-1", feature = "sqlx"))]
    pub(crate) fn backend(error: &dyn error::Error) -> Self {
        Self::Backend(sentence(error))
    }

    /// The session ended while a caller still held it.
    pub(crate) fn gone() -> Self {
        Self::Backend("the session has ended".to_owned())
    }
}

/// An error and its causes in one line: tower-sessions keeps no source.
fn sentence(error: &dyn error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(sentence, ": {error}");
        cause = error.source();
    }
    sentence
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(_) => Self::Decode(sentence(&error)),
            StoreError::TooLarge { .. } => Self::Encode(sentence(&error)),
            StoreError::Gone => Self::gone(),
            _ => Self::Backend(sentence(&error)),
        }
    }
}

impl From<&silverback::Error> for Failure {
    fn from(error: &silverback::Error) -> Self {
        match error.kind() {
            ErrorKind::SerializeFailed | ErrorKind::TooLarge { .. } => {
                Self::Encode(sentence(error))
            }
            ErrorKind::DeserializeFailed | ErrorKind::LaterFormat => Self::Decode(sentence(error)),
            _ => Self::Backend(sentence(error)),
        }
    }
}
