//! What a save takes out of the state.

use super::*;
use crate::{
    content::{Stored, WriteId, Writes, decode_record},
    state::{Draft, Job, When, cut_off::CutOff},
};

const WRITE: WriteId = *b"a write.";

fn take(state: &mut State, settings: &Settings, when: When) -> Job {
    let plan = state.plan(settings, NOW, when).unwrap().unwrap();
    let new = plan.write.names().then(other_id);
    state.take(plan, new, Some(WRITE), settings, NOW).unwrap()
}

fn changed(home: Home, value: usize) -> State {
    let mut state = opened(home, content(value));
    state.log.push(insert("k", "1"));
    state
}

#[test]
fn the_log_and_the_saves_that_were_cut_off_go_along() {
    let settings = Kept::InRecords.settings();
    let mut state = changed(record(), 10);
    let cut_off = CutOff {
        write: [3; 8],
        base: None,
        is_done: false,
        changes: 1,
        at: NOW,
    };
    state.cut_off.push(cut_off);
    let job = take(&mut state, &settings, When::Now);
    assert!(state.log.is_empty() && state.cut_off.is_empty());
    assert_eq!(
        format!("{:?}", job.log.changes().collect::<Vec<_>>()),
        "[Insert]"
    );
    assert_eq!((job.cut_off, job.write), (vec![cut_off], Some(WRITE)));
}

#[test]
fn a_record_has_all_changes_by_a_save_of_all_of_them() {
    let settings = Kept::InRecords.settings();
    let mut job = take(&mut changed(record(), 10), &settings, When::Now);
    assert!(job.is_in(&writes(&[9]).with(Some(WRITE), NOW, Duration::ZERO)));
    // The log has one change.
    for (changes, has_all) in [(0, false), (1, true)] {
        job.cut_off = vec![CutOff {
            write: [3; 8],
            base: None,
            is_done: false,
            changes,
            at: NOW,
        }];
        assert_eq!(job.is_in(&writes(&[3])), has_all, "{changes}");
        assert!(!job.is_in(&writes(&[4])));
    }
}

#[test]
fn what_was_lent_comes_back() {
    let settings = Kept::InRecords.settings();
    let mut state = changed(record(), 10);
    state.view.as_mut().unwrap().content.subject = subject("ada", NOW);
    let mut job = take(&mut state, &settings, When::Now);
    // It has lost its subject since.
    let end = (Term::Stays, None);
    job.draft_again(Draft::of(&content(10), &settings, NOW, end));
    let lent = job.lend();
    assert!(job.log.is_empty() && job.take_enrolment().is_none());
    job.take_back(lent);
    assert_eq!(job.log.len(), 1);
    let enrolment = job.take_enrolment().unwrap();
    assert_eq!(enrolment.subject, subject("ada", NOW));
}

#[test]
fn a_session_that_is_not_open_takes_nothing() {
    let settings = Kept::InRecords.settings();
    let mut state = changed(record(), 10);
    let plan = state.plan(&settings, NOW, When::Now).unwrap().unwrap();
    state.view = None;
    assert!(
        state
            .take(plan, None, Some(WRITE), &settings, NOW)
            .is_none()
    );
    assert_eq!(state.log.len(), 1, "it stays where it was");
}

/// Whether the record's bytes are made, and whether the browser knows the record then.
#[test]
fn bytes_are_made_for_what_writes_them() {
    use Browser::*;
    let renewed = |home, value| {
        let mut state = opened(home, content(value));
        state.renews = true;
        state
    };
    let late = |listed| {
        let mut state = opened(record(), content(10));
        let view = state.view.as_mut().unwrap();
        view.content.subject = subject("ada", listed);
        if let Home::Record(place) = &mut view.home {
            place.expires = after(IDLE / 2);
        }
        state
    };
    let unheard = || record_of(id(), NeverHeard);
    #[rustfmt::skip]
    let rows = [
        ("cookie",           Kept::Overflowing, changed(Home::Nowhere, 10),     None),
        ("create",           Kept::InRecords,   changed(Home::Nowhere, 10),     Some(Knows)),
        ("outgrow",          Kept::Overflowing, changed(cookie(), 101),         Some(NeverHeard)),
        ("outgrow, renewed", Kept::Overflowing, renewed(cookie(), 101),         Some(NeverHeard)),
        ("update",           Kept::InRecords,   changed(record(), 10),          Some(Knows)),
        ("update, unheard",  Kept::InRecords,   changed(unheard(), 10),         Some(NeverHeard)),
        ("renew",            Kept::InRecords,   renewed(record(), 10),          Some(Knows)),
        ("touch",            Kept::InRecords,   late(NOW),                      None),
        ("touch and list",   Kept::InRecords,   late(before(IDLE)),             Some(Knows)),
    ];
    for (row, kept, mut state, expected) in rows {
        let job = take(&mut state, &kept.settings(), When::Response);
        assert_eq!(!job.draft.plain.is_empty(), expected.is_some(), "{row}");
        let Some(expected) = expected else { continue };
        assert_eq!(job.draft.browser, expected, "{row}");
        let stored = decode_record(job.draft.plain, &id(), false).unwrap();
        let Stored::Session {
            writes, browser, ..
        } = stored
        else {
            panic!("{row}")
        };
        assert_eq!((&writes, browser), (&job.draft.writes, expected), "{row}");
        assert!(writes.contain(WRITE), "{row}");
    }
}

/// A session in a record or a cookie keeps its ID, or gets the new one.
#[test]
fn a_save_knows_both_names() {
    let renewed = |home| {
        let mut state = opened(home, content(10));
        state.renews = true;
        state
    };
    #[rustfmt::skip]
    let rows = [
        (Kept::InRecords, changed(record(), 10),        id(),       None),
        (Kept::InRecords, renewed(record()),            other_id(), Some(id())),
        (Kept::InRecords, changed(Home::Nowhere, 10),   other_id(), None),
        (Kept::InCookies, changed(cookie(), 10),        id(),       None),
        (Kept::InCookies, renewed(cookie()),            other_id(), Some(id())),
    ];
    for (kept, mut state, id, before) in rows {
        let job = take(&mut state, &kept.settings(), When::Response);
        assert!(job.id == id && job.before == before, "{:?}", job.plan);
    }
}

/// The request came with the record's ID.
#[test]
fn who_comes_for_the_record_is_remembered() {
    let mut home = record_of(id(), Browser::NeverHeard);
    home.hear();
    let Home::Record(place) = home else { panic!() };
    assert_eq!(place.browser, Browser::Knows);
}

#[test]
fn a_listing_is_a_change_of_the_record() {
    let settings = Kept::InRecords.settings();
    for (listed, lists) in [(before(IDLE / 10), true), (before(IDLE / 10 - 1), false)] {
        let mut state = changed(record(), 10);
        state.view.as_mut().unwrap().content.subject = subject("ada", listed);
        let job = take(&mut state, &settings, When::Now);
        let told = content_of(&state).subject.as_ref().unwrap().listed;
        assert_eq!(told == NOW, lists);
        let is_last = matches!(job.log.changes().last(), Some(Change::Listed(now)) if *now == NOW);
        assert_eq!((is_last, job.log.len()), (lists, 1 + usize::from(lists)));
        let stored = decode_record(job.draft.plain, &id(), false).unwrap();
        let Stored::Session { content, .. } = stored else {
            panic!()
        };
        assert_eq!(
            content.subject.as_ref().unwrap().listed,
            told,
            "in the record too"
        );
    }
}

/// See `Rosters::open`: a roster with a revoked key counts as missing.
#[test]
fn a_roster_is_sealed_anew_when_the_cookie_is() {
    let settings = Kept::InCookies.settings();
    for is_outdated in [false, true] {
        let mut state = changed(cookie(), 10);
        state.view.as_mut().unwrap().content.subject = subject("ada", NOW);
        state.provenance.is_outdated = is_outdated;
        let job = take(&mut state, &settings, When::Response);
        assert_eq!(job.draft.enrolment.unwrap().reseals, is_outdated);
    }
}

#[test]
fn a_draft_says_when_it_is_over_and_where_it_fits() {
    #[rustfmt::skip]
    let rows = [
        (Kept::InCookies,   cookie(), 10,  true),
        (Kept::InCookies,   cookie(), 101, true),
        (Kept::Overflowing, record(), 10,  true),
        (Kept::Overflowing, record(), 101, false),
        (Kept::InRecords,   record(), 10,  false),
    ];
    for (kept, home, value, fits) in rows {
        let row = format!("{kept:?} {home:?} {value}");
        let draft = take(&mut changed(home, value), &kept.settings(), When::Response).draft;
        assert_eq!(draft.fits_cookie, fits, "{row}");
        assert_eq!(draft.expires, after(IDLE), "{row}");
        assert!(draft.enrolment.is_none(), "{row}");
    }
}

/// A record's last writes, oldest first.
fn writes(numbers: &[u8]) -> Writes {
    let mut writes = Writes::default();
    for number in numbers {
        writes = writes.with(Some([*number; 8]), NOW, Duration::ZERO);
    }
    writes
}

/// The store has done a cut-off save, or has not.
#[test]
fn what_a_save_has_carried_is_not_done_again() {
    let count = |name: &str| Change::Update {
        key: name.into(),
        update: Box::new(|old| Ok(Some([old.unwrap_or_default(), b"1"].concat()))),
    };
    let cut_off = |write, changes| CutOff {
        write,
        base: None,
        is_done: false,
        changes,
        at: NOW,
    };
    //   the record's writes                 which changes are done to it
    #[rustfmt::skip]
    let rows = [
        (writes(&[9]),                      [true,  true,  true]),
        (writes(&[]),                       [true,  true,  true]),
        (writes(&[1]),                      [false, true,  true]),
        (writes(&[2]),                      [false, false, true]),
        // Others have saved on top.
        (writes(&[1, 9]),                   [false, true,  true]),
        (writes(&[2, 9, 8, 7]),             [false, false, true]),
        (writes(&[2, 9, 8, 7, 6, 5, 4, 3]), [false, false, true]),
        (writes(&[1, 9, 8, 7, 6, 5, 4, 3]), [false, true,  true]),
        // Both came to be.
        (writes(&[1, 2]),                   [false, false, true]),
        (writes(&[1, 9, 2]),                [false, false, true]),
        (writes(&[9, 8, 7, 6, 5, 4, 3]),    [true,  true,  true]),
    ];
    for (writes, done) in rows {
        let settings = Kept::InRecords.settings();
        let mut state = opened(record(), content(10));
        state.log.extend(["a", "b", "c"].map(count));
        state.cut_off = vec![cut_off([1; 8], 1), cut_off([2; 8], 2)];
        let mut job = take(&mut state, &settings, When::Now);
        for times in 1..=2 {
            let mut theirs = Content::new(NOW);
            job.apply(&mut theirs, &writes, NOW).unwrap();
            let found = ["a", "b", "c"].map(|key| theirs.frames.get(key).is_some());
            assert_eq!(found, done, "{writes:?}, {times} times");
        }
    }
}

/// Loads find the writes done one by one. The first save carried one change, the second two, the
/// third three.
#[test]
fn what_a_load_finds_is_not_saved_again() {
    let rows: [(&[&[u8]], usize); 8] = [
        (&[&[]], 3),
        (&[&[1]], 2),
        (&[&[2, 9]], 1),
        (&[&[3]], 0),
        (&[&[1], &[1, 9]], 2),
        (&[&[1], &[1, 2]], 1),
        (&[&[1], &[1, 3]], 0),
        (&[&[1], &[1, 2], &[1, 2, 3]], 0),
    ];
    for (loads, left) in rows {
        let mut state = opened(record(), content(10));
        state
            .log
            .extend(["a", "b", "c"].map(|key| insert(key, "1")));
        let cut_off = |changes: u8| CutOff {
            write: [changes; 8],
            base: None,
            is_done: false,
            changes: changes.into(),
            at: NOW,
        };
        state.cut_off.extend([1, 2, 3].map(cut_off));
        for load in loads {
            drop(state.take_done(&writes(load), NOW).unwrap());
        }
        assert_eq!(state.log.len(), left, "{loads:?}");
    }
}

/// A cut-off save may be done and its write pushed out by others. Nobody can tell, so nothing is
/// done again.
#[test]
fn a_save_that_nobody_can_tell_of_is_not_done_again() {
    let others = [9, 8, 7, 6, 5, 4, 3, 12];
    let cut_off = |number| CutOff {
        write: [number; 8],
        base: None,
        is_done: false,
        changes: 1,
        at: NOW,
    };
    //   the record's writes    cut off     so long ago   whether it is unknown
    #[rustfmt::skip]
    let rows = [
        (writes(&others),       vec![],     0,            false),
        (writes(&others),       vec![1],    0,            true),
        (writes(&others),       vec![1, 2], 0,            true),
        (writes(&others),       vec![9],    0,            false),
        (writes(&others),       vec![1, 9], 0,            false),
        (writes(&others[..7]),  vec![1],    0,            false),
        (writes(&others[..7]),  vec![1],    6,            false),
        (writes(&others[..7]),  vec![1],    7,            true),
        (writes(&[]),           vec![1],    7,            true),
        (writes(&others[..7]),  vec![9],    7,            false),
        (writes(&others[..7]),  vec![],     7,            false),
    ];
    for (writes, numbers, ago, is_unknown) in rows {
        let mut state = changed(record(), 10);
        state.cut_off = numbers.iter().copied().map(cut_off).collect();
        let mut job = take(&mut state, &Kept::InRecords.settings(), When::Now);
        let mut theirs = Content::new(NOW);
        let applied = job.apply(&mut theirs, &writes, after(ago));
        let kind = applied.map_err(|error| error.kind());
        let expected = match is_unknown {
            true => Err(crate::ErrorKind::StoreFailed),
            false => Ok(()),
        };
        assert_eq!(kind, expected, "{numbers:?}");
        assert!(!is_unknown || theirs.is_empty(), "{numbers:?}");
    }
}

/// A record's writes belong to its ID: an update adds to them, and a new record starts without any.
#[test]
fn a_record_keeps_the_writes_of_its_name() {
    let of = |writes| {
        let mut home = record();
        if let Home::Record(place) = &mut home {
            (place.writes, place.expires) = (writes, after(IDLE / 2));
        }
        opened(home, content(10))
    };
    let old = || of(writes(&[1, 2]));
    let logged = |mut state: State| {
        state.log.push(insert("k", "1"));
        state
    };
    let renewed = |mut state: State| {
        state.renews = true;
        state
    };
    let listed = |mut state: State| {
        let view = state.view.as_mut().unwrap();
        view.content.subject = subject("ada", before(IDLE));
        state
    };
    let with_own = |old: Writes| old.with(Some(WRITE), NOW, Duration::ZERO);
    #[rustfmt::skip]
    let rows = [
        ("update",         logged(old()),                          with_own(writes(&[1, 2]))),
        ("touch",          old(),                                  writes(&[1, 2])),
        ("touch and list", listed(old()),                          with_own(writes(&[1, 2]))),
        ("renew",          renewed(old()),                         with_own(writes(&[]))),
        ("create",         changed(Home::Nowhere, 10),             with_own(writes(&[]))),
    ];
    for (row, mut state, expected) in rows {
        let job = take(&mut state, &Kept::InRecords.settings(), When::Response);
        assert_eq!(job.draft.writes, expected, "{row}");
        let place = job.draft.place(id(), VERSION);
        assert_eq!((place.writes, place.version), (expected, VERSION), "{row}");
        assert_eq!(
            (place.expires, place.browser),
            (after(IDLE), Browser::Knows)
        );
    }
    // A store that never waits loses no answer.
    let (settings, mut state) = (Kept::InRecords.settings(), logged(old()));
    let plan = state.plan(&settings, NOW, When::Now).unwrap().unwrap();
    let job = state.take(plan, None, None, &settings, NOW).unwrap();
    assert_eq!((job.write, job.draft.writes), (None, Writes::default()));
}

#[test]
fn a_change_that_fails_stops_those_behind_it() {
    let settings = Kept::InRecords.settings();
    let mut state = opened(record(), content(10));
    let fails = Change::Update {
        key: "b".into(),
        update: Box::new(|_| Err(crate::Error::new(crate::ErrorKind::DeserializeFailed))),
    };
    state
        .log
        .extend([insert("a", "1"), fails, insert("c", "1")]);
    let mut job = take(&mut state, &settings, When::Now);
    let mut theirs = Content::new(NOW);
    let error = job.apply(&mut theirs, &writes(&[9]), NOW).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::DeserializeFailed);
    assert!(theirs.frames.get("a").is_some() && theirs.frames.get("c").is_none());
}

#[test]
fn what_came_on_top_of_a_write_settles_a_save_that_was_cut_off() {
    let cut_off = |write, base| CutOff {
        write: [write; 8],
        base,
        is_done: false,
        changes: 1,
        at: NOW,
    };
    let above = |below: [u8; 8]| (below == [1; 8]).then_some([5; 8]);
    //   the save   on top of        whether it was done, if it is known
    for (write, base, expected) in [
        (5, Some([1; 8]), Some(true)),
        (6, Some([1; 8]), Some(false)),
        (6, Some([2; 8]), None),
        (6, None, None),
    ] {
        let mut all = vec![cut_off(write, base)];
        CutOff::settle(&mut all, above);
        let known = all
            .first()
            .map_or(Some(false), |it| it.is_done.then_some(true));
        assert_eq!(known, expected, "{write} on {base:?}");
        assert_eq!(
            all.iter().any(|it| it.is_in(&Writes::default())),
            expected == Some(true)
        );
    }
}

#[test]
fn a_record_that_still_lists_the_write_below_tells() {
    let others = [9, 8, 7, 6, 5, 4, 3, 12];
    for (base, is_unknown) in [(Some([12; 8]), false), (Some([13; 8]), true), (None, true)] {
        let cut_off = CutOff {
            write: [1; 8],
            base,
            is_done: false,
            changes: 1,
            at: NOW,
        };
        assert_eq!(
            cut_off.is_unknown(&writes(&others), NOW),
            is_unknown,
            "{base:?}"
        );
    }
}
