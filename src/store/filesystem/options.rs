//! Settings, and opening a store.

use std::{io, path::Path, time::Duration};

use super::{
    open,
    settings::{Durability, Settings},
    store::FilesystemStore,
};
use crate::clock::Clock;

/// The settings of a [`FilesystemStore`], and a way to open one with them.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct FilesystemOptions {
    settings: Settings,
}

impl FilesystemStore {
    /// Opens a store in this folder, with the default settings. Creates the folder if it is
    /// missing; its parent has to exist.
    ///
    /// ```
    /// use silverback::{FilesystemStore, Keys, SessionConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = dir.path().join("sessions");
    /// let store = FilesystemStore::open(folder)?;
    /// let config = SessionConfig::new("cart", store, Keys::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the folder cannot be opened or created. If it is a symbolic link, belongs to another
    /// user, or other users can write to it. If it is on a network file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::options().open(path)
    }

    /// Returns the default settings of a store, for you to change before it is opened.
    ///
    /// ```
    /// use silverback::{FilesystemStore, store::Durability};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = dir.path().join("sessions");
    /// let store = FilesystemStore::options()
    ///     .durability(Durability::Data)
    ///     .max_record_bytes(64 << 10)
    ///     .open(folder)?;
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

    /// Sets what a saved session survives. The default is [`Durability::None`]: a crash of the
    /// process.
    ///
    /// ```
    /// use silverback::{FilesystemStore, store::Durability};
    ///
    /// let options = FilesystemStore::options().durability(Durability::Data);
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Bounds a session's size. The default is 1 MiB and the maximum 1 GiB.
    ///
    /// Larger records, from before you lowered it, are errors.
    ///
    /// ```
    /// # use silverback::FilesystemStore;
    /// let options = FilesystemStore::options().max_record_bytes(64 << 10); // 64 KiB
    /// ```
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.settings.max_record_bytes = max_record_bytes.min(1 << 30);
        self
    }

    /// Bounds how long a change waits for another change of the same session. The default is 5
    /// seconds.
    ///
    /// A change takes microseconds, so only a stopped process or a stuck disk makes another wait
    /// that long.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::FilesystemStore;
    /// let options = FilesystemStore::options().lock_timeout(Duration::from_secs(1));
    /// ```
    pub fn lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.settings.lock_timeout = lock_timeout;
        self
    }

    /// Allows a folder on a file system of another machine, or of a process (FUSE). By default this
    /// is an error.
    ///
    /// Locks there may not reach other machines, and one machine may see another's writes late or
    /// in part. Allow it if only one machine uses the folder, or if you know that the file system
    /// does better.
    ///
    /// ```
    /// # use silverback::FilesystemStore;
    /// let options = FilesystemStore::options().allow_network_filesystem(true);
    /// ```
    pub fn allow_network_filesystem(mut self, allow: bool) -> Self {
        self.settings.is_network = allow;
        self
    }

    /// Bounds how many session files stay open. The default is 128 and the maximum 65,536. With 0,
    /// a file is opened for each use.
    ///
    /// Using a session again within a second then costs half as much. Files of more than 64 KiB do
    /// not stay open. If the store runs out of file descriptors, it closes the files and continues.
    ///
    /// A session that another process removes or replaces is neither loaded nor written. A file
    /// that you move by hand may be used for another second. You cannot remount the file system
    /// read-only while files are open.
    ///
    /// ```
    /// use silverback::FilesystemStore;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = FilesystemStore::options().kept_files(256).open("sessions")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn kept_files(mut self, limit: usize) -> Self {
        self.settings.kept_files = limit.min(1 << 16);
        self
    }

    /// Allows changes on the calling thread. The default is `true`.
    ///
    /// This is about updates without a sync ([`Durability::None`]) of sessions that are in memory
    /// and whose files have room. Such a change takes about 2 µs on the calling thread. The hop to
    /// another thread takes several times as long. With `false` the store always hops, and never
    /// waits for the disk on the calling thread.
    ///
    /// Linux does not promise that such a write never waits. It may wait while memory is full of
    /// other programs' writes, or while the file system's journal has no room. So the store times
    /// each change. After one of more than 1 ms it runs all of them on other threads for 100 ms. If
    /// the next slow one comes within 64 changes, the pause doubles, up to 10 s. Time spent waiting
    /// for a processor does not count. `docs/performance.md` has a measurement.
    ///
    /// ```
    /// use silverback::FilesystemStore;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = FilesystemStore::options().inline_writes(false).open("sessions")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn inline_writes(mut self, allow: bool) -> Self {
        self.settings.inline_writes = allow;
        self
    }

    /// Uses another clock. For tests: give it the layer's.
    ///
    /// ```
    /// # use silverback::{Clock, FilesystemStore, Timestamp};
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let options = FilesystemStore::options().clock(clock.clone());
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Opens a store in this folder. Creates the folder if it is missing.
    ///
    /// ```
    /// # use silverback::FilesystemStore;
    /// # fn main() -> std::io::Result<()> {
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = dir.path().join("sessions");
    /// let store = FilesystemStore::options().max_record_bytes(64 << 10).open(folder)?;
    /// # Ok(())
    /// # }
    /// ```
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
