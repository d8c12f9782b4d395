//! The order of eviction, and the bound of some hundred records on every step.

use super::*;

const START: Timestamp = Timestamp::from_secs(0);
const END: Timestamp = Timestamp::from_secs(100);
const SESSION: &[u8] = &[1, 0, 0, 0];
const MARK: &[u8] = &[8, 0, 0, 0];
const ROSTER: &[u8] = &[16, 0, 0, 0];

fn key(number: u32) -> RecordKey {
    RecordKey::of(&number.to_be_bytes())
}

/// The data of an end that was set at this time.
fn end(set: u64) -> Vec<u8> {
    let [_, _, _, secs @ ..] = set.to_be_bytes();
    [&[24][..], &secs].concat()
}

fn put(shard: &mut Shard, number: u32, data: &[u8], expires: Timestamp) {
    let data = Bytes::copy_from_slice(data).into();
    shard.insert(key(number), data, expires);
}

fn shard(count: u32) -> Shard {
    let mut shard = Shard::default();
    for number in 0..count {
        put(&mut shard, number, SESSION, END);
    }
    shard
}

fn slot(shard: &Shard, number: u32) -> Option<usize> {
    shard.table.find(&key(number)).map(|(slot, _)| slot)
}

fn has(shard: &Shard, number: u32) -> bool {
    slot(shard, number).is_some()
}

fn found(shard: &mut Shard, number: u32) -> LiveEntry<'_> {
    let (_, entry) = shard.table.find(&key(number)).unwrap();
    let version = entry.version();
    shard.expect(&key(number), version, START).ok().unwrap()
}

fn replace(shard: &mut Shard, number: u32, data: &[u8]) {
    found(shard, number).replace(&mut Bytes::copy_from_slice(data), END);
}

/// Makes room until nothing is left to remove, and returns the evicted classes in order.
fn emptied(shard: &mut Shard, spare: Option<u32>) -> Vec<(Class, u64)> {
    let mut left: Vec<(Class, u64)> = Vec::new();
    loop {
        let spare = spare.and_then(|number| slot(shard, number));
        let mut removed = Removed::default();
        if !shard.make_room(spare, START, &mut removed) {
            return left;
        }
        for class in EVICTION_ORDER {
            match left.last_mut() {
                _ if removed.of(class) == 0 => {}
                Some((last, count)) if *last == class => *count += removed.of(class),
                _ => left.push((class, removed.of(class))),
            }
        }
    }
}

/// Bounds how long the lock is held.
#[test]
fn a_sweep_looks_at_no_more_than_a_step() {
    let (mut shard, mut removed) = (shard(10_000), Vec::with_capacity(STEP));
    assert!(!shard.sweep(0..STEP, END, &mut removed));
    assert_eq!(
        (removed.len(), removed.capacity(), shard.len()),
        (STEP, STEP, 10_000 - STEP)
    );
    let last = 9_728..9_728 + STEP;
    assert!(
        shard.sweep(last, END, &mut removed),
        "the last step returns true"
    );
}

#[test]
fn making_room_looks_at_no_more_than_a_step() {
    let (mut shard, mut removed) = (shard(10_000), Removed::default());
    assert!(shard.make_room(None, START, &mut removed));
    let part = WINDOW / PART;
    assert_eq!(
        removed.entries.len(),
        part,
        "of one window, as nothing had expired"
    );
    assert!(shard.make_room(None, END, &mut removed));
    assert_eq!(
        removed.entries.len(),
        part + WINDOW,
        "the expired records of a window"
    );
    assert_eq!(2 * WINDOW, STEP);
}

#[test]
fn every_window_gets_its_turn() {
    let (mut shard, mut removed) = (shard(1_024), Removed::default());
    for _ in 0..4 {
        assert!(shard.make_room(None, START, &mut removed));
    }
    let left = |window: &Window| window.counts[Class::Unused as usize];
    assert_eq!(
        shard.census.windows.iter().map(left).collect::<Vec<_>>(),
        [240; 4]
    );
}

/// Otherwise a window with few records would lose all of them, however long they have to live.
#[test]
fn a_window_with_few_records_waits_for_the_others() {
    let (mut shard, mut removed) = (shard(256 + 3), Removed::default());
    for _ in 0..10 {
        assert!(shard.make_room(None, START, &mut removed));
    }
    assert!((256..259).all(|number| has(&shard, number)));
}

#[test]
fn the_records_closest_to_expiry_are_evicted() {
    let (mut shard, mut removed) = (Shard::default(), Removed::default());
    for number in 0..160 {
        let end = Timestamp::from_secs(1_000 + u64::from(number * 7 % 160));
        put(&mut shard, number, SESSION, end);
    }
    assert!(shard.make_room(None, START, &mut removed));
    let ends = removed
        .entries
        .iter()
        .map(|entry| entry.expires().as_secs());
    assert_eq!(ends.collect::<Vec<_>>(), (1_000..1_010).collect::<Vec<_>>());
}

#[test]
fn each_class_is_evicted_in_its_turn() {
    let mut shard = Shard::default();
    for number in (0..2_000).step_by(5) {
        put(&mut shard, number, &end(u64::from(number)), END);
        put(&mut shard, number + 1, MARK, END);
        put(&mut shard, number + 2, ROSTER, END);
        put(&mut shard, number + 3, SESSION, END);
        put(&mut shard, number + 4, SESSION, END);
        assert!(shard.load(&key(number + 4), START).is_some());
    }
    put(&mut shard, 3_000, b"of another program", END);
    put(&mut shard, 3_001, b"", END);
    let left = emptied(&mut shard, None);
    assert_eq!(
        left,
        [
            (Class::Unused, 400),
            (Class::Session, 402),
            (Class::Roster, 400),
            (Class::End, 400)
        ]
    );
    assert_eq!((shard.len(), shard.table.len()), (0, 400), "marks stay");
    assert_eq!(shard.census.count(Class::Mark), 400);
}

#[test]
fn a_session_is_in_use_once_its_record_is_used() {
    type Act = fn(&mut Shard);
    let acts: [Act; 3] = [
        |shard| assert!(shard.load(&key(7), START).is_some()),
        |shard| replace(shard, 7, SESSION),
        |shard| found(shard, 7).touch(END),
    ];
    for act in acts {
        let mut shard = shard(16);
        act(&mut shard);
        assert_eq!(
            emptied(&mut shard, None),
            [(Class::Unused, 15), (Class::Session, 1)]
        );
    }
}

#[test]
fn a_version_does_not_depend_on_use() {
    let mut shard = shard(1);
    let version = |shard: &mut Shard| shard.load(&key(0), START).unwrap().version();
    assert_eq!(version(&mut shard), Version::from_u64(1));
    assert_eq!(version(&mut shard), Version::from_u64(1));
    shard.written = 8;
    replace(&mut shard, 0, SESSION);
    assert_eq!(version(&mut shard), Version::from_u64(9));
}

#[test]
fn the_end_that_was_set_first_is_evicted_first() {
    let mut shard = Shard::default();
    // In no order, over several windows.
    for number in 0..1_000 {
        let set = u64::from(number * 617 % 1_000);
        put(
            &mut shard,
            number,
            &end(set),
            Timestamp::from_secs(5_000 - set),
        );
    }
    let mut forgotten = Vec::new();
    for _ in 0..3_000 {
        let mut removed = Removed::default();
        shard.make_room(None, START, &mut removed);
        assert_eq!(removed.of(Class::End), removed.entries.len() as u64);
        forgotten.extend(removed.forgotten.map(Timestamp::as_secs));
    }
    assert_eq!(forgotten, (0..1_000).collect::<Vec<_>>());
}

/// A window may remember an end that has been removed.
#[test]
fn a_removed_end_hides_no_other() {
    let mut shard = Shard::default();
    for number in 0..WINDOW as u32 + 1 {
        let set = match number {
            0 => 0,
            256 => 100,
            _ => 500,
        };
        put(&mut shard, number, &end(set), END);
    }
    assert!(shard.remove(&key(0)).is_some());
    let mut forgotten = Vec::new();
    for _ in 0..4 {
        let mut removed = Removed::default();
        shard.make_room(None, START, &mut removed);
        forgotten.extend(removed.forgotten.map(Timestamp::as_secs));
    }
    assert_eq!(forgotten, [100, 500, 500]);
}

#[test]
fn an_end_that_is_set_earlier_is_evicted_earlier() {
    let mut shard = Shard::default();
    put(&mut shard, 0, &end(9), END);
    for number in 1..WINDOW as u32 {
        put(&mut shard, number, MARK, END);
    }
    put(&mut shard, 256, &end(5), END);
    replace(&mut shard, 0, &end(3));
    let mut removed = Removed::default();
    assert!(shard.make_room(None, START, &mut removed));
    assert!(!has(&shard, 0) && has(&shard, 256));
}

/// Without the time, all ends up to now count as forgotten.
#[test]
fn an_end_without_a_time_is_evicted_last() {
    let mut shard = Shard::default();
    put(&mut shard, 0, &[24], END);
    put(&mut shard, 1, &end(40), END);
    let now = Timestamp::from_secs(50);
    let mut forgotten = Vec::new();
    for _ in 0..4 {
        let mut removed = Removed::default();
        shard.make_room(None, now, &mut removed);
        forgotten.extend(removed.forgotten.map(Timestamp::as_secs));
    }
    assert_eq!(forgotten, [40, 50]);
}

#[test]
fn the_record_that_needs_room_stays() {
    for data in [SESSION, ROSTER, &end(3), MARK] {
        let mut shard = shard(16);
        put(&mut shard, 99, data, Timestamp::from_secs(1));
        let left = emptied(&mut shard, Some(99));
        assert_eq!(left, [(Class::Unused, 16)]);
        assert!(has(&shard, 99), "{data:?}");
    }
}

/// The window of the record that needs room has no other of its class.
#[test]
fn the_record_that_needs_room_does_not_count() {
    let mut shard = shard(1);
    for number in 1..WINDOW as u32 {
        put(&mut shard, number, MARK, END);
    }
    put(&mut shard, 256, SESSION, END);
    for number in 257..300 {
        put(&mut shard, number, MARK, END);
    }
    let slot = slot(&shard, 256);
    let mut removed = Removed::default();
    assert!(shard.make_room(slot, START, &mut removed));
    assert_eq!(removed.of(Class::Unused), 1);
    assert!(!has(&shard, 0) && has(&shard, 256));
}

/// It is left out while room is made for it, and counted again if there is none.
#[test]
fn an_end_without_room_is_evicted_in_its_turn() {
    let mut shard = Shard::default();
    put(&mut shard, 0, &end(3), END);
    put(&mut shard, 1, &end(7), END);
    assert_eq!(emptied(&mut shard, Some(0)), [(Class::End, 1)]);
    let slot = slot(&shard, 0).unwrap();
    shard.keep(slot);
    assert_eq!(emptied(&mut shard, None), [(Class::End, 1)]);
    assert!(!has(&shard, 0));
}

/// After the standard library's lock, which takes 8 bytes on Linux.
#[cfg(target_pointer_width = "64")]
#[test]
fn fields_that_writes_change_are_beside_the_lock() {
    assert_eq!(std::mem::offset_of!(Shard, table), 64 - 8);
}

#[test]
fn the_census_matches_the_records() {
    let (mut shard, mut removed) = (shard(1_000), Removed::default());
    shard.make_room(None, START, &mut removed);
    shard.sweep_in_passing(END, &mut removed.entries);
    assert_eq!(shard.bytes(), shard.len() * (4 + OVERHEAD));
    replace(&mut shard, 999, &[8; 1_000]);
    assert_eq!(shard.census.count(Class::Mark), 1);
    assert_eq!(
        shard.bytes(),
        shard.len() * (4 + OVERHEAD) + 1_000 + OVERHEAD
    );
    shard.sweep(0..1_000, END, &mut removed.entries);
    let windows = shard.census.windows.iter().flat_map(|window| window.counts);
    assert_eq!(windows.map(usize::from).sum::<usize>(), 0);
    assert_eq!(
        (shard.bytes(), shard.len(), removed.entries.len()),
        (0, 0, 1_000)
    );
}

#[test]
fn a_window_with_just_enough_gets_its_turn() {
    let (mut shard, mut removed) = (shard((WINDOW + PART) as u32), Removed::default());
    for _ in 0..2 {
        assert!(shard.make_room(None, START, &mut removed));
    }
    let left = |window: &Window| window.counts[Class::Unused as usize];
    assert_eq!(
        shard.census.windows.iter().map(left).collect::<Vec<_>>(),
        [240, 15]
    );
}

#[test]
fn of_ends_set_at_once_one_is_evicted() {
    let (mut shard, mut removed) = (Shard::default(), Removed::default());
    for number in 0..WINDOW as u32 + 1 {
        put(&mut shard, number, &end(7), END);
    }
    assert!(shard.make_room(None, START, &mut removed));
    assert_eq!(removed.of(Class::End), 1);
}

#[test]
fn an_end_without_room_precedes_those_of_another_window() {
    let mut shard = Shard::default();
    put(&mut shard, 0, &end(3), END);
    for number in 1..WINDOW as u32 {
        put(&mut shard, number, MARK, END);
    }
    put(&mut shard, 256, &end(5), END);
    assert_eq!(emptied(&mut shard, Some(0)), [(Class::End, 1)]);
    let slot = slot(&shard, 0).unwrap();
    shard.keep(slot);
    put(&mut shard, 256, &end(7), END);
    shard.assert_counted();
    let mut removed = Removed::default();
    assert!(shard.make_room(None, START, &mut removed));
    assert!(!has(&shard, 0) && has(&shard, 256));
}

#[test]
fn evicting_a_roster_reports_its_latest_end_of_all() {
    for (sets, expected) in [([0, 0], None), ([9, 5], Some(9)), ([5, 9], Some(9))] {
        let (mut shard, mut removed) = (Shard::default(), Removed::default());
        for number in 0..2 * PART as u32 {
            let set = sets.get(number as usize).copied().unwrap_or(50);
            let data = [16, 0, 0, 0, 0, set];
            put(
                &mut shard,
                number,
                &data,
                Timestamp::from_secs(u64::from(number) + 1),
            );
        }
        assert!(shard.make_room(None, START, &mut removed));
        assert_eq!(removed.of(Class::Roster), 2);
        assert_eq!(removed.forgotten.map(Timestamp::as_secs), expected);
    }
}

impl Shard {
    /// Counts everything again.
    pub(in super::super) fn assert_counted(&self) {
        let entries = || self.entries(0..self.slots());
        let bytes = entries().map(|entry| size_of_record(entry.data.len()));
        assert_eq!(self.bytes, bytes.sum::<usize>());
        assert_eq!(self.table.len(), entries().count());
        for (at, window) in self.census.windows.iter().enumerate() {
            let mut counts = [0; CLASSES];
            for entry in self.entries(slots_of(at)) {
                counts[Class::of_entry(entry) as usize] += 1;
                let set = set_at(entry).unwrap_or(NEVER);
                assert!(window.first_set <= set, "a window hides an end");
            }
            assert_eq!(window.counts, counts, "window {at}");
        }
        assert!(self.slots() <= self.census.windows.len() * WINDOW);
    }
}
