//! The outcomes of a save.

use super::*;

fn saved(state: &mut State, home: Home, duty: CookieDuty) {
    state.saved(home, duty, None, NOW);
}

fn other_cookie() -> Home {
    cookie_of(other_id(), NOW)
}

fn other_record() -> Home {
    record_of(other_id(), Browser::Knows)
}

/// A renewal that is not done yet stays pending.
#[test]
#[rustfmt::skip]
fn a_session_is_known_by_the_id_it_got() {
    //   it was          it is            it is found by  renews still
    let rows = [
        (Home::Nowhere, cookie(),       "cookie",   false),
        (Home::Nowhere, record(),       "id",       false),
        (cookie(),      cookie(),       "cookie",   true),
        (cookie(),      other_cookie(), "cookie",   false),
        (cookie(),      record(),       "id",       true),
        (cookie(),      other_record(), "other id", false),
        (record(),      record(),       "id",       true),
        (record(),      other_record(), "other id", false),
        (record(),      other_cookie(), "cookie",   false),
    ];
    for (was, is, found_by, renews) in rows {
        let row = format!("{was:?} {is:?}");
        let mut state = opened(was, content(10));
        state.renews = true;
        saved(&mut state, is.clone(), CookieDuty::Set);
        let source = state.source_again();
        assert_eq!((named(&source), state.renews), (found_by, renews), "{row}");
        let home = &state.view.unwrap().home;
        assert_eq!(format!("{home:?}"), format!("{is:?}"), "{row}");
    }
}

/// The revision counts the cookies that carried a change. It tells which of two cookies is the
/// later one.
#[test]
#[rustfmt::skip]
fn a_revision_counts_cookies() {
    let rows = [
        (cookie(), CookieDuty::Set,     4),
        (cookie(), CookieDuty::Refresh, 3),
        (record(), CookieDuty::Set,     3),
    ];
    for (home, duty, revision) in rows {
        let row = format!("{home:?} {duty:?}");
        let mut state = opened(home.clone(), content(10));
        state.view.as_mut().unwrap().content.revision = 3;
        saved(&mut state, home, duty);
        assert_eq!(content_of(&state).revision, revision, "{row}");
    }
}

#[test]
fn the_larger_duty_stays() {
    let order = [
        CookieDuty::Nothing,
        CookieDuty::Remove,
        CookieDuty::Refresh,
        CookieDuty::Set,
    ];
    for (rank, owed) in order.into_iter().enumerate() {
        for (other_rank, duty) in order.into_iter().enumerate() {
            let mut state = opened(record(), content(10));
            state.duty = owed;
            saved(&mut state, record(), duty);
            assert_eq!(state.duty, order[rank.max(other_rank)], "{owed:?} {duty:?}");
        }
    }
}

/// A subject that was set while the save ran is not in its roster yet.
#[test]
fn a_saved_subject_is_listed() {
    let set = || Change::SetSubject {
        name: "eve".into(),
        note: "".into(),
    };
    let rows = [
        (None, true),
        (Some(insert("k", "1")), true),
        (Some(set()), false),
        (Some(Change::RemoveSubject), false),
    ];
    for (meanwhile, is_listed) in rows {
        let row = format!("{meanwhile:?}");
        let mut state = opened(record(), content(10));
        let content = &mut state.view.as_mut().unwrap().content;
        set().apply(content).unwrap();
        content.former = subject("bob", NOW);
        state.log.extend(meanwhile);
        saved(&mut state, record(), CookieDuty::Nothing);
        let content = content_of(&state);
        let note = &content.subject.as_ref().unwrap().note;
        let found = (note.is_none(), content.former.is_none());
        assert_eq!(found, (is_listed, is_listed), "{row}");
    }
}

#[test]
fn a_roster_says_since_when_it_lists() {
    for (since, expected) in [
        (None, (before(5_000), before(9))),
        (Some(before(70)), (before(70), NOW)),
    ] {
        let mut state = opened(record(), content(10));
        state.view.as_mut().unwrap().content.subject = subject("ada", before(9));
        state.saved(record(), CookieDuty::Nothing, since, NOW);
        let subject = content_of(&state).subject.as_ref().unwrap();
        assert_eq!((subject.since, subject.listed), expected, "{since:?}");
    }
    let mut state = opened(record(), content(10));
    state.saved(record(), CookieDuty::Nothing, Some(NOW), NOW);
    assert!(content_of(&state).subject.is_none());
}

#[test]
fn a_session_that_was_closed_meanwhile_stays_closed() {
    let mut state = State {
        renews: true,
        ..State::default()
    };
    saved(&mut state, record(), CookieDuty::Set);
    assert!(state.view.is_none() && state.renews);
    assert_eq!(
        (state.duty, source(&state)),
        (CookieDuty::Nothing, "cookie")
    );
}

/// A session that is saved by its cookie keeps its ID, unless it gets a new one.
#[test]
fn a_cookie_keeps_its_name_or_gets_one() {
    for (was, new, is) in [
        (cookie(), None, cookie()),
        (cookie(), Some(other_id()), other_cookie()),
        (Home::Nowhere, Some(id()), cookie()),
    ] {
        let mut state = opened(was, content(10));
        state.saved_in_cookie(new, &plan_of_cookie(CookieDuty::Set), NOW);
        let home = state.view.unwrap().home;
        assert_eq!(home.id(), is.id());
        assert!(matches!(home, Home::Cookie { issued: NOW, .. }));
        assert_eq!(state.duty, CookieDuty::Set);
    }
}
