//! Systems other than Linux: what only Linux has is done in another way, or not at all.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, RawMode},
    io::Errno,
    process::RawUid,
};

use super::{
    super::fs::Stat,
    unix::{name_of, sync},
};

/// Asking without times would take as long.
pub(super) fn stat_without_times(_file: &OwnedFd) -> Option<(Stat, RawMode, RawUid)> {
    None
}

pub(super) fn list(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let names = rustix::fs::Dir::read_from(dir)?.map(|entry| Ok(name_of(entry?.file_name())));
    names.filter_map(Result::transpose).collect()
}

/// Returns whether asking for a file's times makes the next write take longer.
pub(super) const fn has_fine_times() -> bool {
    false
}

/// Some systems have no `fdatasync`.
pub(super) fn sync_data(file: &OwnedFd) -> Result<(), Errno> {
    sync(file)
}

pub(super) fn open_beneath(_root: &OwnedFd, _path: &str, _flags: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

pub(super) fn open_cached(_root: &OwnedFd, _path: &str, _flags: OFlags) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::WouldBlock.into())
}

pub(super) fn read_cached(_file: &OwnedFd, _buffer: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

pub(super) fn queued(_now: Instant, _ago: Duration) -> Option<Duration> {
    None
}

/// Recognises network file systems by the flag for local file systems of statfs(2). A FUSE file
/// system lacks it unless it is mounted as local.
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
#[allow(
    clippy::unnecessary_cast,
    reason = "the field's type differs between systems"
)]
pub(in super::super) fn is_network(root: &OwnedFd) -> io::Result<bool> {
    const MNT_LOCAL: u64 = 0x1000;
    Ok(rustix::fs::fstatfs(root)?.f_flags as u64 & MNT_LOCAL == 0)
}

/// Other systems are not known to tell.
#[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
pub(in super::super) fn is_network(_root: &OwnedFd) -> io::Result<bool> {
    Ok(false)
}
