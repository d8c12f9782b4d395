//! A store behind a network that delays, loses, and delivers late.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use super::at_once;
use crate::store::{
    Browse, Bytes, Cursor, Expiry, Limits, MemoryStore, Page, Read, Record, RecordKey, Store,
    StoreError, Sweep, Swept, Version,
    migrate::{
        pair::{of_copy, of_from},
        wire::{self, Form},
    },
};

/// A deviation of a store, as if the protocol omitted a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lie {
    None,
    /// Any copy counts, whatever its version.
    AnyCopyCounts,
    /// A move accepts a copy of an earlier version.
    CopyOfAnyVersion,
    /// The record is removed from `from` instead of marked.
    NoMark,
    /// A new record leaves no mark in `from`.
    NoClaim,
    /// A move begins even if the record has changed.
    MoveAtAnyVersion,
    /// An update that only moves the end is a touch.
    TouchKeepsVersion,
    /// Both stores count from 1, and versions are not told apart.
    SameVersions,
    /// A save replaces another save's copy, which may be about to be named.
    CopyOverCopy,
    /// A copy is removed while the record it was made of is still there.
    CopyRemovedEarly,
    /// A touch matches a copy.
    TouchOfCopy,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    From,
    To,
}

/// The state that the wires of a world share.
pub(super) struct Net {
    pub(super) lie: Lie,
    pub(super) stores: [MemoryStore; 2],
    numbers: AtomicU64,
    late: Mutex<Vec<(Wire, RecordKey, Write)>>,
    mode: Mutex<Mode>,
    failing: Mutex<Option<Failing>>,
}

/// Calls that fail without being made.
struct Failing {
    side: Side,
    /// How many succeed before.
    after: usize,
    error: fn() -> StoreError,
}

/// How the network treats calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Delays and loses them.
    Faulty,
    /// Answers after one wait. The call happens before the wait, or after it.
    Early,
    Late,
    /// Answers at once.
    Calm,
}

impl Net {
    pub(super) fn new(seed: u64, lie: Lie, stores: [MemoryStore; 2]) -> Arc<Self> {
        Arc::new(Self {
            lie,
            stores,
            numbers: AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            late: Mutex::default(),
            mode: Mutex::new(Mode::Faulty),
            failing: Mutex::default(),
        })
    }

    /// The next random number below this (splitmix64).
    pub(super) fn below(&self, limit: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .numbers
            .fetch_add(step, Ordering::Relaxed)
            .wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Has the writes, listings and sweeps of a store fail, except for the first few.
    pub(super) fn fail(&self, side: Side, after: usize, error: fn() -> StoreError) {
        *self.failing.lock().unwrap() = Some(Failing { side, after, error });
    }

    fn failure(&self, of: Side) -> Option<StoreError> {
        let mut failing = self.failing.lock().unwrap();
        let failing = failing.as_mut().filter(|failing| failing.side == of)?;
        let is_failing = failing.after == 0;
        failing.after = failing.after.saturating_sub(1);
        is_failing.then_some(failing.error).map(|error| error())
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    /// Delivers a late write, if there is one.
    pub(super) fn deliver(&self) -> bool {
        let mut late = self.late.lock().unwrap();
        if late.is_empty() {
            return false;
        }
        let index = self.below(late.len() as u64) as usize;
        let (wire, key, write) = late.swap_remove(index);
        drop(late);
        let _ = wire.apply(&key, write);
        true
    }
}

#[derive(Clone)]
enum Write {
    Create(Bytes, Expiry),
    Update(Version, Bytes, Expiry),
    Touch(Version, Expiry),
    Delete(Option<Version>),
}

#[derive(Clone)]
pub(super) struct Wire {
    side: Side,
    pub(super) net: Arc<Net>,
}

/// A write under way. If nobody waits for it any more, it may arrive late.
struct Sent<'a> {
    wire: &'a Wire,
    key: RecordKey,
    write: Option<Write>,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(write) = self.write.take()
            && self.wire.net.below(2) == 0
        {
            self.wire.later(self.key, write);
        }
    }
}

async fn pause() {
    let mut is_over = false;
    poll_fn(|_| match std::mem::replace(&mut is_over, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

impl Wire {
    pub(super) fn new(side: Side, net: &Arc<Net>) -> Self {
        let net = Arc::clone(net);
        Self { side, net }
    }

    fn store(&self) -> &MemoryStore {
        &self.net.stores[self.side as usize]
    }

    fn later(&self, key: RecordKey, write: Write) {
        let late = (self.clone(), key, write);
        self.net.late.lock().unwrap().push(late);
    }

    async fn write(&self, key: &RecordKey, write: Write) -> Result<Version, StoreError> {
        let net = &self.net;
        if net.mode() != Mode::Faulty {
            let write = || match net.failure(self.side) {
                Some(error) => Err(error),
                None => self.apply(key, write),
            };
            return self.waiting(write).await;
        }
        pause().await;
        let mut sent = Sent {
            wire: self,
            key: *key,
            write: Some(write),
        };
        pause().await;
        let Some(write) = sent.write.take() else {
            unreachable!("a write is sent only once")
        };
        let lost = || StoreError::unavailable("the answer is lost");
        match net.below(24) {
            0 => Err(lost()),
            1 => {
                self.later(*key, write);
                Err(lost())
            }
            2 => {
                let _ = self.apply(key, write);
                Err(lost())
            }
            3 if matches!(write, Write::Create(..)) => Err(StoreError::refused("it is full")),
            _ => {
                let answer = self.apply(key, write);
                pause().await;
                answer
            }
        }
    }

    fn apply(&self, key: &RecordKey, write: Write) -> Result<Version, StoreError> {
        let (lie, is_from) = (self.net.lie, self.side == Side::From);
        let store = self.store();
        let current = || at_once(store.load(key, Read::Current)).unwrap();
        let form = |data: &Bytes| Form::of(data);
        match write {
            Write::Create(data, _) if lie == Lie::NoClaim && form(&data) == Form::Moved(None) => {
                Ok(Version::from_u64(1))
            }
            Write::Create(data, expiry) => {
                let is_copy = |data: &[u8]| matches!(Form::of(data), Form::Copy { .. });
                let in_its_way = current().filter(|record| is_copy(record.data()));
                if lie == Lie::CopyOverCopy && is_copy(&data) && in_its_way.is_some() {
                    let _ = at_once(store.delete(key, None));
                }
                at_once(store.create(key, data, expiry))
            }
            Write::Update(expected, data, expiry) => {
                let expected = self.seen(expected);
                let is_moved = matches!(form(&data), Form::Moved(_));
                if lie == Lie::CopyRemovedEarly && matches!(form(&data), Form::Moving(_)) {
                    self.remove_copy(key, expected);
                    return Err(StoreError::unavailable("killed between the two writes"));
                }
                if lie == Lie::NoMark && is_from && is_moved {
                    return match at_once(store.delete(key, Some(expected))) {
                        Ok(()) => Ok(expected),
                        Err(error) => Err(error),
                    };
                }
                let expected = match current() {
                    Some(record)
                        if lie == Lie::MoveAtAnyVersion
                            && form(&data) != Form::Plain
                            && Form::of(record.data()) == Form::Plain =>
                    {
                        record.version()
                    }
                    Some(record)
                        if lie == Lie::TouchKeepsVersion && is_from && record.data() == data =>
                    {
                        return at_once(store.touch(key, expected, expiry)).map(|v| self.seen(v));
                    }
                    _ => expected,
                };
                at_once(store.update(key, expected, data, expiry))
            }
            Write::Touch(expected, expiry) => {
                let copy = of_copy(expected);
                let is_copy = current().is_some_and(|record| record.version() == copy);
                match lie == Lie::TouchOfCopy && !is_from && is_copy {
                    true => at_once(store.touch(key, copy, expiry)),
                    false => at_once(store.touch(key, self.seen(expected), expiry)),
                }
            }
            Write::Delete(expected) => {
                let expected = expected.map(|version| self.seen(version));
                return at_once(store.delete(key, expected)).map(|()| Version::from_u64(0));
            }
        }
        .map(|version| self.seen(version))
    }

    /// Removes the copy of a record of this version.
    fn remove_copy(&self, key: &RecordKey, version: Version) {
        let [_, to] = &self.net.stores;
        let there = at_once(to.load(key, Read::Current)).unwrap();
        let is_it = |record: &Record| matches!(Form::of(record.data()), Form::Copy { of, .. } if of == version);
        if there.is_some_and(|record| is_it(&record)) {
            at_once(to.delete(key, None)).unwrap();
        }
    }

    async fn ask(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let net = &self.net;
        if net.mode() != Mode::Faulty {
            return Ok(self.waiting(|| self.look(key)).await);
        }
        pause().await;
        if net.below(32) == 0 {
            return Err(StoreError::unavailable("no answer"));
        }
        let record = self.look(key);
        pause().await;
        Ok(record)
    }

    /// Makes the call before the only wait, or after it.
    async fn waiting<T>(&self, call: impl FnOnce() -> T) -> T {
        match self.net.mode() {
            Mode::Early => {
                let answer = call();
                pause().await;
                answer
            }
            Mode::Late => {
                pause().await;
                call()
            }
            Mode::Faulty | Mode::Calm => call(),
        }
    }

    fn look(&self, key: &RecordKey) -> Option<Record> {
        let of = |store: &MemoryStore| at_once(store.load(key, Read::Current)).unwrap();
        let [from, to] = &self.net.stores;
        let record = of(self.store())?;
        let data = match (self.net.lie, Form::of(record.data())) {
            (Lie::AnyCopyCounts, Form::Moved(_)) => {
                let copy = of(to).map(|copy| copy.version());
                wire::moved(copy)
            }
            (Lie::CopyOfAnyVersion, Form::Copy { data, of: version }) => {
                let moving = of(from).map_or(version, |moving| moving.version());
                wire::copy(&data, moving)
            }
            _ => record.clone().into_data(),
        };
        let (version, expires) = (self.seen(record.version()), record.expires());
        Some(Record::new(data, version, expires))
    }

    /// Converts a version to its outside form, and back.
    fn seen(&self, version: Version) -> Version {
        match (self.net.lie, self.side) {
            (Lie::SameVersions, Side::From) => of_from(version),
            _ => version,
        }
    }
}

impl Store for Wire {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        self.ask(key).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        if self.net.mode() != Mode::Faulty {
            let look = || keys.iter().map(|key| Ok(self.look(key))).collect();
            return self.waiting(look).await;
        }
        let mut loaded = Vec::new();
        for key in keys {
            loaded.push(self.ask(key).await);
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(key, Write::Create(data, expiry)).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(key, Write::Update(expected, data, expiry)).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(key, Write::Touch(expected, expiry)).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.write(key, Write::Delete(expected)).await.map(drop)
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        if self.net.mode() != Mode::Faulty {
            let delete = |(key, expected): &(_, Option<Version>)| {
                self.apply(key, Write::Delete(*expected)).map(drop)
            };
            return self.waiting(|| records.iter().map(delete).collect()).await;
        }
        let mut deleted = Vec::new();
        for (key, expected) in records {
            deleted.push(self.delete(key, *expected).await);
        }
        deleted
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: false,
            ..self.store().limits()
        }
    }
}

impl Browse for Wire {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        match self.net.failure(self.side) {
            Some(error) => Err(error),
            None => self.store().browse(from, limit).await,
        }
    }
}

impl Sweep for Wire {
    async fn sweep_some(&self, limit: usize) -> Swept {
        match self.net.failure(self.side) {
            Some(error) => Swept::failure(error),
            None => self.store().sweep_some(limit).await,
        }
    }

    async fn sweep(&self) -> Swept {
        self.store().sweep().await
    }
}
