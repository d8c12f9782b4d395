//! Where records are, before a move, after it, and after a move back.

use std::time::Duration;

use super::{
    at_once,
    bench::{Bench, KEY, NEW, NOW, OLD, OTHER, expiry},
    wires::{Side, Wire},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        Browse as _, Cursor, Expiry, MemoryStore, Migrated, MigratingStore, Read, RecordKey,
        RecordKind, Store, StoreError, Sweep as _,
    },
};

#[test]
fn a_new_record_is_created_where_its_store_says() {
    for (is_prepared, places) in [(true, [true, false]), (false, [false, true])] {
        let [from, to] = [(); 2].map(|()| MemoryStore::new());
        let store = match is_prepared {
            true => MigratingStore::prepared(from.clone(), to.clone()),
            false => MigratingStore::new(from.clone(), to.clone()),
        };
        let end = Expiry::new(Timestamp::LATEST, Clock::system().now());
        at_once(store.create(&KEY, OLD, end)).unwrap();
        let is_plain = |store: &MemoryStore| {
            let record = at_once(store.load(&KEY, Read::Current)).unwrap();
            record.is_some_and(|record| record.data() == OLD)
        };
        assert_eq!([&from, &to].map(is_plain), places);
    }
}

/// There and back: the marks of the first move are not in the way.
#[test]
fn a_move_back_returns_everything() {
    let clock = Clock::manual(NOW);
    let [one, other] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    at_once(one.create(&KEY, OLD, expiry(60))).unwrap();
    for (from, to) in [(&one, &other), (&other, &one), (&one, &other)] {
        let store = MigratingStore::new(from.clone(), to.clone()).clock(clock.clone());
        let mut migration = store.migration();
        while !at_once(migration.step(10)).is_finished() {}
        let alone = at_once(to.load(&KEY, Read::Current)).unwrap().unwrap();
        assert_eq!((alone.data(), alone.expires()), (&OLD[..], expiry(60).at));
        // Another record is created there, and ends.
        at_once(store.create(&OTHER, NEW, expiry(60))).unwrap();
        at_once(store.delete(&OTHER, None)).unwrap();
    }
}

#[test]
fn a_record_is_counted_once_on_its_way_back() {
    let [one, other] = [(); 2].map(|()| MemoryStore::new());
    let end = Expiry::new(Timestamp::LATEST, Clock::system().now());
    at_once(one.create(&KEY, OLD, end)).unwrap();
    for (from, to) in [(&one, &other), (&other, &one)] {
        let store = MigratingStore::new(from.clone(), to.clone());
        let (mut migration, mut moved) = (store.migration(), Migrated::default());
        while !moved.is_finished() {
            moved.add(at_once(migration.step(10)));
        }
        assert_eq!(moved.moved(), 1);
    }
}

#[test]
fn listings_and_sweeps_cover_both_stores() {
    let clock = Clock::manual(NOW);
    let [from, to] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    at_once(from.create(&KEY, OLD, expiry(60))).unwrap();
    let store = MigratingStore::new(from.clone(), to.clone()).clock(clock.clone());
    at_once(store.create(&OTHER, NEW, expiry(60))).unwrap();
    let (mut keys, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = cursor {
        let page = at_once(store.browse(&from, 1)).unwrap();
        keys.extend(page.entries.iter().map(|entry| (entry.key, entry.kind)));
        cursor = page.next;
    }
    let session = Some(RecordKind::Session);
    assert_eq!(keys, [(KEY, session), (OTHER, session)]);
    clock.advance(Duration::from_secs(60));
    let (mut swept, mut removed) = (false, 0);
    while !swept {
        let step = at_once(store.sweep_some(1));
        (swept, removed) = (step.is_finished(), removed + step.removed());
    }
    assert_eq!((removed, from.len()), (2, 0), "the mark stays longer");
    clock.advance(Duration::from_secs(600));
    assert_eq!(at_once(store.sweep()).removed(), 1);
    let now = clock.now();
    at_once(to.create(&OTHER, NEW, Expiry::new(now, now))).unwrap();
    assert_eq!(at_once(store.sweep()).removed(), 1);
}

/// Its next step is of the other store alone.
#[test]
fn a_store_that_is_swept_waits_for_the_other() {
    for (swept, other) in [(Side::From, 1), (Side::To, 0)] {
        let bench = Bench::new();
        let [from, to] = &bench.net.stores;
        at_once(from.delete(&KEY, None)).unwrap();
        for number in 0..3 {
            let key = RecordKey::from_bytes([number; 32]);
            at_once([from, to][other].create(&key, OLD, expiry(60))).unwrap();
        }
        bench.clock.advance(Duration::from_secs(60));
        let step = at_once(bench.store.sweep_some(2));
        assert!(!step.is_finished(), "{step:?}");
        bench
            .net
            .fail(swept, 0, || StoreError::unavailable("no answer"));
        let step = at_once(bench.store.sweep_some(2));
        assert_eq!((step.removed(), step.failed()), (1, 0), "{step:?}");
    }
}

#[test]
fn a_pair_waits_if_one_of_its_stores_does() {
    let bench = Bench::new();
    let ([one, _], wire) = (bench.net.stores.clone(), Wire::new(Side::To, &bench.net));
    let limits = MigratingStore::new(one.clone(), one.clone()).limits();
    assert!(limits.never_waits);
    let limits = MigratingStore::new(one.clone(), wire.clone()).limits();
    assert!(!limits.never_waits);
    let limits = MigratingStore::new(wire, one).limits();
    assert!(!limits.never_waits);
}

#[test]
fn a_sweep_goes_on_after_a_step_without_records() {
    let clock = Clock::manual(NOW);
    let [from, to] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    // In the order of the sweep: both are in one of the store's 64 parts.
    for key in [KEY, RecordKey::from_bytes([7 + 64; 32])] {
        at_once(from.create(&key, OLD, expiry(60))).unwrap();
    }
    at_once(from.delete(&KEY, None)).unwrap();
    let store = MigratingStore::new(from.clone(), to).clock(clock.clone());
    clock.advance(Duration::from_secs(60));
    while !at_once(store.sweep_some(1)).is_finished() {}
    assert!(from.is_empty());
}

#[test]
fn steps_add_up() {
    let mut all = Migrated::default();
    for done in [Ok(true), Ok(false), Err(StoreError::unavailable("down"))] {
        let mut step = Migrated::default();
        step.note(done);
        all.add(step);
    }
    assert_eq!((all.moved, all.left, all.failed), (1, 1, 1));
    all.add(Migrated::default().finished(true));
    assert!(all.is_finished() && all.is_complete());
}

#[test]
fn a_step_whose_listing_fails_is_tried_again() {
    for side in [Side::From, Side::To] {
        let bench = Bench::new();
        let mut migration = bench.store.migration();
        if side == Side::To {
            assert_eq!(at_once(migration.step(10)).moved(), 1);
        }
        bench
            .net
            .fail(side, 0, || StoreError::unavailable("no answer"));
        let step = at_once(migration.step(10));
        assert_eq!((step.examined(), step.failed()), (0, 1), "{step:?}");
        assert!(!step.is_finished());
    }
}

#[test]
fn a_store_that_fails_does_not_keep_the_other_from_being_swept() {
    for (failing, sound) in [(Side::From, 1), (Side::To, 0)] {
        let bench = Bench::new();
        bench
            .net
            .fail(failing, 0, || StoreError::unavailable("no answer"));
        for _ in 0..3 {
            let now = bench.clock.now();
            let end = Timestamp::from_secs(now.as_secs() + 60);
            let record = bench.net.stores[sound].create(&OTHER, NEW, Expiry::new(end, now));
            at_once(record).unwrap();
            bench.clock.advance(Duration::from_secs(60));
            let step = at_once(bench.store.sweep_some(10));
            // A sweeper continues at once unless it is finished.
            assert!(step.is_finished() && step.failed() == 1, "{step:?}");
            assert!(bench.net.stores[sound].is_empty());
        }
    }
}
