//! A cache in front of any store of [silverback](https://docs.rs/silverback) sessions. Pages that
//! only read a session get it from this process's memory. You choose how stale it may be.
//!
//! ```
//! use std::time::Duration;
//! use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
//! use silverback_cached::CachedStore;
//!
//! # fn main() -> Result<(), silverback::KeyError> {
//! # let redis = MemoryStore::new();
//! let store = CachedStore::new(redis, Duration::from_millis(500));
//! let account = SessionConfig::new("account", store, Keys::generate()?).recent_reads();
//! let layer = SessionLayer::new(account);
//! # Ok(())
//! # }
//! ```
//!
//! **It needs [`recent_reads`](silverback::SessionConfig::recent_reads).** Without that setting
//! every read of a session asks the store, and the cache has no effect.
//!
//! # What may be old, and for how long
//!
//! With `recent_reads`, a GET or HEAD request may see its session as it was up to the cache's
//! *staleness* ago: it can miss a write of another server, show a flash message again, or show
//! itself to somebody who has just logged out on another server. The bound counts from before the
//! store was asked, so it holds whatever the network does.
//!
//! | A request | Sees |
//! |---|---|
//! | GET or HEAD, on the server that last wrote the session | that write |
//! | GET or HEAD, on another server | the store's state of at most the staleness ago |
//! | of any other method; a list of logins, a logout, a save | the store's current state |
//! | whose session is not in the cache | the store's current state: the absence of a session is never cached |
//!
//! So no change is lost: a save after an old read conflicts in the store, and its changes are
//! applied to the newer session. A session that ends on any server is over at once for every write,
//! and for pages once the staleness has passed.
//!
//! # What it costs
//!
//! At most [`max_bytes`](CachedStore::max_bytes) of memory, 32 MiB by default. The least recently
//! used sessions are evicted. The cache holds sessions as the store does:
//! [encrypted](silverback::SessionConfig::encrypt_records) ones stay encrypted.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};
use silverback::{
    Clock,
    store::{
        Browse, Bytes, Cursor, Expiry, Limits, Page, Read, Record, RecordKey, Store, StoreError,
        Sweep, Swept, Version,
    },
};
use tokio::time::Instant;

/// A store behind a cache. See the [crate's docs](crate).
///
/// Clones of an `Arc` share the cache. Two caches that you make separately behave like two servers.
pub struct CachedStore<S> {
    store: S,
    staleness: Duration,
    clock: Clock,
    records: Cache<RecordKey, CacheEntry, Bytewise>,
    /// Counts the begun and ended writes of this process, for the keys that share a counter. Its
    /// lock is held while one of these keys is put into the cache.
    writes: [Mutex<u64>; COUNTERS],
}

const COUNTERS: usize = 64;

const MAX_BYTES: u64 = 32 << 20;

/// The most that an entry takes besides its data: the key, the record, and the cache's tables,
/// which double when they grow.
const OVERHEAD: u64 = 384;

/// The expected size of an entry, to estimate how many there will be. The cache also remembers as
/// many evicted keys as half of that.
const LIKELY_SIZE: u64 = 4_096;

#[derive(Clone)]
struct CacheEntry {
    record: Record,
    /// A time from before the store was asked.
    read: Instant,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<RecordKey, CacheEntry> for Bytewise {
    fn weight(&self, _: &RecordKey, kept: &CacheEntry) -> u64 {
        OVERHEAD + kept.record.data().len() as u64
    }
}

impl<S: Store> CachedStore<S> {
    /// Puts a cache in front of `store`, whose records are at most `staleness` old. With a
    /// staleness of zero it caches nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::MemoryStore;
    /// # use silverback_cached::CachedStore;
    /// let store = CachedStore::new(MemoryStore::new(), Duration::from_millis(500));
    /// ```
    #[must_use]
    pub fn new(store: S, staleness: Duration) -> Self {
        Self {
            store,
            staleness,
            clock: Clock::system(),
            records: cache(MAX_BYTES),
            writes: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Bounds the memory that records take. The default is 32 MiB.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::MemoryStore;
    /// # use silverback_cached::CachedStore;
    /// let small = CachedStore::new(MemoryStore::new(), Duration::from_secs(1)).max_bytes(1 << 20);
    /// ```
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self {
            records: cache(bytes),
            ..self
        }
    }

    /// Sets the clock that decides which records have expired, for tests. Their age in the cache is
    /// measured by tokio's clock.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Clock, MemoryStore, Timestamp};
    /// # use silverback_cached::CachedStore;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let inner = MemoryStore::new().clock(clock.clone());
    /// let store = CachedStore::new(inner, Duration::from_secs(1)).clock(clock);
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns how many bytes of memory the records in the cache take at most, for a metric.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::MemoryStore;
    /// # use silverback_cached::CachedStore;
    /// let store = CachedStore::new(MemoryStore::new(), Duration::from_secs(1));
    /// assert_eq!(store.bytes(), 0);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.records.weight()
    }

    /// Returns the store behind the cache.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::MemoryStore;
    /// # use silverback_cached::CachedStore;
    /// let store = CachedStore::new(MemoryStore::new(), Duration::from_secs(1));
    /// assert!(store.get_ref().is_empty());
    /// ```
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.store
    }

    fn recent(&self, key: &RecordKey) -> Option<Record> {
        let kept = self.records.get(key)?;
        let is_over = kept.record.is_expired_at(self.clock.now());
        (kept.read.elapsed() < self.staleness && !is_over).then_some(kept.record)
    }

    /// Notes the time of a question and the writes so far, to detect writes that come meanwhile.
    fn ask(&self, key: &RecordKey) -> Question {
        Question {
            writes: *self.writes_of(key),
            at: Instant::now(),
        }
    }

    /// Caches the store's answer, unless this process has written the record since the question.
    fn keep(&self, key: &RecordKey, asked: &Question, loaded: &Result<Option<Record>, StoreError>) {
        let Ok(Some(record)) = loaded else {
            self.records.remove(key);
            return;
        };
        if self.staleness.is_zero() {
            return;
        }
        let kept = CacheEntry {
            record: record.clone(),
            read: asked.at,
        };
        let writes = self.writes_of(key);
        if *writes == asked.writes {
            self.records.insert(*key, kept);
        }
    }

    /// Forgets the record that is written, now and when the write ends, also if it is dropped.
    fn write(&self, key: &RecordKey) -> Write<'_, S> {
        self.forget(key);
        Write {
            cached: self,
            key: *key,
        }
    }

    fn forget(&self, key: &RecordKey) {
        let mut writes = self.writes_of(key);
        *writes += 1;
        self.records.remove(key);
    }

    fn writes_of(&self, key: &RecordKey) -> MutexGuard<'_, u64> {
        let [first, ..] = key.as_bytes();
        let [some, ..] = &self.writes;
        let counter = self.writes.get(usize::from(*first) % COUNTERS);
        let locked = counter.unwrap_or(some).lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

struct Question {
    writes: u64,
    at: Instant,
}

/// A write under way.
struct Write<'a, S: Store> {
    cached: &'a CachedStore<S>,
    key: RecordKey,
}

impl<S: Store> Drop for Write<'_, S> {
    fn drop(&mut self) {
        self.cached.forget(&self.key);
    }
}

fn cache(bytes: u64) -> Cache<RecordKey, CacheEntry, Bytewise> {
    let items = usize::try_from(bytes / LIKELY_SIZE).unwrap_or(usize::MAX);
    Cache::with_weighter(items, bytes, Bytewise)
}

impl<S: Store> Store for CachedStore<S> {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        if read == Read::Recent
            && let Some(record) = self.recent(key)
        {
            return Ok(Some(record));
        }
        let asked = self.ask(key);
        let loaded = self.store.load(key, Read::Current).await;
        self.keep(key, &asked, &loaded);
        loaded
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let recent = |key| match read {
            Read::Recent => self.recent(key),
            Read::Current => None,
        };
        let found: Vec<_> = keys.iter().map(recent).collect();
        let missing = keys.iter().zip(&found);
        let missing: Vec<_> = missing
            .filter(|(_, found)| found.is_none())
            .map(|(key, _)| *key)
            .collect();
        if missing.is_empty() {
            return found.into_iter().map(Ok).collect();
        }
        let asked: Vec<_> = missing.iter().map(|key| self.ask(key)).collect();
        let loaded = self.store.load_many(&missing, Read::Current).await;
        for ((key, asked), loaded) in missing.iter().zip(&asked).zip(&loaded) {
            self.keep(key, asked, loaded);
        }
        let mut loaded = loaded.into_iter();
        let mut answer = |found: Option<Record>| match found {
            Some(record) => Ok(Some(record)),
            None => loaded
                .next()
                .unwrap_or_else(|| Err(StoreError::unavailable("the store left an answer out"))),
        };
        found.into_iter().map(&mut answer).collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let _write = self.write(key);
        self.store.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let _write = self.write(key);
        self.store.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let _write = self.write(key);
        self.store.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let _write = self.write(key);
        self.store.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let _writes: Vec<_> = records.iter().map(|(key, _)| self.write(key)).collect();
        self.store.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }
}

/// Lists what the store has.
impl<S: Browse> Browse for CachedStore<S> {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        self.store.browse(from, limit).await
    }
}

/// Sweeps the store. The cache does not return expired records either.
impl<S: Sweep> Sweep for CachedStore<S> {
    async fn sweep_some(&self, limit: usize) -> Swept {
        self.store.sweep_some(limit).await
    }

    async fn sweep(&self) -> Swept {
        self.store.sweep().await
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("staleness", &self.staleness)
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

/// The programs of the README are built.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
