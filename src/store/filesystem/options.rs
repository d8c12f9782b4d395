//! How a store is opened.

use std::{io, path::Path, time::Duration};

use super::{
    open,
    settings::{Durability, Settings},
    store::FilesystemStore,
};
use crate::clock::Clock;

/// Opens a [`FilesystemStore`] otherwise than usual. See the [module docs](crate::store) for what
/// is usual.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct FilesystemOptions {
    settings: Settings,
}

impl FilesystemStore {
    /// Opens a store in the directory, which is made if it is missing; its parent has to be there.
    ///
    /// # Errors
    ///
    /// If the directory cannot be opened or made; if it is a symbolic link, belongs to another user
    /// or can be written to by other users; if it is on a network file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::options().open(path)
    }

    /// Starts to open a store otherwise than usual.
    ///
    /// ```
    /// use silverback::{FilesystemStore, store::Durability};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = FilesystemStore::options().durability(Durability::Data).max_record_bytes(64 << 10).open("sessions")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options() -> FilesystemOptions {
        FilesystemOptions::new()
    }
}

impl FilesystemOptions {
    pub(super) fn new() -> Self {
        let settings = Settings {
            durability: Durability::default(),
            max_record_bytes: 1 << 20,
            lock_timeout: Duration::from_secs(5),
            is_network: false,
            kept_files: 128,
            inline_writes: true,
            clock: Clock::system(),
        };
        Self { settings }
    }

    /// Sets what a session survives: [`Durability::None`], a crash of the process, unless set.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Bounds a session's size: 1 MiB unless set, and 1 GiB at most.
    ///
    /// Records beyond it, from before it was lowered, are errors.
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.settings.max_record_bytes = max_record_bytes.min(1 << 30);
        self
    }

    /// Bounds the time a change waits for another change of the same session: 5 seconds unless set.
    ///
    /// A change takes microseconds, so only a stopped process or a stuck disk makes it wait that
    /// long.
    pub fn lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.settings.lock_timeout = lock_timeout;
        self
    }

    /// Takes a directory on a file system of another machine, or of a process (FUSE), which is an
    /// error unless set.
    ///
    /// Locks there may not reach other machines, and what one machine writes another may see late
    /// or in part. Allow it if one machine alone uses the directory, or if the file system is known
    /// to do better.
    pub fn allow_network_filesystem(mut self, allow: bool) -> Self {
        self.settings.is_network = allow;
        self
    }

    /// Bounds how many files of sessions stay open: 128 unless set; with 0 each is opened anew.
    ///
    /// A session that comes back within a second costs less then, and so does a change after a
    /// load. If the process has no descriptor left for something else that the store opens, it
    /// closes them. Files of more than 64 KiB are not kept.
    ///
    /// A file system cannot be remounted read-only while files are kept. A file that somebody moves
    /// to another place by hand may be used for another second.
    pub fn kept_files(mut self, limit: usize) -> Self {
        self.settings.kept_files = limit;
        self
    }

    /// Lets changes be made on the thread that asks for them, which they are unless set to `false`.
    ///
    /// This is about changes that fit into the file of a session that is in memory, with
    /// [`Durability::None`]; all others are made on the runtime's threads for blocking work. Such a
    /// change takes microseconds, where the way to another thread takes tens of them. The kernel
    /// may make a change wait all the same, above all if memory is full of what others have
    /// written. After a change of more than a millisecond, all are made on the threads for blocking
    /// work for 100 ms, or up to 10 s if they are slow again and again.
    ///
    /// With `false` the store never waits for the disk on the thread that asks.
    pub fn inline_writes(mut self, allow: bool) -> Self {
        self.settings.inline_writes = allow;
        self
    }

    /// Tells the time by another clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Opens a store in the directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// As for [`FilesystemStore::open`].
    pub fn open(self, path: impl AsRef<Path>) -> io::Result<FilesystemStore> {
        let root = open::directory(
            path.as_ref(),
            self.settings.is_network,
            self.settings.durability,
        )?;
        Ok(FilesystemStore::new(root, self.settings))
    }
}
