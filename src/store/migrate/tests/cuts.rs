//! A move that is cut off at each of its steps, and what each operation makes of it.

use super::{
    at_once,
    bench::{Bench, KEY, NEW, OLD, OTHER, at_each_cut, at_each_cut_of_a_save, expiry},
    wires::Mode,
};
use crate::store::{Read, Store, StoreError, Version, migrate::wire};

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
        let late = wire::copy(&OLD, version);
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
