//! The plan for each combination of where a session is, how it was changed and what is due.

use super::*;
use crate::{
    content::Persistence,
    cookie::CookieAttributes,
    error::{Error, ErrorKind},
    state::{OldHome, When},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Nowhere,
    /// In place of a session that was renewed or destroyed a moment ago.
    Marked,
    Cookie,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Untouched,
    /// A change in the log.
    Logged,
    /// A change of a session that never merges.
    Unlogged,
    /// A change that needs a new cookie.
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
    /// A tenth of the idle timeout has passed since the expiry was stored.
    Tenth,
    /// A tenth of `Max-Age` has passed since the cookie was sent.
    MaxAge,
    /// Half of the idle timeout has passed.
    Half,
    /// The session's roster learned of its use a tenth of the idle timeout ago.
    Roster,
    /// The request's cookie has a retired key.
    RetiredKey,
    /// The same, for a session in a roster.
    RetiredKeyOfListed,
}

const WHERE: [Where; 4] = [Where::Nowhere, Where::Marked, Where::Cookie, Where::Record];
const DONE: [Done; 5] = [
    Done::Untouched,
    Done::Logged,
    Done::Unlogged,
    Done::Shown,
    Done::Renewed,
];
const WHEN: [When; 3] = [When::Now, When::Touch, When::Response];
const TIME: [Time; 7] = [
    Time::Early,
    Time::Tenth,
    Time::MaxAge,
    Time::Half,
    Time::Roster,
    Time::RetiredKey,
    Time::RetiredKeyOfListed,
];

/// What is written and, after the colon, what the response then owes the browser.
#[rustfmt::skip]
fn expected(row: Row, when: When) -> &'static str {
    use {Done::*, Room::*, Time::*, When::*, Where::*};
    let Row { kept, home, done, room, time } = row;
    match (home, done, room, when, time) {
        (Nowhere | Marked, Untouched, _,    _,        _) => "nothing",
        // What it wants to save may be of the time before a login, unless it is one.
        (Marked,  Logged | Unlogged | Shown, _, _,    _) => "Gone",
        (Nowhere | Marked, _,         Fits, Response, _) => "cookie, new ID: Set",
        (Nowhere | Marked, _,         Fits, _,        _) => "nothing",
        (Nowhere | Marked, _,         Full, _,        _) => "create: Set",

        // A response that is late puts an old state in the place of a newer one: seldom.
        (Cookie,  Untouched, _,    Response, Early | MaxAge) => "nothing",
        (Cookie,  Untouched, _,    Response, Half | Roster) => "cookie: Refresh",
        (Cookie,  Untouched, _,    Response, _) if kept != Kept::InCookiesAlone => "cookie: Refresh",
        (Cookie,  Untouched, _,    _,        _) => "nothing",
        (Cookie,  Renewed,   Fits, Response, _) => "renew from cookie: Set",
        (Cookie,  _,         Fits, Response, _) => "cookie: Set",
        (Cookie,  _,         Fits, _,        _) => "nothing",
        (Cookie,  Renewed,   Full, Now,      _) => "renew from cookie now: Set",
        (Cookie,  Renewed,   Full, Touch,    _) => "renew from cookie by touch: Set",
        (Cookie,  Renewed,   Full, Response, _) => "renew from cookie: Set",
        (Cookie,  _,         Full, _,        _) => "outgrow: Set",

        (Record,  Untouched, _,    Now,      _) => "nothing",
        (Record,  Untouched, _,    Response, Early) => "nothing",
        (Record,  Untouched, _,    _,        _) if tells(time) => "touch: Refresh",
        (Record,  Untouched, _,    _,        _) => "touch: Nothing",
        (Record,  Renewed,   _,    Now,      _) => "renew now: Set",
        (Record,  Renewed,   _,    Touch,    _) => "renew by touch: Set",
        (Record,  Renewed,   _,    Response, _) => "renew: Set",
        (Record,  Shown,     _,    _,        _) => "update: Set",
        (Record,  _,         _,    _,        _) if tells(time) => "update: Refresh",
        (Record,  _,         _,    _,        _) => "update: Nothing",
    }
}

/// Whether the browser needs a new cookie for a session in a record.
fn tells(time: Time) -> bool {
    use Time::*;
    matches!(time, MaxAge | RetiredKey | RetiredKeyOfListed)
}

fn described(plan: &Plan) -> &'static str {
    match plan.write {
        Write::Cookie { names: true } => "cookie, new ID",
        Write::Cookie { names: false } => "cookie",
        Write::Create => "create",
        Write::Outgrow { revision: 3 } => "outgrow",
        Write::Update { version: VERSION } => "update",
        Write::Touch { version: VERSION } => "touch",
        Write::Renew { from, when } => match (from, when) {
            (OldHome::Record { version: VERSION }, When::Now) => "renew now",
            (OldHome::Record { version: VERSION }, When::Touch) => "renew by touch",
            (OldHome::Record { version: VERSION }, When::Response) => "renew",
            (OldHome::Cookie { revision: 3 }, When::Now) => "renew from cookie now",
            (OldHome::Cookie { revision: 3 }, When::Touch) => "renew from cookie by touch",
            (OldHome::Cookie { revision: 3 }, When::Response) => "renew from cookie",
            _ => "something else",
        },
        Write::Forget => "forget",
        _ => "something else",
    }
}

fn with_duty(plan: &Plan) -> String {
    format!("{}: {:?}", described(plan), plan.duty)
}

fn outcome(plan: &Result<Option<Plan>, Error>) -> String {
    match plan {
        Ok(plan) => plan.as_ref().map_or("nothing".into(), with_duty),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn record_until(expires: Timestamp) -> Home {
    let mut home = record();
    if let Home::Record(place) = &mut home {
        place.expires = expires;
    }
    home
}

/// A condition that a session can be in.
#[derive(Clone, Copy, Debug)]
struct Row {
    kept: Kept,
    home: Where,
    done: Done,
    room: Room,
    time: Time,
}

/// A session in this condition, and its settings.
fn arrange(row: Row) -> (State, Settings) {
    let Row {
        kept,
        home,
        done,
        room,
        time,
    } = row;
    let age = match time {
        Time::Tenth => IDLE / 10,
        Time::Half => IDLE / 2,
        _ => 0,
    };
    let home = match home {
        Where::Nowhere => Home::Nowhere,
        Where::Marked => Home::Marked(id()),
        Where::Cookie => cookie_of(id(), before(age)),
        Where::Record => record_until(after(IDLE - age)),
    };
    let mut content = content(if room == Room::Fits { 10 } else { 101 });
    content.revision = 3;
    content.subject = match time {
        Time::Roster => subject("ada", before(IDLE / 10)),
        Time::RetiredKeyOfListed => subject("ada", NOW),
        _ => None,
    };
    let mut state = opened(home, content);
    state.provenance.sent = Some(before(ABSOLUTE / 20));
    if matches!(time, Time::RetiredKey | Time::RetiredKeyOfListed) {
        state.provenance.is_outdated = true;
    }
    match done {
        Done::Untouched => {}
        Done::Logged => state.log.push(insert("k", "1")),
        Done::Unlogged => state.is_changed_unlogged = true,
        Done::Shown => state
            .log
            .push(Change::Attributes(CookieAttributes::default().into())),
        Done::Renewed => state.renews = true,
    }
    let config = match time {
        Time::MaxAge => kept.config().max_age(secs(ABSOLUTE / 2)),
        _ => kept.config(),
    };
    (state, config.build().unwrap())
}

/// Every condition that a session can be in.
fn conditions() -> Vec<Row> {
    let mut all = Vec::new();
    for kept in Kept::ALL {
        for (home, room) in WHERE
            .into_iter()
            .flat_map(|home| [(home, Room::Fits), (home, Room::Full)])
        {
            let is_possible = match kept {
                Kept::InCookiesAlone | Kept::InCookies => {
                    home != Where::Record && room == Room::Fits
                }
                Kept::Overflowing => true,
                Kept::InRecords => home != Where::Cookie && room == Room::Full,
            };
            for done in DONE.into_iter().filter(|_| is_possible) {
                let times = TIME.into_iter().filter(|time| match time {
                    Time::Roster | Time::RetiredKeyOfListed => kept != Kept::InCookiesAlone,
                    _ => true,
                });
                all.extend(times.map(|time| Row {
                    kept,
                    home,
                    done,
                    room,
                    time,
                }));
            }
        }
    }
    all
}

#[test]
fn each_condition_has_its_plan() {
    for row in conditions() {
        for when in WHEN {
            let (state, settings) = arrange(row);
            let plan = state.plan(&settings, NOW, when);
            assert_eq!(outcome(&plan), expected(row, when), "{row:?} {when:?}");
            let Ok(Some(plan)) = plan else { continue };
            let is_change = row.done != Done::Untouched;
            assert_eq!(plan.is_change, is_change, "{row:?} {when:?}");
            let is_listed = matches!(row.time, Time::Roster | Time::RetiredKeyOfListed);
            assert_eq!(plan.lists, is_listed, "{row:?} {when:?}");
        }
    }
}

#[test]
fn a_state_rests_if_nothing_was_done_and_it_is_early() {
    for row in conditions() {
        let (state, settings) = arrange(row);
        let is_saved = matches!(row.home, Where::Cookie | Where::Record);
        let is_early = match row.time {
            Time::Early => true,
            Time::Roster => false,
            // What is not saved has neither an end that was written down nor a key.
            _ if !is_saved => true,
            Time::Half => false,
            Time::MaxAge => row.home != Where::Record,
            _ => row.kept == Kept::InCookiesAlone,
        };
        let rests = row.done == Done::Untouched && is_early;
        assert_eq!(state.rests(&settings, || NOW), rests, "{row:?}");
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

/// Time makes something due only for a session that is used.
#[test]
fn a_session_that_was_only_loaded_rests() {
    for row in conditions() {
        let (mut state, settings) = arrange(row);
        state.is_used = false;
        let rests = row.done == Done::Untouched;
        assert_eq!(state.rests(&settings, || NOW), rests, "{row:?}");
        let plan = state.plan(&settings, NOW, When::Response);
        assert!(!rests || matches!(plan, Ok(None)), "{row:?}");
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

/// The browser needs a new cookie, and the roster must learn of the change.
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
        (&cookies,     cookie(),      2_800,    true,    false),
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
    for row in conditions() {
        for when in WHEN {
            let (state, settings) = arrange(row);
            let Ok(Some(plan)) = state.plan(&settings, NOW, when) else {
                continue;
            };
            let is_optional = row.done == Done::Untouched;
            assert_eq!(plan.is_optional(), is_optional, "{row:?} {when:?}");
            let what = described(&plan);
            let has_new_cookie = matches!(what, "create" | "outgrow") || what.starts_with("renew");
            assert_eq!(plan.needs_response(), has_new_cookie, "{row:?} {when:?}");
        }
    }
}
