//! The file operations the store is made of, as a seam: the real ones are in `posix.rs`, and tests
//! have some that fail.

use std::{io, time::Duration};

use crate::clock::Timestamp;

/// A directory of shards, each a directory of files.
///
/// Names are plain: no operation follows a symbolic link or leaves the directory.
pub(super) trait Fs: Send + Sync + 'static {
    type Dir;
    type File;

    /// Says whether the directory still is in the file system.
    fn is_alive(&self) -> io::Result<bool>;
    fn open_dir(&self, name: &str) -> io::Result<Self::Dir>;
    fn make_dir(&self, name: &str) -> io::Result<()>;
    fn sync_root(&self) -> io::Result<()>;

    fn list(&self, dir: &Self::Dir) -> io::Result<Vec<String>>;
    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()>;
    fn stat_at(&self, dir: &Self::Dir, name: &str) -> io::Result<Stat>;
    fn unlink(&self, dir: &Self::Dir, name: &str) -> io::Result<()>;
    /// Renames over what is there.
    fn rename(&self, from: (&Self::Dir, &str), to: (&Self::Dir, &str)) -> io::Result<()>;
    /// Renames, or fails with [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, dir: &Self::Dir, from: &str, to: &str) -> io::Result<()>;

    /// Makes a file that was not there, for reading and writing.
    fn create(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File>;
    /// Opens `<shard>/<name>`.
    fn open(&self, path: &str, access: Access) -> io::Result<Self::File>;
    /// Opens `<shard>/<name>` if that needs no disk, or fails with [`io::ErrorKind::WouldBlock`].
    fn open_cached(&self, path: &str, access: Access) -> io::Result<Self::File>;
    /// What is there but for the times: who asks for them makes the next write take longer.
    fn stat(&self, file: &Self::File) -> io::Result<Stat>;
    fn try_lock(&self, file: &Self::File) -> io::Result<bool>;
    fn unlock(&self, file: &Self::File) -> io::Result<()>;
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads from the page cache, or fails with [`io::ErrorKind::WouldBlock`].
    fn read_cached(&self, file: &Self::File, buffer: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Notes beside the file that nobody need look into it before that time, if the file system
    /// can.
    fn set_hint(&self, file: &Self::File, hint: Timestamp) -> io::Result<()>;

    /// The time on a clock that nobody sets; only differences mean something.
    fn uptime(&self) -> Duration;
    /// How long this thread has waited for a processor so far, if the system tells, or had when
    /// that was asked last, unless it was longer ago than that.
    fn queued(&self, uptime: Duration, ago: Duration) -> Option<Duration>;
    /// Tells this process from those that it was forked from.
    fn process(&self) -> u32;
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    /// Device and inode.
    pub(super) id: (u64, u64),
    pub(super) links: u64,
    pub(super) len: u64,
    /// In seconds since 1970, or zero if that was not asked for.
    pub(super) modified: u64,
    /// When it is worth a look, if that was noted and asked for.
    pub(super) hint: Option<Timestamp>,
    /// Why it cannot be a file of this store.
    pub(super) fault: Option<&'static str>,
}
