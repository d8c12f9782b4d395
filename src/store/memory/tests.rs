//! The store beside a map that knows nothing of slots, windows and boxes.

use std::{
    collections::BTreeMap,
    iter,
    pin::pin,
    sync::{Barrier, mpsc},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::{
    shard::{Class, STEP},
    shards::SHARDS,
    *,
};
use crate::{
    clock::Timestamp,
    store::{self, Listed, RecordKind},
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Only a hang takes this long.
const LONG: Duration = Duration::from_secs(120);
/// Where a record's bytes begin to be kept in another way.
const EDGES: [usize; 9] = [0, 5, 29, 45, 61, 477, 509, 512, 4_000];
/// The first bytes of each kind of record, and of what is none.
const FIRST: [u8; 8] = [1, 1, 1, 2, 8, 16, 24, 0];

fn done<F: Future>(future: F) -> F::Output {
    store::now(pin!(future)).expect("the store never waits")
}

/// Of a few shards.
fn key(number: u16) -> RecordKey {
    let mut bytes = *RecordKey::of(&number.to_be_bytes()).as_bytes();
    bytes[0] = [0, 64, 128, 1][usize::from(number % 4)];
    RecordKey::from_bytes(bytes)
}

fn shard_of(key: &RecordKey) -> usize {
    usize::from(key.as_bytes()[0]) % SHARDS
}

/// An end or a roster says when it was set.
fn bytes(len: usize, first: u8, set: u8) -> Bytes {
    let head = [first, 0, 0, 0, 0, set];
    let rest = (0_u8..=250).cycle().map(|byte| byte ^ set);
    head.into_iter().chain(rest).take(len).collect()
}

/// What is done to one key, with which of a few lengths, ends, versions and times.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    key: u16,
    len: usize,
    first: u8,
    number: u8,
}

fn steps(keys: u16, count: usize) -> impl Strategy<Value = Vec<Step>> {
    let near = (0..EDGES.len(), 0..3_usize).prop_map(|(at, more)| (EDGES[at] + more).max(1) - 1);
    let len = prop_oneof![3 => near, 1 => 0..600_usize];
    let step = (0..32_u8, 0..keys, len, 0..FIRST.len(), any::<u8>());
    let step = step.prop_map(|(what, key, len, first, number)| Step {
        what,
        key,
        len,
        first: FIRST[first],
        number,
    });
    prop::collection::vec(step, 0..count)
}

#[derive(Clone, Debug)]
struct Kept {
    data: Bytes,
    version: Version,
    expires: Timestamp,
    is_used: bool,
}

impl Kept {
    fn class(&self) -> Class {
        match RecordKind::of(&self.data) {
            Some(RecordKind::Session) if !self.is_used => Class::Unused,
            Some(RecordKind::Session) | None => Class::Session,
            Some(RecordKind::Roster) => Class::Roster,
            Some(RecordKind::End) => Class::End,
            Some(RecordKind::Mark | RecordKind::Moved) => Class::Mark,
        }
    }

    /// When it was set, if it says so.
    fn set(&self) -> Option<u64> {
        self.data.get(5).map(|set| u64::from(*set))
    }
}

/// A store and what has to be in it. What is over may be in either, until the other says.
struct Pair {
    store: MemoryStore,
    clock: Clock,
    records: BTreeMap<RecordKey, Kept>,
    /// All versions that there ever were.
    versions: Vec<(RecordKey, Version)>,
    evicted: [u64; 4],
    forgotten: Option<u64>,
}

impl Pair {
    fn new(max_bytes: usize) -> Self {
        let clock = Clock::manual(START);
        Self {
            store: MemoryStore::new().max_bytes(max_bytes).clock(clock.clone()),
            clock,
            records: BTreeMap::new(),
            versions: Vec::new(),
            evicted: [0; 4],
            forgotten: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn alive(&self, key: &RecordKey) -> Option<&Kept> {
        let now = self.now();
        self.records.get(key).filter(|kept| kept.expires > now)
    }

    /// All that is listed, in pages of this size.
    fn listed(&self, limit: usize) -> BTreeMap<RecordKey, Listed> {
        let (mut all, mut from) = (BTreeMap::new(), Some(Cursor::default()));
        while let Some(cursor) = from {
            let page = done(self.store.browse(&cursor, limit)).unwrap();
            assert!(page.entries.len() <= limit.max(1));
            for listed in page.entries {
                assert!(all.insert(listed.key, listed).is_none(), "listed twice");
            }
            from = page.next;
        }
        all
    }

    fn expiry(&self, number: u8) -> Expiry {
        let now = self.now();
        let secs = now.as_secs();
        let ends = [secs - 5, secs, secs + 1, secs + 10, secs + 100, u64::MAX];
        let end = ends[usize::from(number) % ends.len()];
        Expiry::new(Timestamp::from_secs(end), now)
    }

    /// The version that is there, or one that this key or another had.
    fn version(&self, key: &RecordKey, number: u8) -> Version {
        let current = self.records.get(key).map(|kept| kept.version);
        let own = || self.versions.iter().filter(|(other, _)| other == key);
        let mut own_and_others = own().chain(&self.versions).cycle();
        let other = || {
            own_and_others
                .nth(number.into())
                .map(|(_, version)| *version)
        };
        let is_current = !number.is_multiple_of(4);
        let version = current.filter(|_| is_current).or_else(other);
        version.unwrap_or(Version::from_u64(1))
    }

    fn put(&mut self, key: RecordKey, kept: Kept) {
        let version = (key, kept.version);
        assert!(!self.versions.contains(&version), "a version came twice");
        self.versions.push(version);
        self.records.insert(key, kept);
    }

    fn step(&mut self, step: &Step) {
        let (key, number) = (key(step.key), step.number);
        let data = bytes(step.len, step.first, number);
        let (expiry, expected) = (self.expiry(number / 4), self.version(&key, number));
        let before = self.records.clone();
        match step.what {
            0..8 => self.create(key, data, expiry),
            8..18 => self.update(key, expected, data, expiry),
            18..20 => self.touch(key, expected, expiry),
            20..22 => self.delete(key, number.is_multiple_of(2).then_some(expected)),
            22..25 => self.pass(number),
            25 => self.go_back(number),
            26 => self.sweep(),
            27 => drop(done(self.store.sweep_some(number.into()))),
            _ => {}
        }
        self.take_note_of_evicted(&before, &key);
        self.load(&key);
    }

    fn create(&mut self, key: RecordKey, data: Bytes, expiry: Expiry) {
        let created = done(self.store.create(&key, data.clone(), expiry));
        match created {
            Err(StoreError::Exists) => assert!(self.alive(&key).is_some()),
            Err(error) => self.is_full(&key, data.len(), &error),
            Ok(version) => {
                assert!(self.alive(&key).is_none());
                let expires = expiry.at;
                let is_used = false;
                self.put(
                    key,
                    Kept {
                        data,
                        version,
                        expires,
                        is_used,
                    },
                );
            }
        }
    }

    fn update(&mut self, key: RecordKey, expected: Version, data: Bytes, expiry: Expiry) {
        let updated = done(self.store.update(&key, expected, data.clone(), expiry));
        let found = self.alive(&key).map(|kept| kept.version);
        match updated {
            Err(StoreError::Gone) => assert_eq!(found, None),
            Err(StoreError::Conflict) => assert!(found.is_some_and(|found| found != expected)),
            Err(error) => self.is_full(&key, data.len(), &error),
            Ok(version) => {
                assert_eq!(found, Some(expected));
                let expires = expiry.at;
                let is_used = true;
                self.put(
                    key,
                    Kept {
                        data,
                        version,
                        expires,
                        is_used,
                    },
                );
            }
        }
    }

    fn touch(&mut self, key: RecordKey, expected: Version, expiry: Expiry) {
        let touched = done(self.store.touch(&key, expected, expiry));
        let now = self.now();
        let alive = self.records.get_mut(&key).filter(|kept| kept.expires > now);
        match (touched, alive) {
            (Err(StoreError::Gone), found) => assert!(found.is_none()),
            (Err(StoreError::Conflict), Some(found)) => assert_ne!(found.version, expected),
            (Ok(version), Some(found)) => {
                assert_eq!((version, found.version), (expected, expected));
                (found.expires, found.is_used) = (expiry.at, true);
            }
            (touched, found) => panic!("{touched:?} of {found:?}"),
        }
    }

    fn delete(&mut self, key: RecordKey, expected: Option<Version>) {
        let deleted = done(self.store.delete(&key, expected));
        let found = self.alive(&key).map(|kept| kept.version);
        match deleted {
            Err(StoreError::Conflict) => assert!(found.is_some() && found != expected),
            deleted => {
                assert!(deleted.is_ok());
                assert!(found.is_none() || expected.is_none() || found == expected);
                self.records.remove(&key);
            }
        }
    }

    fn pass(&self, number: u8) {
        self.clock
            .advance(Duration::from_secs(u64::from(number % 12)));
    }

    /// What was over and is still there lives again.
    fn go_back(&mut self, number: u8) {
        let (listed, now) = (self.listed(20), self.now());
        self.records
            .retain(|key, kept| kept.expires > now || listed.contains_key(key));
        let back = now.as_secs() - u64::from(number % 12);
        self.clock.set(Timestamp::from_secs(back));
    }

    fn sweep(&mut self) {
        let (listed, now) = (self.listed(7), self.now());
        let over = listed.values().filter(|listed| listed.expires <= now);
        let (over, swept) = (over.count(), done(self.store.sweep()));
        let counts = (swept.examined(), swept.removed(), swept.is_finished());
        assert_eq!(counts, (listed.len() as u64, over as u64, true));
        self.records.retain(|_, kept| kept.expires > now);
        assert!(self.listed(20).keys().eq(self.records.keys()));
    }

    fn load(&mut self, key: &RecordKey) {
        let loaded = done(self.store.load(key, Read::Current)).unwrap();
        let now = self.now();
        let kept = self.records.get_mut(key).filter(|kept| kept.expires > now);
        let found = kept.map(|kept| {
            kept.is_used = true;
            Record::new(kept.data.clone(), kept.version, kept.expires)
        });
        assert_eq!(loaded, found);
    }

    /// There is no room, and nothing but this record that could make it.
    fn is_full(&self, key: &RecordKey, len: usize, error: &StoreError) {
        let limit = self.store.max_bytes / SHARDS;
        if let StoreError::TooLarge { size, limit: most } = error {
            assert_eq!((*size, *most), (len, limit - OVERHEAD));
            assert!(len + OVERHEAD > limit);
            return;
        }
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let listed = self.listed(20);
        let others = || {
            listed
                .values()
                .filter(|other| shard_of(&other.key) == shard_of(key))
        };
        let others = others().filter(|other| other.key != *key);
        let mut bytes = 0;
        for other in others {
            assert!(matches!(other.kind, Some(RecordKind::Mark)), "{other:?}");
            bytes += other.size + OVERHEAD;
        }
        assert!(bytes + len + OVERHEAD > limit);
    }

    /// What has left was over, or was the first that had to.
    fn take_note_of_evicted(&mut self, before: &BTreeMap<RecordKey, Kept>, written: &RecordKey) {
        let (listed, now) = (self.listed(20), self.now());
        let mut evicted = Vec::new();
        for (key, kept) in before {
            let has_left = self.records.contains_key(key) && !listed.contains_key(key);
            if has_left && kept.expires > now {
                assert_ne!(key, written);
                evicted.push((key, kept));
                self.records.remove(key);
            }
        }
        for (key, kept) in evicted {
            let class = kept.class();
            self.evicted[class as usize] += 1;
            let set = match class {
                Class::End => Some(kept.set().unwrap_or(now.as_secs())),
                Class::Roster => kept.set().filter(|set| *set > 0),
                _ => None,
            };
            self.forgotten = self.forgotten.max(set.map(|set| set.max(1)));
            let beside = self.records.iter();
            let beside =
                beside.filter(|(other, _)| shard_of(other) == shard_of(key) && *other != written);
            for (_, left) in beside.filter(|(_, left)| left.expires > now) {
                let order = |kept: &Kept| match kept.class() {
                    Class::End => (Class::End as usize, kept.set().unwrap_or(u64::MAX)),
                    class => (class as usize, 0),
                };
                assert!(order(left) >= order(kept), "{left:?} stayed, not {kept:?}");
            }
        }
    }

    fn check(&self, limit: usize) {
        let (listed, now) = (self.listed(limit), self.now());
        let mut living = self.records.iter().filter(|(_, kept)| kept.expires > now);
        assert!(living.all(|(key, _)| listed.contains_key(key)));
        for (key, listed) in &listed {
            let kept = &self.records[key];
            assert_eq!(
                (listed.expires, listed.size),
                (kept.expires, kept.data.len())
            );
            assert_eq!(listed.kind, RecordKind::of(&kept.data));
        }
        let is_counted = |listed: &&Listed| listed.kind != Some(RecordKind::Mark);
        assert_eq!(self.store.len(), listed.values().filter(is_counted).count());
        let sizes = listed.values().map(|listed| listed.size + OVERHEAD);
        let shards = || self.store.shared.shards.iter();
        let counted = shards().map(|shard| shard.lock().bytes());
        assert_eq!(counted.sum::<usize>(), sizes.sum::<usize>());
        for shard in shards() {
            let shard = shard.lock();
            assert!(shard.bytes() <= self.store.max_bytes / SHARDS);
            shard.assert_counted();
        }
        let Evicted {
            unused_sessions,
            sessions,
            rosters,
            ends,
        } = self.store.evicted();
        assert_eq!([unused_sessions, sessions, rosters, ends], self.evicted);
        let forgotten = self.store.limits().forgotten_until;
        assert_eq!(forgotten.map(Timestamp::as_secs), self.forgotten);
    }
}

fn run(max_bytes: usize, steps: &[Step]) {
    let mut pair = Pair::new(max_bytes);
    for step in steps {
        pair.step(step);
        pair.check(20);
    }
    pair.check(3);
    pair.sweep();
    pair.check(1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_is_a_map_of_what_is_not_over(steps in steps(12, 120)) {
        run(1 << 30, &steps);
    }

    #[test]
    fn a_full_one_is_a_map_of_what_had_not_to_leave(steps in steps(60, 120)) {
        run(SHARDS * 1_700, &steps);
    }
}

/// In steps of any size, which end anywhere in a shard.
#[test]
fn a_sweep_in_steps_comes_by_each_record_once() {
    for limit in [0, 1, 7, STEP - 1, STEP, STEP + 1, 5_000] {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        for number in 0..4_000 {
            let end = START.saturating_add(Duration::from_secs(1 + u64::from(number % 3 / 2)));
            let expiry = Expiry::new(end, START);
            done(store.create(&key(number), bytes(9, 1, 0), expiry)).unwrap();
        }
        clock.advance(Duration::from_secs(1));
        let mut all = Swept::default();
        let mut steps = 0;
        while !all.is_finished() {
            let swept = done(store.sweep_some(limit));
            assert!(swept.examined() <= limit.max(1) as u64, "{limit}");
            all = Swept::new(
                all.examined() + swept.examined(),
                all.removed() + swept.removed(),
            );
            if swept.is_finished() {
                all = all.finished();
            }
            steps += 1;
            assert!(steps < 10_000, "{limit}: it comes to an end");
        }
        let counts = (all.examined(), all.removed(), store.len());
        assert_eq!(counts, (4_000, 2_667, 1_333), "{limit}");
        // The next one begins anew.
        assert_eq!(done(store.sweep_some(5_000)).examined(), 1_333);
    }
}

/// A clock and a store, whose shards take so many bytes, with marks in the first shard. Each of
/// them takes a hundred bytes.
fn with_marks(shard_bytes: usize, count: u16, end: impl Fn(u16) -> Expiry) -> (Clock, MemoryStore) {
    let clock = Clock::manual(START);
    let store = MemoryStore::new()
        .max_bytes(SHARDS * shard_bytes)
        .clock(clock.clone());
    for number in 0..count {
        let data = bytes(100 - OVERHEAD, 8, 0);
        done(store.create(&key(number * 4), data, end(number))).unwrap();
    }
    (clock, store)
}

fn in_secs(secs: u64) -> Expiry {
    Expiry::new(START.saturating_add(Duration::from_secs(secs)), START)
}

#[test]
fn a_shard_is_full_to_the_last_byte() {
    for count in [0, 3] {
        let (_, store) = with_marks(1_000, count, |_| in_secs(9));
        let fits = 1_000 - usize::from(count) * 100 - OVERHEAD;
        let (key, other) = (key(400), key(404));
        let too_many = done(store.create(&key, bytes(fits + 1, 8, 0), in_secs(9)));
        assert!(too_many.is_err());
        let version = done(store.create(&key, bytes(fits, 8, 0), in_secs(9))).unwrap();
        let version = done(store.update(&key, version, bytes(fits, 8, 1), in_secs(9))).unwrap();
        let too_many = done(store.update(&key, version, bytes(fits + 1, 8, 1), in_secs(9)));
        assert!(too_many.is_err());
        assert!(done(store.create(&other, Bytes::new(), in_secs(9))).is_err());
    }
}

/// All windows are looked through before there is no room.
#[test]
fn what_is_over_makes_room_wherever_it_is() {
    for over in 0..8 {
        let end = |number: u16| in_secs(if number / 256 == over { 1 } else { 9 });
        let (clock, store) = with_marks(204_800, 2_048, end);
        clock.advance(Duration::from_secs(1));
        done(store.create(&key(9_000), bytes(4, 8, 0), in_secs(9))).unwrap();
        assert!(
            done(store.update(
                &key(9_000),
                Version::from_u64(2_049),
                bytes(600, 8, 0),
                in_secs(9)
            ))
            .is_ok()
        );
    }
}

#[test]
fn an_end_that_got_no_room_is_still_counted() {
    let (_, store) = with_marks(1_000, 7, |_| in_secs(9));
    let key = key(400);
    let version = done(store.create(&key, bytes(6, 24, 7), in_secs(9))).unwrap();
    store.shared.shards.get(0).unwrap().lock().assert_counted();
    // Another one leaves for it, in vain.
    let other = bytes(1, 24, 0);
    done(store.create(&self::key(404), other, in_secs(9))).unwrap();
    let larger = done(store.update(&key, version, bytes(300, 24, 7), in_secs(9)));
    assert!(matches!(larger, Err(StoreError::Refused { .. })));
    store.shared.shards.get(0).unwrap().lock().assert_counted();
}

#[test]
fn a_record_that_is_over_is_replaced_wherever_it_is() {
    for over in 0..40 {
        let end = |number| in_secs(if number == over { 1 } else { 9 });
        let (clock, store) = with_marks(1 << 20, 40, end);
        clock.advance(Duration::from_secs(1));
        done(store.create(&key(over * 4), bytes(4, 8, 0), in_secs(9))).unwrap();
        store.shared.shards.get(0).unwrap().lock().assert_counted();
        let listed = done(store.browse(&Cursor::default(), 100)).unwrap().entries;
        assert_eq!(listed.len(), 40, "{over}");
    }
}

/// Again and again, all of them.
#[test]
fn what_is_over_leaves_in_passing() {
    let (clock, store) = with_marks(1 << 20, 0, |_| in_secs(0));
    for round in 0..3 {
        let now = clock.now();
        let soon = Expiry::new(now.saturating_add(Duration::from_secs(1)), now);
        for number in 0..400 {
            let key = key((round * 1_000 + number) * 4);
            done(store.create(&key, bytes(9, 1, 0), soon)).unwrap();
        }
        clock.advance(Duration::from_secs(1));
        for number in 0..120 {
            let key = key((round * 1_000 + 500 + number) * 4);
            let now = clock.now();
            let end = Expiry::new(now.saturating_add(LONG), now);
            done(store.create(&key, bytes(9, 1, 0), end)).unwrap();
        }
        assert_eq!(store.len(), usize::from(round + 1) * 120);
    }
}

/// Each thread has keys of its own in one shard, which all of them grow, shrink, sweep and browse.
#[test]
fn threads_at_one_shard_lose_nothing_of_each_other() {
    const THREADS: u16 = 4;
    let store = MemoryStore::new().clock(Clock::manual(START));
    let barrier = Barrier::new(THREADS.into());
    let lives = Expiry::new(START.saturating_add(LONG), START);
    let is_over = Expiry::new(START, START);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, barrier) = (store.clone(), &barrier);
            scope.spawn(move || {
                let mine = |number: u16| key((number * THREADS + thread) * 4);
                let mut versions = BTreeMap::new();
                barrier.wait();
                for round in 0..40_u8 {
                    for number in 0..50_u16 {
                        let (key, len) =
                            (mine(number), usize::from(number) * usize::from(round % 13));
                        let data = bytes(len, 1, round);
                        let version = match versions.get(&number) {
                            None => done(store.create(&key, data.clone(), lives)),
                            Some(version) => {
                                done(store.update(&key, *version, data.clone(), lives))
                            }
                        };
                        let version = version.unwrap();
                        versions.insert(number, version);
                        let passing = mine(1_000 + number);
                        done(store.create(&passing, bytes(600, 1, 0), is_over)).unwrap();
                        let found = done(store.load(&key, Read::Current)).unwrap().unwrap();
                        assert_eq!((found.data(), found.version()), (&data[..], version));
                        if number % 7 == u16::from(round % 7) {
                            done(store.delete(&key, Some(version))).unwrap();
                            versions.remove(&number);
                        }
                    }
                    match round % 4 {
                        0 => drop(done(store.sweep_some(100))),
                        1 => drop(done(store.sweep())),
                        _ => {
                            let page = done(store.browse(&Cursor::default(), 10_000)).unwrap();
                            let listed: Vec<_> =
                                page.entries.iter().map(|listed| listed.key).collect();
                            assert!(
                                versions
                                    .keys()
                                    .all(|number| listed.contains(&mine(*number)))
                            );
                        }
                    }
                }
            });
        }
    });
    done(store.sweep());
    let shard = store.shared.shards.get(0).unwrap().lock();
    shard.assert_counted();
    assert_eq!(shard.len(), usize::from(THREADS) * (50 - 7));
}

/// Who gives a store bytes of their own type learns when it drops them, and may ask the store then.
#[test]
fn bytes_are_dropped_without_the_lock() {
    struct Owned(Vec<u8>, MemoryStore);
    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Owned {
        fn drop(&mut self) {
            let _ = self.1.len();
        }
    }
    let (told, is_done) = mpsc::channel();
    thread::spawn(move || {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        let end = Expiry::new(START.saturating_add(LONG), START);
        let owned = |len: usize| Bytes::from_owner(Owned(vec![1; len], store.clone()));
        let lens = [9, 20, 100, 600, 700, 100, 600, 20, 0, 600];
        let mut version = done(store.create(&key(0), owned(600), end)).unwrap();
        for len in lens {
            version = done(store.update(&key(0), version, owned(len), end)).unwrap();
            let other = done(store.update(&key(0), Version::from_u64(0), owned(len), end));
            assert!(matches!(other, Err(StoreError::Conflict)));
            let again = done(store.create(&key(0), owned(len), end));
            assert!(matches!(again, Err(StoreError::Exists)));
        }
        let numbers = iter::successors(Some(4), |number| Some(number + 4));
        for number in numbers.take(20) {
            done(store.create(&key(number), owned(600), end)).unwrap();
        }
        done(store.delete(&key(4), None)).unwrap();
        clock.advance(LONG);
        done(store.create(&key(8), owned(600), Expiry::new(clock.now(), clock.now()))).unwrap();
        done(store.sweep());
        told.send(()).unwrap();
    });
    is_done
        .recv_timeout(LONG)
        .expect("no thread waits for itself");
}
