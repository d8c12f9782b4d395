//! When a session is over, and when that is written down again.

use super::*;
use crate::{content::Persistence, state::Lifetime};

const TENTH: u64 = IDLE / 10;

fn lifetime() -> Lifetime {
    let (idle, end) = (secs(IDLE), after(ABSOLUTE));
    Lifetime { idle, end }
}

fn lasting(since: Timestamp, length: u64) -> Persistence {
    let length = secs(length);
    Persistence::For { since, length }
}

#[test]
fn a_session_lasts_as_it_was_asked_to() {
    #[rustfmt::skip]
    let rows = [
        (Persistence::Configured,         IDLE, after(ABSOLUTE)),
        (Persistence::UntilBrowserCloses, IDLE, after(ABSOLUTE)),
        (lasting(before(10), 70),         70,   after(60)),
        (lasting(NOW, u64::MAX),          u64::MAX, Timestamp::from_secs(u64::MAX)),
    ];
    let settings = Kept::InRecords.settings();
    for (persistence, idle, end) in rows {
        let mut content = content(10);
        content.persistence = persistence;
        let idle = secs(idle);
        assert_eq!(Lifetime::of(&content, &settings), Lifetime { idle, end });
    }
}

#[test]
fn each_use_puts_off_the_end_but_not_the_last() {
    #[rustfmt::skip]
    let rows = [
        (0,                   IDLE),
        (ABSOLUTE - IDLE - 1, ABSOLUTE - 1),
        (ABSOLUTE - IDLE,     ABSOLUTE),
        (ABSOLUTE - IDLE + 1, ABSOLUTE),
        (ABSOLUTE + 5,        ABSOLUTE),
    ];
    for (used, expires) in rows {
        assert_eq!(lifetime().expires(after(used)), after(expires), "{used}");
    }
}

#[test]
fn a_tenth_of_the_idle_timeout_is_worth_a_write() {
    //   used at              written end  worth it
    #[rustfmt::skip]
    let rows = [
        (0,                   IDLE,        false),
        (TENTH - 1,           IDLE,        false),
        (TENTH,               IDLE,        true),
        (TENTH + 1,           IDLE,        true),
        (0,                   IDLE + 1,    false),
        (0,                   ABSOLUTE,    false),
        // The end can be put off no further.
        (ABSOLUTE,            ABSOLUTE,    false),
        (ABSOLUTE - 1,        ABSOLUTE - TENTH + 1, false),
        (ABSOLUTE - 1,        ABSOLUTE - TENTH,     true),
    ];
    for (used, written, is_worth) in rows {
        let found = lifetime().is_worth_touching(after(used), after(written));
        assert_eq!(found, is_worth, "{used} {written}");
    }
}

/// A tenth of less than ten seconds is less than the clock can tell.
#[test]
fn a_short_timeout_is_refreshed_each_second() {
    for (idle, gained, is_worth) in [
        (1, 0, false),
        (1, 1, true),
        (10, 1, true),
        (11, 1, false),
        (11, 2, true),
    ] {
        let lifetime = Lifetime {
            idle: secs(idle),
            ..lifetime()
        };
        let found = lifetime.is_worth_touching(after(gained), after(idle));
        assert_eq!(found, is_worth, "{idle} {gained}");
    }
}

/// `Max-Age`, and whether the browser drops the cookie before the session is over.
#[test]
fn a_cookie_is_kept_as_long_as_the_session_at_most() {
    let at_end = ABSOLUTE - 300;
    //   persistence                  max_age    used at  Max-Age        is outlasted
    #[rustfmt::skip]
    let rows = [
        (Persistence::Configured,         None,      0,      None,             false),
        (Persistence::Configured,         Some(500), 0,      Some(500),        true),
        (Persistence::Configured,         Some(500), at_end, Some(300),        false),
        (Persistence::Configured,         Some(300), at_end, Some(300),        false),
        (Persistence::Configured,         Some(299), at_end, Some(299),        true),
        (Persistence::UntilBrowserCloses, None,      0,      None,             false),
        (Persistence::UntilBrowserCloses, Some(500), 0,      None,             false),
        (lasting(NOW, 700),               None,      0,      Some(700),        false),
        (lasting(NOW, 700),               Some(500), 100,    Some(600),        false),
        (lasting(NOW, 700),               Some(500), 800,    Some(0),          false),
    ];
    for (persistence, max_age, used, expected, is_outlasted) in rows {
        let config = Kept::InRecords.config();
        let config = match max_age {
            Some(age) => config.max_age(secs(age)),
            None => config,
        };
        let settings = config.build().unwrap();
        let mut content = content(10);
        content.persistence = persistence;
        let (lifetime, now) = (Lifetime::of(&content, &settings), after(used));
        let row = format!("{persistence:?} {max_age:?} {used}");
        let age = lifetime.max_age(now, &content, &settings);
        assert_eq!(age, expected.map(secs), "{row}");
        let outlasts = lifetime.outlasts_cookie(now, &content, &settings);
        assert_eq!(outlasts, is_outlasted, "{row}");
    }
}
