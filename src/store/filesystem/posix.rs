//! The file operations as system calls, all below one handle on the store's directory.

use std::{
    ffi::CStr,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

#[cfg(any(target_os = "android", target_os = "linux"))]
use rustix::fs::StatxFlags;
use rustix::{
    fs::{
        AtFlags, FileType, FlockOperation, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_OMIT,
    },
    io::{Errno, retry_on_intr},
    process::{RawUid, Uid},
    system::Uname,
};

use super::fs::{Access, Fs, Stat};
use crate::clock::Timestamp;

/// A directory of the real file system.
///
/// It is a handle and never a path, so a directory that is moved, or another one put in its place,
/// does not affect it.
#[derive(Debug)]
pub(super) struct Posix {
    root: OwnedFd,
    user: Uid,
    has_fine_times: bool,
    started: Instant,
}

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// `NONBLOCK`, so that a FIFO in a record's place cannot hang the process that opens it.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

impl Posix {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            user: rustix::process::geteuid(),
            has_fine_times: has_fine_times(),
            started: Instant::now(),
        }
    }

    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the fields' types differ between systems"
    )]
    fn stat_of(&self, stat: &rustix::fs::Stat) -> Stat {
        Stat {
            id: (stat.st_dev as u64, stat.st_ino as u64),
            links: stat.st_nlink as u64,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: u64::try_from(stat.st_mtime).unwrap_or(0),
            hint: hint_of(stat),
            fault: self.fault_of(stat.st_mode as RawMode, stat.st_uid as RawUid),
        }
    }

    fn fault_of(&self, mode: RawMode, user: RawUid) -> Option<&'static str> {
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            Some("it is not a regular file")
        } else if user != self.user.as_raw() {
            Some("it belongs to another user: run `chown -R` on the session directory")
        } else if Mode::from_raw_mode(mode).intersects(Mode::RWXG | Mode::RWXO) {
            Some("its permissions are wider than 0600: run `chmod -R go=` on the session directory")
        } else {
            None
        }
    }

    /// `None` if the system does not report it.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn stat_without_times(&self, file: &OwnedFd) -> Option<Stat> {
        const WANTED: StatxFlags = StatxFlags::TYPE
            .union(StatxFlags::MODE)
            .union(StatxFlags::NLINK)
            .union(StatxFlags::UID)
            .union(StatxFlags::INO)
            .union(StatxFlags::SIZE);
        let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, WANTED).ok()?;
        StatxFlags::from_bits_retain(stat.stx_mask)
            .contains(WANTED)
            .then(|| Stat {
                id: (
                    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
                    stat.stx_ino,
                ),
                links: stat.stx_nlink.into(),
                len: stat.stx_size,
                modified: 0,
                hint: None,
                fault: self.fault_of(stat.stx_mode.into(), stat.stx_uid),
            })
    }

    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    fn stat_without_times(&self, _file: &OwnedFd) -> Option<Stat> {
        None
    }
}

impl Fs for Posix {
    type Dir = OwnedFd;
    type File = OwnedFd;

    fn is_alive(&self) -> io::Result<bool> {
        Ok(is_linked(&self.root)?)
    }

    fn open_dir(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(retry_on_intr(|| {
            rustix::fs::openat(&self.root, name, DIRECTORY, Mode::empty())
        })?)
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| {
            rustix::fs::mkdirat(&self.root, name, Mode::RWXU)
        })?)
    }

    fn sync_root(&self) -> io::Result<()> {
        self.sync_dir(&self.root)
    }

    fn list(&self, dir: &OwnedFd) -> io::Result<Vec<String>> {
        list(dir)
    }

    fn sync_dir(&self, dir: &OwnedFd) -> io::Result<()> {
        Ok(retry_on_intr(|| sync(dir))?)
    }

    fn stat_at(&self, dir: &OwnedFd, name: &str) -> io::Result<Stat> {
        Ok(self.stat_of(&retry_on_intr(|| {
            rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        })?))
    }

    fn unlink(&self, dir: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| {
            rustix::fs::unlinkat(dir, name, AtFlags::empty())
        })?)
    }

    fn rename(
        &self,
        (from_dir, from): (&OwnedFd, &str),
        (to_dir, to): (&OwnedFd, &str),
    ) -> io::Result<()> {
        Ok(retry_on_intr(|| {
            rustix::fs::renameat(from_dir, from, to_dir, to)
        })?)
    }

    fn rename_new(&self, dir: &OwnedFd, from: &str, to: &str) -> io::Result<()> {
        match retry_on_intr(|| rename_noreplace(dir, from, to)) {
            // Some file systems cannot do it (ZFS before 2.2). There the record has two names for a
            // moment.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                retry_on_intr(|| rustix::fs::linkat(dir, from, dir, to, AtFlags::empty()))?;
                self.unlink(dir, from)
            }
            renamed => Ok(renamed?),
        }
    }

    fn create(&self, dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        let flags = FILE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(retry_on_intr(|| {
            rustix::fs::openat(dir, name, flags, OWNER_ONLY)
        })?)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<OwnedFd> {
        let flags = flags_of(access);
        match retry_on_intr(|| open_beneath(&self.root, path, flags)) {
            // An old kernel, or a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {
                let (shard, name) = path.split_once('/').unwrap_or((".", path));
                let dir = self.open_dir(shard)?;
                Ok(retry_on_intr(|| {
                    rustix::fs::openat(&dir, name, flags, Mode::empty())
                })?)
            }
            opened => Ok(opened?),
        }
    }

    fn open_cached(&self, path: &str, access: Access) -> io::Result<OwnedFd> {
        open_cached(&self.root, path, flags_of(access))
    }

    fn stat(&self, file: &OwnedFd) -> io::Result<Stat> {
        if self.has_fine_times
            && let Some(stat) = self.stat_without_times(file)
        {
            return Ok(stat);
        }
        Ok(self.stat_of(&rustix::fs::fstat(file)?))
    }

    fn try_lock(&self, file: &OwnedFd) -> io::Result<bool> {
        match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => Ok(locked.map(|()| true)?),
        }
    }

    fn unlock(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::flock(file, FlockOperation::Unlock)?)
    }

    fn read_at(&self, file: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            rustix::io::pread(file, &mut *buffer, offset)
        })?)
    }

    fn read_cached(&self, file: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        read_cached(file, buffer)
    }

    fn write_at(&self, file: &OwnedFd, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))?)
    }

    fn sync_data(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(retry_on_intr(|| sync_data(file))?)
    }

    /// The hint is the access time, which serves no other purpose here. A write does not change it.
    /// A read does not change one in the future, unless the file system is mounted to do so always.
    fn set_hint(&self, file: &OwnedFd, hint: Timestamp) -> io::Result<()> {
        // A time far away may be beyond what the file system can store.
        let seconds = u32::try_from(hint.as_secs()).unwrap_or(u32::MAX);
        let last_access = Timespec {
            tv_sec: seconds.into(),
            tv_nsec: HINT,
        };
        let last_modification = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        Ok(rustix::fs::futimens(
            file,
            &Timestamps {
                last_access,
                last_modification,
            },
        )?)
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn queued(&self, uptime: Duration, ago: Duration) -> Option<Duration> {
        queued(self.started + uptime, ago)
    }

    fn process(&self) -> u32 {
        std::process::id()
    }
}

/// A buffer for the names of a directory.
#[cfg(any(target_os = "android", target_os = "linux"))]
const NAMES: usize = 32 << 10;

#[cfg(any(target_os = "android", target_os = "linux"))]
fn list(dir: &OwnedFd) -> io::Result<Vec<String>> {
    rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(NAMES);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    loop {
        match entries.next() {
            Some(Ok(entry)) => names.extend(name_of(entry.file_name())),
            Some(Err(Errno::INTR)) => {}
            // A removed directory has no names.
            Some(Err(Errno::NOENT)) | None => return Ok(names),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn list(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let names = rustix::fs::Dir::read_from(dir)?.map(|entry| Ok(name_of(entry?.file_name())));
    names.filter_map(Result::transpose).collect()
}

/// Skips names that are not UTF-8, which cannot be this store's.
fn name_of(name: &CStr) -> Option<String> {
    let name = name.to_str().ok()?;
    (name != "." && name != "..").then(|| name.to_owned())
}

fn flags_of(access: Access) -> OFlags {
    FILE | match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR,
    }
}

/// Returns whether asking for a file's times makes the next write update them, instead of once per
/// tick: since Linux 6.13. Before, `statx` takes longer than `fstat`.
///
/// <https://docs.kernel.org/filesystems/multigrain-ts.html>
fn has_fine_times() -> bool {
    let kernel = rustix::system::uname();
    let is_linux = cfg!(any(target_os = "android", target_os = "linux"));
    is_linux && Uname::release(&kernel).to_str().is_ok_and(is_since_6_13)
}

fn is_since_6_13(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    number()
        .zip(number())
        .is_some_and(|version| version >= (6, 13))
}

/// The nanoseconds that distinguish a hint from the time of a real access.
const HINT: rustix::fs::Nsecs = 517_628_913;

#[cfg(any(target_os = "android", target_os = "linux", target_vendor = "apple"))]
#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the fields' types differ between systems"
)]
fn hint_of(stat: &rustix::fs::Stat) -> Option<Timestamp> {
    let is_hint = stat.st_atime_nsec as i64 == HINT as i64;
    u64::try_from(stat.st_atime)
        .ok()
        .filter(|_| is_hint)
        .map(Timestamp::from_secs)
}

/// On other systems every read sets the time, or the field has another name.
#[cfg(not(any(target_os = "android", target_os = "linux", target_vendor = "apple")))]
fn hint_of(_stat: &rustix::fs::Stat) -> Option<Timestamp> {
    None
}

#[cfg(any(target_os = "android", target_os = "linux", target_vendor = "apple"))]
fn rename_noreplace(dir: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "android", target_os = "linux", target_vendor = "apple")))]
fn rename_noreplace(_dir: &OwnedFd, _from: &str, _to: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn sync_data(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fdatasync(file)
}

/// Some systems have no `fdatasync`.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn sync_data(file: &OwnedFd) -> Result<(), Errno> {
    sync(file)
}

/// Syncs a file, or a directory's entries.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsync(file)
}

/// On macOS, `fsync` stops at the drive's cache. A file system without `F_FULLFSYNC` has nothing
/// better, and says so by one of several errors.
///
/// <https://github.com/libuv/libuv/pull/2135>
#[cfg(target_vendor = "apple")]
pub(super) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fcntl_fullfsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOTTY) => rustix::fs::fsync(file),
        synced => synced,
    }
}

/// Returns whether a directory has not been removed.
#[cfg(not(target_vendor = "apple"))]
fn is_linked(dir: &OwnedFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstat(dir)?.st_nlink > 0)
}

/// APFS reports two links for a removed directory. So this checks the path that the kernel has for
/// it, which may be outdated.
///
/// <https://github.com/bazelbuild/sandboxfs/pull/96>
#[cfg(target_vendor = "apple")]
fn is_linked(dir: &OwnedFd) -> Result<bool, Errno> {
    let this = rustix::fs::fstat(dir)?;
    match rustix::fs::getpath(dir).and_then(rustix::fs::stat) {
        Ok(there) => Ok((this.st_dev, this.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        // This process may not be allowed into a directory above.
        Err(_) => Ok(true),
    }
}

/// Follows no symbolic link in the path.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;

    rustix::fs::openat2(
        root,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn open_beneath(_root: &OwnedFd, _path: &str, _flags: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn open_cached(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;

    let resolve = ResolveFlags::CACHED | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(
        root,
        path,
        flags,
        Mode::empty(),
        resolve,
    )?)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn read_cached(file: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    use rustix::io::ReadWriteFlags;

    Ok(rustix::io::preadv2(
        file,
        &mut [io::IoSliceMut::new(buffer)],
        0,
        ReadWriteFlags::NOWAIT,
    )?)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn queued(now: Instant, ago: Duration) -> Option<Duration> {
    use std::{cell::Cell, fs::File};

    thread_local! {
        static STATISTICS: Option<File> = File::open("/proc/thread-self/schedstat").ok();
        static LAST: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    }
    let last = LAST.get();
    if let Some((asked, queued)) = last
        && now.saturating_duration_since(asked) < ago
    {
        return Some(queued);
    }
    let queued = STATISTICS.with(|file| file.as_ref().and_then(queued_of))?;
    LAST.set(Some((now, queued)));
    Some(queued)
}

/// The second number is the time in nanoseconds for which a task was runnable but did not run.
///
/// <https://www.kernel.org/doc/html/latest/scheduler/sched-stats.html>
#[cfg(any(target_os = "android", target_os = "linux"))]
fn queued_of(statistics: &std::fs::File) -> Option<Duration> {
    let mut buffer = [0; 64];
    let count = rustix::io::pread(statistics, &mut buffer[..], 0).ok()?;
    let text = str::from_utf8(buffer.get(..count)?).ok()?;
    let nanos = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn queued(_now: Instant, _ago: Duration) -> Option<Duration> {
    None
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn open_cached(_root: &OwnedFd, _path: &str, _flags: OFlags) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn read_cached(_file: &OwnedFd, _buffer: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests;
