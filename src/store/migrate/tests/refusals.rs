//! Records that are not moved.

use super::{
    at_once,
    bench::{Bench, KEY, NEW, NOW, OLD, expiry},
    wires::{Mode, Side},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{Bytes, MemoryStore, Migrated, MigratingStore, Read, Store, StoreError, migrate::wire},
};

#[test]
fn a_record_that_the_new_store_refuses_stays_in_use() {
    let clock = Clock::manual(NOW);
    let [from, to] =
        [1 << 20, 64 << 10].map(|size| MemoryStore::new().max_bytes(size).clock(clock.clone()));
    let large = Bytes::from(vec![1; 2_000]);
    at_once(from.create(&KEY, large.clone(), expiry(60))).unwrap();
    let store = MigratingStore::new(from, to).clock(clock);
    let mut migration = store.migration();
    let step = at_once(migration.step(10));
    assert!(
        matches!(step.error(), Some(StoreError::TooLarge { .. })),
        "{step:?}"
    );
    let counts = (step.examined(), step.moved(), step.failed());
    assert_eq!(counts, (1, 0, 1));
    let step = at_once(migration.step(10));
    assert!(step.is_finished() && !step.is_complete());
    let loaded = at_once(store.load(&KEY, Read::Current)).unwrap().unwrap();
    assert_eq!(loaded.data(), large);
    let (size, most) = (large.len(), store.limits().record_bytes);
    let refused = at_once(store.update(&KEY, loaded.version(), large, expiry(90)));
    assert!(
        matches!(refused, Err(StoreError::TooLarge { size: told, limit }) if (told, limit) == (size, most)),
        "{refused:?}"
    );
}

#[test]
fn a_move_that_has_begun_is_not_reversed() {
    let begun = |has_copy| {
        let bench = Bench::new();
        assert!(bench.cut(Mode::Early, if has_copy { 3 } else { 2 }));
        let [from, to] = bench.net.stores.clone();
        assert_eq!(to.len(), usize::from(has_copy));
        let back = MigratingStore::new(to, from);
        let loaded = at_once(back.load(&KEY, Read::Current));
        assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
        back
    };
    begun(false);
    let back = begun(true);
    let mut migration = back.migration();
    let step = at_once(migration.step(10));
    let step = (step.moved(), at_once(migration.step(10)).failed());
    assert_eq!(step, (0, 1));
}

#[test]
fn a_store_is_not_moved_to_itself() {
    let clock = Clock::manual(NOW);
    let only = MemoryStore::new().clock(clock.clone());
    at_once(only.create(&KEY, OLD, expiry(60))).unwrap();
    let store = MigratingStore::new(only.clone(), only.clone()).clock(clock);
    let (mut migration, mut all) = (store.migration(), Migrated::default());
    while !all.is_finished() {
        all.add(at_once(migration.step(10)));
    }
    let refused = matches!(all.error(), Some(StoreError::Refused(_)));
    assert!(refused && !all.is_complete(), "{all:?}");
    let loaded = at_once(store.load(&KEY, Read::Current)).unwrap().unwrap();
    assert_eq!((loaded.data(), loaded.expires()), (&OLD[..], expiry(60).at));
    let alone = at_once(only.load(&KEY, Read::Current)).unwrap().unwrap();
    assert_eq!(alone.data(), &OLD[..]);
}

/// A store that uses its server's clock would end the record.
#[test]
fn a_record_that_is_over_by_the_movers_clock_alone_stays() {
    for (ahead, moved) in [(61, 1), (600, 1), (3_600, 0)] {
        let clock = Clock::manual(NOW);
        let stores = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
        at_once(stores[0].create(&KEY, OLD, expiry(60))).unwrap();
        let [from, to] = stores.clone();
        let late = Timestamp::from_secs(NOW.as_secs() + ahead);
        let store = MigratingStore::new(from, to).clock(Clock::manual(late));
        let step = at_once(store.migration().step(10));
        assert_eq!(
            (step.moved(), step.failed()),
            (moved, 1 - moved),
            "{step:?}"
        );
        let data = at_once(stores[0].load(&KEY, Read::Current)).unwrap();
        assert_eq!(data.is_some_and(|record| record.data() == OLD), moved == 0);
    }
}

/// For example because its disk is full.
#[test]
fn a_record_is_saved_in_the_old_store_while_the_new_one_refuses_writes() {
    for is_loaded in [false, true] {
        let bench = Bench::new();
        if is_loaded {
            bench.load();
        }
        let store = &bench.store;
        bench
            .net
            .fail(Side::To, 0, || StoreError::refused("it is full"));
        let saved = at_once(store.update(&KEY, bench.version, NEW, expiry(90))).unwrap();
        let late = at_once(store.update(&KEY, bench.version, OLD, expiry(90)));
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        let late = at_once(store.touch(&KEY, bench.version, expiry(90)));
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        let touched = at_once(store.touch(&KEY, saved, expiry(99))).unwrap();
        assert_eq!(bench.load(), Some((NEW, expiry(99).at)));
        at_once(store.delete(&KEY, Some(touched))).unwrap();
        assert_eq!(bench.load(), None);
    }
    let bench = Bench::new();
    bench.migrate();
    bench
        .net
        .fail(Side::To, 0, || StoreError::refused("it is full"));
    let refused = at_once(bench.store.update(&KEY, bench.current(), NEW, expiry(90)));
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
}

/// A useless copy in the new store takes one more look there, whose failure says nothing.
#[test]
fn a_save_that_was_made_in_the_old_store_is_no_error() {
    let bench = Bench::new();
    let useless = wire::copy(&OLD, bench.version);
    at_once(bench.net.stores[1].create(&KEY, useless, expiry(60))).unwrap();
    bench
        .net
        .fail(Side::To, 1, || StoreError::unavailable("no answer"));
    let saved = at_once(bench.store.update(&KEY, bench.version, NEW, expiry(90)));
    assert!(saved.is_ok(), "{saved:?}");
    assert_eq!(bench.load(), Some((NEW, expiry(90).at)));
}

#[test]
fn a_move_of_a_store_to_itself_that_is_cut_off_leaves_its_record_in_use() {
    for mode in [Mode::Early, Mode::Late] {
        for wait in 0.. {
            let bench = Bench::of_one_store();
            let is_cut = bench.cut(mode, wait);
            assert_eq!(bench.load(), Some((OLD, expiry(60).at)), "{mode:?} {wait}");
            let version = bench.current();
            at_once(bench.store.update(&KEY, version, NEW, expiry(90))).unwrap();
            let alone = at_once(bench.net.stores[0].load(&KEY, Read::Current)).unwrap();
            assert_eq!(alone.unwrap().data(), NEW);
            if !is_cut {
                break;
            }
        }
    }
}
