//! The file operations as system calls, all below one handle on the store's directory.

#[cfg(any(target_os = "android", target_os = "linux"))]
mod linux;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
mod other;
mod unix;

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    fs::{
        AtFlags, FileType, FlockOperation, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_OMIT,
    },
    io::{Errno, retry_on_intr},
    process::{RawUid, Uid},
};

#[cfg(any(target_os = "android", target_os = "linux"))]
use self::linux as system;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
use self::other as system;
use self::unix::{HINT, hint_of, is_linked, rename_noreplace};
pub(super) use self::{system::is_network, unix::sync};
use super::fs::{Access, Fault, Fs, Stat};
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
            has_fine_times: system::has_fine_times(),
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

    fn fault_of(&self, mode: RawMode, user: RawUid) -> Option<Fault> {
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            Some(Fault::Foreign("it is not a regular file"))
        } else if user != self.user.as_raw() {
            Some(Fault::Exposed(
                "it belongs to another user: run `chown -R` on the session directory",
            ))
        } else if Mode::from_raw_mode(mode).intersects(Mode::RWXG | Mode::RWXO) {
            Some(Fault::Exposed(
                "its permissions are wider than 0600: run `chmod -R go=` on the session directory",
            ))
        } else {
            None
        }
    }

    /// `None` if the system does not report it.
    fn stat_without_times(&self, file: &OwnedFd) -> Option<Stat> {
        let (stat, mode, user) = system::stat_without_times(file)?;
        let fault = self.fault_of(mode, user);
        Some(Stat { fault, ..stat })
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
        system::list(dir)
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
        match retry_on_intr(|| system::open_beneath(&self.root, path, flags)) {
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
        system::open_cached(&self.root, path, flags_of(access))
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
        system::read_cached(file, buffer)
    }

    fn write_at(&self, file: &OwnedFd, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))?)
    }

    fn sync_data(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(retry_on_intr(|| system::sync_data(file))?)
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
        system::queued(self.started + uptime, ago)
    }

    fn process(&self) -> u32 {
        std::process::id()
    }
}

fn flags_of(access: Access) -> OFlags {
    FILE | match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR,
    }
}

#[cfg(test)]
mod tests;
