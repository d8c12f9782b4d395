//! Sessions in this process's memory.

mod browse;
mod census;
mod data;
mod eviction;
mod shard;
mod shards;
mod sweep;
mod table;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

pub use self::eviction::Evicted;
use self::{
    data::Data,
    eviction::{Evictions, Room},
    shard::OVERHEAD,
    shards::{SHARDS, Shards},
    sweep::Position,
    table::Entry,
};
use super::{
    Browse, Bytes, Cursor, Expiry, Limits, Page, Read, Record, RecordKey, Store, StoreError, Sweep,
    Swept, Version,
};
use crate::clock::Clock;

/// Keeps sessions in memory: fast, bounded, and gone when the process ends.
///
/// Clones share the records. Expired records are removed in passing, a few for each new record. The
/// store takes 256 MiB by default; [`max_bytes`](Self::max_bytes) changes that. It never waits, so
/// its sessions need no [`load`](crate::Session::load).
///
/// A removed record leaves its place to the next one. After a peak, the store gives back all but
/// less than a hundred bytes per record.
///
/// A restart logs everybody out. As the store of [`revocation`](crate::CookieStore::revocation) it
/// also forgets which sessions in a cookie have ended: copies of their cookies are valid again
/// until their timeouts. Several processes need a store that they share.
///
/// ```
/// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
///
/// let store = MemoryStore::new().max_bytes(64 << 20);
/// let layer = SessionLayer::new(SessionConfig::new("cart", store.clone(), Keys::generate()?));
/// assert!(store.is_empty());
/// # Ok::<(), silverback::KeyError>(())
/// ```
///
/// # When it is full
///
/// When the store is full, it evicts records in this order, so that a flood of one-time visitors
/// logs nobody out:
///
/// 1. expired records,
/// 2. sessions that nobody came back to: their record was not loaded, updated or touched since it
///    was created,
/// 3. other sessions,
/// 4. subjects' lists of sessions,
/// 5. ends of sessions in a cookie.
///
/// Evicting one of the last two has a price: a session in a cookie is refused if it was created
/// before that end was set, or before all sessions of that list were ended. See
/// [`Limits::forgotten_until`]. Give the store enough room, and watch [`Evicted::rosters`] and
/// [`Evicted::ends`].
///
/// Of each kind, the store looks at a few hundred records at a time and evicts the sixteenth that
/// is closest to expiry. Ends go in the order they were set. The mark that a renewed or destroyed
/// session leaves for a minute is never evicted: if only marks are left, writes are
/// [`StoreError::Refused`].
///
/// [`evicted`](Self::evicted) counts the evicted records. For sessions in use, lists and ends, the
/// first eviction and every thousandth after it is a warning in the log (with the feature
/// `tracing`).
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    max_bytes: usize,
    clock: Clock,
}

/// The state that clones share.
#[derive(Default)]
struct Shared {
    shards: Shards,
    evictions: Evictions,
    sweep: Mutex<Position>,
}

impl MemoryStore {
    /// Makes an empty store.
    ///
    /// ```
    /// use silverback::{Keys, MemoryStore, SessionConfig};
    ///
    /// let config = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
            max_bytes: 256 << 20,
            clock: Clock::system(),
        }
    }

    /// Bounds the memory that the store takes, including about 96 bytes for each record. The
    /// default is 256 MiB. A record may take a 64th of that at most.
    ///
    /// ```
    /// use silverback::MemoryStore;
    ///
    /// let store = MemoryStore::new().max_bytes(1 << 30); // 1 GiB
    /// ```
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Uses another clock. For tests: give it the layer's.
    ///
    /// ```
    /// use silverback::{Clock, MemoryStore, Timestamp};
    ///
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = MemoryStore::new().clock(clock.clone());
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the number of records: sessions, subjects' lists of them, and ends of sessions in a
    /// cookie. Expired records count until they are removed. The mark that a renewed or destroyed
    /// session leaves for a minute does not.
    ///
    /// ```
    /// use silverback::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// println!("{} sessions at most", store.len());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared
            .shards
            .iter()
            .map(|shard| shard.lock().len())
            .sum()
    }

    /// Returns whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// use silverback::MemoryStore;
    ///
    /// assert!(MemoryStore::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many records were evicted.
    ///
    /// ```
    /// use silverback::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// assert_eq!(store.evicted().sessions, 0);
    /// ```
    #[must_use]
    pub fn evicted(&self) -> Evicted {
        self.shared.evictions.so_far()
    }

    /// Returns the record's size, and the limit of its shard.
    fn check_size(&self, data: &Bytes) -> Result<(usize, usize), StoreError> {
        let (size, limit) = (data.len() + OVERHEAD, self.max_bytes / SHARDS);
        if size > limit {
            let limit = limit.saturating_sub(OVERHEAD);
            Err(StoreError::TooLarge {
                size: data.len(),
                limit,
            })
        } else {
            Ok((size, limit))
        }
    }
}

impl Store for MemoryStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let now = self.clock.now();
        Ok(self.shared.shards.of(key).load(key, now).map(Entry::record))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            results.push(self.load(key, read).await);
        }
        results
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let expires = expiry.checked_at(now)?;
        let (size, limit) = self.check_size(&data)?;
        let data = Data::from(data);
        let mut room = Room::at(now);
        loop {
            // Dropped after the lock.
            let mut removed = Vec::new();
            let mut shard = self.shared.shards.of(key);
            shard.vacate(key, now, &mut removed)?;
            if shard.bytes() + size > limit {
                self.shared.evictions.make_room(shard, &mut room)?;
                continue;
            }
            shard.sweep_in_passing(now, &mut removed);
            return Ok(shard.insert(*key, data, expires));
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        mut data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let expires = expiry.checked_at(now)?;
        let (size, limit) = self.check_size(&data)?;
        let mut room = Room::at(now);
        loop {
            let mut shard = self.shared.shards.of(key);
            let found = shard.expect(key, expected, now)?;
            if found.bytes_with(size) > limit {
                room.spare = Some(found.slot());
                self.shared.evictions.make_room(shard, &mut room)?;
                continue;
            }
            let (version, old) = found.replace(&mut data, expires);
            drop(shard);
            drop((old, data));
            return Ok(version);
        }
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let expires = expiry.checked_at(now)?;
        let mut shard = self.shared.shards.of(key);
        shard.expect(key, expected, now)?.touch(expires);
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut shard = self.shared.shards.of(key);
        if let Some(expected) = expected
            && let Err(StoreError::Conflict) = shard.expect(key, expected, now)
        {
            return Err(StoreError::Conflict);
        }
        let removed = shard.remove(key);
        drop(shard);
        drop(removed);
        Ok(())
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::with_capacity(records.len());
        for (key, expected) in records {
            results.push(self.delete(key, *expected).await);
        }
        results
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: (self.max_bytes / SHARDS).saturating_sub(OVERHEAD),
            never_waits: true,
            may_forget: false,
            may_repeat: false,
            forgotten_until: self.shared.evictions.forgotten_until(),
        }
    }
}

/// A page covers as many slots of the store as it may have records, or a few hundred more.
impl Browse for MemoryStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        browse::page(&self.shared.shards, from, limit)
    }
}

/// The lock is held for a step of some hundred records at most. Clones take turns in the steps.
impl Sweep for MemoryStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let lock = || self.shared.sweep.lock();
        let mut position = *lock().unwrap_or_else(PoisonError::into_inner);
        let swept = position.sweep(&self.shared.shards, self.clock.now(), limit);
        *lock().unwrap_or_else(PoisonError::into_inner) = position;
        swept
    }

    async fn sweep(&self) -> Swept {
        let now = self.clock.now();
        Position::default().sweep(&self.shared.shards, now, usize::MAX)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests;
