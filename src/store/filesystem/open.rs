//! Opening the store's directory, once and with suspicion.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode},
    io::Errno,
};

use super::{
    posix::{self, DIRECTORY},
    settings::Durability,
};

/// Opens the directory. Creates it if it is missing.
pub(super) fn directory(path: &Path, network: bool, durability: Durability) -> io::Result<OwnedFd> {
    // "sessions/" would follow a symbolic link of that name.
    let path: PathBuf = path.components().collect();
    let root = match rustix::fs::openat(CWD, &path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => make(&path, durability)?,
        opened => opened.map_err(|error| explain(&path, error))?,
    };
    if let Some(reason) = refusal(&path, &root, network)? {
        return Err(refused(&path, &reason));
    }
    Ok(root)
}

fn make(path: &Path, durability: Durability) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(explain(path, error)),
    }
    if durability == Durability::Full {
        sync_parent(path)?;
    }
    rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|error| explain(path, error))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let flags = DIRECTORY - rustix::fs::OFlags::NOFOLLOW;
    let parent = rustix::fs::openat(CWD, parent, flags, Mode::empty())?;
    Ok(posix::sync(&parent)?)
}

/// Returns what is wrong with the directory and how to mend it, if anything is.
fn refusal(path: &Path, root: &OwnedFd, network: bool) -> io::Result<Option<String>> {
    let stat = rustix::fs::fstat(root)?;
    let (owner, user) = (stat.st_uid, rustix::process::geteuid().as_raw());
    let mode = Mode::from_raw_mode(stat.st_mode);
    let name = quoted(path);
    Ok(if owner != user {
        Some(format!(
            "belongs to another user ({owner}, this process runs as {user}): run `chown -R {user} {name}`"
        ))
    } else if mode.intersects(Mode::WGRP | Mode::WOTH) {
        Some(format!(
            "can be written to by other users (mode {:03o}): run `chmod go-w {name}`",
            mode.as_raw_mode() & 0o777
        ))
    } else if !network && posix::is_network(root)? {
        Some(
            "is on a network file system, where locks cannot be relied on: use a local directory, or call \
             `.allow_network_filesystem(true)` if only this machine uses it"
                .to_owned(),
        )
    } else {
        None
    })
}

/// Quotes the path for a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

fn refused(path: &Path, reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the session directory {} {reason}", path.display()),
    )
}

fn explain(path: &Path, error: Errno) -> io::Error {
    let found = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Symlink) => refused(
            path,
            "is a symbolic link: give the path of the directory that it leads to",
        ),
        Ok(FileType::Directory) | Err(_) => unopened(path, error),
        Ok(_) => refused(path, "is not a directory: give another path"),
    }
}

fn unopened(path: &Path, error: Errno) -> io::Error {
    let parent = path.parent().map(quoted).unwrap_or_default();
    let user = rustix::process::geteuid().as_raw();
    let advice = match error {
        Errno::NOENT => format!(": run `mkdir -p {parent}` first"),
        Errno::ACCESS | Errno::PERM => {
            format!(": let user {user} write to it, or make it and `chown` it to {user}")
        }
        Errno::ROFS => ": it is on a read-only file system, so give another path".to_owned(),
        _ => String::new(),
    };
    let error = io::Error::from(error);
    io::Error::new(
        error.kind(),
        format!(
            "the session directory {} cannot be opened ({error}){advice}",
            path.display()
        ),
    )
}
