//! Removing what is over, and nothing else.

use super::{
    super::{
        Durability,
        files::Shard,
        fs::{Access, Fs},
    },
    fake::{EIO, Fault},
    *,
};

fn key(number: u8) -> RecordKey {
    let mut bytes = [number; 32];
    bytes[0] = number % 4;
    RecordKey::from_bytes(bytes)
}

/// Records of which half end at 2,000 and half at 3,000.
fn filled(count: u8) -> Fake {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    for number in 0..count {
        disk.create(&key(number), b"data", if number % 2 == 0 { END } else { LATER }).unwrap();
    }
    fake
}

fn count_alive(fake: &Fake) -> usize {
    let disk = disk(fake, Durability::None);
    (0..100).filter(|number| disk.load(&key(*number)).unwrap().is_some()).count()
}

#[test]
fn a_sweep_removes_what_is_over() {
    for (now, removed) in [(0, 0), (1_000, 0), (1_999, 0), (2_000, 50), (2_999, 50), (3_000, 100), (u64::MAX, 100)] {
        let fake = filled(100);
        let swept = disk_at(&fake, Durability::None, now).sweep();
        assert_eq!((swept.examined(), swept.removed(), swept.failed()), (100, removed, 0), "at {now}");
        assert!(swept.is_finished());
        assert_eq!(count_alive(&fake), 100 - removed as usize);
    }
}

#[test]
fn a_sweep_in_steps_looks_at_each_file_once() {
    let fake = filled(100);
    let disk = disk_at(&fake, Durability::None, 2_500);
    let steps: Vec<_> = std::iter::repeat_with(|| disk.sweep_some(7)).take(15).collect();
    assert!(steps.iter().all(|step| step.examined() <= 7));
    assert_eq!(steps.iter().map(|step| step.examined()).sum::<u64>(), 100);
    assert_eq!(steps.iter().map(|step| step.removed()).sum::<u64>(), 50);
    assert_eq!(steps.iter().position(|step| step.is_finished()), Some(14));
    assert_eq!(disk.sweep_some(1_000).examined(), 50, "it begins anew");
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
        assert!(swept.failed() == 1 && swept.error().is_some(), "operation {operation}: {swept:?}");
        let listed = swept.examined() == 20;
        assert!(swept.removed() >= if listed { 9 } else { 5 }, "operation {operation}: {swept:?}");
        assert_eq!((0..20).filter(|number| number % 2 == 1 && disk.load(&key(*number)).unwrap().is_none()).count(), 0);
    }
}

/// The look without the lock said "over"; by the time of the lock it is not.
#[test]
fn a_record_touched_under_the_sweep_stays() {
    let fake = Fake::new();
    disk(&fake, Durability::None).create(&KEY, b"data", END).unwrap();
    let (sweeper, other) = (disk_at(&fake, Durability::None, 2_500), disk(&fake, Durability::None));
    fake.meanwhile("lock", move || other.touch(&KEY, Version::FIRST, LATER).unwrap());
    assert_eq!(sweeper.sweep().removed(), 0);
    assert!(sweeper.load(&KEY).unwrap().is_some());
}

#[test]
fn a_record_that_somebody_works_on_is_not_waited_for() {
    let fake = Fake::new();
    disk(&fake, Durability::None).create(&KEY, b"data", END).unwrap();
    fake.hold(SHARD, &name());
    let swept = disk_at(&fake, Durability::None, 2_500).sweep();
    assert_eq!((swept.removed(), swept.failed()), (0, 0));
}

#[test]
fn strays_go_after_an_hour_unless_somebody_has_them_locked() {
    let fake = Fake::new();
    disk(&fake, Durability::None).create(&KEY, b"data", Timestamp::from_secs(u64::MAX)).unwrap();
    let disk_now = disk(&fake, Durability::None);
    let shard = Shard::open(&disk_now, &KEY).unwrap().unwrap();
    drop(fake.create(&shard.dir, "00.tmp").unwrap());
    let busy = fake.create(&shard.dir, "01.tmp").unwrap();
    assert!(fake.try_lock(&busy).unwrap());
    drop(fake.create(&shard.dir, "README").unwrap());
    assert_eq!(disk_at(&fake, Durability::None, 3_599).sweep().removed(), 0);
    assert_eq!(disk_at(&fake, Durability::None, 3_600).sweep().removed(), 1);
    assert_eq!(fake.names(SHARD), ["01.tmp".to_owned(), "README".to_owned(), name()]);
    drop(shard.open_file(Access::Read).unwrap());
}
