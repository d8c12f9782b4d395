//! Tests that need the inside of the store: faults and power failures at each operation, and the
//! format.

mod brake;
mod browsing;
mod cached;
mod fake;
mod faults;
mod format;
mod power;
mod races;
mod sweeping;

use std::time::Duration;

use self::fake::Fake;
use super::{
    root::Disk,
    settings::{Durability, Settings},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{Record, RecordKey, StoreError, Version},
};

const KEY: RecordKey = RecordKey::from_bytes([0xab; 32]);
const SHARD: &str = "ab";
const END: Timestamp = Timestamp::from_secs(2_000);
const LATER: Timestamp = Timestamp::from_secs(3_000);

fn disk(fake: &Fake, durability: Durability) -> Disk<Fake> {
    disk_at(fake, durability, 1_000)
}

fn disk_at(fake: &Fake, durability: Durability, now: u64) -> Disk<Fake> {
    let clock = Clock::manual(Timestamp::from_secs(now));
    let settings = Settings {
        durability,
        max_record_bytes: 1 << 20,
        lock_timeout: Duration::ZERO,
        is_network: false,
        kept_files: 8,
        inline_writes: true,
        clock,
    };
    Disk::new(fake.clone(), settings)
}

/// Chosen versions in place of those that `Store` draws: that of a new record, and those that
/// follow.
const FIRST: Version = Version::from_u64(1);
const SECOND: Version = Version::from_u64(2);
const THIRD: Version = Version::from_u64(3);

impl Disk<Fake> {
    fn make(
        &self,
        key: &RecordKey,
        data: &[u8],
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.create(key, FIRST, data, expires)
    }

    fn advance(
        &self,
        key: &RecordKey,
        from: Version,
        data: &[u8],
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        let next = Version::from_u64(from.to_u64().unwrap() + 1);
        self.update(key, from, next, data, expires)
    }
}

fn name() -> String {
    KEY.to_string()
}

/// Bytes of which no mixture equals another such value.
fn data(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed ^ (at % 251) as u8).collect()
}

type Act = fn(&Disk<Fake>) -> Result<(), StoreError>;

/// An operation on a store in a known state, and the states it may leave.
struct Scenario {
    name: &'static str,
    now: u64,
    prepare: fn(&Disk<Fake>),
    act: Act,
    old: Option<Record>,
    new: Option<Record>,
}

fn scenarios() -> Vec<Scenario> {
    let small = || Record::new(data(1, 300), FIRST, END);
    let create: fn(&Disk<Fake>) = |disk| assert!(disk.make(&KEY, &data(1, 300), END).is_ok());
    vec![
        Scenario {
            name: "create",
            now: 1_000,
            prepare: |_| {},
            act: |disk| disk.make(&KEY, &data(1, 300), END).map(drop),
            old: None,
            new: Some(small()),
        },
        Scenario {
            name: "create over an expired record",
            now: 2_500,
            prepare: create,
            act: |disk| disk.create(&KEY, SECOND, &data(2, 500), LATER).map(drop),
            old: None,
            new: Some(Record::new(data(2, 500), SECOND, LATER)),
        },
        Scenario {
            name: "update",
            now: 1_000,
            prepare: create,
            act: |disk| disk.advance(&KEY, FIRST, &data(2, 1_500), LATER).map(drop),
            old: Some(small()),
            new: Some(Record::new(data(2, 1_500), SECOND, LATER)),
        },
        Scenario {
            name: "second update",
            now: 1_000,
            prepare: |disk| {
                let version = disk.make(&KEY, &data(9, 1_900), END).unwrap();
                disk.advance(&KEY, version, &data(1, 1_200), END).unwrap();
            },
            act: |disk| disk.advance(&KEY, SECOND, &data(2, 1_500), LATER).map(drop),
            old: Some(Record::new(data(1, 1_200), SECOND, END)),
            new: Some(Record::new(data(2, 1_500), THIRD, LATER)),
        },
        Scenario {
            name: "grow",
            now: 1_000,
            prepare: create,
            act: |disk| disk.advance(&KEY, FIRST, &data(2, 9_000), LATER).map(drop),
            old: Some(small()),
            new: Some(Record::new(data(2, 9_000), SECOND, LATER)),
        },
        Scenario {
            name: "touch",
            now: 1_000,
            prepare: create,
            act: |disk| disk.touch(&KEY, FIRST, LATER).map(drop),
            old: Some(small()),
            new: Some(Record::new(data(1, 300), FIRST, LATER)),
        },
        Scenario {
            name: "update on the calling thread",
            now: 1_000,
            prepare: create,
            act: |disk| {
                disk.update_cached(&KEY, FIRST, SECOND, &data(2, 1_500), LATER)
                    .unwrap_or_else(|| disk.advance(&KEY, FIRST, &data(2, 1_500), LATER))
                    .map(drop)
            },
            old: Some(small()),
            new: Some(Record::new(data(2, 1_500), SECOND, LATER)),
        },
        Scenario {
            name: "update of a file that is open",
            now: 1_000,
            prepare: |disk| {
                let version = disk.make(&KEY, &data(9, 1_900), END).unwrap();
                disk.advance(&KEY, version, &data(1, 1_200), END).unwrap();
            },
            act: |disk| {
                let _ = disk.load_cached(&KEY);
                disk.update_cached(&KEY, SECOND, THIRD, &data(2, 1_500), LATER)
                    .unwrap_or_else(|| disk.advance(&KEY, SECOND, &data(2, 1_500), LATER))
                    .map(drop)
            },
            old: Some(Record::new(data(1, 1_200), SECOND, END)),
            new: Some(Record::new(data(2, 1_500), THIRD, LATER)),
        },
        Scenario {
            name: "touch of a file that is open",
            now: 1_000,
            prepare: create,
            act: |disk| {
                let _ = disk.load_cached(&KEY);
                disk.touch_cached(&KEY, FIRST, LATER)
                    .unwrap_or_else(|| disk.touch(&KEY, FIRST, LATER))
                    .map(drop)
            },
            old: Some(small()),
            new: Some(Record::new(data(1, 300), FIRST, LATER)),
        },
        Scenario {
            name: "delete",
            now: 1_000,
            prepare: create,
            act: |disk| disk.delete(&KEY, None),
            old: Some(small()),
            new: None,
        },
    ]
}
