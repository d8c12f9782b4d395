//! Stores that follow the contract, each in another way.

use std::{collections::HashMap, sync::Arc, time::Duration};

use silverback::{
    Clock, Timestamp,
    store::{Bytes, MemoryStore, Record, RecordKey, Store, StoreError, Version},
};
use tokio::{sync::Mutex, task::yield_now};

/// The store that the documentation writes out, with the provided `touch`.
#[derive(Default)]
pub(crate) struct MapStore(std::sync::Mutex<HashMap<RecordKey, Record>>);

impl Store for MapStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .get(key)
            .filter(|record| !record.is_expired())
            .cloned())
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let mut records = self.0.lock().unwrap();
        if records.get(key).is_some_and(|record| !record.is_expired()) {
            return Err(StoreError::Exists);
        }
        records.insert(*key, Record::new(data, Version::FIRST, expires));
        Ok(Version::FIRST)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let mut records = self.0.lock().unwrap();
        let record = records
            .get_mut(key)
            .filter(|record| !record.is_expired())
            .ok_or(StoreError::Gone)?;
        if record.version() != expected {
            return Err(StoreError::Conflict);
        }
        *record = Record::new(data, expected.next(), expires);
        Ok(expected.next())
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

/// A memory store behind a wait for the question and one for the answer, as a network would be.
pub(crate) struct Remote(MemoryStore);

impl Remote {
    pub(crate) fn new(records: MemoryStore) -> Self {
        Self(records)
    }
}

impl Store for Remote {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        yield_now().await;
        let answer = self.0.load(key).await;
        yield_now().await;
        answer
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        let answer = self.0.create(key, data, expires).await;
        yield_now().await;
        answer
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        let answer = self.0.update(key, expected, data, expires).await;
        yield_now().await;
        answer
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        yield_now().await;
        let answer = self.0.delete(key).await;
        yield_now().await;
        answer
    }
}

/// A memory store whose clock is ten minutes further at each call, as is that of a process that is
/// stopped before each of them.
pub(crate) struct Stopped {
    records: MemoryStore,
    clock: Clock,
    /// From here on the clock stands still, as some rules make calls until they are done.
    latest: Timestamp,
}

impl Stopped {
    const PAUSE: Duration = Duration::from_secs(600);
    const LONGEST: Duration = Duration::from_secs(12 * 3_600);

    pub(crate) fn new() -> Self {
        let now = Clock::system().now();
        let clock = Clock::manual(now);
        Self {
            records: MemoryStore::new().clock(clock.clone()),
            clock,
            latest: now.saturating_add(Self::LONGEST),
        }
    }

    fn pause(&self) {
        if self.clock.now() < self.latest {
            self.clock.advance(Self::PAUSE);
        }
    }

    pub(crate) fn sweep(&self) {
        self.pause();
        self.records.sweep();
    }
}

impl Store for Stopped {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.pause();
        self.records.load(key).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.pause();
        self.records.create(key, data, expires).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.pause();
        self.records.update(key, expected, data, expires).await
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.pause();
        self.records.delete(key).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.pause();
        self.records.touch(key, expected, expires).await
    }

    fn never_waits(&self) -> bool {
        self.records.never_waits()
    }
}

/// Keeps a lock while it waits, which is allowed: nobody sees what is under it.
pub(crate) struct Locking {
    waits: usize,
    records: Arc<Mutex<MapStore>>,
}

pub(crate) async fn connect(waits: usize) -> Locking {
    yield_now().await;
    Locking {
        waits,
        records: Arc::default(),
    }
}

impl Locking {
    async fn pause(&self) {
        for _ in 0..self.waits {
            yield_now().await;
        }
    }
}

impl Store for Locking {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.load(key).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.create(key, data, expires).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.update(key, expected, data, expires).await
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.delete(key).await
    }
}
