//! What is a little different on Apple's systems, or on all but these and Linux.

use std::{ffi::CStr, os::fd::OwnedFd};

use rustix::io::Errno;

use crate::clock::Timestamp;

/// Skips names that are not UTF-8, which cannot be this store's.
pub(super) fn name_of(name: &CStr) -> Option<String> {
    let name = name.to_str().ok()?;
    (name != "." && name != "..").then(|| name.to_owned())
}

/// The nanoseconds that distinguish a hint from the time of a real access.
pub(super) const HINT: rustix::fs::Nsecs = 517_628_913;

#[cfg(any(target_os = "android", target_os = "linux", target_vendor = "apple"))]
#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the fields' types differ between systems"
)]
pub(super) fn hint_of(stat: &rustix::fs::Stat) -> Option<Timestamp> {
    let is_hint = stat.st_atime_nsec as i64 == HINT as i64;
    u64::try_from(stat.st_atime)
        .ok()
        .filter(|_| is_hint)
        .map(Timestamp::from_secs)
}

/// On other systems every read sets the time, or the field has another name.
#[cfg(not(any(target_os = "android", target_os = "linux", target_vendor = "apple")))]
pub(super) fn hint_of(_stat: &rustix::fs::Stat) -> Option<Timestamp> {
    None
}

#[cfg(any(target_os = "android", target_os = "linux", target_vendor = "apple"))]
pub(super) fn rename_noreplace(dir: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "android", target_os = "linux", target_vendor = "apple")))]
pub(super) fn rename_noreplace(_dir: &OwnedFd, _from: &str, _to: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Syncs a file, or a directory's entries.
#[cfg(not(target_vendor = "apple"))]
pub(in super::super) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsync(file)
}

/// On macOS, `fsync` stops at the drive's cache. A file system without `F_FULLFSYNC` has nothing
/// better, and says so by one of several errors.
///
/// <https://github.com/libuv/libuv/pull/2135>
#[cfg(target_vendor = "apple")]
pub(in super::super) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fcntl_fullfsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOTTY) => rustix::fs::fsync(file),
        synced => synced,
    }
}

/// Returns whether a directory has not been removed.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn is_linked(dir: &OwnedFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstat(dir)?.st_nlink > 0)
}

/// APFS reports two links for a removed directory. So this checks the path that the kernel has for
/// it, which may be outdated.
///
/// <https://github.com/bazelbuild/sandboxfs/pull/96>
#[cfg(target_vendor = "apple")]
pub(super) fn is_linked(dir: &OwnedFd) -> Result<bool, Errno> {
    let this = rustix::fs::fstat(dir)?;
    match rustix::fs::getpath(dir).and_then(rustix::fs::stat) {
        Ok(there) => Ok((this.st_dev, this.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        // This process may not be allowed into a directory above.
        Err(_) => Ok(true),
    }
}
