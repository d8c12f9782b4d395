//! Why a command did not do what it was asked for, and the exit code that says so.

use std::{error::Error, io, process::ExitCode};

use silverback::{ConfigError, KeyError, store::StoreError};

/// What `--help` says of exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed: a store, a file or the system
  2    not understood, or refused: arguments, settings, keys, or no --yes
  3    not found: no such session, user or key
  4    `doctor` found something to change, or `explain` a cookie that is refused
  130  interrupted: it stopped between two steps";

#[derive(Debug)]
pub(crate) enum Failure {
    /// The store, a file or the system.
    Failed(String),
    /// Arguments, settings, keys, or a question that nobody answered with yes.
    Refused(String),
    NotFound(String),
    /// The answer was printed, and it is not a good one.
    Findings,
    Interrupted(String),
    /// Nobody reads on.
    Hangup,
}

impl Failure {
    pub(crate) fn failed(doing: impl AsRef<str>, error: &(dyn Error + 'static)) -> Self {
        Self::Failed(format!("{}: {}", doing.as_ref(), chain(error)))
    }

    pub(crate) fn refused(doing: impl AsRef<str>, error: &(dyn Error + 'static)) -> Self {
        Self::Refused(format!("{}: {}", doing.as_ref(), chain(error)))
    }

    /// For stderr.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Failed(message)
            | Self::Refused(message)
            | Self::NotFound(message)
            | Self::Interrupted(message) => Some(message.clone()),
            Self::Findings | Self::Hangup => None,
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Refused(_) => 2,
            Self::NotFound(_) => 3,
            Self::Findings => 4,
            Self::Interrupted(_) => 130,
            Self::Hangup => 0,
        })
    }
}

/// Errors while printing: a reader such as `head` that has enough is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Hangup
        } else {
            Self::failed("the output cannot be written", &error)
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(chain(&error))
    }
}

impl From<silverback::Error> for Failure {
    fn from(error: silverback::Error) -> Self {
        Self::Failed(chain(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::refused("the settings", &error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::refused("the keys", &error)
    }
}

/// The error and what caused it, each said once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
