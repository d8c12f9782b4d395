//! How a save moves a session's expiry.

use super::*;
use crate::{
    content::Persistence,
    state::{Lifetime, When},
};

const FIRST: u64 = IDLE / 4;

#[test]
fn a_save_moves_the_end_as_its_request_counts() {
    use Term::*;
    let lifetime = Lifetime {
        idle: secs(IDLE),
        first: secs(FIRST),
        end: after(ABSOLUTE),
    };
    let last = ABSOLUTE - 100;
    //   term      saved at  written             over at
    #[rustfmt::skip]
    let rows = [
        (Restarts, 0,        None,               IDLE),
        (Restarts, 10,       Some(IDLE),         IDLE + 10),
        (Restarts, 10,       Some(IDLE + 500),   IDLE + 10),
        (Restarts, last,     Some(last + 1),     ABSOLUTE),
        (Begins,   0,        None,               FIRST),
        (Begins,   10,       Some(FIRST),        FIRST + 10),
        // Another request has put it off meanwhile.
        (Begins,   10,       Some(IDLE + 5),     IDLE + 5),
        (Begins,   10,       Some(IDLE + 500),   IDLE + 10),
        (Begins,   last,     None,               ABSOLUTE),
        (Stays,    10,       Some(IDLE),         IDLE),
        (Stays,    10,       Some(FIRST),        FIRST),
        // The timeout has been made shorter.
        (Stays,    10,       Some(IDLE + 500),   IDLE + 10),
        (Stays,    last,     Some(last + 1),     last + 1),
        // There is no end yet that could stay.
        (Stays,    10,       None,               FIRST + 10),
    ];
    for (term, now, written, expected) in rows {
        let expires = lifetime.expires_by(term, after(now), written.map(after));
        assert_eq!(expires, after(expected), "{term:?} {now} {written:?}");
    }
}

#[test]
fn who_has_logged_in_is_no_passer_by() {
    let config = Kept::InRecords.config().first_idle_timeout(secs(FIRST));
    let settings = config.build().unwrap();
    let lasting = Persistence::For {
        since: NOW,
        length: secs(7_000),
    };
    //   persistence                      renewed  subject  first until a second request
    #[rustfmt::skip]
    let rows = [
        (Persistence::Configured,         false,   false,   FIRST),
        (Persistence::UntilBrowserCloses, false,   false,   FIRST),
        (Persistence::Configured,         true,    false,   IDLE),
        (Persistence::Configured,         false,   true,    IDLE),
        (lasting,                         false,   false,   7_000),
    ];
    for (persistence, is_renewed, has_subject, first) in rows {
        let mut content = content(10);
        content.persistence = persistence;
        content.authenticated = is_renewed.then_some(NOW.into());
        content.subject = subject("ada", NOW).filter(|_| has_subject);
        let lifetime = Lifetime::of(&content, &settings);
        let row = format!("{persistence:?} {is_renewed} {has_subject}");
        assert_eq!(lifetime.first, secs(first), "{row}");
        assert_eq!(lifetime.grows(), first == FIRST, "{row}");
    }
}

#[test]
fn a_request_counts_unless_it_began_the_session_or_says_otherwise() {
    use Term::*;
    let persist = || Change::Persist(Persistence::UntilBrowserCloses);
    let authenticate = || Change::Authenticate(NOW);
    let set_subject = || Change::SetSubject {
        name: "ada".into(),
        note: "".into(),
    };
    //   home           began  skips  change                    saved      response   touch
    #[rustfmt::skip]
    let rows = [
        (record(),      false, false, insert("k", "1"),         [Restarts, Restarts, Restarts]),
        (record(),      true,  false, insert("k", "1"),         [Begins,   Begins,   Restarts]),
        (record(),      false, true,  insert("k", "1"),         [Stays,    Stays,    Restarts]),
        (record(),      true,  true,  insert("k", "1"),         [Stays,    Stays,    Restarts]),
        (Home::Nowhere, false, false, insert("k", "1"),         [Begins,   Begins,   Restarts]),
        (Home::Nowhere, false, true,  insert("k", "1"),         [Stays,    Stays,    Restarts]),
        (record(),      true,  true,  persist(),                [Restarts, Restarts, Restarts]),
        (record(),      false, true,  persist().same(),         [Restarts, Restarts, Restarts]),
        (record(),      false, true,  authenticate(),           [Restarts, Restarts, Restarts]),
        (record(),      false, true,  set_subject(),            [Restarts, Restarts, Restarts]),
    ];
    for (home, began, skips, change, terms) in rows {
        let row = format!("{home:?} {began} {skips} {change:?}");
        let settings = Kept::InRecords.settings();
        let mut state = opened(home, content(10));
        (state.has_begun, state.skips_touch) = (began, skips);
        // So that there is something to plan, also for a change that is none.
        state.log.extend([change, insert("other", "1")]);
        for (when, expected) in [When::Now, When::Response, When::Touch]
            .into_iter()
            .zip(terms)
        {
            let plan = state.plan(&settings, NOW, when).unwrap().unwrap();
            assert_eq!(plan.term, expected, "{row} {when:?}");
        }
    }
}

/// What would be due for a request that counts as use.
#[test]
fn nothing_is_due_for_a_request_that_does_not_count() {
    for kept in Kept::ALL {
        let home = match kept {
            Kept::InRecords => record_of(id(), Browser::Knows),
            _ => cookie(),
        };
        for (skips, is_due) in [(false, true), (true, false)] {
            let mut state = opened(home.clone(), content(10));
            let content = &mut state.view.as_mut().unwrap().content;
            content.subject = subject("ada", before(IDLE));
            state.provenance.is_outdated = true;
            state.skips_touch = skips;
            let settings = kept.config().max_age(secs(IDLE)).build().unwrap();
            let now = after(IDLE - 1);
            let plan = state.plan(&settings, now, When::Response).unwrap();
            assert_eq!(plan.is_some(), is_due, "{kept:?} {skips}");
            assert_eq!(state.rests(&settings, || now), !is_due, "{kept:?} {skips}");
        }
    }
}

/// A new cookie has a new key, and the roster follows.
#[test]
fn a_change_in_such_a_request_takes_the_roster_along_to_a_new_key() {
    for (home, kept, lists) in [
        (cookie(), Kept::InCookies, true),
        // Its cookie stays.
        (record(), Kept::InRecords, false),
    ] {
        let mut state = opened(home, content(10));
        state.view.as_mut().unwrap().content.subject = subject("ada", NOW);
        (state.provenance.is_outdated, state.skips_touch) = (true, true);
        state.log.push(insert("k", "1"));
        let plan = state.plan(&kept.settings(), NOW, When::Response);
        let plan = plan.unwrap().unwrap();
        assert_eq!((plan.lists, plan.reseals), (lists, lists), "{kept:?}");
    }
}

#[test]
fn a_session_has_begun_when_its_request_has_saved_it() {
    for (was, is, has_begun) in [
        (Home::Nowhere, record(), true),
        (Home::Nowhere, cookie(), true),
        (Home::Nowhere, Home::Nowhere, false),
        (record(), record(), false),
        (cookie(), record(), false),
        (record(), Home::Nowhere, false),
    ] {
        let row = format!("{was:?} {is:?}");
        let mut state = opened(was, content(10));
        state.saved(is, CookieDuty::Set, None, NOW);
        assert_eq!(state.has_begun, has_begun, "{row}");
    }
}

/// An expiry that stays keeps the cookie's time of issue.
#[test]
fn a_cookie_whose_end_stays_counts_from_where_it_did() {
    for (term, issued, expires) in [
        (Term::Restarts, NOW, after(IDLE)),
        (Term::Stays, before(300), after(IDLE - 300)),
    ] {
        let mut state = opened(cookie_of(id(), before(300)), content(10));
        let plan = Plan {
            term,
            ..plan_of_cookie(CookieDuty::Set)
        };
        state.saved_in_cookie(None, &plan, NOW);
        let home = state.view.unwrap().home;
        let span = match home {
            Home::Cookie {
                issued, expires, ..
            } => (issued, expires),
            _ => panic!("{home:?}"),
        };
        assert_eq!(span, (issued, expires), "{term:?}");
    }
}
