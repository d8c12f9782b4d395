//! Fails the first operation of everything the store does, then the second, and so on until it
//! succeeds.

use super::{
    super::Durability,
    fake::{EIO, Fault},
    *,
};

const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

fn faults() -> Vec<Fault> {
    let mut faults: Vec<_> = [EIO, ENOSPC, EDQUOT, EROFS, EMFILE]
        .map(Fault::Error)
        .into();
    faults.extend([
        Fault::ShortWrite,
        Fault::HalfWritten(ENOSPC),
        Fault::HalfWritten(EIO),
    ]);
    faults
}

/// An error leaves the old record, `Ok` the new one, and the next operation works either way.
fn check(scenario: &Scenario, durability: Durability, fault: Fault) -> usize {
    let before = Fake::new();
    (scenario.prepare)(&disk(&before, durability));
    for operation in 1.. {
        let fake = before.fork();
        fake.plan(operation, fault);
        let result = (scenario.act)(&disk_at(&fake, durability, scenario.now));
        let Some(struck) = fake.struck() else {
            return operation - 1;
        };
        let what = format!(
            "{}, {durability:?}, {fault:?} at operation {operation}, {struck}",
            scenario.name
        );
        let disk = disk_at(&fake, durability, scenario.now);
        let found = disk
            .load(&KEY)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        // A removal cannot be taken back, but a failure to sync it must still be reported.
        let removed = scenario.new.is_none() && found.is_none();
        match &result {
            Ok(()) => assert_eq!(found, scenario.new, "{what}"),
            Err(_) => assert!(
                found == scenario.old || removed,
                "{what}: {result:?}, but found {found:?}"
            ),
        }
        let expected =
            usize::from(found.is_some()) + usize::from(scenario.now > 2_000 && found.is_none());
        let left = fake.names(SHARD).len();
        let unlink_failed = struck == "unlink" && scenario.new.is_some();
        assert!(
            left <= expected + usize::from(unlink_failed),
            "{what}: {:?}",
            fake.names(SHARD)
        );
        if result.is_err() && !removed {
            (scenario.act)(&disk).unwrap_or_else(|error| panic!("{what}, then again: {error:?}"));
        }
        assert_eq!(disk.load(&KEY).unwrap(), scenario.new, "{what}, then again");
    }
    unreachable!("a scenario ends")
}

#[test]
fn a_failed_operation_leaves_the_old_record_and_no_temporary_file() {
    let mut count = 0;
    for scenario in scenarios() {
        for durability in [Durability::None, Durability::Data, Durability::Full] {
            count += faults()
                .into_iter()
                .map(|fault| check(&scenario, durability, fault))
                .sum::<usize>();
        }
    }
    println!("{count} faults");
    assert!(count > 1_000, "{count}");
}

#[test]
fn a_failed_load_is_never_no_record() {
    let fake = Fake::new();
    disk(&fake, Durability::None)
        .make(&KEY, b"data", END)
        .unwrap();
    for operation in 1.. {
        fake.plan(operation, Fault::Error(EIO));
        let result = disk(&fake, Durability::None).load(&KEY);
        if fake.struck().is_none() {
            return assert!(operation > 3);
        }
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
    }
}

/// Another process may be able to open it, and write to it.
#[test]
fn a_file_that_may_not_be_opened_is_not_deleted() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let version = disk.make(&KEY, b"data", END).unwrap();
    for expected in [None, Some(version)] {
        fake.plan(1, Fault::Error(EACCES));
        let deleted = disk.delete(&KEY, expected);
        assert_eq!(fake.struck(), Some("open"));
        assert!(
            matches!(deleted, Err(StoreError::Refused(_))),
            "{deleted:?}"
        );
        assert!(disk.load(&KEY).unwrap().is_some());
    }
}

#[test]
fn a_failed_sync_is_reported() {
    for scenario in scenarios() {
        for (durability, syncs) in [
            (Durability::Data, &["sync file"][..]),
            (Durability::Full, &["sync file", "sync directory"]),
        ] {
            let before = Fake::new();
            (scenario.prepare)(&disk(&before, durability));
            let fake = before.fork();
            fake.plan(usize::MAX, Fault::Error(EIO));
            (scenario.act)(&disk_at(&fake, durability, scenario.now)).unwrap();
            for (at, operation) in fake
                .log()
                .iter()
                .enumerate()
                .filter(|(_, operation)| syncs.contains(operation))
            {
                let fake = before.fork();
                fake.plan(at + 1, Fault::Error(EIO));
                let result = (scenario.act)(&disk_at(&fake, durability, scenario.now));
                assert!(
                    matches!(result, Err(StoreError::Unavailable(_))),
                    "{}, {operation}: {result:?}",
                    scenario.name
                );
            }
        }
    }
}
