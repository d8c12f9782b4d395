//! A command's progress, on stderr.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crate::out;

/// One changing line on a terminal, and at most one line a second elsewhere.
pub(super) struct Progress {
    is_terminal: bool,
    last: Option<Instant>,
}

/// Keeps a log shorter than a line for each batch.
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
            // Whoever has closed stderr does not want the message.
            let _ = write!(io::stderr(), "\r{text}");
        } else if self.last.is_none_or(|last| last.elapsed() >= RARELY) {
            self.last = Some(Instant::now());
            out::say(text);
        }
    }
}

/// Clears the line for the next output.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
