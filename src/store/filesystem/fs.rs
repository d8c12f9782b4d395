//! The file operations that the store needs, as a seam: the real ones are in `posix.rs`, and tests
//! have failing ones.

use std::{io, time::Duration};

use crate::clock::Timestamp;

/// A directory of shards, each a directory of files.
///
/// Names are single components: no operation follows a symbolic link or leaves the directory.
pub(super) trait Fs: Send + Sync + 'static {
    type Dir;
    type File;

    /// Returns whether the directory is still in the file system.
    fn is_alive(&self) -> io::Result<bool>;
    fn open_dir(&self, name: &str) -> io::Result<Self::Dir>;
    fn make_dir(&self, name: &str) -> io::Result<()>;
    fn sync_root(&self) -> io::Result<()>;

    fn list(&self, dir: &Self::Dir) -> io::Result<Vec<String>>;
    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()>;
    fn stat_at(&self, dir: &Self::Dir, name: &str) -> io::Result<Stat>;
    fn unlink(&self, dir: &Self::Dir, name: &str) -> io::Result<()>;
    /// Renames, replacing an existing file.
    fn rename(&self, from: (&Self::Dir, &str), to: (&Self::Dir, &str)) -> io::Result<()>;
    /// Renames, or fails with [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, dir: &Self::Dir, from: &str, to: &str) -> io::Result<()>;

    /// Creates a new file, for reading and writing.
    fn create(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File>;
    /// Opens `<shard>/<name>`.
    fn open(&self, path: &str, access: Access) -> io::Result<Self::File>;
    /// Opens `<shard>/<name>` if that needs no disk, or fails with [`io::ErrorKind::WouldBlock`].
    fn open_cached(&self, path: &str, access: Access) -> io::Result<Self::File>;
    /// The file's status without its times: asking for those makes the next write take longer.
    fn stat(&self, file: &Self::File) -> io::Result<Stat>;
    fn try_lock(&self, file: &Self::File) -> io::Result<bool>;
    fn unlock(&self, file: &Self::File) -> io::Result<()>;
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads from the page cache, or fails with [`io::ErrorKind::WouldBlock`].
    fn read_cached(&self, file: &Self::File, buffer: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Notes beside the file that it need not be opened before this time, if the file system can.
    fn set_hint(&self, file: &Self::File, hint: Timestamp) -> io::Result<()>;

    /// The time on a clock that nobody sets. Only differences have a meaning.
    fn uptime(&self) -> Duration;
    /// The total time that this thread has waited for a processor, if the system reports it. An
    /// answer from up to `ago` before will do.
    fn queued(&self, uptime: Duration, ago: Duration) -> Option<Duration>;
    /// Distinguishes this process from those it was forked from.
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
    /// In seconds since 1970. Zero if it was not asked for.
    pub(super) modified: u64,
    /// When the file is worth opening, if that was noted and asked for.
    pub(super) hint: Option<Timestamp>,
    pub(super) fault: Option<Fault>,
}

/// Why the store does not use a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// It cannot be a file of this store.
    Foreign(&'static str),
    /// Its owner or permissions are wrong. Once somebody has mended these, it is a record again.
    Exposed(&'static str),
}
