//! A move that is cut off at each of its steps, and what each operation makes of it.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::wires::{Lie, Mode, Net, Side, Wire};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        Browse as _, Bytes, Cursor, Expiry, MemoryStore, Migrated, MigratingStore, Read, RecordKey,
        RecordKind, Store, StoreError, Sweep as _, Version, migrate::pair::of_from, poll_once,
    },
};

type Migrating = MigratingStore<Wire, Wire>;

const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
const OTHER: RecordKey = RecordKey::from_bytes([8; 32]);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const OLD: Bytes = Bytes::from_static(b"\x01old");
const NEW: Bytes = Bytes::from_static(b"\x01new");

fn expiry(secs: u64) -> Expiry {
    Expiry::new(Timestamp::from_secs(NOW.as_secs() + secs), NOW)
}

struct Bench {
    net: Arc<Net>,
    store: Migrating,
    /// The version of the record in `from`.
    version: Version,
}

impl Bench {
    /// Makes a record in `from`, which is to be moved.
    fn new() -> Self {
        let clock = Clock::manual(NOW);
        let stores = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
        let version = at_once(stores[0].create(&KEY, OLD, expiry(60))).unwrap();
        let net = Net::new(1, Lie::None, stores);
        net.set(Mode::Calm);
        let [from, to] = [Side::From, Side::To].map(|side| Wire::new(side, &net));
        let store = MigratingStore::new(from, to).clock(clock);
        let version = of_from(version);
        Self {
            net,
            store,
            version,
        }
    }

    /// Cuts a move off at one of its waits. Returns whether it had that many.
    fn cut(&self, mode: Mode, wait: usize) -> bool {
        self.net.set(mode);
        let mut migration = self.store.migration();
        let is_cut = waits(pin!(migration.step(10)), wait).is_none();
        self.net.set(Mode::Calm);
        is_cut
    }

    fn migrate(&self) {
        let mut migration = self.store.migration();
        while !at_once(migration.step(10)).is_finished() {}
    }

    fn load(&self) -> Option<(Bytes, Timestamp)> {
        let loaded = at_once(self.store.load(&KEY, Read::Current)).unwrap();
        let loaded = loaded.map(|record| (record.expires(), record.into_data()));
        loaded.map(|(expires, data)| (data, expires))
    }

    fn current(&self) -> Version {
        let loaded = at_once(self.store.load(&KEY, Read::Current)).unwrap();
        loaded.unwrap().version()
    }

    /// Completes the move, and returns the content of the new store.
    fn moved(&self) -> Option<(Bytes, Timestamp)> {
        self.migrate();
        let [_, to] = &self.net.stores;
        let loaded = at_once(to.load(&KEY, Read::Current)).unwrap();
        let loaded = loaded.map(|record| (record.expires(), record.into_data()));
        loaded.map(|(expires, data)| (data, expires))
    }
}

fn at_once<T>(done: impl Future<Output = T>) -> T {
    poll_once(pin!(done)).unwrap()
}

/// Lets a future wait at most this often.
fn waits<T>(mut future: Pin<&mut impl Future<Output = T>>, most: usize) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..most {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
    }
    None
}

/// Runs the check after each cut of a save that moves its record, and passes whether the save
/// happened.
fn at_each_cut_of_a_save(check: impl Fn(&Bench, bool)) {
    let mut cuts = 0;
    for mode in [Mode::Early, Mode::Late] {
        for wait in 0.. {
            let bench = Bench::new();
            bench.load();
            bench.net.set(mode);
            let save = pin!(bench.store.update(&KEY, bench.version, NEW, expiry(90)));
            let is_done = waits(save, wait).is_some();
            bench.net.set(Mode::Calm);
            let loaded = bench.load();
            let is_saved = loaded == Some((NEW, expiry(90).at));
            assert!(
                is_saved || loaded == Some((OLD, expiry(60).at)),
                "{loaded:?}"
            );
            assert!(is_saved || !is_done);
            check(&bench, is_saved);
            cuts += 1;
            if is_done {
                break;
            }
        }
    }
    assert_eq!(cuts, 8);
}

/// Counts the waits of a future.
fn round_trips<T>(future: impl Future<Output = T>) -> (usize, T) {
    let (mut future, mut trips) = (pin!(future), 0);
    loop {
        match waits(future.as_mut(), 1) {
            Some(output) => return (trips, output),
            None => trips += 1,
        }
    }
}

/// Runs the check after each cut of a move, before and after each of its calls.
fn at_each_cut(check: impl Fn(&Bench)) {
    let mut cuts = 0;
    for mode in [Mode::Early, Mode::Late] {
        for wait in 0.. {
            let bench = Bench::new();
            let is_cut = bench.cut(mode, wait);
            check(&bench);
            cuts += 1;
            if !is_cut {
                break;
            }
        }
    }
    assert!(cuts > 10, "{cuts}");
}

#[test]
fn a_record_is_read_as_it_was_at_each_cut() {
    let old = || Some((OLD, expiry(60).at));
    at_each_cut(|bench| {
        let many = at_once(bench.store.load_many(&[OTHER, KEY, KEY], Read::Current));
        let found = many.into_iter().map(|loaded| loaded.unwrap().is_some());
        assert_eq!(found.collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((bench.load(), bench.moved()), (old(), old()));
    });
}

#[test]
fn a_record_is_changed_once_at_each_cut() {
    at_each_cut(|bench| {
        let update = |version| at_once(bench.store.update(&KEY, version, NEW, expiry(90)));
        match update(bench.version) {
            Ok(_) => {}
            Err(StoreError::Conflict) => drop(update(bench.current()).unwrap()),
            Err(error) => panic!("{error}"),
        }
        assert!(matches!(update(bench.version), Err(StoreError::Conflict)));
        let new = Some((NEW, expiry(90).at));
        assert_eq!((bench.load(), bench.moved()), (new.clone(), new));
    });
}

#[test]
fn a_record_is_touched_at_each_cut() {
    at_each_cut(|bench| {
        let touch = |version| at_once(bench.store.touch(&KEY, version, expiry(90)));
        match touch(bench.version) {
            Ok(_) => {}
            Err(StoreError::Conflict) => drop(touch(bench.current()).unwrap()),
            Err(error) => panic!("{error}"),
        }
        let touched = Some((OLD, expiry(90).at));
        assert_eq!((bench.load(), bench.moved()), (touched.clone(), touched));
    });
}

#[test]
fn a_record_ends_for_good_at_each_cut() {
    at_each_cut(|bench| {
        at_once(bench.store.delete(&KEY, None)).unwrap();
        let late = at_once(bench.store.update(&KEY, bench.version, NEW, expiry(90)));
        assert!(matches!(late, Err(StoreError::Gone)));
        assert_eq!((bench.load(), bench.moved()), (None, None));
    });
    at_each_cut(|bench| {
        let version = bench.current();
        let deleted = at_once(
            bench
                .store
                .delete_many(&[(OTHER, None), (KEY, Some(version))]),
        );
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        assert_eq!((bench.load(), bench.moved()), (None, None));
    });
}

#[test]
fn a_record_is_not_created_twice_at_any_cut() {
    at_each_cut(|bench| {
        let create = || at_once(bench.store.create(&KEY, NEW, expiry(90)));
        assert!(matches!(create(), Err(StoreError::Exists)));
        at_once(bench.store.delete(&KEY, None)).unwrap();
        create().unwrap();
        let new = Some((NEW, expiry(90).at));
        assert_eq!((bench.load(), bench.moved()), (new.clone(), new));
    });
}

/// A late write of a killed process, after the session has ended.
#[test]
fn a_copy_that_arrives_late_does_not_count() {
    for wait in 0..20 {
        let bench = Bench::new();
        bench.cut(Mode::Late, wait);
        // The late write is a copy of the record as the killed process saw it.
        at_once(bench.store.delete(&KEY, None)).unwrap();
        let [from, to] = &bench.net.stores;
        let left = at_once(from.load(&KEY, Read::Current)).unwrap();
        let version = left.map_or(Version::from_u64(1), |record| record.version());
        let late = super::super::wire::copy(&OLD, version);
        at_once(to.create(&KEY, late, expiry(60))).unwrap();
        assert_eq!(bench.load(), None);
        // The copy does not get in the way of a new record.
        at_once(bench.store.create(&KEY, NEW, expiry(90))).unwrap();
        assert_eq!(bench.moved(), Some((NEW, expiry(90).at)));
    }
}

#[test]
fn a_save_that_moves_its_record_is_done_or_not_at_each_cut() {
    at_each_cut_of_a_save(|bench, is_saved| {
        let kept = bench.load();
        let late = at_once(bench.store.update(&KEY, bench.version, OLD, expiry(99)));
        match is_saved {
            true => assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}"),
            false => assert!(late.is_ok(), "{late:?}"),
        }
        let kept = if is_saved {
            kept
        } else {
            Some((OLD, expiry(99).at))
        };
        assert_eq!((bench.load(), bench.moved()), (kept.clone(), kept));
    });
    at_each_cut_of_a_save(|bench, _| {
        let touched = at_once(bench.store.touch(&KEY, bench.current(), expiry(99)));
        touched.unwrap();
        let kept = bench.load();
        assert_eq!(kept.as_ref().map(|(_, end)| *end), Some(expiry(99).at));
        assert_eq!(bench.moved(), kept);
    });
    at_each_cut_of_a_save(|bench, _| {
        at_once(bench.store.delete(&KEY, Some(bench.current()))).unwrap();
        assert_eq!((bench.load(), bench.moved()), (None, None));
        at_once(bench.store.create(&KEY, OLD, expiry(99))).unwrap();
        assert_eq!(bench.moved(), Some((OLD, expiry(99).at)));
    });
    at_each_cut_of_a_save(|bench, _| {
        let version = bench.current();
        let deleted = at_once(bench.store.delete_many(&[(KEY, Some(version))]));
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        assert_eq!((bench.load(), bench.moved()), (None, None));
    });
}

/// This process has not loaded the record. Finding it would take another round trip.
#[test]
fn a_save_of_a_record_that_was_not_loaded_leaves_it_where_it_is() {
    let bench = Bench::new();
    at_once(bench.store.update(&KEY, bench.version, NEW, expiry(90))).unwrap();
    let in_from = |bench: &Bench| {
        let record = at_once(bench.net.stores[0].load(&KEY, Read::Current)).unwrap();
        record.is_some_and(|record| record.data() == NEW)
    };
    assert!(in_from(&bench));
    let version = bench.current();
    at_once(bench.store.update(&KEY, version, NEW, expiry(99))).unwrap();
    assert!(!in_from(&bench));
}

/// Its copy counts like a record for every process, and the next write makes it one.
#[test]
fn a_record_moved_by_a_save_takes_no_more_round_trips() {
    let saved = || {
        let bench = Bench::new();
        bench.load();
        at_once(bench.store.update(&KEY, bench.version, NEW, expiry(90))).unwrap();
        let version = bench.current();
        bench.net.set(Mode::Early);
        (bench, version)
    };
    let trips = |count, trips, what: &str| assert_eq!(trips, count, "{what}");
    let (bench, version) = saved();
    trips(
        2,
        round_trips(bench.store.load(&KEY, Read::Current)).0,
        "load",
    );
    trips(
        2,
        round_trips(bench.store.load_many(&[KEY; 2], Read::Current)).0,
        "load_many",
    );
    let update = bench.store.update(&KEY, version, OLD, expiry(99));
    trips(2, round_trips(update).0, "update");
    trips(
        1,
        round_trips(bench.store.load(&KEY, Read::Current)).0,
        "load after that",
    );
    let (bench, version) = saved();
    let (count, touched) = round_trips(bench.store.touch(&KEY, version, expiry(99)));
    touched.unwrap();
    trips(2, count, "touch");
    trips(
        1,
        round_trips(bench.store.load(&KEY, Read::Current)).0,
        "load after that",
    );
    let (bench, version) = saved();
    let (count, deleted) = round_trips(bench.store.delete(&KEY, Some(version)));
    deleted.unwrap();
    trips(2, count, "delete");
    let (bench, version) = saved();
    let (count, deleted) = round_trips(bench.store.delete_many(&[(KEY, Some(version))]));
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    trips(2, count, "delete_many");
}

#[test]
fn operations_make_as_many_round_trips_as_their_docs_say() {
    for (is_moved, [load, update, touch, delete, create]) in
        [(false, [2, 2, 2, 2, 2]), (true, [1, 1, 1, 2, 2])]
    {
        let bench = Bench::new();
        if is_moved {
            bench.migrate();
        }
        bench.net.set(Mode::Early);
        let store = &bench.store;
        let (trips, loaded) = round_trips(store.load(&KEY, Read::Current));
        assert_eq!(trips, load, "load");
        let (trips, _) = round_trips(store.load_many(&[KEY; 9], Read::Current));
        assert_eq!(trips, load, "load_many");
        let version = loaded.unwrap().unwrap().version();
        let (trips, updated) = round_trips(store.update(&KEY, version, NEW, expiry(90)));
        assert_eq!(trips, update, "update");
        let (trips, touched) = round_trips(store.touch(&KEY, updated.unwrap(), expiry(99)));
        assert_eq!(trips, touch, "touch");
        let (trips, created) = round_trips(store.create(&OTHER, NEW, expiry(90)));
        assert_eq!(trips, create, "create");
        created.unwrap();
        let version = touched.unwrap();
        let (trips, deleted) = round_trips(store.delete(&KEY, Some(version)));
        deleted.unwrap();
        assert_eq!(trips, delete, "delete");
        let (trips, _) = round_trips(store.delete_many(&[(OTHER, None), (KEY, None)]));
        assert_eq!(trips, delete, "delete_many");
    }
}

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
    assert_eq!((step.moved(), step.failed()), (0, 1));
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
fn a_move_that_has_begun_is_not_reversed() {
    let bench = Bench::new();
    assert!(bench.cut(Mode::Early, 3));
    let [from, to] = bench.net.stores.clone();
    let back = MigratingStore::new(to, from);
    let loaded = at_once(back.load(&KEY, Read::Current));
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
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

#[test]
fn listings_and_sweeps_cover_both_stores() {
    let clock = Clock::manual(NOW);
    let [from, to] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    at_once(from.create(&KEY, OLD, expiry(60))).unwrap();
    let store = MigratingStore::new(from.clone(), to).clock(clock.clone());
    at_once(store.create(&OTHER, NEW, expiry(60))).unwrap();
    let (mut keys, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = cursor {
        let page = at_once(store.browse(&from, 1)).unwrap();
        keys.extend(page.entries.iter().map(|entry| (entry.key, entry.kind)));
        cursor = page.next;
    }
    let session = Some(RecordKind::Session);
    assert_eq!(keys, [(KEY, session), (OTHER, session)]);
    clock.advance(std::time::Duration::from_secs(60));
    let (mut swept, mut removed) = (false, 0);
    while !swept {
        let step = at_once(store.sweep_some(1));
        (swept, removed) = (step.is_finished(), removed + step.removed());
    }
    assert_eq!((removed, from.len()), (2, 0), "the mark stays longer");
    clock.advance(std::time::Duration::from_secs(600));
    assert_eq!(at_once(store.sweep()).removed(), 1);
}
