//! When changes leave the calling thread, by a manual clock.

use super::{
    super::{Durability, brake::Brake},
    *,
};

const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// Makes a change, and returns for how many milliseconds no other is allowed.
fn pause_after(brake: &Brake, fake: &Fake, change: impl FnOnce(&Fake)) -> u32 {
    let start = brake.start(fake).unwrap();
    change(fake);
    brake.finish(&start, fake);
    let mut pause = 0;
    while brake.start(fake).is_none() {
        fake.pass(MILLI);
        pause += 1;
    }
    pause
}

fn slow(brake: &Brake, fake: &Fake) -> u32 {
    pause_after(brake, fake, |fake| fake.pass(MILLI + NANO))
}

#[test]
fn a_quick_change_is_followed_by_others() {
    let (brake, fake) = (Brake::default(), Fake::new());
    assert_eq!(pause_after(&brake, &fake, |_| {}), 0);
    assert_eq!(pause_after(&brake, &fake, |fake| fake.pass(MILLI)), 0);
}

#[test]
fn a_slow_change_is_followed_by_a_pause_and_the_next_by_a_longer_one() {
    let (brake, fake) = (Brake::default(), Fake::new());
    let pauses = [(); 9].map(|()| slow(&brake, &fake));
    assert_eq!(
        pauses,
        [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]
    );
}

#[test]
fn after_many_quick_changes_the_pause_is_short_again() {
    for (quick, next) in [(63, 400), (64, 100), (200, 100)] {
        let (brake, fake) = (Brake::default(), Fake::new());
        assert_eq!(
            [slow(&brake, &fake), slow(&brake, &fake)],
            [100, 200],
            "before"
        );
        (0..quick).for_each(|_| assert_eq!(pause_after(&brake, &fake, |_| {}), 0));
        assert_eq!(slow(&brake, &fake), next, "after {quick}");
    }
}

#[test]
fn quick_changes_are_counted_from_the_last_slow_one() {
    let (brake, fake) = (Brake::default(), Fake::new());
    for next in [100, 200, 400] {
        assert_eq!(slow(&brake, &fake), next);
        (0..40).for_each(|_| assert_eq!(pause_after(&brake, &fake, |_| {}), 0));
    }
}

#[test]
fn changes_that_are_slow_together_count_as_one() {
    let (brake, fake) = (Brake::default(), Fake::new());
    let starts = [brake.start(&fake).unwrap(), brake.start(&fake).unwrap()];
    fake.pass(MILLI * 2);
    brake.finish(&starts[0], &fake);
    fake.pass(MILLI * 50);
    brake.finish(&starts[1], &fake);
    fake.pass(MILLI * 50);
    assert_eq!(slow(&brake, &fake), 200);
}

#[test]
fn waiting_for_a_processor_is_not_slow() {
    let (brake, fake) = (Brake::default(), Fake::new());
    fake.queue(MILLI);
    let queue = |fake: &Fake| fake.queue(MILLI * 30);
    assert_eq!(pause_after(&brake, &fake, queue), 0);
    let both = |fake: &Fake| {
        fake.queue(MILLI * 30);
        fake.pass(MILLI + NANO);
    };
    assert_eq!(pause_after(&brake, &fake, both), 100);
}

#[test]
fn a_slow_write_moves_changes_elsewhere_for_a_while() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let first = disk.make(&KEY, b"data", END).unwrap();
    let clock = fake.clone();
    fake.meanwhile("write", move || clock.pass(MILLI * 2));
    let second = Version::from_u64(2);
    assert!(matches!(
        disk.update_cached(&KEY, first, second, b"next", END),
        Some(Ok(_))
    ));
    assert!(
        disk.update_cached(&KEY, second, THIRD, b"last", END)
            .is_none()
    );
    assert!(disk.touch_cached(&KEY, second, LATER).is_none());
    assert!(disk.load_cached(&KEY).is_some());
    fake.pass(MILLI * 100);
    assert!(matches!(
        disk.touch_cached(&KEY, second, LATER),
        Some(Ok(_))
    ));
    let found = disk.load_cached(&KEY).unwrap().unwrap();
    assert_eq!((found.data(), found.expires()), (&b"next"[..], LATER));
}
