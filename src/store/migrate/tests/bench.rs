//! A record that is to be moved, and operations that are cut off.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    at_once,
    wires::{Lie, Mode, Net, Side, Wire},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        Bytes, Expiry, MemoryStore, MigratingStore, Read, RecordKey, Store, Version,
        migrate::pair::of_from,
    },
};

type Migrating = MigratingStore<Wire, Wire>;

pub(super) const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
pub(super) const OTHER: RecordKey = RecordKey::from_bytes([8; 32]);
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const OLD: Bytes = Bytes::from_static(b"\x01old");
pub(super) const NEW: Bytes = Bytes::from_static(b"\x01new");

pub(super) fn expiry(secs: u64) -> Expiry {
    Expiry::new(Timestamp::from_secs(NOW.as_secs() + secs), NOW)
}

pub(super) struct Bench {
    pub(super) net: Arc<Net>,
    pub(super) clock: Clock,
    pub(super) store: Migrating,
    /// The version of the record in `from`.
    pub(super) version: Version,
}

impl Bench {
    /// Makes a record in `from`, which is to be moved.
    pub(super) fn new() -> Self {
        let clock = Clock::manual(NOW);
        let stores = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
        Self::of(stores, clock)
    }

    /// The same with one store, which is to be moved to itself.
    pub(super) fn of_one_store() -> Self {
        let clock = Clock::manual(NOW);
        let only = MemoryStore::new().clock(clock.clone());
        Self::of([only.clone(), only], clock)
    }

    fn of(stores: [MemoryStore; 2], clock: Clock) -> Self {
        let version = at_once(stores[0].create(&KEY, OLD, expiry(60))).unwrap();
        let net = Net::new(1, Lie::None, stores);
        net.set(Mode::Calm);
        let [from, to] = [Side::From, Side::To].map(|side| Wire::new(side, &net));
        let store = MigratingStore::new(from, to).clock(clock.clone());
        let version = of_from(version);
        Self {
            net,
            clock,
            store,
            version,
        }
    }

    /// Cuts a move off at one of its waits. Returns whether it had that many.
    pub(super) fn cut(&self, mode: Mode, wait: usize) -> bool {
        self.net.set(mode);
        let mut migration = self.store.migration();
        let is_cut = waits(pin!(migration.step(10)), wait).is_none();
        self.net.set(Mode::Calm);
        is_cut
    }

    pub(super) fn migrate(&self) {
        let mut migration = self.store.migration();
        while !at_once(migration.step(10)).is_finished() {}
    }

    pub(super) fn load(&self) -> Option<(Bytes, Timestamp)> {
        let loaded = at_once(self.store.load(&KEY, Read::Current)).unwrap();
        let loaded = loaded.map(|record| (record.expires(), record.into_data()));
        loaded.map(|(expires, data)| (data, expires))
    }

    pub(super) fn current(&self) -> Version {
        let loaded = at_once(self.store.load(&KEY, Read::Current)).unwrap();
        loaded.unwrap().version()
    }

    /// Completes the move, and returns the content of the new store.
    pub(super) fn moved(&self) -> Option<(Bytes, Timestamp)> {
        self.migrate();
        let [_, to] = &self.net.stores;
        let loaded = at_once(to.load(&KEY, Read::Current)).unwrap();
        let loaded = loaded.map(|record| (record.expires(), record.into_data()));
        loaded.map(|(expires, data)| (data, expires))
    }
}

/// Lets a future wait at most this often.
pub(super) fn waits<T>(mut future: Pin<&mut impl Future<Output = T>>, most: usize) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..most {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
    }
    None
}

/// Counts the waits of a future.
pub(super) fn round_trips<T>(future: impl Future<Output = T>) -> (usize, T) {
    let (mut future, mut trips) = (pin!(future), 0);
    loop {
        match waits(future.as_mut(), 1) {
            Some(output) => return (trips, output),
            None => trips += 1,
        }
    }
}

/// Runs the check after each cut of a move, before and after each of its calls.
pub(super) fn at_each_cut(check: impl Fn(&Bench)) {
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

/// Runs the check after each cut of a save that moves its record, and passes whether the save
/// happened.
pub(super) fn at_each_cut_of_a_save(check: impl Fn(&Bench, bool)) {
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
