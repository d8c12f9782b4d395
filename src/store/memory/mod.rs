//! Sessions in this process's memory.

mod data;
mod shard;
mod table;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use self::{
    shard::{Class, OVERHEAD, Removed, STEP, Shard},
    table::Entry,
};
use super::{
    Browse, Bytes, Cursor, Expiry, Limits, Listed, Page, Read, Record, RecordKey, Store,
    StoreError, Sweep, Swept, Version, browse::foreign_cursor,
};
use crate::{
    clock::{Clock, Timestamp},
    report::metrics,
    trace,
};

/// Keeps sessions in memory: fast, bounded, and gone when the process ends.
///
/// Clones share the records. Expired records are removed in passing, a few for each new record. The
/// store takes 256 MiB by default; [`max_bytes`](Self::max_bytes) changes that. It never waits, so
/// its sessions need no [`load`](crate::Session::load).
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
/// 1. expired ones,
/// 2. sessions that nobody came back to: their record was not loaded, updated or touched since it
///    was made,
/// 3. other sessions,
/// 4. subjects' lists of sessions,
/// 5. ends of sessions in a cookie.
///
/// After one of the last two, sessions in a cookie that were made before such an end was set, or
/// before all sessions of such a list were ended, are refused: see [`Limits::forgotten_until`].
/// Give the store enough room, and watch [`Evicted::rosters`] and [`Evicted::ends`].
///
/// Of a few hundred records of a kind, the sixteenth that is closest to its end goes first; of
/// ends, the one that was set first. What a renewed or destroyed session leaves for a minute makes
/// no room: if there is nothing else, writes are [`StoreError::Refused`].
/// [`evicted`](Self::evicted) counts what made room. The first session that was in use, and each
/// thousandth, is a warning in the log (with the feature `tracing`).
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    max_bytes: usize,
    clock: Clock,
}

struct Shared {
    shards: [Apart<Mutex<Shard>>; SHARDS],
    evicted: [AtomicU64; 4],
    /// In seconds; 0 before anything is forgotten.
    forgotten_until: AtomicU64,
    sweep: Mutex<Position>,
}

/// In lines of a processor's caches that it shares with nothing else, and in pairs of them as
/// processors fetch them: a thread at one shard takes no line from a thread at another.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// Where a sweep is. A shard has its next turn when all others have had theirs: a thread that waits
/// for it gets it first.
#[derive(Clone, Copy, Default)]
struct Position {
    /// The slot at which all shards have their turn.
    start: usize,
    shard: usize,
    /// How many of the turn's slots were looked at.
    done: usize,
    /// Some shard has slots beyond the turn.
    goes_on: bool,
}

const SHARDS: usize = 64;

/// What made room in a full [`MemoryStore`] before its end, since the store was made.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Evicted {
    /// Sessions that nobody came back to.
    pub unused_sessions: u64,
    /// Sessions that were in use. A store that evicts them is too small.
    pub sessions: u64,
    /// Subjects' lists of sessions.
    pub rosters: u64,
    /// Ends of sessions in a cookie.
    pub ends: u64,
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
            shared: Arc::new(Shared {
                shards: std::array::from_fn(|_| Apart::default()),
                evicted: std::array::from_fn(|_| AtomicU64::default()),
                forgotten_until: AtomicU64::default(),
                sweep: Mutex::default(),
            }),
            max_bytes: 256 << 20,
            clock: Clock::system(),
        }
    }

    /// Bounds the memory that the store takes, including about 96 bytes for each record. The
    /// default is 256 MiB. One record takes a 64th of it at most.
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

    /// Uses another clock, for tests: the layer's.
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
    /// cookie. Expired records that are not removed yet count. The mark that a renewed or destroyed
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

    /// Says whether [`len`](Self::len) is 0.
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

    /// Returns what made room before its end.
    ///
    /// ```
    /// use silverback::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// assert_eq!(store.evicted().sessions, 0);
    /// ```
    #[must_use]
    pub fn evicted(&self) -> Evicted {
        let [unused_sessions, sessions, rosters, ends] = self
            .shared
            .evicted
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        Evicted {
            unused_sessions,
            sessions,
            rosters,
            ends,
        }
    }

    /// Looks at so many slots at most, from a position on, which it moves.
    fn sweep_from(&self, position: &mut Position, limit: usize) -> Swept {
        let now = self.clock.now();
        let (mut swept, mut left) = (Swept::default(), limit.max(1));
        let mut removed = Vec::new();
        while left > 0 {
            let Some(shard) = self.shared.shards.get(position.shard) else {
                if !position.goes_on {
                    *position = Position::default();
                    return swept.finished();
                }
                *position = Position {
                    start: position.start + STEP,
                    ..Position::default()
                };
                continue;
            };
            let count = left.min(STEP - position.done);
            let start = position.start + position.done;
            let mut shard = shard.lock();
            let (slots, examined) = (shard.slots(), shard.taken(start..start + count));
            let is_done = shard.sweep(start..start + count, now, &mut removed);
            drop(shard);
            swept.add(Swept::new(examined, removed.len() as u64));
            // Freeing so much at once may take the allocator long.
            removed.clear();
            position.done += count;
            left -= count.min(slots.saturating_sub(start));
            if is_done || position.done == STEP {
                position.goes_on |= !is_done;
                position.shard += 1;
                position.done = 0;
            }
        }
        swept
    }

    /// Lists so many records at most of a shard, from a slot on, and says where to go on in it.
    fn browse_shard(
        shard: &Apart<Mutex<Shard>>,
        slot: usize,
        limit: usize,
        entries: &mut Vec<Listed>,
    ) -> Option<usize> {
        let shard = shard.lock();
        let end = slot + limit.min(STEP);
        entries.extend(shard.entries(slot..end).map(|entry| {
            let (head, size) = (entry.data.head(), entry.data.len());
            Listed::new(entry.key, head, entry.expires(), size)
        }));
        (end < shard.slots()).then_some(end)
    }

    /// What the record counts for, and what its shard takes.
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

    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.as_bytes();
        let shard = self.shared.shards.get(usize::from(*first) % SHARDS);
        shard
            .expect("a number modulo SHARDS is below SHARDS")
            .lock()
    }

    /// Makes some room; the lock is free again when what was in the way is dropped and told.
    fn make_room(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        room: &mut Room,
    ) -> Result<(), StoreError> {
        let mut removed = Removed::default();
        let found = shard.make_room(room.spare, room.now, &mut removed);
        room.in_vain = if found { 0 } else { room.in_vain + 1 };
        if room.in_vain > shard.steps() {
            if let Some(slot) = room.spare {
                shard.keep(slot);
            }
            return Err(StoreError::refused(
                "it is full: raise `MemoryStore::max_bytes`",
            ));
        }
        drop(shard);
        self.note(&removed);
        Ok(())
    }

    /// Counts what made room, and raises the time up to which ends are forgotten.
    fn note(&self, removed: &Removed) {
        let classes = [Class::Unused, Class::Session, Class::Roster, Class::End];
        for (count, class) in self.shared.evicted.iter().zip(classes) {
            let more = removed.of(class);
            if more == 0 {
                continue;
            }
            metrics::evicted(class.name(), more);
            let before = count.fetch_add(more, Ordering::Relaxed);
            let is_worth_a_line = before == 0 || before / TOLD != (before + more) / TOLD;
            if is_worth_a_line && class != Class::Unused {
                trace::evicted(class.name(), before + more);
            }
        }
        if let Some(until) = removed.forgotten {
            self.shared
                .forgotten_until
                .fetch_max(until.as_secs().max(1), Ordering::Relaxed);
        }
    }
}

/// After so many more a store says again that it has evicted what was in use.
const TOLD: u64 = 1_000;

/// Who needs room, and how often there was none to be made.
struct Room {
    now: Timestamp,
    spare: Option<usize>,
    in_vain: usize,
}

impl Apart<Mutex<Shard>> {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let now = self.clock.now();
        Ok(self.shard(key).load(key, now).map(Entry::record))
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
        let mut entry = Entry::new(*key, data.into(), expires);
        let mut room = Room {
            now,
            spare: None,
            in_vain: 0,
        };
        loop {
            // Dropped after the lock.
            let mut removed = Vec::new();
            let mut shard = self.shard(key);
            if shard.find(key, now).is_some() {
                return Err(StoreError::Exists);
            }
            removed.extend(shard.remove(key));
            if shard.bytes() + size > limit {
                self.make_room(shard, &mut room)?;
                continue;
            }
            shard.sweep_in_passing(now, &mut removed);
            entry.set_version(shard.next_version());
            let version = entry.version();
            shard.insert(entry);
            return Ok(version);
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
        let mut room = Room {
            now,
            spare: None,
            in_vain: 0,
        };
        loop {
            let mut shard = self.shard(key);
            let found = shard.expect(key, expected, now)?;
            if found.bytes_with(size) > limit {
                room.spare = Some(found.slot());
                self.make_room(shard, &mut room)?;
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
        let mut shard = self.shard(key);
        shard.expect(key, expected, now)?.touch(expires);
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut shard = self.shard(key);
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
        let forgotten = self.shared.forgotten_until.load(Ordering::Relaxed);
        Limits {
            record_bytes: (self.max_bytes / SHARDS).saturating_sub(OVERHEAD),
            never_waits: true,
            may_forget: false,
            may_repeat: false,
            forgotten_until: (forgotten > 0).then(|| Timestamp::from_secs(forgotten)),
        }
    }
}

/// A page comes by so many slots of the store as it may have records, or a few hundred more.
impl Browse for MemoryStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let (mut shard, mut slot) = place_of(from)?;
        let (mut entries, limit) = (Vec::new(), limit.max(1));
        while let Some(current) = self.shared.shards.get(shard) {
            if entries.len() == limit {
                return Ok(Page::new(entries, Some(cursor_at(shard, slot))));
            }
            let left = limit - entries.len();
            match Self::browse_shard(current, slot, left, &mut entries) {
                Some(next) => slot = next,
                None => (shard, slot) = (shard + 1, 0),
            }
        }
        Ok(Page::new(entries, None))
    }
}

fn cursor_at(shard: usize, slot: usize) -> Cursor {
    let place = [shard as u64, slot as u64];
    Cursor::new(place.map(u64::to_be_bytes).concat())
}

fn place_of(cursor: &Cursor) -> Result<(usize, usize), StoreError> {
    let number = |bytes: &[u8; 8]| usize::try_from(u64::from_be_bytes(*bytes)).ok();
    let place = match cursor.as_bytes().as_chunks() {
        ([], []) => return Ok((0, 0)),
        ([shard, slot], []) => number(shard).zip(number(slot)),
        _ => None,
    };
    let is_place = |(_, slot): &(usize, usize)| *slot < usize::MAX - STEP;
    place.filter(is_place).ok_or_else(foreign_cursor)
}

/// Nobody waits for more than a step of some hundred records. Clones take turns in the steps.
impl Sweep for MemoryStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let lock = || self.shared.sweep.lock();
        let mut position = *lock().unwrap_or_else(PoisonError::into_inner);
        let swept = self.sweep_from(&mut position, limit);
        *lock().unwrap_or_else(PoisonError::into_inner) = position;
        swept
    }

    async fn sweep(&self) -> Swept {
        self.sweep_from(&mut Position::default(), usize::MAX)
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
