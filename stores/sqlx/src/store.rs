//! The store: the contract on top of a table's answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use silverback::store::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
};
use sqlx::Pool;
use tokio::time::Instant;

use crate::{
    InvalidTableName,
    connection::{Borrowed, Suspects},
    dialect::{Dialect, Sealed, Table, Write},
    fault::{Fault, all_failed},
    retry::retry,
    table::TableName,
};

/// Keeps sessions in one table of a database, through your own pool.
///
/// See the [crate's documentation](crate) for the table and for advice about pools. Clones share
/// the pool.
///
/// Each call is one statement and one round trip. Where a statement finds nothing to change, a
/// second one finds out why. There are no transactions: a call that is cancelled has happened
/// wholly or not at all. The store repeats what the database rolled back because of a deadlock, a
/// serialization failure or a full queue for a lock, up to a dozen times within a quarter of a
/// second.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use silverback_sqlx::SqlStore;
/// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
///
/// let store = SqlStore::new(pool).table("shop_sessions")?.max_record_bytes(64 << 10);
/// store.create_table().await?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
pub struct SqlStore<DB: Dialect> {
    pub(crate) pool: Pool<DB>,
    pub(crate) table: <DB as Sealed>::Table,
    record_bytes: usize,
    timeout: Duration,
    ready: Arc<OnceLock<()>>,
    suspects: Arc<Suspects>,
}

impl<DB: Dialect> SqlStore<DB> {
    /// Makes a store that uses this pool and the table `silverback_sessions`. It does not ask the
    /// database anything yet.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// let store = SqlStore::new(pool);
    /// store.create_table().await?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn new(pool: Pool<DB>) -> Self {
        Self {
            pool,
            table: DB::Table::named(TableName::default()),
            record_bytes: RECORD_BYTES,
            timeout: TIMEOUT,
            ready: Arc::default(),
            suspects: Arc::default(),
        }
    }

    /// Uses another table. Its name has up to 48 letters `a` to `z`, digits and underscores, and
    /// may have a schema and a dot before it. The default is `silverback_sessions`.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// let store = SqlStore::new(pool).table("shop_sessions")?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is not valid.
    pub fn table(self, name: &str) -> Result<Self, InvalidTableName> {
        Ok(Self {
            table: DB::Table::named(name.parse()?),
            ..self
        })
    }

    /// Bounds the bytes of a record. The default is 1 MiB.
    ///
    /// MySQL and MariaDB take no statement longer than their `max_allowed_packet`. If records of
    /// this size do not fit there, every call is [refused](StoreError::Refused) with a sentence
    /// that says so.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// let store = SqlStore::new(pool).max_record_bytes(64 << 10); // 64 KiB
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn max_record_bytes(self, bytes: usize) -> Self {
        Self {
            record_bytes: bytes,
            ready: Arc::default(),
            ..self
        }
    }

    /// Bounds how long a call of the session layer waits for the database: for a connection, and
    /// for the answer. A write that was not answered in time may have happened or not. The default
    /// is 2 seconds, which leaves time for a second attempt within the layer's own budget.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// # use std::time::Duration;
    /// let store = SqlStore::new(pool).timeout(Duration::from_millis(800));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Makes the table and its index if they are missing. Any number of servers may do this at the
    /// same time, each time they start: if the table exists, nothing is locked.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// let store = SqlStore::new(pool);
    /// store.create_table().await?;
    /// store.create_table().await?; // does nothing
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or does not let this user make tables.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        retry(async || {
            let mut conn = Borrowed::new(self.pool.acquire().await.map_err(Self::fault)?);
            let created = self.table.create(&mut conn).await;
            self.after(conn, created.map_err(Self::fault))
        })
        .await
    }

    /// Returns the statements that make the table, for your own migrations.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_sqlx::SqlStore;
    /// # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    ///
    /// let statements = SqlStore::new(pool).schema();
    /// assert!(statements[0].contains("silverback_sessions"));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn schema(&self) -> Vec<String> {
        self.table.schema()
    }

    /// Takes a connection. The server is asked on it for its properties, until it has told them.
    pub(crate) async fn borrow(&self) -> Result<Borrowed<DB>, Fault> {
        let conn = self.suspects.acquire(&self.pool).await;
        let mut conn = conn.map_err(Self::fault)?;
        if self.ready.get().is_none() {
            // Calls that overlap the first one ask too. None waits for another, whose future may be
            // one that nobody polls.
            let ready = self.table.get_ready(&mut conn, self.record_bytes).await;
            if let Err(fault) = ready {
                return self.after(conn, Err(fault));
            }
            self.ready.get_or_init(|| ());
        }
        Ok(conn)
    }

    /// Returns the outcome of a call, and decides what becomes of its connection and the others.
    pub(crate) fn after<T>(
        &self,
        conn: Borrowed<DB>,
        outcome: Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Err(Fault::Final(StoreError::Unavailable(_))) = &outcome {
            self.suspects.are_all_of(&self.pool);
        }
        conn.after(outcome)
    }

    /// Ends a call that takes longer than the store's timeout.
    pub(crate) fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        Self::within(self.timeout, call)
    }

    /// Ends a call that takes longer than this.
    pub(crate) fn within<T>(
        timeout: Duration,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        Self::within_left(timeout, timeout, call)
    }

    /// The time that is left of a call that began at `start`.
    fn left(&self, start: Instant) -> Duration {
        self.timeout.saturating_sub(start.elapsed())
    }

    /// Ends a part of a call of which this much time is left.
    async fn within_left<T>(
        timeout: Duration,
        left: Duration,
        part: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answered = tokio::time::timeout(left, part).await;
        answered.unwrap_or_else(|_| {
            Err(StoreError::unavailable(format!(
                "the database did not answer within {timeout:?}"
            )))
        })
    }

    pub(crate) fn fault(error: sqlx::Error) -> Fault {
        Fault::of(error, DB::Table::class)
    }

    fn check_size(&self, data: &Bytes) -> Result<(), StoreError> {
        if data.len() <= self.record_bytes {
            return Ok(());
        }
        Err(StoreError::TooLarge {
            size: data.len(),
            limit: self.record_bytes,
        })
    }
}

const RECORD_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many records one statement covers.
const AT_ONCE: usize = 512;

impl<DB: Dialect> Store for SqlStore<DB> {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let mut found = self
            .in_time(retry(|| self.try_load(std::slice::from_ref(key), read)))
            .await?;
        found.remove(key).transpose()
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let (start, mut loaded) = (Instant::now(), Vec::with_capacity(keys.len()));
        for keys in keys.chunks(AT_ONCE) {
            let (timeout, left) = (self.timeout, self.left(start));
            match Self::within_left(timeout, left, retry(|| self.try_load(keys, read))).await {
                Ok(found) => loaded.extend(keys.iter().map(|key| answer(&found, key))),
                Err(error) => loaded.extend(all_failed(keys.len(), &error)),
            }
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check_size(&data)?;
        self.table.check_clock(expiry)?;
        let version = Version::random()?;
        let write = Write {
            version,
            data,
            expiry,
        };
        self.in_time(retry(|| self.try_create(key, &write))).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check_size(&data)?;
        self.table.check_clock(expiry)?;
        let version = Version::random()?;
        let write = Write {
            version,
            data,
            expiry,
        };
        self.in_time(retry(|| self.try_update(key, expected, &write)))
            .await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.table.check_clock(expiry)?;
        self.in_time(retry(|| self.try_touch(key, expected, expiry)))
            .await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let record = [(*key, expected)];
        let left = self.in_time(retry(|| self.try_delete(&record))).await?;
        if left.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Conflict)
        }
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let (start, mut deleted) = (Instant::now(), Vec::with_capacity(records.len()));
        for records in records.chunks(AT_ONCE) {
            let (timeout, left) = (self.timeout, self.left(start));
            match Self::within_left(timeout, left, retry(|| self.try_delete(records))).await {
                Ok(left) => deleted.extend(records.iter().map(|(key, expected)| {
                    if expected.is_some() && left.contains(key) {
                        Err(StoreError::Conflict)
                    } else {
                        Ok(())
                    }
                })),
                Err(error) => deleted.extend(all_failed(records.len(), &error)),
            }
        }
        deleted
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            ..Limits::default()
        }
    }
}

/// The record found under a key. The caller may have asked for the key twice.
fn answer(
    found: &HashMap<RecordKey, Result<Record, StoreError>>,
    key: &RecordKey,
) -> Result<Option<Record>, StoreError> {
    match found.get(key) {
        None => Ok(None),
        Some(Ok(record)) => Ok(Some(record.clone())),
        Some(Err(error)) => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            Err(StoreError::Corrupt(cause.unwrap_or_default().into()))
        }
    }
}

impl<DB: Dialect> Clone for SqlStore<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            table: self.table.clone(),
            record_bytes: self.record_bytes,
            timeout: self.timeout,
            ready: Arc::clone(&self.ready),
            suspects: Arc::clone(&self.suspects),
        }
    }
}

impl<DB: Dialect> fmt::Debug for SqlStore<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &DB::NAME)
            .field("record_bytes", &self.record_bytes)
            .finish_non_exhaustive()
    }
}
