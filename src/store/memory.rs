//! Sessions in this process's memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Bytes, Record, RecordKey, Store, StoreError, Version};
use crate::clock::{Clock, Timestamp};

/// Keeps sessions in memory: fast, bounded, and gone when the process ends.
///
/// Clones share the sessions. Expired ones are removed in passing when new ones are made, at most once a
/// minute. The store takes 256 MiB unless [`max_bytes`](Self::max_bytes) says otherwise; when that is full,
/// the sessions closest to their end make room.
///
/// ```
/// use silverback::{Keys, SessionConfig, SessionLayer, store::MemoryStore};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let store = MemoryStore::new().max_bytes(64 << 20);
/// let layer = SessionLayer::new(SessionConfig::new("cart", store.clone(), Keys::generate()?));
/// assert!(store.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shards: Arc<[Mutex<Shard>; SHARDS]>,
    max_bytes: usize,
    clock: Clock,
}

#[derive(Default)]
struct Shard {
    records: HashMap<RecordKey, Record>,
    bytes: usize,
    next_sweep: Timestamp,
}

const SHARDS: usize = 64;
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// What a session takes besides its bytes: its entry, spare room in the table, the allocator's share.
const OVERHEAD: usize = 160;

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: Arc::new(std::array::from_fn(|_| Mutex::default())),
            max_bytes: 256 << 20,
            clock: Clock::system(),
        }
    }

    /// Bounds the memory the store takes, about 160 bytes per session included.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Tells the time by another clock.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Counts the sessions, expired ones that were not removed yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).records.len()).sum()
    }

    /// Says whether there is no session at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every expired session now; one shard at a time is locked meanwhile.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.shards.iter().for_each(|shard| lock(shard).sweep(now));
    }

    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.as_bytes();
        let shard = self.shards.get(usize::from(*first) % SHARDS).expect("a number modulo SHARDS is below SHARDS");
        lock(shard)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// The record, if it is alive and has the expected version.
    fn expect(&mut self, key: &RecordKey, expected: Version, now: Timestamp) -> Result<&mut Record, StoreError> {
        let record = self.records.get_mut(key).filter(|record| record.expires > now).ok_or(StoreError::Gone)?;
        if record.version == expected { Ok(record) } else { Err(StoreError::Conflict) }
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Some(record) = self.records.remove(key) {
            self.bytes -= record.data.len() + OVERHEAD;
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.records.retain(|_, record| record.expires > now);
        self.bytes = self.records.values().map(|record| record.data.len() + OVERHEAD).sum();
        self.next_sweep = now.saturating_add(SWEEP_INTERVAL);
    }

    /// Brings the shard under its limit, and a sixteenth below, so that it is not done for each new session.
    /// The record that the room is for stays.
    fn make_room(&mut self, spare: &RecordKey, limit: usize, now: Timestamp) {
        if now >= self.next_sweep || self.bytes > limit {
            self.sweep(now);
        }
        if self.bytes > limit {
            let others = self.records.iter().filter(|(key, _)| *key != spare);
            let mut ends: Vec<_> = others.map(|(key, record)| (record.expires, *key)).collect();
            ends.sort_unstable();
            for (_, key) in ends {
                if self.bytes <= limit - limit / 16 {
                    break;
                }
                self.remove(&key);
            }
        }
    }
}

impl Store for MemoryStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let now = self.clock.now();
        Ok(self.shard(key).records.get(key).filter(|record| record.expires > now).cloned())
    }

    async fn create(&self, key: &RecordKey, data: Bytes, expires: Timestamp) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let (size, limit) = (data.len() + OVERHEAD, self.max_bytes / SHARDS);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        let mut shard = self.shard(key);
        if shard.records.get(key).is_some_and(|record| record.expires > now) {
            return Err(StoreError::Exists);
        }
        shard.remove(key);
        shard.make_room(key, limit - size, now);
        shard.bytes += size;
        shard.records.insert(*key, Record::new(data, Version::FIRST, expires));
        Ok(Version::FIRST)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let (size, limit) = (data.len() + OVERHEAD, self.max_bytes / SHARDS);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        let mut shard = self.shard(key);
        let record = shard.expect(key, expected, now)?;
        let grown = data.len().saturating_sub(record.data.len());
        let shrunk = record.data.len().saturating_sub(data.len());
        *record = Record::new(data, expected.next(), expires);
        shard.bytes = shard.bytes + grown - shrunk;
        if shard.bytes > limit {
            shard.make_room(key, limit, now);
        }
        Ok(expected.next())
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.shard(key).remove(key);
        Ok(())
    }

    async fn touch(&self, key: &RecordKey, expected: Version, expires: Timestamp) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.shard(key).expect(key, expected, now)?.expires = expires;
        Ok(())
    }

    fn never_waits(&self) -> bool {
        true
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.len()).field("max_bytes", &self.max_bytes).finish()
    }
}
