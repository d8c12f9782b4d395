//! How a request changes a session's state between two saves.

use super::*;
use crate::{
    ErrorKind, content::Persistence, cookie::CookieAttributes, error::Rejection, key::KeyState,
    state::cut_off::CutOff,
};

/// A state in which every field is set.
fn busy() -> State {
    let mut content = content(10);
    content.attributes = Some(Box::new(CookieAttributes::default().path("/shop")));
    content.subject = subject("ada", NOW);
    State {
        log: [insert("k", "1")].into_iter().collect(),
        is_changed_unlogged: true,
        source: Source::Known(id().into()),
        renews: true,
        duty: CookieDuty::Set,
        is_used: true,
        is_refused: true,
        moved_from: Some(Box::new(CookieAttributes::default().path("/old"))),
        cut_off: vec![CutOff {
            write: [1; 8],
            base: None,
            is_done: false,
            changes: 1,
            at: NOW,
        }],
        ..opened(record(), content)
    }
}

fn attributes(state: &State) -> Option<&str> {
    Some(&content_of(state).attributes.as_ref()?.path)
}

#[test]
fn a_home_has_a_name_once_it_is_one() {
    #[rustfmt::skip]
    let rows = [
        (Home::Nowhere,      None,       true,  false),
        // The name is another session's, or nobody's.
        (Home::Marked(id()), None,       true,  false),
        (cookie(),           Some(id()), false, false),
        (record(),           Some(id()), false, true),
    ];
    for (home, name, is_nowhere, is_record) in rows {
        assert_eq!(home.id(), name.as_ref(), "{home:?}");
        assert_eq!(home.key(), name.map(|id| id.record_key()), "{home:?}");
        assert_eq!(
            (home.is_nowhere(), home.is_record()),
            (is_nowhere, is_record)
        );
        assert_eq!(home.is_cookie(), !is_nowhere && !is_record);
    }
}

#[test]
fn a_state_is_in_use_by_any_of_these() {
    let empty = State::default;
    let open = || opened(Home::Nowhere, Content::new(NOW));
    let logged = |state| State {
        log: [insert("k", "1")].into_iter().collect(),
        ..state
    };
    let unlogged = |state| State {
        is_changed_unlogged: true,
        ..state
    };
    let renewed = |state| State {
        renews: true,
        ..state
    };
    let owing = |state| State {
        duty: CookieDuty::Remove,
        ..state
    };
    //                                in use  changed needs opening
    #[rustfmt::skip]
    let rows = [
        ("empty",     empty(),           false, false, false),
        ("used",      State { is_used: true, ..empty() }, false, false, false),
        ("owing",     owing(empty()),    true,  false, false),
        ("logged",    logged(empty()),   true,  true,  true),
        ("unlogged",  unlogged(empty()), true,  true,  true),
        ("renewed",   renewed(empty()),  true,  true,  true),
        ("open",      open(),            true,  false, false),
        ("open, log", logged(open()),    true,  true,  false),
    ];
    for (row, state, is_in_use, is_changed, needs_opening) in rows {
        let found = (state.is_in_use(), state.is_changed(), state.needs_opening());
        assert_eq!(found, (is_in_use, is_changed, needs_opening), "{row}");
    }
}

#[test]
fn a_change_is_noted_in_the_log_or_beside_it() {
    let (mut logged, mut unlogged) = (State::default(), State::default());
    logged.note(Some(insert("k", "1")));
    unlogged.note(None);
    assert!(logged.log.len() == 1 && !logged.is_changed_unlogged);
    assert!(unlogged.log.is_empty() && unlogged.is_changed_unlogged);
}

/// The persistence of a session that is not open is unknown, so the change stays.
#[test]
fn the_same_persistence_again_is_no_change() {
    let until_close = Persistence::UntilBrowserCloses;
    #[rustfmt::skip]
    let rows = [
        ("not open",  State::default(),                until_close,             1),
        ("open",      opened(record(), content(10)), until_close,             1),
        ("the same",  opened(record(), content(10)), Persistence::Configured, 0),
    ];
    for (row, mut state, persistence, changes) in rows {
        state.persist(persistence);
        let due = |state: &State| {
            state
                .log
                .changes()
                .filter(|change| change.kinds().is_due)
                .count()
        };
        assert_eq!(due(&state), changes, "{row}");
        if let Some(view) = &state.view {
            assert_eq!(view.content.persistence, persistence, "{row}");
        }
        state.persist(persistence);
        let again = if row == "not open" { 2 } else { changes };
        assert_eq!(due(&state), again, "{row}, again");
    }
}

/// After the request has ended, only a session that was loaded again is saved.
#[test]
fn a_late_change_is_refused_once() {
    //   closed refused changed reopened  error
    #[rustfmt::skip]
    let rows = [
        (false, false, true,  false, false),
        (false, true,  true,  false, false),
        (true,  false, false, false, false),
        (true,  false, true,  false, true),
        (true,  false, true,  true,  false),
        (true,  true,  false, false, true),
        (true,  true,  false, true,  true),
    ];
    for row in rows {
        let (is_closed, is_refused, renews, is_reopened, is_error) = row;
        let mut state = State {
            is_refused,
            renews,
            is_reopened,
            ..State::default()
        };
        let checked = state.check_late(is_closed).map_err(|error| error.kind());
        let expected = if is_error {
            Err(ErrorKind::AlreadyCommitted)
        } else {
            Ok(())
        };
        assert_eq!(checked, expected, "{row:?}");
        assert!(!state.is_refused, "{row:?}");
    }
}

#[test]
fn discarded_changes_close_the_session() {
    let mut state = busy();
    assert_eq!(state.discard_changes().len(), 1);
    assert!(state.view.is_none() && state.log.is_empty() && !state.is_changed_unlogged);
    assert!(state.renews, "a new ID stays new");
    assert_eq!((state.duty, source(&state)), (CookieDuty::Set, "id"));
    assert!(state.owes_unopened());
}

#[test]
fn discarded_changes_of_a_destroyed_session_leave_its_cookie_attributes() {
    let mut state = State {
        source: Source::Nothing,
        ..busy()
    };
    state.view.as_mut().unwrap().home = Home::Nowhere;
    assert_eq!(state.discard_changes().len(), 1);
    assert_eq!(attributes(&state), Some("/shop"));
    let content = content_of(&state);
    assert!(content.is_empty() && content.created == NOW);
    assert!(!state.owes_unopened());
}

#[test]
fn without_changes_nothing_is_discarded() {
    for (row, logged, unlogged, is_open) in [
        ("none", false, false, true),
        ("logged", true, false, false),
        ("unlogged", false, true, false),
    ] {
        let mut state = opened(record(), content(10));
        state.is_changed_unlogged = unlogged;
        state.log.extend(logged.then(|| insert("k", "1")));
        let discarded = state.discard_changes();
        assert_eq!(discarded.len(), usize::from(logged), "{row}");
        assert_eq!(state.view.is_some(), is_open, "{row}");
    }
}

#[test]
fn only_a_closed_session_that_owes_its_cookie_is_opened_for_it() {
    #[rustfmt::skip]
    let rows = [
        (None,           CookieDuty::Set,     true),
        (None,           CookieDuty::Refresh, false),
        (Some(record()), CookieDuty::Set,     false),
    ];
    for (home, duty, owes) in rows {
        let row = format!("{home:?} {duty:?}");
        let mut state = home.map_or_else(State::default, |home| opened(home, content(10)));
        state.duty = duty;
        assert_eq!(state.owes_unopened(), owes, "{row}");
    }
}

#[test]
fn a_session_is_read_again_from_its_record() {
    let other = || Source::Known(other_id().into());
    #[rustfmt::skip]
    let rows = [
        (None,                Source::Cookie,  "cookie"),
        (None,                other(),         "other id"),
        (None,                Source::Nothing, "nothing"),
        (Some(Home::Nowhere), Source::Nothing, "nothing"),
        (Some(Home::Marked(id())), Source::Cookie, "cookie"),
        (Some(Home::Marked(id())), other(),    "other id"),
        (Some(cookie()),      Source::Cookie,  "cookie"),
        (Some(record()),      Source::Cookie,  "id"),
        (Some(record()),      other(),         "id"),
    ];
    for (home, source, expected) in rows {
        let row = format!("{home:?} {source:?}");
        let mut state = home.map_or_else(State::default, |home| opened(home, content(10)));
        state.source = source;
        assert_eq!(named(&state.source_again()), expected, "{row}");
    }
}

#[test]
fn reopening_drops_what_was_not_saved_the_first_time() {
    let mut state = busy();
    assert_eq!(state.reopen(Source::Known(other_id().into())).len(), 1);
    assert!(state.is_reopened && !state.is_changed() && state.cut_off.is_empty());
    assert_eq!(source(&state), "other id");

    state.log.push(insert("k", "2"));
    (state.renews, state.is_changed_unlogged) = (true, true);
    assert!(state.reopen(Source::Cookie).is_empty());
    assert!(state.log.len() == 1 && state.renews && state.is_changed_unlogged);
    assert_eq!(source(&state), "cookie");
}

#[test]
fn a_closed_session_is_found_where_it_was_saved() {
    #[rustfmt::skip]
    let rows = [
        (record_of(other_id(), Browser::Knows), "other id", false),
        (cookie(),                              "id",       true),
        (Home::Nowhere,                         "id",       true),
        (Home::Marked(other_id()),              "id",       true),
    ];
    for (home, found_by, renews) in rows {
        let row = format!("{home:?}");
        let mut state = busy();
        state.close(home);
        assert!(state.view.is_none() && state.log.len() == 1, "{row}");
        assert_eq!((source(&state), state.renews), (found_by, renews), "{row}");
    }
}

#[test]
fn a_forgotten_session_leaves_its_cookie_attributes_alone() {
    for (has_cookie, duty) in [(true, CookieDuty::Remove), (false, CookieDuty::Nothing)] {
        for is_reopened in [true, false] {
            let mut state = State {
                is_reopened,
                ..busy()
            };
            let old = state.forget(after(5), has_cookie);
            assert_eq!((old.log.len(), source(&old)), (1, "id"));
            assert_eq!((state.duty, source(&state)), (duty, "nothing"));
            assert_eq!(attributes(&state), Some("/old"), "what the browser has");
            let view = state.view.as_ref().unwrap();
            assert!(view.home.is_nowhere() && view.rejection.is_none());
            assert!(view.content.is_empty() && view.content.created == after(5));
            assert!(!state.is_changed() && !state.is_refused && state.cut_off.is_empty());
            assert!(state.is_used && state.moved_from.is_none());
            assert_eq!(state.is_reopened, is_reopened);
        }
    }
    let mut unopened = State::default();
    drop(unopened.forget(NOW, false));
    assert_eq!(attributes(&unopened), None);
    let mut unmoved = State {
        moved_from: None,
        ..busy()
    };
    drop(unmoved.forget(NOW, true));
    assert_eq!(attributes(&unmoved), Some("/shop"));
}

/// A key that is revoked while a request is under way.
#[test]
fn a_session_of_a_revoked_key_is_locked_out() {
    let key = |byte: u8| Key::from_bytes(&(0..32).map(|at| at ^ byte).collect::<Vec<_>>()).unwrap();
    let keys = Keys::new(key(1));
    for retired in [2, 3] {
        keys.add(key(retired), KeyState::Retired).unwrap();
    }
    let settings = SessionConfig::cookie("sid", &keys).build().unwrap();
    let is_locked_out = |maker| {
        let mut state = State::default();
        state.provenance.maker = maker;
        state.is_locked_out(&settings)
    };
    let found = || {
        let of = [None, Some(1), Some(2), Some(3), Some(4)];
        of.map(|number| is_locked_out(number.map(|number| key(number).id().into())))
    };
    assert_eq!(found(), [false, false, false, false, true]);
    keys.revoke(key(2).id()).unwrap();
    assert_eq!(found(), [false, false, true, false, true]);
}

/// The session has ended, or there never was one.
#[test]
#[rustfmt::skip]
fn a_late_session_has_ended_or_never_was() {
    let nowhere = |rejection| Some(View::new(NOW, rejection));
    let marked = |reason| Some(View::marked(id(), reason, NOW));
    let rows = [
        (Source::Cookie,  None,                                false),
        (Source::Cookie,  nowhere(None),                       false),
        (Source::Cookie,  nowhere(Some(Rejection::Expired)),   true),
        (Source::Cookie,  nowhere(Some(Rejection::NotFound)),  true),
        (Source::Cookie,  nowhere(Some(Rejection::Revoked)),   true),
        (Source::Cookie,  marked(Rejection::Renewed),          true),
        (Source::Cookie,  marked(Rejection::Ended),            true),
        (Source::Nothing, None,                                true),
        (Source::Nothing, nowhere(None),                       true),
    ];
    for (source, view, has_ended) in rows {
        let mut state = State { source, view, ..State::default() };
        let row = format!("{state:?}");
        let (kind, touched) = match has_ended {
            true => (ErrorKind::Gone, Err(ErrorKind::Gone)),
            false => (ErrorKind::AlreadyCommitted, Ok(())),
        };
        assert_eq!(state.too_late(), kind, "{row}");
        for is_closed in [false, true] {
            let found = state.check_touched(is_closed).map_err(|error| error.kind());
            assert_eq!(found, touched, "{row}");
        }
    }
}

/// Only a response can restart the timeout of a session in a cookie.
#[test]
fn a_touch_is_a_use_and_reaches_a_session_that_is_there() {
    for (home, is_closed, expected) in [
        (record(), false, Ok(())),
        (record(), true, Ok(())),
        (cookie(), false, Ok(())),
        (cookie(), true, Err(ErrorKind::AlreadyCommitted)),
    ] {
        let mut state = opened(home, content(10));
        let touched = state.check_touched(is_closed);
        assert_eq!(touched.map_err(|error| error.kind()), expected);
        assert!(state.is_used);
    }
}

#[test]
fn only_a_record_is_still_to_be_renewed() {
    for (home, renews, expected) in [
        (record(), true, true),
        (record(), false, false),
        (cookie(), true, false),
        (Home::Nowhere, true, false),
        (Home::Marked(id()), true, false),
    ] {
        let row = format!("{home:?} {renews}");
        let mut state = opened(home, content(10));
        state.renews = renews;
        assert_eq!(state.is_to_be_renewed(), expected, "{row}");
    }
}

#[test]
fn a_session_is_handed_on_from_its_cookie_alone() {
    for (home, is_committed, is_handed_on) in [
        (cookie(), true, true),
        (cookie(), false, false),
        (record(), true, false),
        (Home::Nowhere, true, false),
        (Home::Marked(id()), true, false),
    ] {
        let row = format!("{home:?} {is_committed}");
        let mut state = opened(home, content(10));
        state.is_committed = is_committed;
        assert_eq!(state.in_cookie().is_some(), is_handed_on, "{row}");
    }
    assert!(State::default().in_cookie().is_none());
}

#[test]
fn a_new_view_is_empty_and_says_why() {
    let view = View::new(NOW, Some(Rejection::Expired));
    assert!(view.home.is_nowhere() && view.content.is_empty());
    assert_eq!(
        (view.content.created, view.rejection),
        (NOW, Some(Rejection::Expired))
    );
}
