//! Sessions in this process's memory.

mod table;

use std::{
    fmt, mem,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::table::{Data, Entry, Table};
use super::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version};
use crate::clock::{Clock, Timestamp};

/// Keeps sessions in memory: fast, bounded, and gone when the process ends.
///
/// Clones share the sessions. Expired ones are removed in passing, a few for each new one that is
/// made. The store takes 256 MiB unless [`max_bytes`](Self::max_bytes) says otherwise; when that is
/// full, sessions make room: of some hundred at a time, the sixteenth that is closest to its end.
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
    table: Table,
    bytes: usize,
    /// Counts writes: no key gets a version twice, as the records die with the count.
    written: u64,
    /// The slots to look at next: for what is over, in passing, and for what makes room.
    passing: usize,
    leaving: usize,
}

const SHARDS: usize = 64;
/// How many sessions are looked at before others get the lock.
const STEP: usize = 512;
/// How many are looked at for a new one: expired ones are never more than a part of those that were
/// made since.
const PASSING: usize = 8;
/// What a session takes besides its bytes: its entry, its share of the table's and the allocator's.
const OVERHEAD: usize = 96;

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

    /// Bounds the memory the store takes, about 96 bytes per session included.
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
        self.shards
            .iter()
            .map(|shard| lock(shard).table.len())
            .sum()
    }

    /// Says whether there is no session at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every expired session now. Nobody waits for more than a step of some hundred
    /// sessions.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let mut removed = Vec::with_capacity(STEP);
        // A shard has its next turn when all others have had theirs: whoever waits for it gets it
        // first.
        for start in (0..).step_by(STEP) {
            let mut is_done = true;
            for shard in self.shards.iter() {
                is_done &= lock(shard).sweep(start..start + STEP, now, &mut removed);
                // Freeing so much at once may take the allocator long.
                removed.clear();
            }
            if is_done {
                break;
            }
        }
    }

    /// What the record counts for, and what its shard takes.
    fn check_size(&self, data: &Bytes) -> Result<(usize, usize), StoreError> {
        let (size, limit) = (data.len() + OVERHEAD, self.max_bytes / SHARDS);
        if size > limit {
            Err(StoreError::TooLarge { size, limit })
        } else {
            Ok((size, limit))
        }
    }

    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.as_bytes();
        let shard = self
            .shards
            .get(usize::from(*first) % SHARDS)
            .expect("a number modulo SHARDS is below SHARDS");
        lock(shard)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn remove(&mut self, key: &RecordKey) -> Option<Entry> {
        let removed = self.table.remove(key)?;
        self.bytes -= size_of_record(&removed.data);
        Some(removed)
    }

    /// Takes out what is over in some slots, and says whether there are no more of them.
    fn sweep(&mut self, slots: Range<usize>, now: Timestamp, removed: &mut Vec<Entry>) -> bool {
        for slot in slots.clone() {
            if let Some(key) = self
                .table
                .at(slot)
                .filter(|entry| entry.expires <= now)
                .map(|entry| entry.key)
            {
                removed.extend(self.remove(&key));
            }
        }
        slots.end >= self.table.slots()
    }

    /// Takes out what is over in the next few slots.
    fn sweep_in_passing(&mut self, now: Timestamp, removed: &mut Vec<Entry>) {
        let start = self.passing;
        let is_done = self.sweep(start..start + PASSING, now, removed);
        self.passing = if is_done { 0 } else { start + PASSING };
    }

    /// Takes out what is over in the next slots, or if there is nothing, the sixteenth that is
    /// closest to its end. The record that the room is for stays.
    fn make_room(&mut self, spare: &RecordKey, now: Timestamp, removed: &mut Vec<Entry>) {
        // Never fewer than a step: of one alone, the closest to its end may have long to live.
        let start = self.leaving.min(self.table.slots().saturating_sub(STEP));
        let slots = start..start + STEP;
        self.leaving = if slots.end < self.table.slots() {
            slots.end
        } else {
            0
        };
        let before = self.bytes;
        self.sweep(slots.clone(), now, removed);
        if self.bytes == before {
            let others = slots
                .filter_map(|slot| self.table.at(slot))
                .filter(|entry| entry.key != *spare);
            let mut ends: Vec<_> = others.map(|entry| (entry.expires, entry.key)).collect();
            ends.sort_unstable();
            ends.truncate(ends.len().div_ceil(16));
            removed.extend(ends.iter().filter_map(|(_, key)| self.remove(key)));
        }
    }
}

/// The entry, if it is alive and has the expected version.
fn expect<'a>(
    table: &'a mut Table,
    key: &RecordKey,
    expected: Version,
    now: Timestamp,
) -> Result<&'a mut Entry, StoreError> {
    let entry = table
        .get_mut(key)
        .filter(|entry| entry.expires > now)
        .ok_or(StoreError::Gone)?;
    if Version::from_u64(entry.version) == expected {
        Ok(entry)
    } else {
        Err(StoreError::Conflict)
    }
}

/// What a session counts for.
fn size_of_record(data: &Data) -> usize {
    data.len() + OVERHEAD
}

impl Store for MemoryStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let now = self.clock.now();
        let shard = self.shard(key);
        let entry = shard.table.get(key).filter(|entry| entry.expires > now);
        Ok(entry.map(Entry::record))
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
        let (size, limit) = self.check_size(&data)?;
        let mut entry = Entry {
            key: *key,
            data: data.into(),
            version: 0,
            expires: expiry.at,
        };
        loop {
            // Dropped after the lock.
            let mut removed = Vec::new();
            let mut shard = self.shard(key);
            if shard
                .table
                .get(key)
                .is_some_and(|entry| entry.expires > now)
            {
                return Err(StoreError::Exists);
            }
            removed.extend(shard.remove(key));
            if shard.bytes + size > limit {
                shard.make_room(key, now, &mut removed);
                continue;
            }
            shard.sweep_in_passing(now, &mut removed);
            shard.bytes += size;
            shard.written += 1;
            entry.version = shard.written;
            let version = Version::from_u64(entry.version);
            shard.table.insert(entry);
            return Ok(version);
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let (size, limit) = self.check_size(&data)?;
        let mut data = Data::from(data);
        loop {
            // Dropped after the lock, as the old data is.
            let mut removed = Vec::new();
            let mut shard = self.shard(key);
            let Shard {
                table,
                bytes,
                written,
                ..
            } = &mut *shard;
            let entry = expect(table, key, expected, now)?;
            let after = *bytes - size_of_record(&entry.data) + size;
            if after > limit {
                shard.make_room(key, now, &mut removed);
                continue;
            }
            *bytes = after;
            *written += 1;
            (entry.version, entry.expires) = (*written, expiry.at);
            mem::swap(&mut entry.data, &mut data);
            return Ok(Version::from_u64(entry.version));
        }
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let now = self.clock.now();
        expect(&mut self.shard(key).table, key, expected, now)?.expires = expiry.at;
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut shard = self.shard(key);
        if let Some(expected) = expected
            && let Err(StoreError::Conflict) = expect(&mut shard.table, key, expected, now)
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
            ..Limits::default()
        }
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
mod tests {
    use super::*;

    const END: Timestamp = Timestamp::from_secs(100);

    fn shard(count: u32) -> Shard {
        let mut shard = Shard::default();
        for number in 0..count {
            let (key, data) = (
                RecordKey::of(&number.to_be_bytes()),
                Data::from(Bytes::from_static(b"data")),
            );
            shard.bytes += size_of_record(&data);
            shard.table.insert(Entry {
                key,
                data,
                version: 1,
                expires: END,
            });
        }
        shard
    }

    /// Nobody has the lock for longer than that takes.
    #[test]
    fn a_sweep_looks_at_no_more_than_a_step() {
        let (mut shard, mut removed) = (shard(10_000), Vec::with_capacity(STEP));
        assert!(!shard.sweep(0..STEP, END, &mut removed));
        assert_eq!(
            (removed.len(), removed.capacity(), shard.table.len()),
            (STEP, STEP, 10_000 - STEP)
        );
        assert!(
            shard.sweep(9_728..9_728 + STEP, END, &mut removed),
            "the last step says so"
        );
    }

    #[test]
    fn making_room_looks_at_no_more_than_a_step() {
        let (mut shard, mut removed) = (shard(10_000), Vec::new());
        let spare = RecordKey::of(b"spare");
        shard.make_room(&spare, Timestamp::from_secs(0), &mut removed);
        assert_eq!(
            removed.len(),
            STEP / 16,
            "the closest of a step, as nothing was over"
        );
        shard.make_room(&spare, END, &mut removed);
        assert_eq!(removed.len(), STEP / 16 + STEP);
    }

    #[test]
    fn the_record_that_the_room_is_for_stays() {
        let (mut shard, mut removed) = (shard(16), Vec::new());
        // All end at the same time, so it would be the first to go.
        let spare = (0..16_u32)
            .map(|number| RecordKey::of(&number.to_be_bytes()))
            .min()
            .unwrap();
        shard.make_room(&spare, Timestamp::from_secs(0), &mut removed);
        assert_eq!(
            (removed.len(), shard.table.get(&spare).is_some()),
            (1, true)
        );
    }

    #[test]
    fn what_is_counted_is_what_is_there() {
        let (mut shard, mut removed) = (shard(1_000), Vec::new());
        shard.make_room(
            &RecordKey::of(b"spare"),
            Timestamp::from_secs(0),
            &mut removed,
        );
        shard.sweep_in_passing(END, &mut removed);
        assert_eq!(shard.bytes, shard.table.len() * (4 + OVERHEAD));
        shard.sweep(0..1_000, END, &mut removed);
        assert_eq!(
            (shard.bytes, shard.table.len(), removed.len()),
            (0, 0, 1_000)
        );
    }
}
