//! Any opened store as a `Store` that can be listed.

use silverback::store::{
    Browse, Bytes, Cursor, Expiry, Limits, Page, Read, Record, RecordKey, Store, StoreError,
    Version,
};

use crate::stores::Opened;

impl Store for Opened {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.shared().load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.shared().load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.shared().create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.shared().update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.shared().touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.shared().delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.shared().delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.shared().limits()
    }
}

impl Browse for Opened {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        self.page(from, limit).await
    }
}
