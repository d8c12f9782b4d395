//! A store that only one process can open, closed between calls so that the tool can open it.

use std::path::{Path, PathBuf};

use silverback::store::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
};
use silverback_redb::{Durability, OpenError, RedbStore};

/// Opens the file for each call, and closes it afterwards.
pub(crate) struct Reopened(PathBuf);

impl Reopened {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The system releases the tool's lock a moment after the tool has ended.
    pub(crate) async fn open(&self) -> RedbStore {
        loop {
            let options = RedbStore::options().durability(Durability::None);
            match options.open(&self.0).await {
                Err(OpenError::InUse) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }
}

impl Store for Reopened {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let store = self.open().await;
        let loaded = store.load(key, read).await;
        store.close().await;
        loaded
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let store = self.open().await;
        let loaded = store.load_many(keys, read).await;
        store.close().await;
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let store = self.open().await;
        let created = store.create(key, data, expiry).await;
        store.close().await;
        created
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let store = self.open().await;
        let updated = store.update(key, expected, data, expiry).await;
        store.close().await;
        updated
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let store = self.open().await;
        let touched = store.touch(key, expected, expiry).await;
        store.close().await;
        touched
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let store = self.open().await;
        let deleted = store.delete(key, expected).await;
        store.close().await;
        deleted
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let store = self.open().await;
        let deleted = store.delete_many(records).await;
        store.close().await;
        deleted
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}
