//! A store that waits, counts, and fails on request.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use silverback::{
    Timestamp,
    store::{Bytes, MemoryStore, Record, RecordKey, Store, StoreError, Version},
};

/// A memory store behind a wait, as a network would be.
#[derive(Clone, Default)]
pub(crate) struct Remote {
    pub(crate) records: MemoryStore,
    log: Arc<Mutex<Vec<&'static str>>>,
    created: Arc<Mutex<BTreeSet<RecordKey>>>,
    failing: Arc<Mutex<Option<&'static str>>>,
    /// After an update: applied, but the answer says that it was not.
    lost_answers: Arc<AtomicUsize>,
}

impl Remote {
    pub(crate) fn new(records: MemoryStore) -> Self {
        Self {
            records,
            ..Self::default()
        }
    }

    /// Lets every operation of this name fail, `""` none and `"all"` all.
    pub(crate) fn fail(&self, operation: &'static str) {
        *self.failing.lock().unwrap() = Some(operation);
    }

    pub(crate) fn lose_next_answer(&self) {
        self.lost_answers.store(1, Ordering::SeqCst);
    }

    /// The operations since the last call.
    pub(crate) fn take_log(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// The keys under which records were made, whether they are still there or not.
    pub(crate) fn keys(&self) -> BTreeSet<RecordKey> {
        self.created.lock().unwrap().clone()
    }

    async fn enter(&self, operation: &'static str) -> Result<(), StoreError> {
        self.log.lock().unwrap().push(operation);
        tokio::task::yield_now().await;
        match *self.failing.lock().unwrap() {
            Some(failing) if failing == operation || failing == "all" => {
                Err(StoreError::backend("down"))
            }
            _ => Ok(()),
        }
    }
}

impl Store for Remote {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.enter("load").await?;
        self.records.load(key).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.enter("create").await?;
        self.created.lock().unwrap().insert(*key);
        self.records.create(key, data, expires).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.enter("update").await?;
        let updated = self.records.update(key, expected, data, expires).await;
        if self.lost_answers.swap(0, Ordering::SeqCst) == 1 {
            return Err(StoreError::Conflict);
        }
        updated
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.enter("delete").await?;
        self.records.delete(key).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.enter("touch").await?;
        self.records.touch(key, expected, expires).await
    }
}
