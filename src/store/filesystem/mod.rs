//! Sessions in files, one each.
//!
//! # A record's life
//!
//! The record of a key is the file `<first two hexadecimal digits>/<all 64 of them>`, with two
//! slots for two states.
//!
//! - **Load** reads both slots without a lock and takes the newer valid one.
//! - **Create** writes a temporary file and renames it, unless there is one of that name.
//! - **Update and touch** lock the file, look whether it still has a name, and write the slot that
//!   is *not* current, in place. A crash in the middle spoils that slot only. For a state that does
//!   not fit, a larger file with the current one is renamed over it first.
//! - **Delete** locks the file and unlinks it. An update that waits for the lock finds out that the
//!   name has gone: it never makes one, so it cannot bring a session back.
//!
//! - **Sweep** looks at a hint beside each file, its time of last access, and into those whose hint
//!   has passed.
//!
//! Locks are those of `flock`, held for one change and never for a request.
//!
//! # Threads
//!
//! All of this is done on the runtime's threads for blocking work, with one exception. A load first
//! tries what the kernel promises to answer from memory (`RESOLVE_CACHED` and `RWF_NOWAIT` on
//! Linux): that takes a third of the time that it takes on another thread, and never waits for the
//! disk. Writes have no such promise, even without syncs: the kernel makes a writer wait when
//! memory is full of what others have written. A call whose future is dropped is finished all the
//! same. Outside of a Tokio runtime the work is done at once.

mod disk;
mod files;
mod fs;
mod lock;
mod open;
mod options;
mod posix;
mod slot;
mod sweep;
mod sweeper;
#[cfg(test)]
mod tests;

use std::{fmt, io, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use self::{
    disk::{Disk, Settings},
    posix::Posix,
};
pub use self::{
    options::{Durability, FilesystemOptions},
    sweep::Swept,
    sweeper::Sweeper,
};
use super::{Bytes, Record, RecordKey, Store, StoreError, Version};
use crate::clock::Timestamp;

/// Keeps sessions in a directory: they survive the process, and all processes of the machine share
/// them.
///
/// Clones share the directory. Saved sessions survive a crash of the process; [`Durability`] is
/// about power failures. Sessions of up to 1 MiB are taken; [`options`](Self::options) has these
/// and other limits. Expired sessions are not loaded, but their files stay until they are
/// [swept](Self::sweeper).
///
/// ```
/// use std::time::Duration;
/// use silverback::store::FilesystemStore;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = FilesystemStore::open("sessions")?;
/// let sweeper = store.sweeper(Duration::from_secs(600))?;
/// # sweeper.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// # Files
///
/// The directory is for its owner alone, and so is everything in it. File names are hashes: no
/// listing or backup of them is a list of valid cookies. What is in the files is not encrypted.
///
/// A damaged record is an error once: it is moved to `quarantine/` in the directory, where nothing
/// removes it. One in a format of the future is an error and stays.
///
/// The time of last access of a file is when its session ends, or did when that was noted last. A
/// sweep goes by it, and finds damage in a file of the right length only when that time has come.
///
/// The directory is opened once. If it is moved, the store moves with it; if it is removed, every
/// operation fails.
///
/// # Systems
///
/// Any Unix with a file system of its own. Network file systems are
/// [refused](FilesystemOptions::allow_network_filesystem) if they are recognized, which they are on
/// Linux.
#[derive(Clone)]
pub struct FilesystemStore {
    disk: Arc<Disk<Posix>>,
}

/// The sweeper's steps: a few milliseconds each.
const BATCH: usize = 1_000;

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
    /// use silverback::store::{Durability, FilesystemStore};
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

    fn new(root: OwnedFd, settings: Settings) -> Self {
        Self {
            disk: Arc::new(Disk::new(Posix::new(root), settings)),
        }
    }

    /// Removes expired sessions, and files a crash left behind more than an hour ago.
    ///
    /// No error ends it: [`Swept`] counts them.
    pub async fn sweep(&self) -> Swept {
        self.run(|disk| Ok(disk.sweep()))
            .await
            .unwrap_or_else(Swept::failure)
    }

    /// Does the next part of a [`sweep`](Self::sweep), of so many files at most. Clones take turns.
    pub async fn sweep_some(&self, limit: usize) -> Swept {
        self.run(move |disk| Ok(disk.sweep_some(limit)))
            .await
            .unwrap_or_else(Swept::failure)
    }

    /// Starts a task that [sweeps](Self::sweep) now and then again after each `interval`, 1,000
    /// files at a time.
    ///
    /// # Errors
    ///
    /// Outside of a Tokio runtime. The runtime needs its timer too.
    pub fn sweeper(&self, interval: Duration) -> io::Result<Sweeper> {
        Sweeper::start(self.clone(), interval, BATCH)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk<Posix>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let disk = Arc::clone(&self.disk);
        match Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(move || work(&disk))
                .await
                .map_err(StoreError::backend)?,
            Err(_) => work(&disk),
        }
    }
}

impl Store for FilesystemStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        match self.disk.load_cached(&key) {
            Some(record) => Ok(record),
            None => self.run(move |disk| disk.load(&key)).await,
        }
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let key = *key;
        self.run(move |disk| disk.create(&key, &data, expires))
            .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let key = *key;
        self.run(move |disk| disk.update(&key, expected, &data, expires))
            .await
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        let key = *key;
        self.run(move |disk| disk.delete(&key)).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let key = *key;
        self.run(move |disk| disk.touch(&key, expected, expires))
            .await
    }
}

impl fmt::Debug for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesystemStore")
            .field("settings", &self.disk.settings)
            .finish_non_exhaustive()
    }
}
