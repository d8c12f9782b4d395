//! Settings, and opening a store.

use std::{
    path::{self, Path},
    sync::Arc,
};

use silverback::Clock;
use tokio::runtime::Handle;

use crate::{
    OpenError, RedbStore,
    disk::{Access, Synced, Unsynced},
    file::{File, Way},
    record::HEAD,
    writer::Writer,
};

/// What a saved session survives.
///
/// Either level survives a crash of the process, or a kill.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Durability {
    /// A power failure may damage the file, with all sessions in it. No write waits for the disk.
    None,
    /// Only the loss of the disk loses it. Each transaction ends with one sync of the file. The
    /// default.
    #[default]
    Full,
}

/// The settings of a [`RedbStore`], and a way to open one with them.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct RedbOptions {
    pub(crate) access: Arc<dyn Access>,
    pub(crate) record_bytes: usize,
    cache_bytes: usize,
    checks: bool,
    clock: Clock,
}

/// redb allows values of 3 GiB, but a transaction holds them in memory.
const LARGEST: usize = (1 << 30) - HEAD;

impl RedbStore {
    /// Opens a file of sessions with the default settings. Creates the file if it is missing; its
    /// folder has to exist.
    ///
    /// One process at a time can have the file open. A file that was not closed because its process
    /// was killed is repaired first: redb reads it once.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig};
    /// use silverback_redb::RedbStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = RedbStore::open("sessions.redb").await?;
    /// let config = SessionConfig::new("cart", store, Keys::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if another process has the file open, [`OpenError::Damaged`] if it is
    /// damaged or not redb's, [`OpenError::Io`] if it cannot be created, read or written.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(path).await
    }

    /// Returns the default settings of a store, for you to change before it is opened.
    ///
    /// ```
    /// use silverback_redb::{Durability, RedbStore};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = RedbStore::options()
    ///     .durability(Durability::None)
    ///     .max_record_bytes(64 << 10)
    ///     .open("sessions.redb")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options() -> RedbOptions {
        RedbOptions {
            access: Arc::new(Synced),
            record_bytes: 1 << 20,
            cache_bytes: 64 << 20,
            checks: true,
            clock: Clock::system(),
        }
    }
}

impl RedbOptions {
    /// Sets what a saved session survives. The default is [`Durability::Full`].
    ///
    /// ```
    /// use silverback_redb::{Durability, RedbStore};
    ///
    /// let options = RedbStore::options().durability(Durability::None);
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.access = match durability {
            Durability::None => Arc::new(Unsynced),
            Durability::Full => Arc::new(Synced),
        };
        self
    }

    /// Bounds the bytes of a record. The default is 1 MiB and the maximum 1 GiB.
    ///
    /// ```
    /// # use silverback_redb::RedbStore;
    /// let options = RedbStore::options().max_record_bytes(64 << 10); // 64 KiB
    /// ```
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.record_bytes = bytes.min(LARGEST);
        self
    }

    /// Bounds how many bytes of the file redb keeps in memory. The default is 64 MiB.
    ///
    /// ```
    /// # use silverback_redb::RedbStore;
    /// let options = RedbStore::options().cache_bytes(256 << 20); // 256 MiB
    /// ```
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets whether the whole file is read to verify its checksums when it is opened. The default
    /// is `true`.
    ///
    /// Otherwise a file that was closed opens at once, whatever its size. Damage is then found by
    /// the calls that run into it: they fail, and may print redb's panic.
    ///
    /// ```
    /// # use silverback_redb::RedbStore;
    /// let options = RedbStore::options().check_file(false);
    /// ```
    pub fn check_file(mut self, check: bool) -> Self {
        self.checks = check;
        self
    }

    /// Uses another clock. For tests: give it the layer's. The default is the system's.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// # use silverback_redb::RedbStore;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let options = RedbStore::options().clock(clock.clone());
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens a file of sessions with these settings. Creates the file if it is missing; its folder
    /// has to exist.
    ///
    /// ```
    /// use silverback_redb::RedbStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = RedbStore::options().cache_bytes(1 << 20).open("sessions.redb").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        let path = path.as_ref().to_owned();
        let open = move || self.open_now(&path);
        match Handle::try_current() {
            Ok(runtime) => {
                let opened = runtime.spawn_blocking(open).await;
                opened.map_err(|error| OpenError::Io(error.into()))?
            }
            Err(_) => open(),
        }
    }

    /// Opens the file on this thread.
    fn open_now(self, path: &Path) -> Result<RedbStore, OpenError> {
        let way = Way {
            // It stays the same file if the process changes its directory.
            path: path::absolute(path)?,
            access: self.access,
            cache_bytes: self.cache_bytes,
            checks: self.checks,
        };
        let file = Arc::new(File::open(way)?);
        let writer = Writer::start(Arc::clone(&file), self.clock.clone())?;
        Ok(RedbStore::new(file, writer, self.clock, self.record_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_synced_by_default() {
        let access = |options: RedbOptions| format!("{:?}", options.access);
        assert_eq!(access(RedbStore::options()), "Synced");
        let unsynced = RedbStore::options().durability(Durability::None);
        assert_eq!(access(unsynced.clone()), "Unsynced");
        assert_eq!(access(unsynced.durability(Durability::Full)), "Synced");
        let most = RedbStore::options().max_record_bytes(usize::MAX);
        assert_eq!(most.record_bytes, LARGEST);
    }
}
