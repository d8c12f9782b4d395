//! Why a command failed, and the exit code for it.

use std::{error::Error, io, process::ExitCode};

use silverback::{ConfigError, KeyError, store::StoreError};

/// The exit codes in `--help`.
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
    /// The store, a file or the system failed.
    Failed(String),
    /// Arguments, settings or keys were refused, or a question was not answered with yes.
    Refused(String),
    NotFound(String),
    /// The answer was printed, and it is a bad one.
    Findings,
    Interrupted(String),
    /// Nobody reads the output any more.
    Hangup,
}

impl Failure {
    pub(crate) fn failed(doing: impl AsRef<str>, error: &(dyn Error + 'static)) -> Self {
        Self::Failed(format!("{}: {}", doing.as_ref(), chain(error)))
    }

    pub(crate) fn refused(doing: impl AsRef<str>, error: &(dyn Error + 'static)) -> Self {
        Self::Refused(format!("{}: {}", doing.as_ref(), chain(error)))
    }

    /// The message for stderr.
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

/// Errors while printing. It is no failure if a reader such as `head` has enough.
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

/// The error and its causes, without repetitions.
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
