//! Saves that concern nothing but the session's record.

use super::{super::CutOff, *};
use crate::{error::ErrorKind, state::When};

/// Something else that a save may concern, and how a state gets it.
type Row = (&'static str, fn(&mut State));

fn changed(home: Home) -> State {
    let mut state = opened(home, content(10));
    state.log.push(insert("k", "1"));
    state
}

fn in_records() -> Settings {
    Kept::InRecords.settings()
}

#[test]
fn a_new_session_is_made_and_another_is_written_over() {
    let settings = in_records();
    let over = (id().record_key(), VERSION);
    for (home, over) in [(Home::Nowhere, None), (record(), Some(over))] {
        let mut state = changed(home);
        let plan = state.plan(&settings, NOW, When::Response).unwrap().unwrap();
        let direct = state.direct(&settings, NOW).unwrap().unwrap();
        assert_eq!((direct.over, direct.changes), (over, 1));
        assert_eq!((direct.expires, direct.duty), (after(IDLE), plan.duty));
    }
}

/// Whatever the record was before.
#[test]
fn a_record_has_no_writes_and_says_what_the_browser_knows() {
    for browser in [Browser::Knows, Browser::NeverHeard] {
        let mut state = changed(record_of(id(), browser));
        let expected = content_of(&state).encode_record(Writes::none(), browser);
        let direct = state.direct(&in_records(), NOW).unwrap().unwrap();
        assert_eq!(direct.data, expected);
    }
}

#[test]
fn an_end_that_a_request_leaves_alone_stays() {
    let mut state = changed(record());
    state.skips_touch = true;
    let direct = state.direct(&in_records(), after(500)).unwrap().unwrap();
    assert_eq!(direct.expires, after(IDLE));
}

#[test]
fn what_else_has_a_say_in_it_goes_the_way_of_all() {
    let rows: [Row; 8] = [
        ("a roster", |state| {
            state.content().unwrap().subject = subject("ada", NOW);
        }),
        ("a roster it leaves", |state| {
            state.content().unwrap().former = subject("ada", NOW);
        }),
        ("nothing is left", |state| {
            state.content().unwrap().frames.clear();
        }),
        ("a save was cut off", |state| {
            state.cut_off.push(CutOff {
                write: [1; 8],
                base: None,
                is_done: false,
                changes: 1,
                at: NOW,
            });
        }),
        ("it is renewed", |state| state.renews = true),
        ("it is in its cookie", |state| {
            state.view.as_mut().unwrap().home = cookie();
        }),
        ("it is not open", |state| state.view = None),
        ("it rests", |state| drop(std::mem::take(&mut state.log))),
    ];
    for (what, change) in rows {
        let mut state = changed(record());
        change(&mut state);
        assert!(
            state.direct(&in_records(), NOW).unwrap().is_none(),
            "{what}"
        );
    }
    let sealed = Kept::InRecords.config().encrypt_records().build().unwrap();
    let others = [Kept::InCookiesAlone, Kept::InCookies, Kept::Overflowing];
    for settings in others.map(Kept::settings).into_iter().chain([sealed]) {
        assert!(changed(record()).direct(&settings, NOW).unwrap().is_none());
    }
}

#[test]
fn with_a_revoked_key_nothing_is_saved() {
    let mut state = changed(record());
    let key = Key::from_bytes(b"another key of thirty-two bytes.").unwrap();
    state.provenance.maker = Some(key.id().into());
    let error = state.direct(&in_records(), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
}

/// As after any save.
#[test]
fn what_was_refused_before_is_over() {
    let mut state = changed(record());
    state.is_refused = true;
    assert!(state.direct(&in_records(), NOW).unwrap().is_some());
    assert!(!state.is_refused);
}

#[test]
fn a_save_is_entered_beside_the_sessions_name() {
    for (owed, duty, is_owed) in [
        (CookieDuty::Set, CookieDuty::Nothing, CookieDuty::Set),
        (
            CookieDuty::Nothing,
            CookieDuty::Refresh,
            CookieDuty::Refresh,
        ),
    ] {
        let Home::Record(mut place) = record() else {
            panic!("it is one")
        };
        place.writes = place.writes.with(Some([1; 8]), NOW, secs(1));
        let mut state = changed(Home::Record(place));
        state.duty = owed;
        let next = Version::from_u64(8);
        state.saved_over(next, after(5), duty);
        let Some(Home::Record(place)) = state.view.map(|view| view.home) else {
            panic!("it was in a record")
        };
        assert_eq!((place.id, place.version), (id(), next));
        assert_eq!((place.expires, state.duty), (after(5), is_owed));
        assert!(place.writes.is_empty());
    }
}
