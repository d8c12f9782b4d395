//! The shop in its own process.

use std::{
    io::BufReader,
    process::{Child, ChildStdout, Command},
};

use example_kit::spawn;
use tempfile::TempDir;

use crate::KEY;

/// A running shop. It is killed when this is dropped.
pub(crate) struct Shop {
    process: Child,
    /// Kept open, since a process that cannot print may fail.
    _output: BufReader<ChildStdout>,
    url: String,
    directory: TempDir,
}

impl Shop {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: TempDir) -> Self {
        let mut shop = Command::new(env!("CARGO_BIN_EXE_example-shop"));
        shop.env("PORT", "0")
            .env("SHOP_DIR", directory.path().join("sessions"))
            .env("SESSION_KEY", KEY);
        let (process, output, url) =
            spawn(&mut shop, |line| line.strip_prefix("The shop is open at "));
        Self {
            process,
            _output: output,
            url,
            directory,
        }
    }

    /// Kills the process and starts another with the same key and directory, on another port.
    pub(crate) fn restart(mut self) -> Self {
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        drop(self);
        Self::start_in(directory)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
