//! Kills the store, or cuts the power, at each operation.

use super::{
    super::Durability,
    fake::{Dice, Fault},
    *,
};

const DOWN: [Fault; 3] = [Fault::DownBefore, Fault::DownMidway, Fault::DownAfter];

/// Runs a scenario with a crash at each operation in each way, and has `check` examine what is
/// left.
fn crash(scenario: &Scenario, durability: Durability, mut check: impl FnMut(&str, &Fake, bool)) {
    let before = Fake::new();
    (scenario.prepare)(&disk(&before, durability));
    if durability < Durability::Full {
        before.sync_all();
    }
    for fault in DOWN {
        for operation in 1.. {
            let fake = before.fork();
            fake.plan(operation, fault);
            let result = (scenario.act)(&disk_at(&fake, durability, scenario.now));
            let struck = fake.struck();
            let what = format!(
                "{}, {durability:?}, {fault:?} at operation {operation}, {struck:?}",
                scenario.name
            );
            check(&what, &fake, result.is_ok());
            if struck.is_none() {
                break;
            }
        }
    }
}

/// Finds the old record or the new one. It must be the new one if the operation succeeded and the
/// level promises to keep it.
fn judge(what: &str, scenario: &Scenario, fake: &Fake, durability: Durability, promised: bool) {
    let disk = disk_at(fake, durability, scenario.now);
    let found = disk
        .load(&KEY)
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(
        found == scenario.new || (!promised && found == scenario.old),
        "{what}: {found:?}"
    );
    // The record found can be worked with.
    match found {
        Some(record) => {
            disk.advance(&KEY, record.version(), b"next", LATER)
                .unwrap();
            assert_eq!(disk.load(&KEY).unwrap().unwrap().data(), b"next", "{what}");
        }
        None => assert!(disk.make(&KEY, b"next", LATER).is_ok(), "{what}"),
    }
}

#[test]
fn a_kill_leaves_the_old_record_or_the_new_one() {
    for scenario in scenarios() {
        for durability in [Durability::None, Durability::Data, Durability::Full] {
            crash(&scenario, durability, |what, fake, done| {
                judge(what, &scenario, &fake.after_kill(), durability, done);
            });
        }
    }
}

#[test]
fn a_power_failure_leaves_the_old_record_or_the_new_one() {
    let mut count = 0;
    for scenario in scenarios() {
        for durability in [Durability::Data, Durability::Full] {
            let places = matches!(scenario.name, "create" | "delete");
            crash(&scenario, durability, |what, fake, done| {
                for seed in 0..50 {
                    let what = format!("{what}, seed {seed}");
                    let promised = done && (durability == Durability::Full || !places);
                    judge(
                        &what,
                        &scenario,
                        &fake.after_power_failure(seed),
                        durability,
                        promised,
                    );
                    count += 1;
                }
            });
        }
    }
    println!("{count} power failures");
}

/// Without syncs nothing is promised, but any record found was written as a whole.
#[test]
fn without_syncs_a_power_failure_never_makes_a_mixture() {
    for seed in 0..1_000 {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        let mut dice = Dice::new(seed + 1);
        let mut written = vec![data(0, 300)];
        let mut version = disk.make(&KEY, &written[0], END).unwrap();
        for round in 1..=dice.roll(6) {
            if dice.roll(3) == 0 {
                fake.sync_all();
            }
            written.push(data(round as u8, dice.roll(4_000) as usize));
            version = disk
                .advance(&KEY, version, written.last().unwrap(), END)
                .unwrap();
        }
        let after = fake.after_power_failure(seed);
        match self::disk(&after, Durability::None).load(&KEY) {
            Ok(Some(record)) => assert!(
                written.iter().any(|data| data == record.data()),
                "seed {seed}"
            ),
            Ok(None) | Err(StoreError::Corrupt(_)) => {}
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
    }
}

/// Update after update, with a failing sync now and then: no update that succeeded is lost.
#[test]
fn a_power_failure_after_failed_syncs_loses_no_kept_update() {
    for seed in 0..1_000 {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::Full);
        let mut dice = Dice::new(seed + 1);
        let mut version = disk.make(&KEY, &data(0, 300), END).unwrap();
        let mut kept = data(0, 300);
        let mut tried = Vec::new();
        for round in 1..6 {
            fake.plan(1 + dice.roll(12) as usize, Fault::Error(fake::EIO));
            let next = data(round, dice.roll(3_000) as usize);
            match disk.advance(&KEY, version, &next, END) {
                Ok(new) => {
                    (version, kept) = (new, next);
                    tried.clear();
                }
                Err(_) => tried.push(next),
            }
        }
        let found = self::disk(&fake.after_power_failure(seed), Durability::Full)
            .load(&KEY)
            .unwrap()
            .unwrap();
        assert!(
            found.data() == kept || tried.iter().any(|data| data == found.data()),
            "seed {seed}: {found:?}"
        );
    }
}

/// The process that created or outgrew the file was killed, or failed, before it synced the name.
/// An update of that file has to sync the name before it succeeds.
#[test]
fn a_power_failure_loses_no_update_of_a_file_with_an_unsynced_name() {
    for fault in [Fault::DownAfter, Fault::Error(fake::EIO)] {
        for durability in [Durability::Data, Durability::Full] {
            for seed in 0..50 {
                let fake = Fake::new();
                disk(&fake, durability)
                    .make(&KEY, &data(0, 300), END)
                    .unwrap();
                fake.sync_all();
                let log = {
                    let fork = fake.fork();
                    fork.plan(usize::MAX, Fault::Error(fake::EIO));
                    disk(&fork, durability)
                        .advance(&KEY, FIRST, &data(1, 9_000), END)
                        .unwrap();
                    fork.log()
                };
                let rename = log
                    .iter()
                    .position(|operation| *operation == "rename")
                    .unwrap()
                    + 1;
                let at = if fault == Fault::DownAfter {
                    rename
                } else {
                    rename + 1
                };
                fake.plan(at, fault);
                assert!(
                    disk(&fake, durability)
                        .advance(&KEY, FIRST, &data(1, 9_000), END)
                        .is_err()
                );
                let next = fake.after_kill();
                disk(&next, durability)
                    .advance(&KEY, FIRST, &data(2, 1_000), END)
                    .unwrap();
                let found = disk(&next.after_power_failure(seed), durability)
                    .load(&KEY)
                    .unwrap()
                    .unwrap();
                assert_eq!(
                    found.data(),
                    data(2, 1_000),
                    "{fault:?}, {durability:?}, seed {seed}"
                );
            }
        }
    }
}
