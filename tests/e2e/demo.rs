//! The demo as a process of its own.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

use crate::KEY;

/// A running demo; it is killed when this is dropped.
pub(crate) struct Demo {
    process: Child,
    /// Kept open, as a process that cannot print may fail.
    _output: BufReader<ChildStdout>,
    url: String,
    directory: TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: TempDir) -> Self {
        let mut demo = Command::new(binary());
        demo.env("PORT", "0")
            .env("DEMO_DIR", directory.path().join("sessions"))
            .env("SESSION_KEY", KEY);
        let (process, output, url) =
            spawn(&mut demo, |line| line.strip_prefix("The shop is open at "));
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

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Starts a process and waits for the line in which it says that it is ready.
pub(crate) fn spawn(
    command: &mut Command,
    ready: impl Fn(&str) -> Option<&str>,
) -> (Child, BufReader<ChildStdout>, String) {
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let found = output
        .by_ref()
        .lines()
        .find_map(|line| ready(&line.unwrap()).map(str::to_owned));
    let Some(found) = found else {
        panic!(
            "{} ended before it was ready: {}",
            command.get_program().display(),
            process.wait().unwrap()
        );
    };
    (process, output, found)
}

/// Cargo puts examples beside the directory of the tests.
fn binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    let binary = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/demo");
    assert!(
        binary.is_file(),
        "the demo is not built: run `cargo build --example demo --all-features`, with the profile of the tests"
    );
    binary
}
