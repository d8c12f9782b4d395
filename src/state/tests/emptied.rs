//! A session that is empty now: its cookie and its record are removed.

use super::*;
use crate::{
    content::Persistence,
    state::{Job, Log, OldHome, When, Write, plan::Plan},
};

#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Value,
    Message,
    Subject,
    /// It was made persistent.
    Length,
    UntilBrowserCloses,
}

/// A session that a request has changed so that only this remains.
fn changed(home: Home, left: Left) -> State {
    let mut content = Content::new(NOW);
    match left {
        Left::Nothing => {}
        Left::Value => content.frames.insert("k", b"1"),
        Left::Message => content.frames.push_flash("q", [1; 8], b"1"),
        Left::Subject => content.subject = subject("ada", NOW),
        Left::Length => {
            let length = secs(9);
            content.persistence = Persistence::For { since: NOW, length };
        }
        Left::UntilBrowserCloses => content.persistence = Persistence::UntilBrowserCloses,
    }
    let mut state = opened(home, content);
    state.log.push(Change::Clear);
    state
}

fn plan(state: &State, kept: Kept, when: When) -> Option<Plan> {
    state.plan(&kept.settings(), NOW, when).unwrap()
}

#[test]
#[rustfmt::skip]
fn an_emptied_session_goes_unless_something_keeps_it() {
    let rows = [
        (Left::Nothing,            true),
        (Left::UntilBrowserCloses, true),
        (Left::Value,              false),
        (Left::Message,            false),
        (Left::Subject,            false),
        (Left::Length,             false),
    ];
    for (left, goes) in rows {
        for kept in [Kept::InCookiesAlone, Kept::InCookies, Kept::Overflowing] {
            for renews in [false, true] {
                let row = format!("{kept:?} {left:?} {renews}");
                let mut state = changed(cookie(), left);
                state.renews = renews;
                for when in [When::Now, When::Touch] {
                    assert_eq!(plan(&state, kept, when), None, "{row}: only a response can");
                }
                let plan = plan(&state, kept, When::Response).unwrap();
                let from = OldHome::Cookie { revision: 0 };
                let expected = match (goes, renews) {
                    (true, _) => (Write::Forget, CookieDuty::Remove),
                    (false, false) => (Write::Cookie { names: false }, CookieDuty::Set),
                    (false, true) => (Write::Renew { from, when: When::Response }, CookieDuty::Set),
                };
                assert_eq!((plan.write, plan.duty), expected, "{row}");
                assert!(!plan.is_optional(), "{row}");
            }
        }
        for kept in [Kept::Overflowing, Kept::InRecords] {
            for when in [When::Now, When::Touch, When::Response] {
                let mut state = changed(record(), left);
                let job = take(&mut state, kept, when);
                assert_eq!(job.plan.write, Write::Update { version: VERSION }, "{left:?}");
                assert_eq!(job.draft.is_emptied, goes, "{kept:?} {left:?}");
            }
        }
    }
}

fn take(state: &mut State, kept: Kept, when: When) -> Job {
    let plan = plan(state, kept, when).unwrap();
    let new = plan.write.names().then(other_id);
    let job = state.take(plan, new, None, &kept.settings(), NOW);
    job.unwrap()
}

/// There is nothing to move to a new ID.
#[test]
fn an_emptied_record_gets_no_new_name() {
    for (left, renews) in [(Left::Nothing, false), (Left::Value, true)] {
        let mut state = changed(record(), left);
        state.renews = true;
        let job = take(&mut state, Kept::InRecords, When::Response);
        let is_renewal = matches!(job.plan.write, Write::Renew { .. });
        assert_eq!((is_renewal, job.before.is_some()), (renews, renews));
    }
}

#[test]
fn a_session_that_was_empty_and_is_only_read_stays() {
    for (kept, home) in [(Kept::InCookies, cookie()), (Kept::InRecords, record())] {
        let mut state = changed(home, Left::Nothing);
        state.log = Log::default();
        assert_eq!(plan(&state, kept, When::Response), None, "{kept:?}");
    }
}

#[test]
fn what_goes_has_no_bytes_and_keeps_its_name() {
    let mut state = changed(cookie(), Left::Nothing);
    let job = take(&mut state, Kept::InCookies, When::Response);
    assert!(job.draft.plain.is_empty() && job.before.is_none());
    assert!(job.id == id() && job.created == NOW);
}

/// Even if the browser was to get a cookie.
#[test]
fn a_session_that_went_owes_the_removal_of_its_cookie() {
    for duty in [
        CookieDuty::Nothing,
        CookieDuty::Refresh,
        CookieDuty::Set,
        CookieDuty::Remove,
    ] {
        for owed in [CookieDuty::Nothing, CookieDuty::Refresh, CookieDuty::Set] {
            let mut state = changed(record(), Left::Nothing);
            (state.duty, state.renews) = (owed, true);
            state.saved(Home::Nowhere, duty, None, NOW);
            assert_eq!(state.duty, CookieDuty::Remove, "{owed:?} {duty:?}");
            let view = state.view.as_ref().unwrap();
            assert!(view.home.is_nowhere() && !state.renews);
        }
    }
    let mut state = changed(cookie(), Left::Nothing);
    state.saved_in_cookie(None, &plan_of_cookie(CookieDuty::Remove), NOW);
    assert!(state.view.as_ref().unwrap().home.is_nowhere());
    assert_eq!(state.duty, CookieDuty::Remove);
}

/// What is stored afterwards makes a new session.
#[test]
fn a_session_that_went_can_begin_anew() {
    let mut state = changed(record(), Left::Nothing);
    state.log = Log::default();
    state.saved(Home::Nowhere, CookieDuty::Nothing, None, NOW);
    state.log.push(insert("k", "1"));
    let content = &mut state.view.as_mut().unwrap().content;
    insert("k", "1").apply(content).unwrap();
    let job = take(&mut state, Kept::InRecords, When::Response);
    assert_eq!(job.plan.write, Write::Create);
    assert!(job.id == other_id() && job.before.is_none());
}
