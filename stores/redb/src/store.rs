//! The store: reads on the runtime's threads for blocking work, and writes through the writer.

use std::{fmt, sync::Arc};

use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use tokio::runtime::Handle;

use crate::{
    error::all_failed,
    file::{File, Snapshot},
    operation::{Change, Operation, Outcome},
    record::{self, Head},
    writer::Writer,
};

/// Keeps sessions in one file of redb. Clones are the same store.
///
/// The [crate's documentation](crate) says what it guarantees. Expired sessions are not loaded, but
/// take up space until they are [swept](silverback::store::Sweep).
///
/// ```
/// use std::time::Duration;
/// use silverback::store::Sweeper;
/// use silverback_redb::RedbStore;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = RedbStore::open("sessions.redb").await?;
/// let sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
/// // Serve until you are told to stop.
/// sweeper.stop().await;
/// store.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

struct Shared {
    file: Arc<File>,
    writer: Writer,
    clock: Clock,
    record_bytes: usize,
    /// Where the next step of a sweep begins.
    swept: std::sync::Mutex<Option<RecordKey>>,
}

impl RedbStore {
    pub(crate) fn new(file: Arc<File>, writer: Writer, clock: Clock, record_bytes: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                file,
                writer,
                clock,
                record_bytes,
                swept: std::sync::Mutex::default(),
            }),
        }
    }

    /// Closes the file, after the waiting writes. From then on, calls of this store and its clones
    /// fail.
    ///
    /// A file that was closed opens at once the next time, unless it is
    /// [checked](crate::RedbOptions::check_file). A store that is dropped closes its file too, a
    /// moment later.
    ///
    /// ```
    /// use silverback_redb::RedbStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = RedbStore::open("sessions.redb").await?;
    /// store.close().await;
    /// let again = RedbStore::open("sessions.redb").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        self.shared.writer.close().await;
    }

    #[cfg(test)]
    pub(crate) fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    #[cfg(test)]
    pub(crate) fn file(&self) -> &File {
        &self.shared.file
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn swept(&self) -> &std::sync::Mutex<Option<RecordKey>> {
        &self.shared.swept
    }

    /// Reads committed records, on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.shared.file);
        let read = match Handle::try_current() {
            Ok(runtime) => {
                let reading = runtime.spawn_blocking(move || file.read(work));
                reading.await.map_err(StoreError::unavailable)?
            }
            Err(_) => file.read(work),
        };
        read.map_err(|fault| {
            self.shared.writer.mend();
            fault.error()
        })
    }

    pub(crate) async fn write(
        &self,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, StoreError> {
        self.shared.writer.write(operations).await
    }

    async fn write_one(&self, key: &RecordKey, change: Change) -> Result<(), StoreError> {
        let operation = Operation { key: *key, change };
        let outcome = self.write(vec![operation]).await?.pop();
        outcome.map_or(Ok(()), |outcome| outcome.map(drop))
    }

    fn head(&self, data: &Bytes, expiry: Expiry) -> Result<Head, StoreError> {
        let (size, limit) = (data.len(), self.shared.record_bytes);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(Head {
            version: Version::random()?,
            expires: expiry.checked_at(self.now())?,
        })
    }
}

type Loaded = Result<Option<Record>, StoreError>;

fn load(table: &Snapshot, key: &RecordKey, now: Timestamp) -> Result<Loaded, redb::Error> {
    let value = table.get(key.as_bytes())?;
    Ok(value.map_or(Ok(None), |value| record::read(value.value(), now)))
}

impl Store for RedbStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Loaded {
        let (key, now) = (*key, self.now());
        self.read(move |table| load(table, &key, now)).await?
    }

    async fn load_many(&self, keys: &[RecordKey], _: Read) -> Vec<Loaded> {
        let (count, keys, now) = (keys.len(), keys.to_vec(), self.now());
        let load = move |table: &Snapshot| keys.iter().map(|key| load(table, key, now)).collect();
        self.read(load)
            .await
            .unwrap_or_else(|error| all_failed(count, &error))
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let head = self.head(&data, expiry)?;
        self.write_one(key, Change::Create { head, data }).await?;
        Ok(head.version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let head = self.head(&data, expiry)?;
        let update = Change::Update {
            expected,
            head,
            data,
        };
        self.write_one(key, update).await?;
        Ok(head.version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let expires = expiry.checked_at(self.now())?;
        self.write_one(key, Change::Touch { expected, expires })
            .await?;
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.write_one(key, Change::Delete { expected }).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let delete = |(key, expected): &(RecordKey, Option<Version>)| Operation {
            key: *key,
            change: Change::Delete {
                expected: *expected,
            },
        };
        match self.write(records.iter().map(delete).collect()).await {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| outcome.map(drop))
                .collect(),
            Err(error) => all_failed(records.len(), &error),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.shared.record_bytes,
            ..Limits::default()
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("file", &self.shared.file)
            .finish_non_exhaustive()
    }
}
