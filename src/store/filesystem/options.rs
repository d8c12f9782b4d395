//! How a store is opened.

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
    /// Opens a store in this folder, with the default settings. A missing folder is made; its
    /// parent has to exist.
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
    /// If the folder cannot be opened or made. If it is a symbolic link, belongs to another user or
    /// can be written to by other users. If it is on a network file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::options().open(path)
    }

    /// Starts with the default settings of a store, to change some before it is opened.
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
    /// A change takes microseconds, so only a stopped process or a stuck disk makes it wait that
    /// long.
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

    /// Allows a folder on a file system of another machine, or of a process (FUSE). By default that
    /// is an error.
    ///
    /// Locks there may not reach other machines, and one machine may see late or in part what
    /// another writes. Allow it if one machine alone uses the folder, or if you know that the file
    /// system does better.
    ///
    /// ```
    /// # use silverback::FilesystemStore;
    /// let options = FilesystemStore::options().allow_network_filesystem(true);
    /// ```
    pub fn allow_network_filesystem(mut self, allow: bool) -> Self {
        self.settings.is_network = allow;
        self
    }

    /// Bounds how many files of sessions stay open: 128 unless set. With 0, each is opened anew.
    ///
    /// A session that is used again within a second then costs half as much. Files of more than
    /// 64 KiB do not stay open. If the process runs out of descriptors in this store, it closes the
    /// files and goes on.
    ///
    /// A session that is removed or replaced by another process is neither shown nor written. A
    /// file that you move by hand may be used for another second. You cannot remount the file
    /// system read-only while files are open.
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
        self.settings.kept_files = limit;
        self
    }

    /// Allows changes on the thread that asks for them: allowed unless set to `false`.
    ///
    /// This is about updates without a sync ([`Durability::None`]) of sessions that are in memory
    /// and whose files have room. Such a change takes about 6 µs on that thread. The way to another
    /// thread takes several times as long. With `false` the store takes that way, and then never
    /// waits for the disk on the thread that asks.
    ///
    /// Linux does not promise that such a write never waits. It may while memory is full of what
    /// other programs have written, or while the file system's journal has no room. So the store
    /// times each change. After one of more than 1 ms it makes all of them on other threads for
    /// 100 ms, and for twice as long each time up to 10 s if the next slow one comes within 64
    /// changes. Time for which the thread waited for a processor is not counted.
    /// `docs/performance.md` has a measurement.
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

    /// Tells the time by another clock, for tests: the one that the layer has.
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

    /// Opens a store in this folder, which is made if it is missing.
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
