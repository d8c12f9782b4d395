//! Races between two operations of one thread, played out step by step.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{super::Durability, *};

/// An update is about to lock, and another store first changes the record.
fn update_while(work: fn(&Disk<Fake>)) -> (Fake, Result<Version, StoreError>) {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"data", END).unwrap();
    let other = self::disk(&fake, Durability::None);
    fake.meanwhile("lock", move || work(&other));
    let result = disk.advance(&KEY, FIRST, b"late", END);
    (fake, result)
}

#[test]
fn a_late_update_brings_nothing_back() {
    let (fake, result) = update_while(|other| other.delete(&KEY, None).unwrap());
    assert!(matches!(result, Err(StoreError::Gone)), "{result:?}");
    assert!(fake.names(SHARD).is_empty());
}

#[test]
fn a_late_update_finds_the_replacing_file() {
    let (fake, result) =
        update_while(|other| assert!(other.advance(&KEY, FIRST, &data(1, 9_000), END).is_ok()));
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
    assert_eq!(
        disk(&fake, Durability::None)
            .load(&KEY)
            .unwrap()
            .unwrap()
            .data(),
        data(1, 9_000)
    );
}

#[test]
fn an_update_follows_a_record_that_was_recreated() {
    let (fake, result) = update_while(|other| {
        other.delete(&KEY, None).unwrap();
        other.make(&KEY, b"new", END).unwrap();
    });
    assert_eq!(result.unwrap(), SECOND);
    assert_eq!(
        disk(&fake, Durability::None)
            .load(&KEY)
            .unwrap()
            .unwrap()
            .data(),
        b"late"
    );
}

#[test]
fn a_touch_or_delete_follows_a_record_that_outgrew_its_file() {
    let acts: [Act; 2] = [
        |disk| disk.delete(&KEY, None),
        |disk| disk.touch(&KEY, SECOND, LATER).map(drop),
    ];
    for act in acts {
        let fake = Fake::new();
        let (one, other) = (disk(&fake, Durability::None), disk(&fake, Durability::None));
        one.make(&KEY, b"data", END).unwrap();
        fake.meanwhile("lock", move || {
            assert!(other.advance(&KEY, FIRST, &data(1, 9_000), END).is_ok())
        });
        act(&one).unwrap();
        let found = one.load(&KEY).unwrap();
        assert!(
            found.is_none_or(|record| record.expires() == LATER && record.data() == data(1, 9_000))
        );
    }
}

/// The new file has the record's name before the next state is in it. Another writer could
/// otherwise write where that state is about to go, or lose its change when the file is taken back.
#[test]
fn a_new_file_is_locked_until_complete() {
    let grow: Act = |disk| disk.advance(&KEY, FIRST, &data(1, 9_000), END).map(drop);
    let make: Act = |disk| disk.make(&KEY, &data(1, 9_000), END).map(drop);
    let others: [Act; 3] = [
        |disk| disk.advance(&KEY, FIRST, b"late", END).map(drop),
        |disk| disk.touch(&KEY, FIRST, LATER).map(drop),
        |disk| disk.delete(&KEY, None),
    ];
    for (act, rename, next, durability) in [
        (grow, "rename", "write", Durability::None),
        (grow, "rename", "sync directory", Durability::Data),
        (grow, "rename", "write", Durability::Full),
        (grow, "rename", "sync file", Durability::Full),
        (make, "rename new", "sync directory", Durability::Full),
    ] {
        for other in others {
            let fake = Fake::new();
            let disk = disk(&fake, durability);
            if rename == "rename" {
                disk.make(&KEY, b"data", END).unwrap();
            }
            let late = Arc::new(Mutex::new(None));
            fake.meanwhile_after(rename, next, {
                let (disk, late) = (self::disk(&fake, durability), Arc::clone(&late));
                move || *late.lock().unwrap() = Some(other(&disk))
            });
            act(&disk).unwrap();
            let late = late.lock().unwrap().take();
            let Some(Err(StoreError::Unavailable(source))) = late else {
                panic!("before {next} of {durability:?}: {late:?}")
            };
            assert!(source.to_string().contains("lock"), "{source}");
            let found = disk.load(&KEY).unwrap().unwrap();
            assert_eq!(found.data(), data(1, 9_000));
            // The lock is held no longer than that.
            disk.advance(&KEY, found.version(), b"next", END).unwrap();
        }
    }
}

/// On a network file system, a removed file keeps its link while it is open.
#[test]
fn where_links_are_unreliable_the_name_decides() {
    for work in [
        |other: &Disk<Fake>| other.delete(&KEY, None).unwrap(),
        |other: &Disk<Fake>| {
            assert!(other.advance(&KEY, FIRST, &data(1, 9_000), END).is_ok());
        },
    ] {
        let fake = Fake::new();
        fake.keep_links();
        let mut disk = disk(&fake, Durability::None);
        disk.settings.is_network = true;
        disk.make(&KEY, b"data", END).unwrap();
        let other = self::disk(&fake, Durability::None);
        fake.meanwhile("lock", move || work(&other));
        let result = disk.advance(&KEY, FIRST, b"late", END);
        assert!(
            matches!(result, Err(StoreError::Gone | StoreError::Conflict)),
            "{result:?}"
        );
    }
}

/// Two operations find the same damaged record. When the second gets the lock, a new record is in
/// its place.
#[test]
fn a_record_that_replaced_a_damaged_one_is_not_quarantined() {
    let acts: [Act; 3] = [
        |disk| disk.advance(&KEY, FIRST, b"late", END).map(drop),
        |disk| disk.load(&KEY).map(drop),
        |disk| {
            disk.sweep().error().map_or(Ok(()), |error| {
                Err(StoreError::unavailable(error.to_string()))
            })
        },
    ];
    for act in acts {
        let fake = Fake::new();
        let (disk, other) = (
            disk_at(&fake, Durability::None, 2_500),
            disk_at(&fake, Durability::None, 2_500),
        );
        disk.make(&KEY, b"data", END).unwrap();
        fake.set_content(SHARD, &name(), vec![1; 4_096]);
        fake.meanwhile("lock", move || {
            assert!(matches!(other.load(&KEY), Err(StoreError::Corrupt(_))));
            other.make(&KEY, b"new", LATER).unwrap();
        });
        assert!(act(&disk).is_err());
        assert_eq!(disk.load(&KEY).unwrap().unwrap().data(), b"new");
    }
}

/// With one slot torn, a reader's first look may have mixed two times, so it has to look again.
#[test]
fn a_reader_that_two_writers_overtook_finds_the_later_state() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let second = disk
        .make(&KEY, b"one", END)
        .and_then(|first| disk.advance(&KEY, first, b"two", END))
        .unwrap();
    let before = fake.content(SHARD, &name());
    disk.advance(&KEY, second, b"three", END).unwrap();
    let after = fake.content(SHARD, &name());
    let mut mixed = before;
    mixed[2_048 + 24..2_048 + 90].fill(7);
    mixed[2_048] = 7;
    let restored = fake.clone();
    fake.set_content(SHARD, &name(), mixed);
    fake.meanwhile("read", {
        let fake = fake.clone();
        move || fake.meanwhile("read", move || restored.set_content(SHARD, &name(), after))
    });
    assert_eq!(disk.load(&KEY).unwrap().unwrap().data(), b"three");
}

#[test]
fn a_held_lock_times_out_changes_but_not_loads() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"data", END).unwrap();
    fake.hold(SHARD, &name());
    let results = [
        disk.advance(&KEY, FIRST, b"", END).map(drop),
        disk.touch(&KEY, FIRST, LATER).map(drop),
        disk.delete(&KEY, None),
    ];
    for result in results {
        let Err(StoreError::Unavailable(source)) = result else {
            panic!("{result:?}")
        };
        assert!(source.to_string().contains("lock"), "{source}");
    }
    assert_eq!(disk.load(&KEY).unwrap().unwrap().data(), b"data");
}

/// Closing a file is not enough while a child process has a copy of it.
#[test]
fn a_lock_is_released_before_its_file_is_closed() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"data", END).unwrap();
    fake.keep_locks();
    let conflict = disk.advance(&KEY, SECOND, b"next", END);
    assert!(
        matches!(conflict, Err(StoreError::Conflict)),
        "{conflict:?}"
    );
    assert_eq!(disk.advance(&KEY, FIRST, b"next", END).unwrap(), SECOND);
    let large = data(1, 5_000);
    assert_eq!(disk.advance(&KEY, SECOND, &large, END).unwrap(), THIRD);
    let touched = disk.touch_cached(&KEY, THIRD, LATER);
    assert_eq!(touched.unwrap().unwrap(), THIRD);
    disk.touch(&KEY, THIRD, END).unwrap();
    disk.delete(&KEY, Some(THIRD)).unwrap();
}

#[test]
fn a_record_that_expires_under_a_writer_is_gone() {
    let fake = Fake::new();
    disk(&fake, Durability::None)
        .make(&KEY, b"data", END)
        .unwrap();
    let disk = disk_at(&fake, Durability::None, END.as_secs());
    assert_eq!(disk.load(&KEY).unwrap(), None);
    assert!(matches!(
        disk.advance(&KEY, FIRST, b"", LATER),
        Err(StoreError::Gone)
    ));
    assert!(matches!(
        disk.touch(&KEY, FIRST, LATER),
        Err(StoreError::Gone)
    ));
}

#[test]
fn a_cached_load_answers_only_what_is_certain() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    assert_eq!(disk.load_cached(&KEY), Some(None));
    let version = disk.make(&KEY, b"data", END).unwrap();
    let record = Record::new(&b"data"[..], version, END);
    assert_eq!(disk.load_cached(&KEY), Some(Some(record)));
    assert_eq!(
        disk_at(&fake, Durability::None, END.as_secs()).load_cached(&KEY),
        Some(None)
    );
    let good = fake.content(SHARD, &name());
    for damage in [
        vec![1; 4_096],
        [&good[..2_048], &[1; 2_048]].concat(),
        good[..100].to_vec(),
        Vec::new(),
    ] {
        fake.set_content(SHARD, &name(), damage);
        assert_eq!(disk.load_cached(&KEY), None);
    }
    fake.remove_all();
    assert_eq!(disk.load_cached(&KEY), None);
    assert!(matches!(disk.load(&KEY), Err(StoreError::Unavailable(_))));
}

/// Two bad slots without the lock are no verdict: somebody may be writing.
#[test]
fn a_reader_without_the_lock_never_calls_a_record_damaged() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"data", END).unwrap();
    let good = fake.content(SHARD, &name());
    fake.set_content(SHARD, &name(), vec![1; 4_096]);
    fake.hold(SHARD, &name());
    assert!(
        matches!(disk.load(&KEY), Err(StoreError::Unavailable(_))),
        "undecided while the lock is held"
    );
    assert_eq!(fake.names("quarantine"), [""; 0]);
    fake.set_content(SHARD, &name(), good);
    assert_eq!(disk.load(&KEY).unwrap().unwrap().data(), b"data");
}

/// Real threads: for each reader, versions never go back, and the data always fits its version.
#[test]
fn readers_see_whole_records_in_order() {
    let fake = Fake::new();
    let disk = Arc::new(disk(&fake, Durability::None));
    disk.make(&KEY, &data(1, 2_000), END).unwrap();
    let (loads, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut version = FIRST;
            // On a busy machine, the usual rounds may end before any reader has begun.
            for round in 2..2_000_000_u64 {
                if round >= 2_000 && loads.load(Ordering::Relaxed) > 0 {
                    break;
                }
                let next = data(round as u8, 100 + (round as usize * 37) % 5_000);
                version = disk.advance(&KEY, version, &next, END).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let record = disk.load(&KEY).unwrap().unwrap();
                    let version = record.version().to_u64().unwrap();
                    assert!(version >= last);
                    assert_eq!(record.data(), data(version as u8, record.data().len()));
                    last = version;
                    loads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(loads.into_inner() > 0);
}
