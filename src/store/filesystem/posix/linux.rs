//! Linux and Android.

use std::{
    cell::Cell,
    fs::File,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RawDir, RawMode, ResolveFlags, SeekFrom, StatxFlags},
    io::{Errno, ReadWriteFlags},
    process::RawUid,
    system::Uname,
};

use super::{super::fs::Stat, unix::name_of};

/// Returns a file's status without its times and its fault, its mode and its owner.
pub(super) fn stat_without_times(file: &OwnedFd) -> Option<(Stat, RawMode, RawUid)> {
    const WANTED: StatxFlags = StatxFlags::TYPE
        .union(StatxFlags::MODE)
        .union(StatxFlags::NLINK)
        .union(StatxFlags::UID)
        .union(StatxFlags::INO)
        .union(StatxFlags::SIZE);
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, WANTED).ok()?;
    let id = (
        rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        stat.stx_ino,
    );
    let is_whole = StatxFlags::from_bits_retain(stat.stx_mask).contains(WANTED);
    is_whole.then(|| {
        let (mode, user) = (stat.stx_mode.into(), stat.stx_uid);
        let stat = Stat {
            id,
            links: stat.stx_nlink.into(),
            len: stat.stx_size,
            modified: 0,
            hint: None,
            fault: None,
        };
        (stat, mode, user)
    })
}

/// A buffer for the names of a directory.
const NAMES: usize = 32 << 10;

pub(super) fn list(dir: &OwnedFd) -> io::Result<Vec<String>> {
    rustix::fs::seek(dir, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(NAMES);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
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

/// Returns whether asking for a file's times makes the next write update them, instead of once per
/// tick: since Linux 6.13. Before, `statx` takes longer than `fstat`.
///
/// <https://docs.kernel.org/filesystems/multigrain-ts.html>
pub(super) fn has_fine_times() -> bool {
    let kernel = rustix::system::uname();
    Uname::release(&kernel).to_str().is_ok_and(is_since_6_13)
}

fn is_since_6_13(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    number()
        .zip(number())
        .is_some_and(|version| version >= (6, 13))
}

pub(super) fn sync_data(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fdatasync(file)
}

/// Follows no symbolic link in the path.
pub(super) fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        root,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
}

pub(super) fn open_cached(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::CACHED | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(
        root,
        path,
        flags,
        Mode::empty(),
        resolve,
    )?)
}

pub(super) fn read_cached(file: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::preadv2(
        file,
        &mut [io::IoSliceMut::new(buffer)],
        0,
        ReadWriteFlags::NOWAIT,
    )?)
}

/// Returns the time that this thread has waited for a processor, as of at most `ago` before.
pub(super) fn queued(now: Instant, ago: Duration) -> Option<Duration> {
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
fn queued_of(statistics: &File) -> Option<Duration> {
    let mut buffer = [0; 64];
    let count = rustix::io::pread(statistics, &mut buffer[..], 0).ok()?;
    let text = str::from_utf8(buffer.get(..count)?).ok()?;
    let nanos = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// Recognises network file systems by the magic numbers of statfs(2).
///
/// FUSE is one of them, because sshfs cannot be distinguished from a local file system that is a
/// process. Cluster file systems (GFS2, OCFS2) are not: their locks and caches are coherent.
#[allow(
    clippy::unnecessary_cast,
    reason = "the field's type differs between systems"
)]
pub(in super::super) fn is_network(root: &OwnedFd) -> io::Result<bool> {
    const MAGICS: [u32; 13] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xfe53_4d42, // SMB2
        0xff53_4d42, // CIFS
        0x564c,      // NCP
        0x7375_7245, // Coda
        0x5346_414f, // AFS
        0x6b41_4653, // kAFS
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x0bd0_0bd0, // Lustre
        0x786f_4256, // VirtualBox's shared folders
        0x6573_5546, // FUSE
    ];
    Ok(MAGICS.contains(&(rustix::fs::fstatfs(root)?.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_compared_by_its_first_two_numbers() {
        for release in ["6.13", "6.13.0-rc1", "6.18.44-fc", "7.0.0", "10.1-generic"] {
            assert!(is_since_6_13(release), "{release}");
        }
        for release in [
            "6.12.99", "6.1.187", "5.15.0", "4.4.0", "6", "", "linux", "6.x",
        ] {
            assert!(!is_since_6_13(release), "{release}");
        }
    }
}
