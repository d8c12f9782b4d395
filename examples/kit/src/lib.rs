//! What the examples' tests share: programs in their own processes, and browsers.
//!
//! A test whose program is missing prints that and passes. If the environment variable `CI` is set,
//! it fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test may fail by panicking"
)]

mod driver;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

pub use driver::{Browser, Driver};

/// Returns whether this program is installed.
pub fn require(binary: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(binary).is_file());
    if !found {
        skip(&format!("`{binary}` is not installed"));
    }
    found
}

fn skip(reason: &str) {
    let ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "{reason}, and with CI set no test may be skipped");
    println!("skipped: {reason}");
}

/// Returns the script of axe-core, from the file that `AXE` names.
pub fn axe() -> Option<String> {
    let path = env::var_os("AXE");
    if path.is_none() {
        skip("`AXE` does not say where axe-core is");
    }
    path.map(|path| fs::read_to_string(path).unwrap())
}

/// Starts a process and waits for the line that says that it is ready. Keep its output open, since
/// a process that cannot print may fail.
pub fn spawn(
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
