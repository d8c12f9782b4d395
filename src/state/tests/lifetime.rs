//! When a session expires, and when a new expiry is stored.

use super::*;
use crate::{content::Persistence, state::Lifetime};

const TENTH: u64 = IDLE / 10;
/// The longest lifetime that a session can ask for.
const PERSIST: u64 = 30 * 86_400;

fn lifetime() -> Lifetime {
    of(secs(IDLE), after(ABSOLUTE))
}

fn of(idle: Duration, end: Timestamp) -> Lifetime {
    let first = idle;
    Lifetime { idle, first, end }
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
        (lasting(before(10), PERSIST),     PERSIST, after(PERSIST - 10)),
        // Granted when the bound was higher.
        (lasting(before(10), PERSIST + 1), PERSIST, after(PERSIST - 10)),
        (lasting(NOW, u64::MAX),           PERSIST, after(PERSIST)),
    ];
    let settings = Kept::InRecords.settings();
    for (persistence, idle, end) in rows {
        let mut content = content(10);
        content.persistence = persistence;
        let idle = secs(idle);
        assert_eq!(Lifetime::of(&content, &settings), of(idle, end));
    }
}

#[test]
fn a_session_from_before_a_backup_was_restored_is_over() {
    for (restored, is_over) in [(before(1), false), (NOW, false), (after(1), true)] {
        for persistence in [Persistence::Configured, lasting(NOW, 700)] {
            let config = Kept::InRecords.config().not_before(restored);
            let mut content = content(10);
            content.persistence = persistence;
            let lifetime = Lifetime::of(&content, &config.build().unwrap());
            assert_eq!(lifetime.end <= NOW, is_over, "{restored:?} {persistence:?}");
            assert_eq!(lifetime.expires(NOW) <= NOW, is_over);
        }
    }
}

/// `Max-Age` is the idle timeout unless it is configured shorter. By default a session ends after
/// 400 days.
#[test]
fn max_age_slides_as_the_idle_timeout_does() {
    const MAX_AGE: u64 = 400 * 86_400;
    let bare = || SessionConfig::new("sid", MemoryStore::new(), Keys::generate().unwrap());
    let month = 30 * 86_400;
    //   max_age        idle          absolute        idle       end
    #[rustfmt::skip]
    let rows = [
        (None,          None,         None,           86_400,    14 * 86_400),
        (Some(month),   None,         None,           month,     MAX_AGE),
        (Some(month),   Some(60),     None,           60,        MAX_AGE),
        (Some(60),      Some(month),  None,           60,        MAX_AGE),
        (Some(60),      None,         Some(month),    60,        month),
        (Some(MAX_AGE), None,         None,           MAX_AGE,   MAX_AGE),
        (Some(MAX_AGE), None,         Some(u64::MAX), MAX_AGE,   u64::MAX),
    ];
    for (max_age, idle, absolute, expected, end) in rows {
        let row = format!("{max_age:?} {idle:?} {absolute:?}");
        let mut config = bare();
        for (time, set) in [
            (max_age, SessionConfig::max_age as fn(_, _) -> _),
            (idle, SessionConfig::idle_timeout),
            (absolute, SessionConfig::absolute_timeout),
        ] {
            config = time
                .map(secs)
                .map_or(config.clone(), |time| set(config, time));
        }
        let settings = config.build().unwrap();
        let (idle, end) = (secs(expected), NOW.saturating_add(secs(end)));
        let end = end.min(Timestamp::LATEST);
        assert_eq!(
            Lifetime::of(&content(10), &settings),
            of(idle, end),
            "{row}"
        );
        let mut content = content(10);
        content.persistence = Persistence::UntilBrowserCloses;
        assert_eq!(
            Lifetime::of(&content, &settings).idle,
            settings.idle,
            "{row}"
        );
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
        // To the last end it is worth one.
        (ABSOLUTE - IDLE - 1, ABSOLUTE - 2,         false),
        (ABSOLUTE - IDLE,     ABSOLUTE - 1,         true),
        (ABSOLUTE - 1,        ABSOLUTE - 1,         true),
    ];
    for (used, written, is_worth) in rows {
        let found = lifetime().is_worth_touching(after(used), after(written));
        assert_eq!(found, is_worth, "{used} {written}");
    }
}

/// In the second half of the idle timeout, or after a tenth where a store knows whether the session
/// is alive, as long as the expiry moves.
#[test]
fn a_session_in_a_cookie_is_seldom_sealed_again_for_a_read() {
    //   the cookie's age, and whether it is worth it in a cookie alone, and with a store
    #[rustfmt::skip]
    let rows = [
        (0,            false, false),
        (TENTH - 1,    false, false),
        (TENTH,        false, true),
        (IDLE / 2 - 1, false, true),
        (IDLE / 2,     true,  true),
        (IDLE - 1,     true,  true),
    ];
    for (age, alone, with_store) in rows {
        for (kept, expected) in [
            (Kept::InCookiesAlone, alone),
            (Kept::InCookies, with_store),
            (Kept::Overflowing, with_store),
        ] {
            let is_worth = |lifetime: Lifetime, used| {
                let issued = after(used - age);
                let span = (issued, lifetime.expires(issued));
                lifetime.is_worth_resealing(after(used), span, &kept.settings())
            };
            assert_eq!(is_worth(lifetime(), IDLE), expected, "{kept:?} {age}");
            // The end can be put off no further.
            assert!(!is_worth(lifetime(), ABSOLUTE + 1), "{kept:?} {age}");
            // It comes a second later than the older cookie says.
            let late = ABSOLUTE - IDLE + age - 1;
            assert_eq!(is_worth(lifetime(), late), expected, "{kept:?} {age}");
            let too_late = ABSOLUTE - IDLE + age;
            assert!(!is_worth(lifetime(), too_late), "{kept:?} {age}");
        }
    }
}

/// A tenth of less than ten seconds is below the clock's resolution.
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

#[test]
fn a_cookie_is_kept_as_long_as_the_session_at_most() {
    let at_end = ABSOLUTE - 300;
    //   persistence                      max_age    used at  Max-Age
    #[rustfmt::skip]
    let rows = [
        (Persistence::Configured,         None,      0,      None),
        (Persistence::Configured,         Some(500), 0,      Some(500)),
        (Persistence::Configured,         Some(500), at_end, Some(300)),
        (Persistence::Configured,         Some(300), at_end, Some(300)),
        (Persistence::Configured,         Some(299), at_end, Some(299)),
        (Persistence::UntilBrowserCloses, None,      0,      None),
        (Persistence::UntilBrowserCloses, Some(500), 0,      None),
        (lasting(NOW, 700),               None,      0,      Some(700)),
        (lasting(NOW, 700),               Some(500), 100,    Some(600)),
        (lasting(NOW, 700),               Some(500), 800,    Some(0)),
    ];
    for (persistence, max_age, used, expected) in rows {
        let (content, settings) = kept_for(persistence, max_age);
        let now = after(used);
        let age = Lifetime::max_age(&content, &settings, now, now);
        let row = format!("{persistence:?} {max_age:?} {used}");
        assert_eq!(age, expected.map(secs), "{row}");
    }
}

fn kept_for(persistence: Persistence, max_age: Option<u64>) -> (Content, Settings) {
    let config = Kept::InRecords.config();
    let config = match max_age {
        Some(age) => config.max_age(secs(age)),
        None => config,
    };
    let mut content = content(10);
    content.persistence = persistence;
    (content, config.build().unwrap())
}

/// While its session is used, the browser drops no cookie before the absolute timeout.
#[test]
fn a_cookie_is_sent_again_ten_times_per_max_age() {
    let last = ABSOLUTE - 500;
    //   persistence                      max_age    sent at   used at    is due
    #[rustfmt::skip]
    let rows = [
        (Persistence::Configured,         None,      0,        ABSOLUTE,  false),
        (Persistence::Configured,         Some(500), 0,        49,        false),
        (Persistence::Configured,         Some(500), 0,        50,        true),
        // The idle timeout may be shorter.
        (Persistence::Configured,         Some(5_000), 0,      499,       false),
        (Persistence::Configured,         Some(5_000), 0,      500,       true),
        // To the last end it is worth one, and then it is the last.
        (Persistence::Configured,         Some(500), last - 9, last - 1,  false),
        (Persistence::Configured,         Some(500), last - 1, last,      true),
        (Persistence::Configured,         Some(500), last,     last + 99, false),
        (Persistence::UntilBrowserCloses, Some(500), 0,        50,        false),
        (lasting(NOW, 700),               Some(500), 0,        50,        false),
    ];
    for (persistence, max_age, sent, used, is_due) in rows {
        let (content, settings) = kept_for(persistence, max_age);
        let lifetime = Lifetime::of(&content, &settings);
        let found = lifetime.is_cookie_due(after(used), after(sent), &content, &settings);
        assert_eq!(found, is_due, "{persistence:?} {max_age:?} {sent} {used}");
    }
}
