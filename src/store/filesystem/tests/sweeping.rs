//! Removing expired records, and nothing else.

use super::{
    super::{
        Durability,
        files::Shard,
        fs::{Access, Fs},
    },
    fake::{EIO, Fault},
    *,
};

/// A defect of a file, and how it comes about.
type Spoil = (&'static str, fn(&Fake));

fn key(number: u8) -> RecordKey {
    let mut bytes = [number; 32];
    bytes[0] = number % 4;
    RecordKey::from_bytes(bytes)
}

/// Records of which half expire at 2,000 and half at 3,000.
fn filled(count: u8) -> Fake {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    for number in 0..count {
        disk.make(
            &key(number),
            b"data",
            if number % 2 == 0 { END } else { LATER },
        )
        .unwrap();
    }
    fake
}

fn count_alive(fake: &Fake) -> usize {
    let disk = disk(fake, Durability::None);
    (0..100)
        .filter(|number| disk.load(&key(*number)).unwrap().is_some())
        .count()
}

#[test]
fn a_sweep_removes_expired_records() {
    for (now, removed) in [
        (0, 0),
        (1_000, 0),
        (1_999, 0),
        (2_000, 50),
        (2_999, 50),
        (3_000, 100),
        (u64::MAX, 100),
    ] {
        let fake = filled(100);
        let swept = disk_at(&fake, Durability::None, now).sweep();
        assert_eq!(
            (swept.examined(), swept.removed(), swept.failed()),
            (100, removed, 0),
            "at {now}"
        );
        assert!(swept.is_finished());
        assert_eq!(count_alive(&fake), 100 - removed as usize);
    }
}

#[test]
fn a_sweep_in_steps_examines_each_file_once() {
    let fake = filled(100);
    let disk = disk_at(&fake, Durability::None, 2_500);
    let steps: Vec<_> = std::iter::repeat_with(|| disk.sweep_some(7))
        .take(15)
        .collect();
    assert!(steps.iter().all(|step| step.examined() <= 7));
    assert_eq!(steps.iter().map(|step| step.examined()).sum::<u64>(), 100);
    assert_eq!(steps.iter().map(|step| step.removed()).sum::<u64>(), 50);
    assert_eq!(steps.iter().position(|step| step.is_finished()), Some(14));
    assert_eq!(
        disk.sweep_some(1_000).examined(),
        50,
        "the next sweep starts from the beginning"
    );
    assert_eq!(disk.sweep_some(0).examined(), 1, "the sweep continues");
}

#[test]
fn an_error_does_not_end_a_sweep() {
    let before = filled(20);
    for operation in 1.. {
        let fake = before.fork();
        let disk = disk_at(&fake, Durability::None, 2_500);
        fake.plan(operation, Fault::Error(EIO));
        let swept = disk.sweep();
        if fake.struck().is_none() {
            return assert!(operation > 100);
        }
        assert!(swept.is_finished());
        assert!(
            swept.failed() == 1 && swept.error().is_some(),
            "operation {operation}: {swept:?}"
        );
        let listed = swept.examined() == 20;
        assert!(
            listed || swept.examined() == 15,
            "operation {operation}: {swept:?}"
        );
        assert!(
            swept.removed() >= if listed { 9 } else { 5 },
            "operation {operation}: {swept:?}"
        );
        assert_eq!(
            (0..20)
                .filter(|number| number % 2 == 1 && disk.load(&key(*number)).unwrap().is_none())
                .count(),
            0
        );
    }
}

/// The look without the lock finds it expired; with the lock it no longer is.
#[test]
fn a_record_touched_under_the_sweep_stays() {
    let fake = Fake::new();
    disk(&fake, Durability::None)
        .make(&KEY, b"data", END)
        .unwrap();
    let (sweeper, other) = (
        disk_at(&fake, Durability::None, 2_500),
        disk(&fake, Durability::None),
    );
    fake.meanwhile("lock", move || {
        other.touch(&KEY, FIRST, LATER).unwrap();
    });
    assert_eq!(sweeper.sweep().removed(), 0);
    assert!(sweeper.load(&KEY).unwrap().is_some());
}

#[test]
fn a_sweep_does_not_wait_for_a_locked_record() {
    let fake = Fake::new();
    disk(&fake, Durability::None)
        .make(&KEY, b"data", END)
        .unwrap();
    fake.hold(SHARD, &name());
    let swept = disk_at(&fake, Durability::None, 2_500).sweep();
    assert_eq!((swept.removed(), swept.failed()), (0, 0));
}

#[test]
fn strays_are_removed_after_an_hour_unless_locked() {
    let fake = Fake::new();
    disk(&fake, Durability::None)
        .make(&KEY, b"data", Timestamp::from_secs(u64::MAX))
        .unwrap();
    let disk_now = disk(&fake, Durability::None);
    let shard = Shard::of(&disk_now, &KEY);
    drop(fake.create(shard.dir().unwrap(), "00.tmp").unwrap());
    let busy = fake.create(shard.dir().unwrap(), "01.tmp").unwrap();
    assert!(fake.try_lock(&busy).unwrap());
    drop(fake.create(shard.dir().unwrap(), "README").unwrap());
    assert_eq!(disk_at(&fake, Durability::None, 3_599).sweep().removed(), 0);
    assert_eq!(disk_at(&fake, Durability::None, 3_600).sweep().removed(), 1);
    assert_eq!(
        fake.names(SHARD),
        ["01.tmp".to_owned(), "README".to_owned(), name()]
    );
    drop(shard.open_file(Access::Read).unwrap());
}

#[test]
fn a_sweep_opens_no_file_before_its_hint() {
    let fake = filled(100);
    let disk = disk(&fake, Durability::None);
    fake.plan(usize::MAX, Fault::Error(EIO));
    assert_eq!(disk.sweep().examined(), 100);
    assert!(
        fake.log()
            .iter()
            .all(|operation| !matches!(*operation, "open" | "read")),
        "{:?}",
        fake.log()
    );
}

/// Stores from before hints existed, and file systems that cannot keep them: each file is opened,
/// and only once if the file system takes the hint.
#[test]
fn a_file_without_a_hint_is_opened_and_gets_one() {
    let fake = filled(100);
    fake.forget_hints();
    let disk = disk_at(&fake, Durability::None, 2_500);
    for opened in [100, 0] {
        fake.plan(usize::MAX, Fault::Error(EIO));
        assert_eq!(disk.sweep().removed(), opened / 2);
        // The expired ones are opened again, to be locked.
        let count = fake
            .log()
            .iter()
            .filter(|operation| **operation == "open")
            .count() as u64;
        assert_eq!(count, opened + opened / 2);
    }
}

/// A hint saves a look; the file's content decides.
#[test]
fn a_hint_that_has_passed_removes_no_live_record() {
    let fake = Fake::new();
    let disk = disk_at(&fake, Durability::None, 1_000);
    let version = disk.make(&KEY, b"data", END).unwrap();
    disk.advance(&KEY, version, b"more", LATER).unwrap();
    let sweeper = disk_at(&fake, Durability::None, 2_500);
    assert_eq!(sweeper.sweep().removed(), 0);
    assert_eq!(sweeper.load(&KEY).unwrap().unwrap().data(), b"more");
    assert_eq!(disk_at(&fake, Durability::None, 3_000).sweep().removed(), 1);
}

#[test]
fn a_record_with_a_new_earlier_end_is_removed_in_time() {
    let acts: [fn(&Disk<Fake>); 3] = [
        |disk| assert!(disk.advance(&KEY, FIRST, b"more", END).is_ok()),
        |disk| assert!(disk.advance(&KEY, FIRST, &data(1, 9_000), END).is_ok()),
        |disk| assert!(disk.touch(&KEY, FIRST, END).is_ok()),
    ];
    for act in acts {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        disk.make(&KEY, b"data", LATER).unwrap();
        act(&disk);
        assert_eq!(disk_at(&fake, Durability::None, 2_500).sweep().removed(), 1);
    }
}

/// Neither the hint nor the file may be the store's.
#[test]
fn an_unsound_file_is_opened_before_its_time() {
    let spoils: [Spoil; 3] = [
        ("nothing", |_| {}),
        ("another name", |fake| fake.link(SHARD, &name(), "other")),
        ("another length", |fake| {
            let content = [fake.content(SHARD, &name()), vec![0]].concat();
            fake.set_content(SHARD, &name(), content);
        }),
    ];
    for (what, spoil) in spoils {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        disk.make(&KEY, b"data", LATER).unwrap();
        spoil(&fake);
        let shard = Shard::of(&disk, &KEY);
        let file = shard.open_file(Access::Write).unwrap().unwrap();
        fake.set_hint(&file, LATER).unwrap();
        fake.plan(usize::MAX, Fault::Error(EIO));
        let swept = disk.sweep();
        let is_linked = what == "another name";
        assert_eq!(swept.failed(), u64::from(is_linked), "{what}");
        assert_eq!(fake.log().contains(&"open"), what != "nothing", "{what}");
    }
}
