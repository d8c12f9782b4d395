//! The store itself. Work that needs the disk runs on the runtime's threads for blocking work.

use std::{fmt, os::fd::OwnedFd, sync::Arc};

use tokio::runtime::Handle;

use super::{posix::Posix, root::Disk, settings::Settings};
use crate::{
    clock::Timestamp,
    store::{
        Browse, Bytes, Cursor, Expiry, Limits, Page, Read, Record, RecordKey, Store, StoreError,
        Sweep, Swept, Version, error::all_failed,
    },
};

/// Keeps sessions in a folder: they survive the process, and all processes of the machine share
/// them.
///
/// Clones share the folder. Saved sessions survive a crash of the process;
/// [`Durability`](crate::store::Durability) is about power failures. The store takes sessions of up
/// to 1 MiB; [`options`](Self::options) changes that and other limits. Expired sessions are not
/// loaded, but their files stay until they are [swept](Sweep).
///
/// ```
/// use std::time::Duration;
/// use silverback::{FilesystemStore, store::Sweeper};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = FilesystemStore::open("sessions")?;
/// let sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
/// # sweeper.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// # Files
///
/// The folder and everything in it belong to its owner alone. File names are hashes, so a listing
/// or a backup contains no valid cookies. The contents are not encrypted.
///
/// A damaged record is an error once. It is moved to `quarantine/` in the folder, and stays there.
/// A record in a later format is an error each time, and stays.
///
/// A file's access time is the end of its session, as last noted. A sweep relies on it, so it finds
/// damage in a file of the right length only after that time.
///
/// The folder is opened once. If it is moved, the store moves with it. If it is removed, every
/// operation fails. The files of the sessions used last [stay
/// open](crate::store::FilesystemOptions::kept_files).
///
/// # Waiting
///
/// On Linux, a load never waits for the disk on the calling thread: if the session is not in
/// memory, another thread reads it. [Synced](crate::store::Durability) changes, new sessions and
/// removals always run on other threads. A change without a sync runs on the calling thread if the
/// session is in memory and its file has room. It takes microseconds, but the kernel may still make
/// it wait. [`FilesystemOptions::inline_writes`] says what happens then, and turns it off.
///
/// [`FilesystemOptions::inline_writes`]: crate::store::FilesystemOptions::inline_writes
///
/// # Systems
///
/// Any Unix with a local file system. Network file systems are
/// [refused](crate::store::FilesystemOptions::allow_network_filesystem) where the store recognises
/// them, which is on Linux, macOS and FreeBSD.
#[derive(Clone)]
pub struct FilesystemStore {
    disk: Arc<Disk<Posix>>,
}

impl FilesystemStore {
    pub(super) fn new(root: OwnedFd, settings: Settings) -> Self {
        Self {
            disk: Arc::new(Disk::new(Posix::new(root), settings)),
        }
    }

    fn end(&self, expiry: Expiry) -> Result<Timestamp, StoreError> {
        expiry.checked_at(self.disk.settings.clock.now())
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
                .map_err(StoreError::unavailable)?,
            Err(_) => work(&disk),
        }
    }
}

impl Store for FilesystemStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let key = *key;
        match self.disk.load_cached(&key) {
            Some(record) => Ok(record),
            None => self.run(move |disk| disk.load(&key)).await,
        }
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let (count, keys) = (keys.len(), keys.to_vec());
        let load = move |disk: &Disk<Posix>| Ok(keys.iter().map(|key| disk.load(key)).collect());
        let loaded = self.run(load).await;
        loaded.unwrap_or_else(|error| all_failed(count, &error))
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (key, version, end) = (*key, Version::random()?, self.end(expiry)?);
        self.run(move |disk| disk.create(&key, version, &data, end))
            .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (key, version, end) = (*key, Version::random()?, self.end(expiry)?);
        match self.disk.update_cached(&key, expected, version, &data, end) {
            Some(updated) => updated,
            None => {
                self.run(move |disk| disk.update(&key, expected, version, &data, end))
                    .await
            }
        }
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (key, end) = (*key, self.end(expiry)?);
        match self.disk.touch_cached(&key, expected, end) {
            Some(touched) => touched,
            None => self.run(move |disk| disk.touch(&key, expected, end)).await,
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let key = *key;
        self.run(move |disk| disk.delete(&key, expected)).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let (count, records) = (records.len(), records.to_vec());
        let delete = |disk: &Disk<Posix>, (key, expected): &(RecordKey, Option<Version>)| {
            disk.delete(key, *expected)
        };
        let delete = move |disk: &Disk<Posix>| {
            Ok(records.iter().map(|record| delete(disk, record)).collect())
        };
        let deleted = self.run(delete).await;
        deleted.unwrap_or_else(|error| all_failed(count, &error))
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.disk.settings.max_record_bytes,
            ..Limits::default()
        }
    }
}

/// A page reads the heads of as many files as it lists, and the names in their directory. It leaves
/// out damaged files and those of a later format.
impl Browse for FilesystemStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let from = from.clone();
        self.run(move |disk| disk.browse(&from, limit)).await
    }
}

/// A sweep also removes files that a crash left behind more than an hour ago. Clones take turns in
/// its steps.
impl Sweep for FilesystemStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        self.run(move |disk| Ok(disk.sweep_some(limit)))
            .await
            .unwrap_or_else(Swept::failure)
    }

    async fn sweep(&self) -> Swept {
        self.run(|disk| Ok(disk.sweep()))
            .await
            .unwrap_or_else(Swept::failure)
    }
}

impl fmt::Debug for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesystemStore")
            .field("settings", &self.disk.settings)
            .finish_non_exhaustive()
    }
}
