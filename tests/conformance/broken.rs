//! Stores that break one rule each.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use silverback::{
    Clock, Timestamp,
    store::{
        Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
        conformance::{self, Rule, START, Subject, Verdict},
    },
};
use tokio::task::yield_now;

/// The fault of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    UpdateMakes,
    TouchMakes,
    UpdateIgnoresVersions,
    TouchIgnoresVersions,
    CreateOverwrites,
    LoadsExpired,
    UpdatesExpired,
    TouchesExpired,
    ExpiredIsInTheWay,
    EndsLate,
    EndsEarly,
    UpdateKeepsEnd,
    TouchKeepsEnd,
    TouchCutsData,
    LosesLastByte,
    EndsAtNul,
    Text,
    Tears,
    ChecksThenCreates,
    ChecksThenUpdates,
    DeleteMarks,
    DeleteMarksForTouch,
    DeletesNeighbour,
    DeleteNeedsARecord,
    VersionRepeats,
    VersionAlternates,
    VersionIsTold,
    ComparesHalfOfAVersion,
    IgnoresABit,
    LosesCancelledUpdate,
    LosesCancelledTouch,
    HalfDeletes,
    LocksForEver,
    CancelledCreateIsEmpty,
    CancelledLoadConsumes,
    TooLargeDeletes,
    TooLargeCuts,
    OverflowsEnd,
    SweepsLive,
    SweepsUnlooked,
    SweepsByOldEnds,
    JumpLoses,
    SaysItNeverWaits,
    RefusedUpdateMovesEnd,
    UpdateLooksAwayOnce,
    StaleLoads,
    TouchWritesBack,
    DeletesTwice,
    Invents,
    LoadManyTurnsRound,
    LoadManyLeavesOutTwins,
    LoadManyLeavesOutWhatIsNotThere,
    LoadManyShowsTheExpired,
    DeleteManyStopsAtARefusal,
    DeleteManyIgnoresVersions,
    DeleteManyLeavesTheLast,
    CancelledDeleteManyLeavesHalves,
    DeleteIgnoresVersions,
    DeleteAtVersionNeedsARecord,
    DeleteLooksThenRemoves,
    VersionsStartAnew,
    VersionsGoOnUntilSwept,
    TouchReturnsTheOldVersion,
    TouchAlternatesVersions,
    KeepsThatThereIsNone,
    RecentStaysForEver,
    CurrentComesFromACache,
    TakesLessThanItSays,
    TakesMoreThanItSays,
    LimitsVary,
    TakesAnyClock,
}

/// A store that is sound on one thread except for its fault. A method is interrupted only where it
/// waits.
struct Broken {
    fault: Fault,
    clock: Clock,
    records: Mutex<HashMap<RecordKey, Record>>,
    marked: Mutex<HashMap<RecordKey, Record>>,
    locked: Mutex<bool>,
    latest: Mutex<Timestamp>,
    /// The number of writes.
    written: AtomicU64,
    /// The results of `Recent` reads.
    seen: Mutex<HashMap<RecordKey, Option<Record>>>,
    /// The keys of expired records that were replaced.
    over: Mutex<Vec<RecordKey>>,
}

struct Unlock<'a>(&'a Mutex<bool>);

const LIMIT: usize = 3_000;
const TOLD: usize = 20_000;

impl Broken {
    fn new(fault: Fault, clock: Clock) -> Self {
        let latest = Mutex::new(clock.now());
        Self {
            fault,
            clock,
            records: Mutex::default(),
            marked: Mutex::default(),
            locked: Mutex::default(),
            latest,
            written: AtomicU64::new(0),
            seen: Mutex::default(),
            over: Mutex::default(),
        }
    }

    fn told(&self, expiry: Expiry) -> Result<Timestamp, StoreError> {
        match self.fault {
            Fault::TakesAnyClock => Ok(expiry.at),
            _ => expiry.checked_at(self.clock.now()),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, key: &RecordKey) -> RecordKey {
        let mut bytes = *key.as_bytes();
        if self.has(Fault::IgnoresABit) {
            bytes[31] &= 0xfe;
        }
        RecordKey::from_bytes(bytes)
    }

    fn data(&self, data: &Bytes) -> Bytes {
        match self.fault {
            Fault::LosesLastByte if data.len() > 1 => data.slice(..data.len() - 1),
            Fault::EndsAtNul => data
                .split(|byte| *byte == 0)
                .next()
                .map(Bytes::copy_from_slice)
                .unwrap(),
            Fault::Text => Bytes::from(String::from_utf8_lossy(data).into_owned()),
            Fault::TooLargeCuts => data.slice(..data.len().min(LIMIT)),
            _ => data.clone(),
        }
    }

    fn end(&self, end: Timestamp) -> Timestamp {
        if self.has(Fault::OverflowsEnd) {
            Timestamp::from_secs(u64::from(end.as_secs() as u32))
        } else {
            end
        }
    }

    fn is_over(&self, record: &Record) -> bool {
        let (end, now) = (record.expires().as_secs(), self.clock.now().as_secs());
        match self.fault {
            Fault::EndsLate => end < now,
            Fault::EndsEarly => end <= now + 1,
            _ => end <= now,
        }
    }

    fn insert(&self, key: &RecordKey, record: Record) {
        self.records.lock().unwrap().insert(self.key(key), record);
    }

    fn raw(&self, key: &RecordKey) -> Option<Record> {
        self.records.lock().unwrap().get(&self.key(key)).cloned()
    }

    fn alive(&self, key: &RecordKey) -> Option<Record> {
        self.raw(key).filter(|record| !self.is_over(record))
    }

    fn next(&self, version: Version) -> Version {
        match self.fault {
            Fault::VersionRepeats => version,
            Fault::VersionAlternates => Version::from_u64(3 - version.to_u64().unwrap()),
            Fault::VersionsStartAnew | Fault::VersionsGoOnUntilSwept => {
                Version::from_u64(version.to_u64().unwrap() + 1)
            }
            _ => self.fresh(),
        }
    }

    /// A version that no key has had.
    fn fresh(&self) -> Version {
        Version::from_u64(self.written.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn first(&self, key: &RecordKey) -> Version {
        match self.fault {
            Fault::VersionAlternates | Fault::VersionsStartAnew => Version::from_u64(1),
            // A new record continues the versions of an expired one that is not swept yet.
            Fault::VersionsGoOnUntilSwept => {
                let over = self.raw(key).and_then(|over| over.version().to_u64());
                Version::from_u64(over.unwrap_or(0) + 1)
            }
            _ => self.fresh(),
        }
    }

    fn check_size(&self, key: &RecordKey, data: &Bytes) -> Result<(), StoreError> {
        if data.len() <= self.most() {
            return Ok(());
        }
        if self.has(Fault::TooLargeDeletes) {
            self.records.lock().unwrap().remove(key);
        }
        Err(StoreError::TooLarge {
            size: data.len(),
            limit: self.most(),
        })
    }

    fn most(&self) -> usize {
        match self.fault {
            Fault::TooLargeDeletes => LIMIT,
            Fault::TakesLessThanItSays => TOLD - 1,
            Fault::TakesMoreThanItSays => TOLD + 1,
            _ => usize::MAX,
        }
    }

    /// The answer of a cache in front of this store, if there is one.
    fn cached(&self, key: &RecordKey, read: Read) -> Option<Option<Record>> {
        let mut seen = self.seen.lock().unwrap();
        let found = self.alive(key);
        let keeps = match self.fault {
            Fault::KeepsThatThereIsNone => read == Read::Recent && found.is_none(),
            Fault::RecentStaysForEver => read == Read::Recent && found.is_some(),
            Fault::CurrentComesFromACache => true,
            _ => return None,
        };
        let cached = seen.get(key).cloned();
        if keeps && read == Read::Recent {
            seen.entry(*key).or_insert(found);
        }
        cached.filter(|_| read == Read::Recent || self.has(Fault::CurrentComesFromACache))
    }

    fn jump(&self) {
        let (now, mut latest) = (self.clock.now(), self.latest.lock().unwrap());
        if self.has(Fault::JumpLoses) && now.saturating_add(Duration::from_secs(60)) < *latest {
            self.records.lock().unwrap().clear();
        }
        *latest = now;
    }

    /// The record to change, as this store sees it.
    fn current(
        &self,
        key: &RecordKey,
        expected: Version,
        ignores: Fault,
        expired: Fault,
    ) -> Result<Record, StoreError> {
        let found = if self.has(expired) {
            self.raw(key)
        } else {
            self.alive(key)
        };
        let record = found.ok_or(StoreError::Gone)?;
        if self.is_at(&record, expected) || self.has(ignores) {
            Ok(record)
        } else {
            Err(StoreError::Conflict)
        }
    }

    fn is_at(&self, record: &Record, expected: Version) -> bool {
        let from = match self.fault {
            Fault::ComparesHalfOfAVersion => 8,
            _ => 0,
        };
        record.version().as_bytes()[from..] == expected.as_bytes()[from..]
    }

    async fn enter(&self) -> Option<Unlock<'_>> {
        self.jump();
        if !self.has(Fault::LocksForEver) {
            return None;
        }
        for _ in 0..100 {
            if !std::mem::replace(&mut *self.locked.lock().unwrap(), true) {
                return Some(Unlock(&self.locked));
            }
            yield_now().await;
        }
        None
    }

    /// A call that was cancelled before this has left the lock behind.
    fn leave(&self, lock: Option<Unlock<'_>>) -> Result<(), StoreError> {
        match (lock, self.has(Fault::LocksForEver)) {
            (None, true) => Err(StoreError::unavailable("the lock is taken")),
            (lock, _) => {
                lock.into_iter()
                    .for_each(|Unlock(locked)| *locked.lock().unwrap() = false);
                Ok(())
            }
        }
    }

    fn sweep(&self) {
        let mut records = self.records.lock().unwrap();
        let now = self.clock.now().as_secs();
        match self.fault {
            Fault::SweepsLive => records.retain(|_, record| record.expires().as_secs() > now + 5),
            _ => records.retain(|_, record| !self.is_over(record)),
        }
    }

    /// Removes expired records in passing, a hundred at a time, without checking which records have
    /// their keys by then.
    fn sweep_in_passing(&self, key: &RecordKey) {
        let mut over = self.over.lock().unwrap();
        over.extend(self.raw(key).map(|_| *key));
        if self.has(Fault::SweepsByOldEnds) && over.len() >= 100 {
            let mut records = self.records.lock().unwrap();
            over.drain(..).for_each(|key| drop(records.remove(&key)));
        }
    }

    async fn sweep_slowly(&self) {
        if !self.has(Fault::SweepsUnlooked) {
            return self.sweep();
        }
        let ends: Vec<_> = self
            .records
            .lock()
            .unwrap()
            .iter()
            .map(|(key, it)| (*key, it.expires()))
            .collect();
        for _ in 0..4 {
            yield_now().await;
        }
        let mut records = self.records.lock().unwrap();
        ends.iter()
            .filter(|(_, end)| *end <= self.clock.now())
            .for_each(|(key, _)| drop(records.remove(key)));
    }
}

impl Store for Broken {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.jump();
        if let Some(cached) = self.cached(key, read) {
            return Ok(cached);
        }
        if self.has(Fault::StaleLoads) {
            let stale = self.alive(key);
            yield_now().await;
            let stale = stale.map(|it| {
                Record::new(
                    it.data().to_vec(),
                    self.alive(key).map_or(it.version(), |it| it.version()),
                    it.expires(),
                )
            });
            return Ok(stale);
        }
        if self.has(Fault::CancelledLoadConsumes) {
            let taken = self.records.lock().unwrap().remove(key);
            yield_now().await;
            taken
                .into_iter()
                .for_each(|record| self.insert(key, record));
        }
        if self.has(Fault::Invents) && self.raw(key).is_none() {
            return Ok(Some(Record::new(
                "",
                Version::from_u64(1),
                START.saturating_add(Duration::from_secs(60)),
            )));
        }
        if self.has(Fault::LoadsExpired) {
            return Ok(self.raw(key));
        }
        let version = |it: &Record| {
            if self.has(Fault::VersionIsTold) {
                Version::from_u64(it.version().to_u64().unwrap() + 1)
            } else {
                it.version()
            }
        };
        Ok(self
            .alive(key)
            .map(|it| Record::new(it.data().to_vec(), version(&it), it.expires())))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut loaded = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            let before = keys.get(..place).unwrap_or_default();
            if self.has(Fault::LoadManyLeavesOutTwins) && before.contains(key) {
                continue;
            }
            let found = match self.fault {
                Fault::LoadManyShowsTheExpired => Ok(self.raw(key)),
                _ => self.load(key, read).await,
            };
            let is_none = matches!(found, Ok(None));
            if !(is_none && self.has(Fault::LoadManyLeavesOutWhatIsNotThere)) {
                loaded.push(found);
            }
        }
        if self.has(Fault::LoadManyTurnsRound) {
            loaded.reverse();
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let expires = self.told(expiry)?;
        self.jump();
        self.check_size(key, &data)?;
        let found = if self.has(Fault::ExpiredIsInTheWay) {
            self.raw(key)
        } else {
            self.alive(key)
        };
        if found.is_some() && !self.has(Fault::CreateOverwrites) {
            return Err(StoreError::Exists);
        }
        if self.has(Fault::ChecksThenCreates) {
            yield_now().await;
        }
        self.sweep_in_passing(key);
        if self.has(Fault::CancelledCreateIsEmpty) {
            self.insert(key, Record::new("", self.first(key), expires));
            yield_now().await;
        }
        let version = self.first(key);
        self.insert(
            key,
            Record::new(self.data(&data), version, self.end(expires)),
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
        let expires = self.told(expiry)?;
        let lock = self.enter().await;
        self.check_size(key, &data)?;
        let marked = self
            .marked
            .lock()
            .unwrap()
            .remove(key)
            .filter(|_| self.has(Fault::DeleteMarks));
        marked
            .into_iter()
            .for_each(|record| self.insert(key, record));
        let current = self.current(
            key,
            expected,
            Fault::UpdateIgnoresVersions,
            Fault::UpdatesExpired,
        );
        let next = match current {
            Ok(_) => self.next(expected),
            Err(StoreError::Gone) if self.has(Fault::UpdateMakes) => expected,
            Err(StoreError::Conflict) if self.has(Fault::RefusedUpdateMovesEnd) => {
                let it = self.raw(key).unwrap();
                self.insert(key, Record::new(it.data().to_vec(), it.version(), expires));
                return Err(StoreError::Conflict);
            }
            Err(error) => {
                self.leave(lock)?;
                return Err(error);
            }
        };
        let end = if self.has(Fault::UpdateKeepsEnd) {
            self.raw(key).unwrap().expires()
        } else {
            self.end(expires)
        };
        let data = self.data(&data);
        match self.fault {
            Fault::Tears => {
                let half = data.slice(..data.len() / 2);
                self.insert(key, Record::new(half, next, end));
                yield_now().await;
            }
            Fault::LosesCancelledUpdate => {
                self.records.lock().unwrap().remove(key);
                yield_now().await;
            }
            Fault::ChecksThenUpdates | Fault::LocksForEver => yield_now().await,
            Fault::UpdateLooksAwayOnce => {
                yield_now().await;
                if self.alive(key).is_some_and(|it| it.version() != expected) {
                    self.leave(lock)?;
                    return Err(StoreError::Conflict);
                }
            }
            _ => {}
        }
        self.insert(key, Record::new(data, next, end));
        self.leave(lock)?;
        Ok(next)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        match (expected, self.alive(key)) {
            (Some(expected), Some(record))
                if !self.is_at(&record, expected) && !self.has(Fault::DeleteIgnoresVersions) =>
            {
                return Err(StoreError::Conflict);
            }
            (Some(_), None) if self.has(Fault::DeleteAtVersionNeedsARecord) => {
                return Err(StoreError::Gone);
            }
            (Some(_), Some(_)) if self.has(Fault::DeleteLooksThenRemoves) => yield_now().await,
            _ => {}
        }
        let removed = self.records.lock().unwrap().remove(&self.key(key));
        match self.fault {
            Fault::DeleteNeedsARecord if removed.is_none() => return Err(StoreError::Gone),
            Fault::DeletesNeighbour => self.records.lock().unwrap().clear(),
            Fault::DeletesTwice => {
                yield_now().await;
                self.records.lock().unwrap().remove(key);
            }
            Fault::HalfDeletes => {
                if let Some(record) = &removed {
                    self.insert(key, Record::new("", record.version(), record.expires()));
                }
                yield_now().await;
                self.records.lock().unwrap().remove(key);
            }
            _ => {}
        }
        removed.map(|record| self.marked.lock().unwrap().insert(*key, record));
        Ok(())
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut deleted = Vec::new();
        let mut has_refused = false;
        for (place, (key, expected)) in records.iter().enumerate() {
            let expected = expected.filter(|_| !self.has(Fault::DeleteManyIgnoresVersions));
            let is_last = place > 0 && place + 1 == records.len();
            if self.has(Fault::CancelledDeleteManyLeavesHalves)
                && let Some(record) = self.raw(key)
            {
                self.insert(key, Record::new("", record.version(), record.expires()));
                yield_now().await;
            }
            let done = match self.fault {
                Fault::DeleteManyStopsAtARefusal if has_refused => Ok(()),
                Fault::DeleteManyLeavesTheLast if is_last => continue,
                _ => self.delete(key, expected).await,
            };
            has_refused |= done.is_err();
            deleted.push(done);
        }
        deleted
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let expires = self.told(expiry)?;
        self.jump();
        let marked = self
            .marked
            .lock()
            .unwrap()
            .remove(key)
            .filter(|_| self.has(Fault::DeleteMarksForTouch));
        marked
            .into_iter()
            .for_each(|record| self.insert(key, record));
        let record = match self.current(
            key,
            expected,
            Fault::TouchIgnoresVersions,
            Fault::TouchesExpired,
        ) {
            Err(StoreError::Gone) if self.has(Fault::TouchMakes) => {
                Record::new("", expected, expires)
            }
            found => found?,
        };
        let (end, version) = (self.end(expires), record.version());
        let end = if self.has(Fault::TouchKeepsEnd) {
            record.expires()
        } else {
            end
        };
        let mut data = record.into_data();
        if self.has(Fault::TouchCutsData) {
            data.truncate(100);
        }
        if self.has(Fault::LosesCancelledTouch) {
            self.records.lock().unwrap().remove(key);
            yield_now().await;
        }
        if self.has(Fault::TouchWritesBack) {
            yield_now().await;
        }
        let kept = match self.fault {
            Fault::TouchReturnsTheOldVersion => self.fresh(),
            Fault::TouchAlternatesVersions => Version::from_bytes(
                (u128::from_be_bytes(*version.as_bytes()) ^ 1 << 100).to_be_bytes(),
            ),
            _ => version,
        };
        self.insert(key, Record::new(data, kept, end));
        match self.fault {
            Fault::TouchAlternatesVersions => Ok(kept),
            _ => Ok(version),
        }
    }

    fn limits(&self) -> Limits {
        let record_bytes = match self.fault {
            Fault::TakesLessThanItSays | Fault::TakesMoreThanItSays => TOLD,
            Fault::TooLargeDeletes => LIMIT,
            Fault::LimitsVary => 1_000_000 + self.written.load(Ordering::Relaxed) as usize,
            _ => usize::MAX,
        };
        Limits {
            record_bytes,
            never_waits: self.has(Fault::SaysItNeverWaits) || self.has(Fault::None),
            ..Limits::default()
        }
    }
}

/// A store that waits although it says that it never does.
struct Waiting(Broken);

impl Store for Waiting {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.0.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.0.load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        yield_now().await;
        self.0.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.0.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.0.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: true,
            ..self.0.limits()
        }
    }
}

/// Each fault, with the rules that it must break. It may break others too.
const BROKEN: &[(Fault, &[&str])] = &[
    (Fault::Invents, &["a_key_without_a_record_has_none"]),
    (
        Fault::UpdateMakes,
        &[
            "an_update_never_makes_a_record",
            "a_late_update_brings_nothing_back",
        ],
    ),
    (
        Fault::UpdateMakes,
        &[
            "an_expired_record_is_not_updated",
            "a_long_random_life_follows_the_contract",
        ],
    ),
    (
        Fault::TouchMakes,
        &[
            "a_touch_never_makes_a_record",
            "a_late_touch_brings_nothing_back",
        ],
    ),
    (
        Fault::TouchMakes,
        &[
            "an_expired_record_is_not_touched",
            "a_deleted_record_never_comes_back",
        ],
    ),
    (
        Fault::UpdateIgnoresVersions,
        &[
            "an_update_needs_the_expected_version",
            "of_two_updates_one_wins",
        ],
    ),
    (Fault::UpdateIgnoresVersions, &["no_increment_is_lost"]),
    (
        Fault::TouchIgnoresVersions,
        &["a_touch_needs_the_expected_version"],
    ),
    (
        Fault::RefusedUpdateMovesEnd,
        &["an_update_needs_the_expected_version"],
    ),
    (
        Fault::CreateOverwrites,
        &[
            "a_create_never_overwrites",
            "of_two_creates_one_wins",
            "of_many_creates_one_wins",
        ],
    ),
    (
        Fault::LoadsExpired,
        &[
            "a_record_ends_at_its_second",
            "a_clock_that_jumps_harms_no_live_record",
        ],
    ),
    (Fault::UpdatesExpired, &["an_expired_record_is_not_updated"]),
    (Fault::TouchesExpired, &["an_expired_record_is_not_touched"]),
    (
        Fault::ExpiredIsInTheWay,
        &["an_expired_record_can_be_created_anew"],
    ),
    (
        Fault::EndsLate,
        &[
            "a_record_ends_at_its_second",
            "an_update_moves_the_end",
            "a_touch_moves_the_end",
        ],
    ),
    (Fault::EndsEarly, &["a_record_ends_at_its_second"]),
    (
        Fault::UpdateKeepsEnd,
        &["an_update_moves_the_end", "an_update_replaces_the_record"],
    ),
    (
        Fault::TouchKeepsEnd,
        &[
            "a_touch_moves_the_end",
            "a_touch_changes_the_end_and_no_data",
        ],
    ),
    (
        Fault::TouchCutsData,
        &[
            "a_touch_changes_the_end_and_no_data",
            "records_of_every_size_come_back_whole",
        ],
    ),
    (
        Fault::LosesLastByte,
        &[
            "a_created_record_is_loaded_as_it_was_given",
            "records_of_every_size_come_back_whole",
        ],
    ),
    (Fault::EndsAtNul, &["any_bytes_come_back_as_they_were"]),
    (Fault::Text, &["any_bytes_come_back_as_they_were"]),
    (
        Fault::Tears,
        &[
            "a_load_never_sees_half_an_update",
            "readers_see_whole_records_only",
        ],
    ),
    (
        Fault::Tears,
        &["a_cancelled_update_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::ChecksThenCreates,
        &["of_two_creates_one_wins", "of_many_creates_one_wins"],
    ),
    (
        Fault::ChecksThenUpdates,
        &[
            "of_two_updates_one_wins",
            "a_deleted_record_never_comes_back",
        ],
    ),
    (Fault::ChecksThenUpdates, &["no_increment_is_lost"]),
    (
        Fault::UpdateLooksAwayOnce,
        &["a_deleted_record_never_comes_back"],
    ),
    (Fault::DeleteMarks, &["a_late_update_brings_nothing_back"]),
    (
        Fault::DeleteMarksForTouch,
        &["a_late_touch_brings_nothing_back"],
    ),
    (
        Fault::DeletesNeighbour,
        &["a_delete_removes_the_record_and_no_other"],
    ),
    (
        Fault::DeleteNeedsARecord,
        &["a_delete_of_nothing_is_no_error"],
    ),
    (
        Fault::VersionRepeats,
        &[
            "every_update_makes_a_new_version",
            "an_update_needs_the_expected_version",
        ],
    ),
    (
        Fault::VersionAlternates,
        &["every_update_makes_a_new_version"],
    ),
    (
        Fault::VersionIsTold,
        &["a_created_record_is_loaded_as_it_was_given"],
    ),
    (
        Fault::ComparesHalfOfAVersion,
        &[
            "a_touch_needs_the_expected_version",
            "a_delete_at_a_version_spares_another",
        ],
    ),
    (
        Fault::IgnoresABit,
        &["keys_that_differ_in_one_bit_have_records_of_their_own"],
    ),
    (
        Fault::LosesCancelledUpdate,
        &["a_cancelled_update_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::LosesCancelledTouch,
        &["a_cancelled_touch_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::LosesCancelledTouch,
        &["an_update_and_a_touch_lose_nothing"],
    ),
    (
        Fault::HalfDeletes,
        &["a_cancelled_delete_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::DeletesTwice,
        &["a_create_and_a_delete_happen_one_by_one"],
    ),
    (
        Fault::TouchWritesBack,
        &["an_update_and_a_touch_lose_nothing"],
    ),
    (
        Fault::LocksForEver,
        &["a_cancelled_update_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::CancelledCreateIsEmpty,
        &["a_cancelled_create_happens_wholly_or_not_at_all"],
    ),
    (
        Fault::CancelledLoadConsumes,
        &["a_cancelled_load_changes_nothing"],
    ),
    (
        Fault::TooLargeDeletes,
        &["a_record_too_large_leaves_the_old_one"],
    ),
    (
        Fault::TooLargeCuts,
        &["records_of_every_size_come_back_whole"],
    ),
    (Fault::OverflowsEnd, &["the_ends_of_time_are_taken"]),
    (
        Fault::SweepsLive,
        &[
            "a_sweep_removes_no_live_record",
            "a_record_being_touched_is_never_swept",
        ],
    ),
    (
        Fault::SweepsUnlooked,
        &["a_record_being_touched_is_never_swept"],
    ),
    (
        Fault::SweepsByOldEnds,
        &["a_record_in_an_expired_ones_place_stays"],
    ),
    (
        Fault::JumpLoses,
        &["a_clock_that_jumps_harms_no_live_record"],
    ),
    (Fault::StaleLoads, &["a_load_never_sees_half_an_update"]),
    (
        Fault::LoadManyTurnsRound,
        &["load_many_answers_in_the_order_of_the_keys"],
    ),
    (
        Fault::LoadManyLeavesOutTwins,
        &["load_many_answers_in_the_order_of_the_keys"],
    ),
    (
        Fault::LoadManyLeavesOutWhatIsNotThere,
        &["load_many_answers_in_the_order_of_the_keys"],
    ),
    (
        Fault::LoadManyShowsTheExpired,
        &["load_many_answers_in_the_order_of_the_keys"],
    ),
    (
        Fault::DeleteManyStopsAtARefusal,
        &["delete_many_does_to_each_what_delete_does"],
    ),
    (
        Fault::DeleteManyIgnoresVersions,
        &["delete_many_does_to_each_what_delete_does"],
    ),
    (
        Fault::DeleteManyLeavesTheLast,
        &["delete_many_does_to_each_what_delete_does"],
    ),
    (
        Fault::CancelledDeleteManyLeavesHalves,
        &["a_cancelled_delete_many_deletes_each_wholly_or_not_at_all"],
    ),
    (
        Fault::DeleteIgnoresVersions,
        &[
            "a_delete_at_a_version_spares_another",
            "a_delete_at_a_version_spares_a_racing_update",
            "a_long_random_life_follows_the_contract",
        ],
    ),
    (
        Fault::DeleteAtVersionNeedsARecord,
        &["a_delete_at_a_version_of_nothing_is_no_error"],
    ),
    (
        Fault::DeleteLooksThenRemoves,
        &["a_delete_at_a_version_spares_a_racing_update"],
    ),
    (
        Fault::VersionsStartAnew,
        &[
            "no_version_of_a_key_comes_back",
            "a_version_of_an_earlier_life_changes_nothing",
            "a_long_random_life_follows_the_contract",
        ],
    ),
    (
        Fault::VersionsGoOnUntilSwept,
        &[
            "no_version_of_a_key_comes_back",
            "a_version_of_an_earlier_life_changes_nothing",
        ],
    ),
    (
        Fault::TouchReturnsTheOldVersion,
        &[
            "a_touch_returns_the_version_that_the_record_has",
            "a_touch_changes_the_end_and_no_data",
        ],
    ),
    (
        Fault::TouchAlternatesVersions,
        &["a_touch_returns_the_version_that_the_record_has"],
    ),
    (
        Fault::KeepsThatThereIsNone,
        &["a_recent_read_of_a_quiet_store_shows_the_record"],
    ),
    (
        Fault::RecentStaysForEver,
        &["a_recent_read_of_a_quiet_store_shows_the_record"],
    ),
    (
        Fault::CurrentComesFromACache,
        &["a_current_read_shows_every_write_answered"],
    ),
    (
        Fault::TakesLessThanItSays,
        &["a_store_takes_what_its_limits_say_and_no_more"],
    ),
    (
        Fault::TakesMoreThanItSays,
        &["a_store_takes_what_its_limits_say_and_no_more"],
    ),
    (Fault::LimitsVary, &["limits_stay_as_they_are"]),
    (
        Fault::TakesAnyClock,
        &["a_write_by_a_clock_of_long_ago_is_kept_or_refused"],
    ),
];

async fn check(fault: Fault, rule: Rule) -> Result<Verdict, conformance::Violation> {
    let clock = Clock::manual(START);
    let subject = Subject::new(Broken::new(fault, clock.clone())).clock(clock);
    conformance::check(
        rule,
        subject.sweep(|store| async move { store.sweep_slowly().await }),
    )
    .await
}

// The test waits only when a rule polls for a change that never comes. With time paused that takes
// no time.
#[tokio::test(start_paused = true)]
async fn a_broken_store_fails_the_rule_it_breaks() {
    let mut missed = Vec::new();
    for (fault, rules) in BROKEN {
        for name in *rules {
            let rule = Rule::named(name).unwrap();
            match check(*fault, rule).await {
                Ok(_) => missed.push((fault, name)),
                Err(violation) => {
                    println!("{fault:?}: {violation}");
                    assert_eq!(violation.rule(), rule);
                }
            }
        }
    }
    assert!(missed.is_empty(), "not detected: {missed:?}");
}

#[tokio::test]
async fn the_same_store_without_a_fault_passes() {
    for rule in conformance::rules() {
        check(Fault::None, *rule).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_wrongly_says_it_never_waits_is_detected() {
    let rule = Rule::named("a_store_that_never_waits_is_done_at_once").unwrap();
    let store = Waiting(Broken::new(Fault::SaysItNeverWaits, Clock::system()));
    let violation = conformance::check(rule, store).await.unwrap_err();
    assert!(
        violation
            .to_string()
            .contains("touch: expected it to be done when first polled"),
        "{violation}"
    );
}

/// A rule that no broken store breaks may check nothing. The rule about waiting has its own store,
/// above.
#[test]
fn every_rule_is_broken_by_some_store() {
    let broken = BROKEN.iter().flat_map(|(_, rules)| *rules).copied();
    let broken: Vec<_> = broken.chain(crate::faults::detecting_rules()).collect();
    let apart = ["a_store_that_never_waits_is_done_at_once"];
    for rule in conformance::rules() {
        let found = broken.contains(&rule.name()) || apart.contains(&rule.name());
        assert!(found, "no store breaks {}", rule.name());
    }
}
