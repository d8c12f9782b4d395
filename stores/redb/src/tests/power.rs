//! Power failures: the process ends at any access to the file, and any part of the unsynced data
//! may be missing.

use std::{
    fs, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{StorageBackend as _, backends::FileBackend};
use silverback::store::{Bytes, Version};
use tempfile::TempDir;

use super::{END, NOW, key, path};
use crate::{
    disk::{Access, Unsynced},
    file::{File, Way},
    operation::{Change, Operation},
    record::{self, Head},
};

/// Cuts the power at an access. Keeps what was there before each write since the last sync.
#[derive(Debug)]
struct Cord {
    left: AtomicU64,
    unsynced: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Cord {
    fn of(accesses: u64) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(accesses),
            unsynced: Mutex::default(),
        })
    }

    fn access(&self) -> io::Result<()> {
        let less = |left: u64| left.checked_sub(1);
        let counted = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        counted.map(drop).map_err(|_| io::Error::other("no power"))
    }

    fn has_power(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }
}

/// Disks write whole sectors.
const SECTOR: usize = 512;

impl Access for Cord {
    fn write(&self, file: &FileBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        self.access()?;
        let mut before = vec![0; data.len()];
        file.read(offset, &mut before)?;
        file.write(offset, data)?;
        let sectors = (0_u64..).step_by(SECTOR).zip(before.chunks(SECTOR));
        let sectors = sectors.map(|(at, sector)| (offset + at, sector.to_vec()));
        self.unsynced.lock().unwrap().extend(sectors);
        Ok(())
    }

    fn sync(&self, _: &FileBackend) -> io::Result<()> {
        self.access()?;
        self.unsynced.lock().unwrap().clear();
        Ok(())
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn way(path: std::path::PathBuf, access: Arc<dyn Access>) -> Way {
    Way {
        path,
        access,
        cache_bytes: 1 << 20,
        checks: true,
    }
}

/// A record's state with this number. No part of it fits another.
fn state(number: u64) -> (Version, Bytes) {
    let len = 40 + (number * 977 % 6_000) as usize;
    let data = (0..len).map(|at| (number as usize + at) as u8).collect();
    (Version::from_u64(number), data)
}

const KEYS: u8 = 5;

/// Writes a state of every record again and again, until the power fails. Returns the last number
/// that was answered.
fn write_until_dark(file: &File, rounds: u64) -> u64 {
    let mut answered = 0;
    for number in 1..=rounds {
        let (version, data) = state(number);
        let head = Head {
            version,
            expires: END.at,
        };
        let operation = |key| Operation {
            key,
            change: match number {
                1 => Change::Create {
                    head,
                    data: data.clone(),
                },
                _ => Change::Update {
                    expected: Version::from_u64(number - 1),
                    head,
                    data: data.clone(),
                },
            },
        };
        let operations: Vec<_> = (0..KEYS).map(key).map(operation).collect();
        match file.write(operations.iter(), NOW) {
            Ok(outcomes) => assert!(outcomes.iter().all(|done| matches!(done, Ok(true)))),
            Err(_) => break,
        }
        answered = number;
    }
    answered
}

/// The number of the state that all records have.
fn found(file: &File) -> u64 {
    let numbers = file.read(|table| {
        let mut numbers = Vec::new();
        for number in 0..KEYS {
            let value = table.get(key(number).as_bytes())?;
            let found = value.map_or(0, |value| {
                let record = record::read(value.value(), NOW).unwrap().unwrap();
                let found = record.version().to_u64().unwrap();
                assert_eq!(record.into_data(), state(found).1, "torn");
                found
            });
            numbers.push(found);
        }
        Ok(numbers)
    });
    let numbers = numbers.unwrap();
    assert!(
        numbers.windows(2).all(|pair| pair[0] == pair[1]),
        "{numbers:?}"
    );
    numbers[0]
}

#[test]
fn answered_writes_survive_a_power_failure_at_any_access() {
    fails_at_any_access(false);
}

#[test]
fn a_file_is_created_after_a_power_failure_during_its_creation() {
    fails_at_any_access(true);
}

fn fails_at_any_access(is_new: bool) {
    let is_soak = std::env::var_os("SILVERBACK_SOAK").is_some();
    let (rounds, seeds) = if is_soak { (40, 50) } else { (6, 3) };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut failures = 0;
    for accesses in 1.. {
        let mut is_done = false;
        for _ in 0..seeds {
            let dir = TempDir::new().unwrap();
            if !is_new {
                drop(File::open(way(path(&dir), Arc::new(Unsynced))).unwrap());
            }
            let cord = Cord::of(accesses);
            let answered = match File::open(way(path(&dir), cord.clone())) {
                Ok(file) => write_until_dark(&file, rounds),
                Err(_) => 0,
            };
            is_done = cord.has_power();
            let mut bytes = fs::read(path(&dir)).unwrap();
            for (offset, before) in cord.unsynced.lock().unwrap().iter().rev() {
                if dice.throw().is_multiple_of(2) {
                    let at = *offset as usize;
                    bytes[at..at + before.len()].copy_from_slice(before);
                }
            }
            let copy = dir.path().join("copy");
            fs::write(&copy, bytes).unwrap();
            let file = File::open(way(copy, Arc::new(Unsynced))).unwrap();
            let kept = found(&file);
            let is_kept = kept == answered || (kept == answered + 1 && !is_done);
            assert!(
                is_kept,
                "{accesses} accesses: {answered} answered, {kept} kept"
            );
            failures += 1;
        }
        if is_done {
            break;
        }
    }
    println!("{failures} power failures, nothing lost or torn");
    assert!(failures > 50);
}
