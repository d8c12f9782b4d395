//! Stores that follow the contract, each in a different way.

use std::{collections::HashMap, sync::Arc, time::Duration};

use silverback::{
    Clock, Timestamp,
    store::{
        Bytes, Expiry, Limits, MemoryStore, MigratingStore, Read, Record, RecordKey, Store,
        StoreError, Sweep, Version,
    },
};
use tokio::{sync::Mutex, task::yield_now};

/// The example store of the documentation, except that a touch makes a new version.
#[derive(Default)]
pub(crate) struct MapStore(std::sync::Mutex<HashMap<RecordKey, Record>>);

type Records<'a> = std::sync::MutexGuard<'a, HashMap<RecordKey, Record>>;

impl MapStore {
    fn records(&self) -> Records<'_> {
        let mut records = self.0.lock().unwrap();
        records.retain(|_, record| !record.is_expired());
        records
    }

    /// The records, if the one under `key` has the expected version.
    fn expect(&self, key: &RecordKey, expected: Version) -> Result<Records<'_>, StoreError> {
        let records = self.records();
        match records.get(key) {
            None => Err(StoreError::Gone),
            Some(record) if record.version() == expected => Ok(records),
            Some(_) => Err(StoreError::Conflict),
        }
    }
}

impl Store for MapStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        Ok(self.records().get(key).cloned())
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let records = self.records();
        keys.iter()
            .map(|key| Ok(records.get(key).cloned()))
            .collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let mut records = self.records();
        if records.contains_key(key) {
            return Err(StoreError::Exists);
        }
        let version = Version::random()?;
        records.insert(
            *key,
            Record::new(data, version, expiry.checked_at(Clock::system().now())?),
        );
        Ok(version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let mut records = self.expect(key, expected)?;
        let version = Version::random()?;
        records.insert(
            *key,
            Record::new(data, version, expiry.checked_at(Clock::system().now())?),
        );
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let mut records = self.expect(key, expected)?;
        let version = Version::random()?;
        if let Some(record) = records.get_mut(key) {
            *record = Record::new(
                record.clone().into_data(),
                version,
                expiry.checked_at(Clock::system().now())?,
            );
        }
        Ok(version)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        match expected.map(|version| self.expect(key, version)) {
            None => drop(self.records().remove(key)),
            Some(Ok(mut records)) => drop(records.remove(key)),
            Some(Err(StoreError::Gone)) => {}
            Some(Err(error)) => return Err(error),
        }
        Ok(())
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::new();
        for (key, expected) in records {
            results.push(self.delete(key, *expected).await);
        }
        results
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: true,
            ..Limits::default()
        }
    }
}

/// A memory store that waits before the question and before the answer, like one on a network.
pub(crate) struct Remote(MemoryStore);

impl Remote {
    pub(crate) fn new(records: MemoryStore) -> Self {
        Self(records)
    }
}

impl Store for Remote {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        yield_now().await;
        let answer = self.0.load(key, read).await;
        yield_now().await;
        answer
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        yield_now().await;
        let answer = self.0.load_many(keys, read).await;
        yield_now().await;
        answer
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        let answer = self.0.create(key, data, expiry).await;
        yield_now().await;
        answer
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        let answer = self.0.update(key, expected, data, expiry).await;
        yield_now().await;
        answer
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        let answer = self.0.touch(key, expected, expiry).await;
        yield_now().await;
        answer
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        yield_now().await;
        let answer = self.0.delete(key, expected).await;
        yield_now().await;
        answer
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        yield_now().await;
        let answer = self.0.delete_many(records).await;
        yield_now().await;
        answer
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: false,
            ..self.0.limits()
        }
    }
}

/// A memory store whose clock advances by ten minutes before each call, as if the process were
/// stopped for that time.
pub(crate) struct Stopped {
    records: MemoryStore,
    clock: Clock,
    /// The clock stops at this time, since some rules call until something happens.
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

    pub(crate) async fn sweep(&self) {
        self.pause();
        self.records.sweep().await;
    }
}

impl Store for Stopped {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.pause();
        self.records.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.pause();
        self.records.load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.pause();
        self.records.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.pause();
        self.records.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.pause();
        self.records.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.pause();
        self.records.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.pause();
        self.records.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.records.limits()
    }
}

/// A store that holds a lock while it waits. That is allowed, as the lock hides the records.
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
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let records = self.records.lock().await;
        self.pause().await;
        records.load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let records = self.records.lock().await;
        self.pause().await;
        records.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let locked = self.records.lock().await;
        self.pause().await;
        locked.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// A half-finished migration: the records are spread over both stores, and the two servers are one
/// step apart.
pub(crate) struct HalfMigrated {
    prepared: MigratingStore<MemoryStore, MemoryStore>,
    moving: MigratingStore<MemoryStore, MemoryStore>,
}

impl HalfMigrated {
    pub(crate) fn new(clock: &Clock) -> Self {
        let [from, to] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
        let prepared = MigratingStore::prepared(from.clone(), to.clone());
        Self {
            prepared: prepared.clock(clock.clone()),
            moving: MigratingStore::new(from, to).clock(clock.clone()),
        }
    }

    /// The server that creates the record of this key.
    fn of(&self, key: &RecordKey) -> &MigratingStore<MemoryStore, MemoryStore> {
        match key.as_bytes() {
            [first, ..] if *first < 0x80 => &self.prepared,
            _ => &self.moving,
        }
    }
}

impl Store for HalfMigrated {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.moving.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.prepared.load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.of(key).create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.moving.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.prepared.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.moving.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.prepared.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.moving.limits()
    }
}
