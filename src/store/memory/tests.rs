//! The store on its own, and compared with a map.

mod model;

use std::{
    collections::BTreeMap,
    iter,
    pin::pin,
    sync::{Barrier, mpsc},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::{census::Class, shard::STEP, shards::SHARDS, *};
use crate::{
    clock::Timestamp,
    store::{self, Listed, RecordKind},
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Only a deadlock takes this long.
const LONG: Duration = Duration::from_secs(120);
/// Lengths at which the representation of a record's bytes changes.
const EDGES: [usize; 9] = [0, 5, 29, 45, 61, 477, 509, 512, 4_000];
/// The first byte of each kind of record, and of none.
const FIRST: [u8; 8] = [1, 1, 1, 2, 8, 16, 24, 0];

fn done<F: Future>(future: F) -> F::Output {
    store::poll_once(pin!(future)).expect("the memory store never waits")
}

/// A key in one of a few shards.
fn key(number: u16) -> RecordKey {
    let mut bytes = *RecordKey::of(&number.to_be_bytes()).as_bytes();
    bytes[0] = [0, 64, 128, 1][usize::from(number % 4)];
    RecordKey::from_bytes(bytes)
}

fn shard_of(key: &RecordKey) -> usize {
    usize::from(key.as_bytes()[0]) % SHARDS
}

/// The bytes of a record. An end or a roster contains when it was set.
fn bytes(len: usize, first: u8, set: u8) -> Bytes {
    let head = [first, 0, 0, 0, 0, set];
    let rest = (0_u8..=250).cycle().map(|byte| byte ^ set);
    head.into_iter().chain(rest).take(len).collect()
}

/// Steps of any size, which end anywhere in a shard.
#[test]
fn a_sweep_in_steps_examines_each_record_once() {
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
            assert!(steps < 10_000, "{limit}: the sweep does not end");
        }
        let counts = (all.examined(), all.removed(), store.len());
        assert_eq!(counts, (4_000, 2_667, 1_333), "{limit}");
        // The next sweep starts from the beginning.
        assert_eq!(done(store.sweep_some(5_000)).examined(), 1_333);
    }
}

/// A clock and a store with this many bytes per shard, and marks of a hundred bytes each in the
/// first shard.
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

/// Every window is searched before a write fails.
#[test]
fn an_expired_record_makes_room_wherever_it_is() {
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
fn an_end_without_room_is_still_counted() {
    let (_, store) = with_marks(1_000, 7, |_| in_secs(9));
    let key = key(400);
    let version = done(store.create(&key, bytes(6, 24, 7), in_secs(9))).unwrap();
    store.shared.shards.get(0).unwrap().lock().assert_counted();
    // Another end is evicted for it, in vain.
    let other = bytes(1, 24, 0);
    done(store.create(&self::key(404), other, in_secs(9))).unwrap();
    let larger = done(store.update(&key, version, bytes(300, 24, 7), in_secs(9)));
    assert!(matches!(larger, Err(StoreError::Refused { .. })));
    store.shared.shards.get(0).unwrap().lock().assert_counted();
}

/// A request that misses the evicted end learns that ends were forgotten, even while the eviction
/// is reported, and if the report panics.
#[cfg(feature = "tracing")]
#[test]
fn a_forgotten_end_is_admitted_before_it_is_reported() {
    use std::panic::{self, AssertUnwindSafe};

    use tracing::{Event, Metadata, Subscriber, span};

    struct Panicking;
    impl Subscriber for Panicking {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "silverback"
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            panic::resume_unwind(Box::new("without a line on the terminal"));
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    let (_, store) = with_marks(1_000, 0, |_| in_secs(9));
    for number in 0..9 {
        done(store.create(&key(number * 4), bytes(10, 24, 7), in_secs(9))).unwrap();
    }
    assert_eq!(store.limits().forgotten_until, None);
    let evict = || done(store.create(&key(400), bytes(100, 24, 8), in_secs(9)));
    let reported = tracing::subscriber::with_default(Panicking, || {
        panic::catch_unwind(AssertUnwindSafe(evict))
    });
    assert!(reported.is_err(), "it was reported");
    assert_eq!(
        store.limits().forgotten_until,
        Some(Timestamp::from_secs(7))
    );
}

#[test]
fn an_expired_record_is_replaced_wherever_it_is() {
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

/// Each time, all of them are removed.
#[test]
fn expired_records_are_removed_in_passing() {
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

/// Each thread creates, grows, shrinks, sweeps and browses its own keys in one shard.
#[test]
fn threads_at_one_shard_lose_no_records() {
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

/// `Bytes` of a caller's own type run the caller's code when they are dropped, and that code may
/// call the store.
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
