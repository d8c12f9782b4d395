//! What operations cost.

use super::{
    at_once,
    bench::{Bench, KEY, NEW, OLD, OTHER, expiry, round_trips},
    wires::Mode,
};
use crate::store::{Read, Store};

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
