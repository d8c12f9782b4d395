//! How far a command came, on stderr.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crate::out;

/// One line that changes on a terminal, and a line a second elsewhere.
pub(super) struct Progress {
    is_terminal: bool,
    last: Option<Instant>,
}

/// A log wants fewer lines than there are batches.
const RARELY: Duration = Duration::from_secs(1);

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            last: None,
        }
    }

    pub(super) fn show(&mut self, text: &str) {
        if self.is_terminal {
            // Who has closed stderr has not asked for it.
            let _ = write!(io::stderr(), "\r{text}");
        } else if self.last.is_none_or(|last| last.elapsed() >= RARELY) {
            self.last = Some(Instant::now());
            out::say(text);
        }
    }
}

/// Whatever comes next has the line for itself.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
