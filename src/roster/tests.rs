use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    codec::{Codec, Mode, Purpose},
    error::ErrorKind,
    key::Keys,
    store::{DynStore, MemoryStore, Reserve},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MEMORY: Duration = Duration::from_secs(1_000);
const SKEW: Duration = Duration::from_secs(60);

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn after(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// A session of this number, last used `used` seconds after all were created.
fn entry(number: u8, used: u64) -> Entry {
    Entry {
        key: key(number),
        former: Vec::new(),
        renewed: Timestamp::default(),
        created: NOW,
        since: NOW,
        last_used: after(used),
        expires: after(500),
        note: format!("note {number}"),
        ended: false,
    }
}

fn ended(number: u8, used: u64) -> Entry {
    Entry {
        ended: true,
        ..entry(number, used)
    }
}

/// A session of this number and these former numbers, the latest first.
fn renewed(number: u8, former: &[u8]) -> Entry {
    Entry {
        former: former.iter().copied().map(key).collect(),
        renewed: NOW,
        ..entry(number, 0)
    }
}

fn roster(entries: impl Into<Vec<Entry>>) -> Roster {
    Roster {
        entries: entries.into(),
        ..Roster::default()
    }
}

/// The sessions in order, each with all its names, and ended ones in brackets.
fn text(entries: &[Entry]) -> String {
    let words = entries.iter().map(|entry| {
        let names = numbers(entry.names());
        match entry.ended {
            true => format!("({names})"),
            false => names,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn numbers(keys: impl IntoIterator<Item = RecordKey>) -> String {
    let number = |key: RecordKey| key.as_bytes()[0].to_string();
    keys.into_iter().map(number).collect::<Vec<_>>().join("<")
}

#[test]
fn a_session_is_found_until_it_ends() {
    let mut roster = roster([entry(1, 0), ended(2, 0), entry(3, 0)]);
    let found = |roster: &Roster| [1, 2, 3, 4].map(|n| roster.get(&key(n)).is_some());
    let ended = |roster: &Roster| [1, 2, 3, 4].map(|n| roster.is_ended(&key(n)));
    assert_eq!(found(&roster), [true, false, true, false]);
    assert_eq!(ended(&roster), [false, true, false, false]);
    roster.remove_name(&key(1));
    roster.remove_name(&key(2));
    roster.remove_name(&key(4));
    assert_eq!(text(&roster.entries), "3");
}

/// A request that knows it by one of them may be under way.
#[test]
fn a_session_is_found_by_its_former_names() {
    let ended = Entry {
        ended: true,
        ..renewed(5, &[4])
    };
    let roster = roster([renewed(3, &[2, 1]), ended]);
    let found = [1, 2, 3, 4, 5, 6].map(|n| roster.get(&key(n)).map(|entry| entry.key));
    assert_eq!(
        found,
        [Some(key(3)), Some(key(3)), Some(key(3)), None, None, None]
    );
    let is_ended = [1, 2, 3, 4, 5, 6].map(|n| roster.is_ended(&key(n)));
    assert_eq!(is_ended, [false, false, false, true, true, false]);
    let roster = Roster {
        not_before: after(10),
        ..roster
    };
    let admits = [1, 2, 3, 4, 5, 6].map(|n| roster.admits(NOW, &key(n)));
    assert_eq!(admits, [true, true, true, false, false, false]);
}

/// A failed renewal leaves the session under its former name.
#[test]
#[rustfmt::skip]
fn a_session_can_lose_its_names_one_by_one() {
    let all = || roster([renewed(3, &[2, 1]), entry(9, 0)]);
    //   it loses      what is left
    let rows: [(&[u8], _); 7] = [
        (&[],          "3<2<1 9"),
        (&[3],         "2<1 9"),
        (&[2],         "3<1 9"),
        (&[1],         "3<2 9"),
        (&[3, 2],      "1 9"),
        (&[1, 3, 2],   "9"),
        (&[7, 9],      "3<2<1"),
    ];
    for (lost, left) in rows {
        let mut roster = all();
        lost.iter().for_each(|number| roster.remove_name(&key(*number)));
        assert_eq!(text(&roster.entries), left, "{lost:?}");
    }
}

/// An ended session stays: its record may still have to be removed.
#[test]
fn a_session_is_removed_with_all_its_names() {
    for (taken, left) in [
        (3, "9 (8)"),
        (1, "9 (8)"),
        (9, "3<2<1 (8)"),
        (8, "3<2<1 9 (8)"),
    ] {
        let mut roster = roster([renewed(3, &[2, 1]), entry(9, 0), ended(8, 0)]);
        roster.remove_session(&key(taken));
        assert_eq!(text(&roster.entries), left, "{taken}");
    }
}

/// For a minute, and at most eight of them.
#[test]
#[rustfmt::skip]
fn a_session_keeps_its_former_names() {
    let long: &[u8] = &[8, 7, 6, 5, 4, 3, 2, 1];
    //   it was          it gets  from  after  it keeps
    let rows = [
        (renewed(1, &[]),     1,  1, 0,     ""),
        (renewed(1, &[]),     2,  1, 0,     "1"),
        (renewed(1, &[]),     2,  1, 999,   "1"),
        (renewed(2, &[1]),    2,  2, 59,    "1"),
        (renewed(2, &[1]),    2,  2, 60,    ""),
        (renewed(2, &[1]),    3,  2, 59,    "2<1"),
        (renewed(2, &[1]),    3,  2, 60,    "2"),
        // The renewal before has failed.
        (renewed(3, &[2, 1]), 2,  2, 0,     "3<1"),
        // This one is late.
        (renewed(3, &[2, 1]), 4,  1, 60,    "3<1"),
        (renewed(9, long),    9,  9, 0,     "8<7<6<5<4<3<2<1"),
        (renewed(9, long),    10, 9, 0,     "9<8<7<6<5<4<3<2"),
    ];
    for (entry, number, before, later, kept) in rows {
        let row = format!("{} {number} {before} {later}", numbers(entry.names()));
        let found = entry.kept_names(&key(number), &key(before), after(later));
        assert_eq!(numbers(found), kept, "{row}");
    }
}

#[test]
#[rustfmt::skip]
fn one_more_session_may_be_too_many() {
    let all = || vec![entry(1, 0), renewed(3, &[2]), entry(4, 0), ended(5, 0)];
    //   the sessions  limit  it is    too many
    let rows: [(_, _, &[u8], _); 9] = [
        (vec![],       1,     &[],     0),
        (vec![],       0,     &[],     0),
        (all(),        4,     &[],     0),
        (all(),        3,     &[],     1),
        (all(),        1,     &[],     3),
        // One of them gets another name.
        (all(),        3,     &[4],    0),
        (all(),        2,     &[2],    1),
        (all(),        2,     &[9, 2], 1),
        (all(),        3,     &[5],    1),
    ];
    for (entries, limit, keep, expected) in rows {
        let keep: Vec<_> = keep.iter().copied().map(key).collect();
        let surplus = roster(entries).surplus(limit, &keep, NOW);
        assert_eq!(surplus, expected, "{limit} {keep:?}");
    }
}

/// A session about to get another name stays, whichever of its two names it is known by.
#[test]
fn the_session_that_needs_room_stays() {
    for (keep, left) in [(3, "3<2 (4)"), (2, "3<2 (4)"), (4, "(3<2) 4")] {
        let mut roster = roster([renewed(3, &[2]), entry(4, 5)]);
        roster.make_room(1, &[key(keep)], NOW);
        assert_eq!(text(&roster.entries), left, "{keep}");
    }
}

#[test]
#[rustfmt::skip]
fn a_session_in_a_cookie_is_admitted() {
    //   it is       enrolled at   it is admitted
    let rows = [
        ("listed",   after(9),     true),
        ("listed",   after(10),    true),
        ("not",      after(9),     false),
        ("not",      after(10),    true),
        ("not",      after(11),    true),
        ("ended",    after(9),     false),
        ("ended",    after(10),    false),
    ];
    for (is, since, admits) in rows {
        let number = match is { "listed" => 1, "ended" => 2, _ => 3 };
        let roster = Roster { not_before: after(10), ..roster([entry(1, 0), ended(2, 0)]) };
        assert_eq!(roster.admits(since, &key(number)), admits, "{is} {since:?}");
    }
}

/// No two ends are of the same second.
#[test]
#[rustfmt::skip]
fn each_end_is_later_than_the_last() {
    for (before, now, expected) in [
        (Timestamp::default(), NOW,      NOW),
        (after(0),             after(0), after(1)),
        (after(1),             after(0), after(2)),
        (after(0),             after(1), after(1)),
        (after(0),             after(9), after(9)),
    ] {
        let mut roster = Roster { not_before: before, ..Roster::default() };
        roster.raise(now);
        assert_eq!(roster.not_before, expected, "{before:?} {now:?}");
    }
}

#[test]
#[rustfmt::skip]
fn the_least_recently_used_make_room() {
    let all = || vec![entry(1, 40), entry(2, 10), entry(3, 30), entry(4, 20)];
    let with_ended = || [all(), vec![ended(5, 0), ended(6, 50)]].concat();
    let rows: [(_, _, &[u8], _); 12] = [
    //  the sessions  limit  kept       afterwards, by their last use
        (all(),       5,     &[],       "2 4 3 1"),
        (all(),       4,     &[],       "(2) 4 3 1"),
        (all(),       4,     &[2],      "2 4 3 1"),
        (all(),       3,     &[2],      "2 (4) 3 1"),
        (all(),       2,     &[2, 4],   "2 4 (3) 1"),
        (all(),       1,     &[1],      "(2) (4) (3) 1"),
        (all(),       0,     &[1],      "(2) (4) (3) 1"),
        (all(),       1,     &[],       "(2) (4) (3) (1)"),
        (all(),       1,     &[9],      "(2) (4) (3) (1)"),
        (with_ended(), 5,    &[],       "(5) 2 4 3 1 (6)"),
        (with_ended(), 4,    &[],       "(5) (2) 4 3 1 (6)"),
        (vec![],      1,     &[],       ""),
    ];
    for (entries, limit, keep, expected) in rows {
        let row = format!("{} of {limit}, {keep:?}", text(&entries));
        let mut roster = roster(entries);
        let keep: Vec<_> = keep.iter().map(|number| key(*number)).collect();
        roster.make_room(limit, &keep, NOW);
        assert_eq!(text(&roster.entries), expected, "{row}");
    }
}

#[test]
#[rustfmt::skip]
fn the_older_half_is_removed() {
    let rows = [
        (vec![],                                                  "",    ""),
        (vec![entry(1, 0)],                                       "",    "1"),
        (vec![entry(1, 9), entry(2, 1)],                          "2",   "1"),
        (vec![entry(1, 9), entry(2, 1), ended(3, 5)],             "2",   "(3) 1"),
        (vec![entry(1, 9), entry(2, 1), entry(3, 5), ended(4, 0)], "(4) 2", "3 1"),
    ];
    for (entries, taken, left) in rows {
        let row = text(&entries);
        let mut roster = roster(entries);
        assert_eq!(text(&roster.take_older_half()), taken, "{row}");
        assert_eq!(text(&roster.entries), left, "{row}");
    }
}

#[test]
fn expired_sessions_and_old_ends_are_forgotten() {
    let last = Entry {
        expires: after(600),
        ..ended(2, 0)
    };
    let not_before = after(100);
    #[rustfmt::skip]
    let rows = [
        (0,     "1 (2)", not_before),
        (559,   "1 (2)", not_before),
        (560,   "(2)",   not_before),
        (660,   "",      not_before),
        (1_099, "",      not_before),
        (1_100, "",      Timestamp::default()),
    ];
    for (now, left, not_before_then) in rows {
        let mut roster = Roster {
            not_before,
            ..roster([entry(1, 0), last.clone()])
        };
        roster.prune(after(now), SKEW, MEMORY);
        let found = (&*text(&roster.entries), roster.not_before);
        assert_eq!(found, (left, not_before_then), "after {now}");
    }
}

/// As long as the last session by any clock, or the memory of an end, and at least a minute.
#[test]
fn a_roster_stays_as_long_as_it_is_needed() {
    let rows = [
        (roster([]), Timestamp::default(), 60),
        (roster([entry(1, 0)]), Timestamp::default(), 560),
        (roster([entry(1, 0)]), after(10), 1_010),
        (roster([]), after(10), 1_010),
    ];
    for (roster, not_before, expected) in rows {
        let roster = Roster {
            not_before,
            ..roster
        };
        assert_eq!(roster.expires(NOW, SKEW, MEMORY), after(expected));
    }
    assert_eq!(
        roster([entry(1, 0)]).expires(after(520), SKEW, MEMORY),
        after(580)
    );
}

/// A session enrolled before may have been ended since.
#[test]
fn a_damaged_roster_admits_nobody_listed_before() {
    let roster = Roster::damaged(NOW);
    assert!(roster.is_damaged && roster.entries.is_empty());
    let admitted = [0, 1, 2].map(|secs| roster.admits(after(secs), &key(1)));
    assert_eq!(admitted, [false, true, true]);
}

fn encoded(roster: &Roster) -> Vec<u8> {
    let mut bytes = Vec::new();
    roster.encode(&key(7), &mut bytes);
    bytes
}

#[test]
fn a_roster_reads_back_under_its_own_key() {
    let roster = Roster {
        not_before: after(3),
        writes: Writes::default().with(Some([7; 8]), NOW, Duration::ZERO),
        ..roster([
            entry(1, 5),
            ended(2, 6),
            renewed(9, &[8, 7, 6, 5, 4, 3, 2, 1]),
        ])
    };
    let bytes = encoded(&roster);
    assert_eq!(Roster::decode(&key(7), &bytes), Some(roster));
    assert_eq!(Roster::decode(&key(8), &bytes), None);
    assert_eq!(Roster::decode(&key(7), &[&[2], &bytes[1..]].concat()), None);
}

#[test]
fn a_part_of_a_roster_does_not_decode() {
    let bytes = encoded(&roster([entry(1, 5), renewed(3, &[2]), ended(4, 6)]));
    let starts = [
        encoded(&roster([])).len(),
        encoded(&roster([entry(1, 5)])).len(),
        encoded(&roster([entry(1, 5), renewed(3, &[2])])).len(),
    ];
    for end in 0..bytes.len() {
        let is_some = Roster::decode(&key(7), &bytes[..end]).is_some();
        assert_eq!(is_some, starts.contains(&end), "first {end} bytes");
    }
    let mut unknown_flag = bytes;
    unknown_flag[starts[0]] = 4;
    assert_eq!(Roster::decode(&key(7), &unknown_flag), None);
}

/// Only the sealed part is later, in bytes that this release can open.
#[test]
fn a_roster_of_a_later_format_is_an_error() {
    let keys = Keys::generate().unwrap();
    let codec = Codec::new(keys, Mode::Sealed, Purpose::Roster, "sid", "");
    let made = encoded(&roster([entry(1, 5)]));
    let sealed = |format| {
        let bytes = [&[format], &made[1..]].concat();
        let sealed = codec.seal_bytes(0, |out| out.extend_from_slice(&bytes));
        [&[16, 0, 0, 0, 0, 0][..], &sealed.unwrap()].concat()
    };
    let [later, torn, own] = [2, 0, 1].map(sealed);
    let rosters = Rosters::new(
        Reserve::new(DynStore::new(MemoryStore::new())),
        codec,
        "sid",
        "",
        MEMORY,
    );
    let open = |sealed: &[u8]| rosters.open(&key(7), sealed, NOW);
    let migrating = [&[0x80 | 16], &own[1..]].concat();
    let other_head = [&[17], &own[1..]].concat();
    for unread in [&later, &migrating, &other_head] {
        assert_eq!(open(unread).unwrap_err().kind(), ErrorKind::LaterFormat);
    }
    assert!(open(&torn).unwrap().is_damaged);
    assert_eq!(text(&open(&own).unwrap().entries), "1");
}

/// Times of forty bits, as they are written.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (0_u64..1 << 40).prop_map(Timestamp::from_secs)
}

/// An entry that was never renewed has no time of renewal.
fn any_entry() -> impl Strategy<Value = Entry> {
    let times = (any_time(), any_time(), any_time(), any_time(), any_time());
    let keys = (any::<[u8; 32]>(), vec(any::<[u8; 32]>(), 0..=MAX_FORMER));
    (keys, times, any::<String>(), any::<bool>()).prop_map(
        |((key, former), (renewed, created, since, last_used, expires), note, ended)| Entry {
            key: RecordKey::from_bytes(key),
            renewed: if former.is_empty() {
                Timestamp::default()
            } else {
                renewed
            },
            former: former.into_iter().map(RecordKey::from_bytes).collect(),
            created,
            since,
            last_used,
            expires,
            note,
            ended,
        },
    )
}

proptest! {
    #[test]
    fn any_roster_reads_back(not_before in any_time(), entries in vec(any_entry(), 0..5)) {
        let roster = Roster { not_before, ..roster(entries) };
        prop_assert_eq!(Roster::decode(&key(7), &encoded(&roster)), Some(roster));
    }

    #[test]
    fn arbitrary_bytes_decode_without_panic(bytes: Vec<u8>, behind_head: bool) {
        let head = encoded(&roster([]));
        let bytes = if behind_head { [head, bytes].concat() } else { bytes };
        if let Some(roster) = Roster::decode(&key(7), &bytes) {
            prop_assert_eq!(Roster::decode(&key(7), &encoded(&roster)), Some(roster));
        }
    }
}
