//! What a store promises.

use std::{future::Future, sync::Arc};

use super::{Bytes, Expiry, Limits, Read, Record, RecordKey, StoreError, Version};

/// A place that keeps sessions on the server's side. The [module docs](crate::store) have a
/// complete example.
///
/// To choose between several at run time, make a [`DynStore`](crate::store::DynStore) of each.
///
/// Every method is one atomic operation: of two concurrent calls for one key, one happens before
/// the other. A method whose future is dropped has happened wholly or not at all. The methods for
/// many records treat each record as the method for one does, in any order, and return the results
/// in the order of the keys.
///
/// A record whose [`Expiry`] is now or earlier counts as deleted: it is not loaded, updated or
/// touched. The store may remove it at any time.
///
/// Every method is required, so that a wrapper around another store forgets none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of sessions",
    label = "does not implement `silverback::store::Store`",
    note = "stores are `CookieStore`, `MemoryStore`, `FilesystemStore`, and implementors of `Store`"
)]
pub trait Store: Send + Sync + 'static {
    /// Returns the record under `key`, or `None` if there is none.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp, store::{Bytes, Expiry, Read, RecordKey, Store}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// assert!(store.load(&key, Read::Current).await?.is_none());
    /// store.create(&key, Bytes::from("data"), expiry).await?;
    /// let record = store.load(&key, Read::Current).await?.expect("it is there");
    /// assert_eq!(record.data(), b"data");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the record is damaged. Any other if the store cannot tell whether
    /// there is one: never report that as `None`, since it would log the visitor out.
    fn load(
        &self,
        key: &RecordKey,
        read: Read,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Returns what [`load`](Self::load) returns for each key, in the order of the keys. A store on
    /// a network asks its server once.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp, store::{Bytes, Expiry, Read, RecordKey, Store}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// let other = RecordKey::from_bytes([8; 32]);
    /// store.create(&other, Bytes::from("data"), expiry).await?;
    /// let loaded = store.load_many(&[key, other], Read::Current).await;
    /// assert!(matches!(loaded[..], [Ok(None), Ok(Some(_))]));
    /// # Ok(())
    /// # }
    /// ```
    fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> impl Future<Output = Vec<Result<Option<Record>, StoreError>>> + Send;

    /// Stores a new record under `key` and returns its version. It replaces an expired record.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp};
    /// # use silverback::store::{Bytes, Expiry, RecordKey, Store, StoreError};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// store.create(&key, Bytes::from("data"), expiry).await?;
    /// let again = store.create(&key, Bytes::from("other"), expiry).await;
    /// assert!(matches!(again, Err(StoreError::Exists)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is a record; it stays as it is. Any other if the new one was
    /// not kept.
    fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Replaces the record under `key` if its version is still `expected`, and returns the new
    /// version.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp};
    /// # use silverback::store::{Bytes, Expiry, RecordKey, Store, StoreError};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// let first = store.create(&key, Bytes::from("data"), expiry).await?;
    /// let second = store.update(&key, first, Bytes::from("newer"), expiry).await?;
    /// let late = store.update(&key, first, Bytes::from("late"), expiry).await;
    /// assert!(matches!(late, Err(StoreError::Conflict)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if there is no record: an update must not make one.
    /// [`StoreError::Conflict`] if the record has another version; it stays as it is. Any other if
    /// the old record is still there.
    fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Changes when the record expires, if its version is still `expected`. The data stays. Returns
    /// the record's version from then on: `expected`, or a new one if the server makes one.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp, store::{Bytes, Expiry, RecordKey, Store}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// let version = store.create(&key, Bytes::from("data"), expiry).await?;
    /// let later = Expiry::new(Timestamp::from_secs(4_100_000_000), now);
    /// store.touch(&key, version, later).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Removes the record under `key`, if there is one. With an `expected` version, it removes only
    /// a record of that version.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp, store::{Bytes, Expiry, RecordKey, Store}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// let version = store.create(&key, Bytes::from("data"), expiry).await?;
    /// store.delete(&key, Some(version)).await?;
    /// store.delete(&key, None).await?; // there is none, which is fine
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the record has another version than expected; it stays. Any
    /// other if the record may still be there.
    fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Does what [`delete`](Self::delete) does to each record, and returns the results in their
    /// order. A store on a network asks its server once.
    ///
    /// ```
    /// # use silverback::{MemoryStore, Timestamp, store::{Bytes, Expiry, RecordKey, Store}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// # let (store, key) = (MemoryStore::new(), RecordKey::from_bytes([7; 32]));
    /// # let end = Timestamp::from_secs(4_000_000_000);
    /// # let now = Timestamp::from_secs(1_800_000_000);
    /// # let expiry = Expiry::new(end, now);
    /// let other = RecordKey::from_bytes([8; 32]);
    /// let version = store.create(&other, Bytes::from("data"), expiry).await?;
    /// let deleted = store.delete_many(&[(key, None), (other, Some(version))]).await;
    /// assert!(deleted.iter().all(Result::is_ok));
    /// # Ok(())
    /// # }
    /// ```
    fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> impl Future<Output = Vec<Result<(), StoreError>>> + Send;

    /// Returns what the store takes, and what its users can rely on.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::Store};
    ///
    /// assert!(MemoryStore::new().limits().never_waits);
    /// ```
    fn limits(&self) -> Limits;
}

/// A shared store is a store too.
impl<S: Store> Store for Arc<S> {
    fn load(
        &self,
        key: &RecordKey,
        read: Read,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
        S::load(self, key, read)
    }

    fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> impl Future<Output = Vec<Result<Option<Record>, StoreError>>> + Send {
        S::load_many(self, keys, read)
    }

    fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::create(self, key, data, expiry)
    }

    fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::update(self, key, expected, data, expiry)
    }

    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::touch(self, key, expected, expiry)
    }

    fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::delete(self, key, expected)
    }

    fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> impl Future<Output = Vec<Result<(), StoreError>>> + Send {
        S::delete_many(self, records)
    }

    fn limits(&self) -> Limits {
        S::limits(self)
    }
}
