//! Operations on the calling thread, with files that stay open.

use super::{
    super::{Durability, fs::Fs},
    fake::Fault,
    *,
};

const EMFILE: i32 = 24;
const SMALL: &[u8] = b"data";

/// A store with a record whose file is open, and another store in the same directory.
fn kept() -> (Fake, Disk<Fake>, Disk<Fake>) {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, SMALL, END).unwrap();
    assert!(disk.load_cached(&KEY).flatten().is_some());
    (fake.clone(), disk, self::disk(&fake, Durability::None))
}

/// Returns the operations that the work performs.
fn log_of<T>(fake: &Fake, work: impl FnOnce() -> T) -> (T, Vec<&'static str>) {
    fake.plan(usize::MAX, Fault::Error(EMFILE));
    let done = work();
    (done, fake.log())
}

/// What the store does: on this thread if possible, otherwise on another.
fn update(disk: &Disk<Fake>, expected: Version, data: &[u8]) -> Result<Version, StoreError> {
    let next = Version::from_u64(expected.to_u64().unwrap() + 1);
    disk.update_cached(&KEY, expected, next, data, END)
        .unwrap_or_else(|| disk.update(&KEY, expected, next, data, END))
}

fn load(disk: &Disk<Fake>) -> Option<Record> {
    disk.load_cached(&KEY)
        .unwrap_or_else(|| disk.load(&KEY).unwrap())
}

#[test]
fn a_file_that_stays_open_is_neither_opened_nor_closed_again() {
    let (fake, disk, _) = kept();
    let (found, log) = log_of(&fake, || disk.load_cached(&KEY).flatten());
    assert_eq!(found.unwrap().data(), SMALL);
    assert_eq!(log, ["stat", "read"]);
    let (updated, log) = log_of(&fake, || {
        disk.update_cached(&KEY, FIRST, SECOND, b"next", END)
    });
    assert_eq!(updated.unwrap().unwrap(), SECOND);
    assert_eq!(log, ["lock", "stat", "read", "write"]);
    let (touched, log) = log_of(&fake, || disk.touch_cached(&KEY, SECOND, LATER));
    assert_eq!(touched.unwrap().unwrap(), SECOND);
    assert_eq!(log, ["lock", "stat", "read", "write"]);
    let found = disk.load(&KEY).unwrap();
    assert_eq!(found, Some(Record::new(&b"next"[..], SECOND, LATER)));
}

#[test]
fn a_missing_record_is_looked_for_once() {
    let (fake, disk, _) = kept();
    let (found, log) = log_of(&fake, || {
        disk.load_cached(&RecordKey::from_bytes([0xcd; 32]))
    });
    assert_eq!(found, Some(None));
    assert_eq!(log, ["open cached", "is alive"]);
}

#[test]
fn without_kept_files_each_use_opens_the_file() {
    let (fake, mut disk, other) = kept();
    disk = Disk::new(
        fake.clone(),
        Settings {
            kept_files: 0,
            ..disk.settings
        },
    );
    for _ in 0..2 {
        let (_, log) = log_of(&fake, || disk.load_cached(&KEY));
        assert_eq!(log, ["open cached", "stat", "read"]);
    }
    assert_eq!(update(&disk, FIRST, b"next").unwrap(), SECOND);
    assert_eq!(load(&other).unwrap().data(), b"next");
}

/// Another process removes, replaces or recreates the record that this one has open.
#[test]
fn an_open_file_that_is_not_the_record_is_not_used() {
    type Case = (Act, Option<(Vec<u8>, Version)>, fn(&StoreError) -> bool);
    let gone: fn(&StoreError) -> bool = |error| matches!(error, StoreError::Gone);
    let conflict: fn(&StoreError) -> bool = |error| matches!(error, StoreError::Conflict);
    let cases: [Case; 4] = [
        (|other| other.delete(&KEY, None), None, gone),
        (
            |other| {
                other.settings.clock.advance(Duration::from_secs(5_000));
                assert_eq!(other.sweep().removed(), 1);
                Ok(())
            },
            None,
            gone,
        ),
        (
            |other| other.advance(&KEY, FIRST, &data(1, 9_000), END).map(drop),
            Some((data(1, 9_000), SECOND)),
            conflict,
        ),
        (
            |other| {
                other.delete(&KEY, None)?;
                other.create(&KEY, THIRD, b"new", END).map(drop)
            },
            Some((b"new".to_vec(), THIRD)),
            conflict,
        ),
    ];
    for (number, (act, left, refused)) in cases.into_iter().enumerate() {
        for is_loaded_first in [false, true] {
            let (fake, disk, other) = kept();
            act(&other).unwrap();
            let expected = left
                .as_ref()
                .map(|(data, version)| Record::new(data.clone(), *version, END));
            if is_loaded_first {
                assert_eq!(load(&disk), expected, "case {number}");
            }
            let before = fake.names(SHARD);
            let error = update(&disk, FIRST, b"late").unwrap_err();
            assert!(refused(&error), "case {number}: {error:?}");
            assert_eq!(fake.names(SHARD), before);
            assert_eq!(load(&disk), expected, "case {number}");
            assert_eq!(other.load(&KEY).unwrap(), expected, "case {number}");
        }
    }
}

/// The other process is quicker by one operation.
#[test]
fn a_record_that_ends_between_two_operations_is_not_written() {
    for operation in ["lock", "stat"] {
        let (fake, disk, other) = kept();
        fake.meanwhile(operation, move || match operation {
            "lock" => other.delete(&KEY, None).unwrap(),
            // The lock is held by now.
            _ => assert!(other.delete(&KEY, None).is_err()),
        });
        let updated = update(&disk, FIRST, b"late");
        match operation {
            "lock" => assert!(matches!(updated, Err(StoreError::Gone))),
            _ => assert!(updated.is_ok()),
        }
        assert_eq!(load(&disk).is_some(), operation == "stat");
    }
}

#[test]
fn work_that_may_wait_is_left_to_another_thread() {
    type Arrange = fn(&Fake, &mut Disk<Fake>);
    let cases: [(&str, Arrange, usize); 8] = [
        ("locked", |fake, _| fake.hold(SHARD, &name()), 4),
        ("growing", |_, _| {}, 9_000),
        (
            "over a lowered limit",
            |_, disk| disk.settings.max_record_bytes = 3,
            4,
        ),
        (
            "not in memory",
            |fake, disk| {
                disk.kept.forget(&KEY);
                fake.plan(1, Fault::Error(11));
            },
            4,
        ),
        (
            "pages not in memory",
            |fake, _| fake.plan(3, Fault::Error(11)),
            4,
        ),
        (
            "with syncs",
            |_, disk| disk.settings.durability = Durability::Data,
            4,
        ),
        (
            "unless allowed",
            |_, disk| disk.settings.inline_writes = false,
            4,
        ),
        ("on a network", |_, disk| disk.settings.is_network = true, 4),
    ];
    for (what, arrange, len) in cases {
        let (fake, mut disk, _) = kept();
        let before = fake.content(SHARD, &name());
        arrange(&fake, &mut disk);
        let updated = disk.update_cached(&KEY, FIRST, SECOND, &data(1, len), END);
        assert!(updated.is_none(), "{what}: {updated:?}");
        assert_eq!(fake.content(SHARD, &name()), before, "{what}");
    }
}

#[test]
fn a_large_file_is_neither_kept_nor_changed_here() {
    for (len, is_small) in [(20_000, true), (30_000, false)] {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        let first = disk.make(&KEY, &data(1, len), END).unwrap();
        let updated = disk.update_cached(&KEY, first, SECOND, &data(2, len), END);
        assert_eq!(updated.is_some(), is_small, "{len}");
        disk.load_cached(&KEY).unwrap().unwrap();
        let (_, log) = log_of(&fake, || disk.load_cached(&KEY));
        assert_eq!(!log.contains(&"open cached"), is_small, "{len}");
    }
}

#[test]
fn after_a_second_a_file_is_opened_by_its_name_again() {
    let (fake, disk, _) = kept();
    fake.pass(Duration::from_millis(999));
    let (_, log) = log_of(&fake, || load(&disk));
    assert_eq!(log, ["stat", "read"]);
    fake.pass(Duration::from_millis(1));
    let (_, log) = log_of(&fake, || load(&disk));
    assert_eq!(log, ["open cached", "stat", "read"]);
}

#[test]
fn a_sweep_closes_files_that_were_open_for_a_second() {
    let (fake, disk, _) = kept();
    disk.sweep_some(1);
    assert!(disk.kept.take(&KEY, fake.uptime()).is_some());
    load(&disk);
    fake.pass(Duration::from_secs(1));
    disk.sweep_some(1);
    assert!(disk.kept.take(&KEY, Duration::ZERO).is_none());
}

/// `flock` does not separate a parent and a child that share the open file.
#[test]
fn a_child_process_locks_no_file_of_its_parent() {
    let (fake, disk, _) = kept();
    fake.become_child();
    let (updated, log) = log_of(&fake, || {
        disk.update_cached(&KEY, FIRST, SECOND, b"next", END)
    });
    assert!(updated.unwrap().is_ok());
    assert_eq!(log, ["open cached", "lock", "stat", "read", "write"]);
}

#[test]
fn kept_files_are_closed_when_descriptors_run_out() {
    let other = RecordKey::from_bytes([0xcd; 32]);
    let acts: [Act; 4] = [
        |disk| disk.load(&KEY).map(drop),
        |disk| disk.delete(&KEY, None),
        |disk| {
            disk.make(&RecordKey::from_bytes([0xab; 32]), b"", LATER)
                .map(drop)
        },
        |disk| {
            disk.sweep().error().map_or(Ok(()), |error| {
                Err(StoreError::unavailable(error.to_string()))
            })
        },
    ];
    for act in acts {
        for operation in 1.. {
            let fake = Fake::new();
            let disk = disk_at(&fake, Durability::None, 1_000);
            disk.make(&KEY, SMALL, Timestamp::from_secs(1_000)).unwrap();
            disk.make(&other, SMALL, END).unwrap();
            disk.load_cached(&other).unwrap();
            fake.plan(operation, Fault::Error(EMFILE));
            let done = act(&disk);
            let Some(struck) = fake.struck() else { break };
            if matches!(struck, "open" | "open directory" | "create") {
                assert!(done.is_ok(), "{struck}: {done:?}");
                assert!(disk.kept.take(&other, Duration::ZERO).is_none());
            }
        }
    }
}

/// A failed write is not tried again on another thread, and its file is closed.
#[test]
fn a_failed_write_is_reported_and_leaves_the_old_record() {
    for fault in [Fault::Error(5), Fault::HalfWritten(28)] {
        let (fake, disk, other) = kept();
        fake.plan(4, fault);
        let updated = disk.update_cached(&KEY, FIRST, SECOND, b"next", END);
        assert_eq!(fake.struck(), Some("write"));
        assert!(matches!(updated, Some(Err(_))), "{updated:?}");
        assert!(disk.kept.take(&KEY, Duration::ZERO).is_none());
        assert_eq!(other.load(&KEY).unwrap().unwrap().data(), SMALL);
        assert_eq!(update(&disk, FIRST, b"next").unwrap(), SECOND);
    }
}

/// Threads of one process share the kept files, and each has the lock to itself.
#[test]
fn no_increment_of_four_threads_is_lost() {
    const EACH: u64 = 500;
    let fake = Fake::new();
    let mut disk = disk(&fake, Durability::None);
    disk.settings.lock_timeout = Duration::from_secs(600);
    disk.create(&KEY, FIRST, &0_u64.to_le_bytes(), END).unwrap();
    let count = |record: &Record| u64::from_le_bytes(record.data().try_into().unwrap());
    std::thread::scope(|scope| {
        for thread in 1..=4_u64 {
            let (disk, count) = (&disk, &count);
            scope.spawn(move || {
                let mut done = 0;
                for attempt in 0.. {
                    let record = load(disk).unwrap();
                    let next = (count(&record) + 1).to_le_bytes();
                    let version = Version::from_u64(thread << 32 | (attempt + 1));
                    let expected = record.version();
                    let updated = disk
                        .update_cached(&KEY, expected, version, &next, END)
                        .unwrap_or_else(|| disk.update(&KEY, expected, version, &next, END));
                    match updated {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                    if done == EACH {
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(count(&load(&disk).unwrap()), 4 * EACH);
}

/// An open file takes up room on the disk after its removal.
#[test]
fn a_store_closes_files_it_removes_or_replaces() {
    let acts: [Act; 2] = [
        |disk| disk.delete(&KEY, None),
        |disk| disk.advance(&KEY, FIRST, &data(1, 9_000), END).map(drop),
    ];
    for act in acts {
        let (_, disk, _) = kept();
        act(&disk).unwrap();
        assert!(disk.kept.take(&KEY, Duration::ZERO).is_none());
    }
}

#[test]
fn on_a_read_only_file_system_records_are_loaded_and_no_file_is_kept() {
    let (fake, disk, _) = kept();
    for number in [30, 13] {
        disk.kept.forget(&KEY);
        fake.plan(1, Fault::Error(number));
        let found = disk.load_cached(&KEY).flatten();
        assert_eq!(found.unwrap().data(), SMALL);
        assert_eq!(fake.log(), ["open cached", "open cached", "stat", "read"]);
        assert!(disk.kept.take(&KEY, Duration::ZERO).is_none());
    }
}

#[test]
fn where_links_are_unreliable_no_file_is_kept() {
    let (fake, disk, _) = kept();
    let disk = Disk::new(
        fake.clone(),
        Settings {
            is_network: true,
            ..disk.settings
        },
    );
    for _ in 0..2 {
        let (_, log) = log_of(&fake, || load(&disk));
        assert_eq!(log, ["open cached", "stat", "read"]);
    }
}
