//! What is to be done, for each combination of where a session is, what was done to it, and what it
//! is time for.

use super::*;
use crate::{
    content::Persistence,
    cookie::CookieAttributes,
    error::ErrorKind,
    state::{When, Write, plan::Plan},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Nowhere,
    Cookie,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Untouched,
    /// A change that is in the log.
    Logged,
    /// One of a session that is never merged.
    Unlogged,
    /// One that the browser has to be told.
    Shown,
    Renewed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Fits,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Early,
    /// A tenth of the idle timeout has passed since the end was written down.
    End,
    /// A tenth of `Max-Age` has passed since the cookie was sent.
    MaxAge,
    /// Of a session in a roster.
    Roster,
    /// The cookie that came is of a retired key.
    RetiredKey,
    /// The same, of a session in a roster.
    RetiredKeyOfListed,
}

const WHERE: [Where; 3] = [Where::Nowhere, Where::Cookie, Where::Record];
const DONE: [Done; 5] = [
    Done::Untouched,
    Done::Logged,
    Done::Unlogged,
    Done::Shown,
    Done::Renewed,
];
const WHEN: [When; 2] = [When::Now, When::Response];
const TIME: [Time; 6] = [
    Time::Early,
    Time::End,
    Time::MaxAge,
    Time::Roster,
    Time::RetiredKey,
    Time::RetiredKeyOfListed,
];

/// What is written, and behind the colon what the response owes the browser then.
#[rustfmt::skip]
fn expected(home: Where, done: Done, room: Room, when: When, time: Time) -> &'static str {
    use {Done::*, Room::*, Time::*, When::*, Where::*};
    match (home, done, room, when, time) {
        (Nowhere, Untouched, _,    _,        _)            => "nothing",
        (Nowhere, _,         Fits, Now,      _)            => "nothing",
        (Nowhere, _,         Fits, Response, _)            => "cookie, new ID: Set",
        (Nowhere, _,         Full, _,        _)            => "create: Set",

        (Cookie,  Untouched, _,    Now,      _)            => "nothing",
        (Cookie,  Untouched, _,    Response, Early)        => "nothing",
        (Cookie,  Untouched, _,    Response, RetiredKey)   => "nothing",
        (Cookie,  Untouched, _,    Response, MaxAge)       => "nothing",
        (Cookie,  Untouched, _,    Response, _)            => "cookie: Refresh",
        (Cookie,  _,         Fits, Now,      _)            => "nothing",
        (Cookie,  Renewed,   Fits, Response, _)            => "cookie, new ID: Set",
        (Cookie,  _,         Fits, Response, _)            => "cookie: Set",
        (Cookie,  Renewed,   Full, _,        _)            => "outgrow, new ID: Set",
        (Cookie,  _,         Full, _,        _)            => "outgrow: Set",

        (Record,  Untouched, _,    Now,      _)            => "nothing",
        (Record,  Untouched, _,    Response, Early)        => "nothing",
        (Record,  Untouched, _,    Response, RetiredKey)   => "nothing",
        (Record,  Untouched, _,    Response, MaxAge)       => "touch: Refresh",
        (Record,  Untouched, _,    Response, _)            => "touch: Nothing",
        (Record,  Renewed,   _,    Now,      _)            => "renew now: Set",
        (Record,  Renewed,   _,    Response, _)            => "renew: Set",
        (Record,  Shown,     _,    _,        _)            => "update: Set",
        (Record,  _,         _,    _,        MaxAge)       => "update: Refresh",
        (Record,  _,         _,    _,        _)            => "update: Nothing",
    }
}

fn described(plan: &Plan) -> &'static str {
    match plan.write {
        Write::Cookie { names: true } => "cookie, new ID",
        Write::Cookie { names: false } => "cookie",
        Write::Create => "create",
        Write::Outgrow {
            revision: 3,
            renews: true,
        } => "outgrow, new ID",
        Write::Outgrow {
            revision: 3,
            renews: false,
        } => "outgrow",
        Write::Update { version: VERSION } => "update",
        Write::Touch { version: VERSION } => "touch",
        Write::Renew {
            version: VERSION,
            when: When::Now,
        } => "renew now",
        Write::Renew {
            version: VERSION,
            when: When::Response,
        } => "renew",
        _ => "something else",
    }
}

fn with_duty(plan: &Plan) -> String {
    format!("{}: {:?}", described(plan), plan.duty)
}

/// A session in this condition, and its settings.
fn arrange(kept: Kept, home: Where, done: Done, room: Room, time: Time) -> (State, Settings) {
    let is_late = time == Time::End;
    let (issued, expires) = match is_late {
        true => (before(IDLE / 10), after(IDLE - IDLE / 10)),
        false => (NOW, after(IDLE)),
    };
    let home = match home {
        Where::Nowhere => Home::Nowhere,
        Where::Cookie => Home::Cookie { id: id(), issued },
        Where::Record => Home::Record {
            id: id(),
            version: VERSION,
            expires,
            browser: Browser::Knows,
        },
    };
    let mut content = content(if room == Room::Fits { 10 } else { 101 });
    content.revision = 3;
    content.subject = match time {
        Time::Roster => subject("ada", before(IDLE / 10)),
        Time::RetiredKeyOfListed => subject("ada", NOW),
        _ => None,
    };
    let mut state = opened(home, content);
    state.sent = Some(before(ABSOLUTE / 20));
    if matches!(time, Time::RetiredKey | Time::RetiredKeyOfListed) {
        state.duty = CookieDuty::Refresh;
    }
    match done {
        Done::Untouched => {}
        Done::Logged => state.log.push(insert("k", "1")),
        Done::Unlogged => state.is_changed_unlogged = true,
        Done::Shown => state
            .log
            .push(Change::Attributes(CookieAttributes::default())),
        Done::Renewed => state.renews = true,
    }
    let config = match time {
        Time::MaxAge => kept.config().max_age(secs(ABSOLUTE / 2)),
        _ => kept.config(),
    };
    (state, config.build().unwrap())
}

/// Each condition that a session can be in.
fn conditions() -> Vec<(Kept, Where, Done, Room, Time)> {
    let mut all = Vec::new();
    for kept in Kept::ALL {
        for (home, room) in WHERE
            .into_iter()
            .flat_map(|home| [(home, Room::Fits), (home, Room::Full)])
        {
            let is_possible = match kept {
                Kept::InCookies => home != Where::Record && room == Room::Fits,
                Kept::Overflowing => true,
                Kept::InRecords => home != Where::Cookie && room == Room::Full,
            };
            for done in DONE.into_iter().filter(|_| is_possible) {
                all.extend(TIME.map(|time| (kept, home, done, room, time)));
            }
        }
    }
    all
}

#[test]
fn each_condition_has_its_plan() {
    for (kept, home, done, room, time) in conditions() {
        for when in WHEN {
            let (state, settings) = arrange(kept, home, done, room, time);
            let plan = state.plan(&settings, NOW, when).unwrap();
            let row = format!("{kept:?} {home:?} {done:?} {room:?} {when:?} {time:?}");
            let outcome = plan.as_ref().map_or("nothing".into(), with_duty);
            assert_eq!(outcome, expected(home, done, room, when, time), "{row}");
            let Some(plan) = plan else { continue };
            assert_eq!(plan.is_change, done != Done::Untouched, "{row}");
            let is_listed = matches!(time, Time::Roster | Time::RetiredKeyOfListed);
            assert_eq!(plan.lists, is_listed, "{row}");
        }
    }
}

#[test]
fn a_state_rests_if_nothing_was_done_and_it_is_early() {
    for (kept, home, done, room, time) in conditions() {
        let (state, settings) = arrange(kept, home, done, room, time);
        let is_early = match time {
            Time::Early => true,
            // What is not saved has no end that was written down.
            Time::End => home == Where::Nowhere,
            Time::MaxAge => home != Where::Record,
            Time::Roster | Time::RetiredKey | Time::RetiredKeyOfListed => false,
        };
        let rests = done == Done::Untouched && is_early;
        let row = format!("{kept:?} {home:?} {done:?} {room:?} {time:?}");
        assert_eq!(state.rests(&settings, || NOW), rests, "{row}");
    }
}

#[test]
fn a_duty_does_not_rest_even_unopened() {
    let settings = Kept::InCookies.settings();
    for (duty, rests) in [
        (CookieDuty::Nothing, true),
        (CookieDuty::Remove, false),
        (CookieDuty::Refresh, false),
        (CookieDuty::Set, false),
    ] {
        let state = State {
            duty,
            ..State::default()
        };
        assert_eq!(state.rests(&settings, || NOW), rests, "{duty:?}");
    }
}

#[test]
fn what_is_not_open_or_new_and_empty_has_no_plan() {
    for kept in Kept::ALL {
        let settings = kept.settings();
        let mut closed = State::default();
        let mut empty = opened(Home::Nowhere, Content::new(NOW));
        let mut with_subject = opened(Home::Nowhere, Content::new(NOW));
        with_subject.view.as_mut().unwrap().content.subject = subject("ada", NOW);
        for state in [&mut closed, &mut empty, &mut with_subject] {
            state.log.push(insert("k", "1"));
        }
        let is_planned = |state: &State| {
            let plan = state.plan(&settings, NOW, When::Response).unwrap();
            plan.is_some()
        };
        let planned = [closed, empty, with_subject].map(|state| is_planned(&state));
        assert_eq!(planned, [false, false, true], "{kept:?}");
    }
}

/// The browser has to be told, and the roster as well.
#[test]
fn a_session_that_is_to_last_longer_is_listed_longer() {
    let persists = || Change::Persist(Persistence::UntilBrowserCloses);
    //   the change         subject      the plan           the roster is told
    #[rustfmt::skip]
    let rows = [
        (insert("k", "1"), Some("ada"), "update: Nothing", false),
        (persists(),       Some("ada"), "update: Set",     true),
        (persists(),       None,        "update: Set",     false),
    ];
    let settings = Kept::InRecords.settings();
    for (change, name, expected, lists) in rows {
        let mut state = opened(record(), content(10));
        state.view.as_mut().unwrap().content.subject = name.and_then(|name| subject(name, NOW));
        let row = format!("{change:?} {name:?}");
        state.log.push(change);
        let plan = state.plan(&settings, NOW, When::Response).unwrap().unwrap();
        assert_eq!((&*with_duty(&plan), plan.lists), (expected, lists), "{row}");
    }
}

#[test]
fn a_change_that_cannot_be_kept_is_an_error() {
    let records = Kept::InRecords.config().max_bytes(500).build().unwrap();
    let overflowing = Kept::Overflowing.config().max_bytes(500).build().unwrap();
    let cookies = Kept::InCookies.settings();
    // Flags, persistence, the last renewal, and a frame of a key of one byte and lengths of one and
    // two bytes.
    let most = 500 - (1 + 9 + 5) - (1 + 1 + 2);
    //   settings      home           value     changed  is an error
    #[rustfmt::skip]
    let rows = [
        (&records,     record(),      most,     true,    false),
        (&records,     record(),      most + 1, true,    true),
        (&records,     record(),      most + 1, false,   false),
        (&records,     Home::Nowhere, most + 1, true,    true),
        (&overflowing, cookie(),      most,     true,    false),
        (&overflowing, cookie(),      most + 1, true,    true),
        (&cookies,     cookie(),      2_900,    true,    false),
        (&cookies,     cookie(),      3_100,    true,    true),
        (&cookies,     cookie(),      3_100,    false,   false),
        (&cookies,     Home::Nowhere, 3_100,    true,    true),
    ];
    for (settings, home, value, changes, is_error) in rows {
        let row = format!("{home:?} {value} {changes}");
        let mut state = opened(home, content(value));
        state.is_changed_unlogged = changes;
        let size = content_of(&state).payload_len();
        match state.plan(settings, NOW, When::Response) {
            Ok(_) => assert!(!is_error, "{row}"),
            Err(error) => {
                let ErrorKind::TooLarge { size: told, limit } = error.kind() else {
                    panic!("{row}: {error}")
                };
                let limits = match limit {
                    500 => told == size,
                    4_096 => told > 4_096,
                    _ => false,
                };
                assert!(is_error && limits, "{row}: {error}");
            }
        }
    }
}

#[test]
fn a_refresh_is_optional_and_a_new_id_needs_the_response() {
    for (kept, home, done, room, time) in conditions() {
        for when in WHEN {
            let (state, settings) = arrange(kept, home, done, room, time);
            let Some(plan) = state.plan(&settings, NOW, when).unwrap() else {
                continue;
            };
            let row = format!("{kept:?} {home:?} {done:?} {room:?} {when:?} {time:?}");
            assert_eq!(plan.is_optional(), done == Done::Untouched, "{row}");
            let has_new_record = matches!(
                described(&plan),
                "create" | "outgrow" | "outgrow, new ID" | "renew" | "renew now"
            );
            assert_eq!(plan.needs_response(), has_new_record, "{row}");
        }
    }
}
