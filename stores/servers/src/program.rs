//! Finding installed programs.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

/// Folders that are not in every user's `PATH`.
const MORE: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Finds a program. If it is not installed, prints its name.
///
/// # Panics
///
/// If it is not installed and `CI` is set.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let found = look_for(name);
    if found.is_none() {
        missing(name);
    }
    found
}

/// Finds a program that the tests can do without.
pub(crate) fn look_for(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    look_in(name, env::split_paths(&path).chain(MORE.map(PathBuf::from)))
}

/// Finds a program in one of these folders.
///
/// # Panics
///
/// If it is not installed and `CI` is set.
pub(crate) fn find_in(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let found = look_in(name, folders);
    if found.is_none() {
        missing(name);
    }
    found
}

fn look_in(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut paths = folders.into_iter().map(|folder| folder.join(name));
    paths.find(|path| is_program(path))
}

/// Reports that something is not installed.
///
/// # Panics
///
/// If `CI` is set.
pub(crate) fn missing(name: &str) {
    assert!(env::var_os("CI").is_none(), "{name} is not installed");
    eprintln!("skipped: {name} is not installed");
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Returns a program's output, or an error with its error output if it failed.
pub(crate) fn printed(output: &Output) -> io::Result<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(io::Error::other(text(&output.stderr)))
    }
}
