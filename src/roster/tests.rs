use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    codec::{Codec, Mode, Purpose},
    error::ErrorKind,
    key::Keys,
    store::{DynStore, MemoryStore},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MEMORY: Duration = Duration::from_secs(1_000);

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn after(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// Of this number, and last used so many seconds after all others were made.
fn entry(number: u8, used: u64) -> Entry {
    Entry {
        key: key(number),
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

fn roster(entries: impl Into<Vec<Entry>>) -> Roster {
    Roster {
        entries: entries.into(),
        ..Roster::default()
    }
}

/// The sessions in order, those that have ended in brackets.
fn text(entries: &[Entry]) -> String {
    let words = entries.iter().map(|entry| {
        let [number, ..] = entry.key.as_bytes();
        match entry.ended {
            true => format!("({number})"),
            false => number.to_string(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_session_is_found_until_it_has_ended() {
    let mut roster = roster([entry(1, 0), ended(2, 0), entry(3, 0)]);
    let found = |roster: &Roster| [1, 2, 3, 4].map(|n| roster.get(&key(n)).is_some());
    let ended = |roster: &Roster| [1, 2, 3, 4].map(|n| roster.is_ended(&key(n)));
    assert_eq!(found(&roster), [true, false, true, false]);
    assert_eq!(ended(&roster), [false, true, false, false]);
    roster.remove(&key(1));
    roster.remove(&key(2));
    roster.remove(&key(4));
    assert_eq!(text(&roster.entries), "3");
}

#[test]
#[rustfmt::skip]
fn a_session_in_a_cookie_is_admitted() {
    //   it is       listed        it may go on
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
fn an_end_is_later_than_the_one_before() {
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
fn room_is_made_of_those_not_used_for_longest() {
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
        roster.make_room(limit, &keep);
        assert_eq!(text(&roster.entries), expected, "{row}");
    }
}

#[test]
#[rustfmt::skip]
fn the_older_half_is_taken_out() {
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
fn what_is_over_is_forgotten() {
    let last = Entry {
        expires: after(600),
        ..ended(2, 0)
    };
    let not_before = after(100);
    #[rustfmt::skip]
    let rows = [
        (0,     "1 (2)", not_before),
        (499,   "1 (2)", not_before),
        (500,   "(2)",   not_before),
        (600,   "",      not_before),
        (1_099, "",      not_before),
        (1_100, "",      Timestamp::default()),
    ];
    for (now, left, not_before_then) in rows {
        let mut roster = Roster {
            not_before,
            ..roster([entry(1, 0), last.clone()])
        };
        roster.prune(after(now), MEMORY);
        let found = (&*text(&roster.entries), roster.not_before);
        assert_eq!(found, (left, not_before_then), "after {now}");
    }
}

/// The last session, what has to be remembered, and a minute at least.
#[test]
fn a_roster_stays_as_long_as_it_is_needed() {
    let rows = [
        (roster([]), Timestamp::default(), 60),
        (roster([entry(1, 0)]), Timestamp::default(), 500),
        (roster([entry(1, 0)]), after(10), 1_010),
        (roster([]), after(10), 1_010),
    ];
    for (roster, not_before, expected) in rows {
        let roster = Roster {
            not_before,
            ..roster
        };
        assert_eq!(roster.expires(NOW, MEMORY), after(expected));
    }
    assert_eq!(
        roster([entry(1, 0)]).expires(after(490), MEMORY),
        after(550)
    );
}

/// Whoever was listed before may have been ended since.
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
        ..roster([entry(1, 5), ended(2, 6)])
    };
    let bytes = encoded(&roster);
    assert_eq!(Roster::decode(&key(7), &bytes), Some(roster));
    assert_eq!(Roster::decode(&key(8), &bytes), None);
    assert_eq!(Roster::decode(&key(7), &[&[2], &bytes[1..]].concat()), None);
}

#[test]
fn a_part_of_a_roster_is_none() {
    let bytes = encoded(&roster([entry(1, 5), ended(2, 6)]));
    let starts = [
        encoded(&roster([])).len(),
        encoded(&roster([entry(1, 5)])).len(),
    ];
    for end in 0..bytes.len() {
        let is_some = Roster::decode(&key(7), &bytes[..end]).is_some();
        assert_eq!(is_some, starts.contains(&end), "first {end} bytes");
    }
    let mut unknown_flag = bytes;
    unknown_flag[starts[0]] = 2;
    assert_eq!(Roster::decode(&key(7), &unknown_flag), None);
}

/// Its inside alone, in bytes that this release can open.
#[test]
fn a_roster_of_a_later_format_is_an_error() {
    let keys = Keys::generate().unwrap();
    let codec = Codec::new(keys, Mode::Sealed, Purpose::Roster, "sid", "");
    let made = encoded(&roster([entry(1, 5)]));
    let sealed = |format| {
        let bytes = [&[format], &made[1..]].concat();
        codec.seal_bytes(0, |out| out.extend_from_slice(&bytes))
    };
    let [later, torn, own] = [2, 0, 1].map(|format| sealed(format).unwrap());
    let rosters = Rosters::new(DynStore::new(MemoryStore::new()), codec, "sid", "", MEMORY);
    let open = |sealed: &[u8]| rosters.open(&key(7), sealed, NOW);
    assert_eq!(open(&later).unwrap_err().kind(), ErrorKind::LaterFormat);
    assert!(open(&torn).unwrap().is_damaged);
    assert_eq!(text(&open(&own).unwrap().entries), "1");
}

/// Times of forty bits, as they are written.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (0_u64..1 << 40).prop_map(Timestamp::from_secs)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let times = (any_time(), any_time(), any_time(), any_time());
    (any::<[u8; 32]>(), times, any::<String>(), any::<bool>()).prop_map(
        |(key, (created, since, last_used, expires), note, ended)| Entry {
            key: RecordKey::from_bytes(key),
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
