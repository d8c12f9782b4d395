//! Idle timeout, absolute lifetime, and "remember me".

use std::time::Duration;

use silverback::{ErrorKind, Rejection, Session, SessionConfig, SessionLayer, Timestamp};

use crate::support::{
    DAY, HOUR, Jar, Kind, SECOND, START, Site, Stores, World, failure, keys, no_cookie,
    scripted::Touch, set_cookie,
};

/// The same settings in every kind of store.
fn worlds(change: impl Fn(SessionConfig) -> SessionConfig) -> [World; 3] {
    Kind::PLAIN.map(|kind| kind.with(&change))
}

async fn log_in(site: &Site, jar: &mut Jar) {
    site.put(jar, "user", 7).await;
}

/// Returns whether the visitor is logged in.
async fn user(session: Session) -> bool {
    session.load().await.unwrap();
    session.contains_key("user").unwrap()
}

#[tokio::test]
async fn an_idle_session_ends_on_the_second() {
    for site in worlds(|config| config) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        site.clock.advance(DAY - SECOND);
        assert!(site.visit(&mut jar.clone(), user).await.0);
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        site.clock.advance(DAY);
        assert!(!site.visit(jar, user).await.0);
        let ended = async |session: Session| {
            session.load().await.unwrap();
            session.rejection()
        };
        let (reason, _) = site.visit(jar, ended).await;
        assert!(
            matches!(reason, Some(Rejection::Expired | Rejection::NotFound)),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn a_used_session_has_an_absolute_end() {
    for site in worlds(|config| config.idle_timeout(HOUR).absolute_timeout(DAY)) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        for _ in 0..24 * 2 - 1 {
            site.clock.advance(HOUR / 2);
            assert!(site.visit(jar, user).await.0);
        }
        site.clock.advance(HOUR / 2 - SECOND);
        assert!(site.visit(jar, user).await.0);
        site.clock.advance(SECOND);
        assert!(!site.visit(jar, user).await.0);
    }
}

/// Nobody would find the new session again.
#[tokio::test]
async fn a_session_that_ends_in_its_first_request_is_gone() {
    for saves in [false, true] {
        for site in worlds(|config| config.idle_timeout(HOUR).absolute_timeout(HOUR)) {
            let jar = &mut Jar::default();
            let stays = async |session: Session| {
                session.load().await.unwrap();
                session.insert("user", 7).unwrap();
                site.clock.advance(HOUR);
                if saves {
                    let error = session.save().await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Gone);
                }
            };
            let (_, response) = site.visit(jar, stays).await;
            assert_eq!(failure(&response), Some(ErrorKind::Gone), "{:?}", site.kind);
            assert!(no_cookie(&response), "{:?}", site.kind);
        }
    }
}

#[tokio::test]
async fn a_session_that_is_shortened_until_before_its_save_is_not_saved() {
    for site in worlds(|config| config) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        let shorten = async |session: Session| {
            session.load().await.unwrap();
            session.persist_for(SECOND);
            session.insert("more", 1).unwrap();
            site.clock.advance(SECOND);
        };
        let (_, response) = site.visit(jar, shorten).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{:?}", site.kind);
        assert!(site.visit(jar, user).await.0, "{:?}", site.kind);
    }
}

#[tokio::test]
async fn a_renewal_keeps_the_absolute_end() {
    for site in worlds(|config| config.idle_timeout(DAY).absolute_timeout(DAY)) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        for _ in 0..23 {
            site.clock.advance(HOUR);
            site.visit(jar, async |session| session.renew()).await;
        }
        assert!(site.visit(jar, user).await.0);
        site.clock.advance(HOUR);
        assert!(!site.visit(jar, user).await.0);
    }
}

#[tokio::test]
async fn a_shorter_lifetime_applies_at_once() {
    let stores = Stores::new();
    let layer = |days: u32| {
        let config = Kind::Memory.config(&stores, keys());
        let config = config.absolute_timeout(days * DAY).idle_timeout(days * DAY);
        Site::at(&stores.clock, SessionLayer::new(config))
    };
    let jar = &mut Jar::default();
    let (long, short) = (layer(20), layer(2));
    log_in(&long, jar).await;
    stores.clock.advance(3 * DAY);
    assert!(long.visit(jar, user).await.0);
    assert!(!short.visit(jar, user).await.0);
}

/// A read does not apply it: a clock that is behind looks the same.
#[tokio::test]
async fn a_shorter_idle_timeout_applies_from_the_next_change() {
    for kind in [Kind::Overflow, Kind::Memory, Kind::Remote] {
        let stores = Stores::new();
        let site = |idle| {
            let config = kind.config(&stores, keys()).absolute_timeout(60 * DAY);
            World::new(kind, stores.clone(), config.idle_timeout(idle))
        };
        let (long, short) = (site(20 * DAY), site(2 * DAY));
        let jar = &mut long.grown().await;
        for changes in [false, true] {
            let cart: Option<String> = short.get(jar, "cart").await;
            assert!(cart.is_some(), "{kind:?}");
            if changes {
                short.put(jar, "n", 1).await;
            }
            for (age, lives) in [(2 * DAY - SECOND, true), (2 * DAY, !changes)] {
                let time = START.saturating_add(age);
                assert_eq!(short.lives_at(jar, time).await, lives, "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_touches_ten_times_per_timeout() {
    let site = Kind::Remote.with(|config| config.idle_timeout(1_000 * SECOND));
    let jar = &mut Jar::default();
    log_in(&site, jar).await;
    site.records().take_log();
    for _ in 0..1_000 {
        site.clock.advance(SECOND);
        let (there, response) = site.visit(jar, user).await;
        assert!(there && no_cookie(&response));
    }
    let log = site.records().take_log();
    assert_eq!(log.iter().filter(|op| **op == Touch).count(), 10);
}

#[tokio::test]
async fn a_read_reissues_twice_per_timeout() {
    let site = Kind::Cookie.with(|config| config.idle_timeout(1_000 * SECOND));
    let jar = &mut Jar::default();
    log_in(&site, jar).await;
    let mut cookies = 0;
    for _ in 0..1_000 {
        site.clock.advance(SECOND);
        let (there, response) = site.visit(jar, user).await;
        assert!(there);
        cookies += u32::from(!no_cookie(&response));
    }
    assert_eq!(cookies, 2);
}

#[tokio::test]
async fn persist_for_is_a_limit_on_both_sides() {
    for site in worlds(|config| config) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        site.clock.advance(HOUR);
        let (_, response) = site
            .visit(jar, async |session| session.persist_for(30 * DAY))
            .await;
        assert!(set_cookie(&response).contains("; Max-Age=2592000;"));
        site.clock.advance(30 * DAY - SECOND);
        let (there, response) = site.visit(&mut jar.clone(), user).await;
        assert!(there);
        if !no_cookie(&response) {
            assert!(
                set_cookie(&response).contains("; Max-Age=1;"),
                "the rest, not a new month"
            );
        }
        site.clock.advance(SECOND);
        assert!(!site.visit(jar, user).await.0);
    }
}

#[tokio::test]
async fn remembering_can_be_taken_back() {
    for site in worlds(|config| config.max_age(7 * DAY)) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        let (_, response) = site
            .visit(jar, async |session| session.until_browser_closes())
            .await;
        assert!(!set_cookie(&response).contains("Max-Age"));
        let (_, response) = site.visit(jar, async |session| session.renew()).await;
        assert!(
            !set_cookie(&response).contains("Max-Age"),
            "and later cookies have none either"
        );
        let (_, response) = site
            .visit(jar, async |session| session.persist_for(DAY))
            .await;
        assert!(set_cookie(&response).contains("; Max-Age=86400;"));
    }
}

#[tokio::test]
async fn max_age_is_the_lifetime_on_both_sides() {
    for site in worlds(|config| config.max_age(7 * DAY)) {
        let jar = &mut Jar::default();
        let written = async |session: Session| {
            session.load().await.unwrap();
            session.insert("user", 7).unwrap();
        };
        let unused = &mut Jar::default();
        for jar in [&mut *jar, &mut *unused] {
            let (_, response) = site.visit(jar, written).await;
            assert!(set_cookie(&response).contains("; Max-Age=604800;"));
        }
        site.clock.advance(7 * DAY - SECOND);
        assert!(site.visit(jar, user).await.0);
        site.clock.advance(SECOND);
        assert!(!site.visit(unused, user).await.0);
        assert!(site.visit(jar, user).await.0);
    }
}

fn max_age(cookie: &str) -> u64 {
    let (_, rest) = cookie.split_once("Max-Age=").unwrap();
    rest.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn max_age_slides_with_use() {
    for site in worlds(|config| config.max_age(7 * DAY).absolute_timeout(30 * DAY)) {
        let jar = &mut Jar::default();
        let mut browser_until = START;
        for day in 0..10 {
            let response = site.put(jar, "user", 7).await;
            if !no_cookie(&response) {
                let max_age = Duration::from_secs(max_age(&set_cookie(&response)));
                browser_until = site.clock.now().saturating_add(max_age);
            }
            site.clock.advance(DAY);
            assert!(browser_until > site.clock.now(), "gone after day {day}");
        }
    }
}

/// The jar ignores `Max-Age`, so the test tracks it.
#[tokio::test]
async fn max_age_alone_slides_for_400_days() {
    let plain = |config: SessionConfig| config.max_age(30 * DAY);
    let longer = |config: SessionConfig| config.max_age(30 * DAY).idle_timeout(40 * DAY);
    let mut sites = Vec::from(worlds(plain));
    sites.extend(worlds(longer));
    sites.extend([(); 2].map(|()| Kind::Overflow.with(plain)));
    sites.extend(worlds(plain));
    for (number, site) in sites.iter().enumerate() {
        // The visitor changes something every day at odd sites only.
        let is_changed = number % 2 == 1;
        let jar = &mut Jar::default();
        log_in(site, jar).await;
        if site.kind == Kind::Overflow {
            site.put(jar, "long", "x".repeat(600)).await;
        }
        let mut browser_until = START.saturating_add(30 * DAY);
        for day in 1..=400 {
            site.clock.advance(DAY);
            let visit = async |session: Session| {
                let is_there = user(session.clone()).await;
                if is_there && is_changed {
                    session.insert("day", day).unwrap();
                }
                is_there
            };
            let (is_there, response) = site.visit(jar, visit).await;
            assert_eq!(is_there, day < 400, "{:?}, day {day}", site.kind);
            assert!(browser_until > site.clock.now() || day == 400, "day {day}");
            if is_there && !no_cookie(&response) {
                let max_age = Duration::from_secs(max_age(&set_cookie(&response)));
                browser_until = site.clock.now().saturating_add(max_age);
            }
        }
    }
}

#[tokio::test]
async fn no_length_of_time_breaks_anything() {
    let days = |days: u64| days * 86_400;
    for (up_to, length, max_age) in [
        (None, Duration::MAX, days(30)),
        (None, Duration::ZERO, 1),
        (None, 30 * DAY, days(30)),
        (None, 31 * DAY, days(30)),
        (Some(400 * DAY), Duration::MAX, days(400)),
        (Some(400 * DAY), 400 * DAY, days(400)),
        (Some(2 * DAY), 3 * DAY, days(2)),
    ] {
        for site in worlds(|config| match up_to {
            Some(up_to) => config.persist_up_to(up_to),
            None => config,
        }) {
            let jar = &mut Jar::default();
            let (_, response) = site
                .visit(jar, async |session| {
                    session.load().await.unwrap();
                    session.insert("n", 1).unwrap();
                    session.persist_for(length);
                })
                .await;
            assert!(set_cookie(&response).contains(&format!("; Max-Age={max_age};")));
        }
    }
}

#[tokio::test]
async fn a_clock_that_jumps_breaks_nothing() {
    for site in worlds(|config| config) {
        let jar = &mut Jar::default();
        log_in(&site, jar).await;
        for secs in [0, u64::MAX, START.as_secs() - 3_600] {
            site.clock.set(Timestamp::from_secs(secs));
            let (_, response) = site.visit(&mut jar.clone(), user).await;
            assert_eq!(response.status(), 200);
        }
        site.clock.set(START);
        assert!(
            site.visit(jar, user).await.0,
            "a clock that was wrong for a while ended no session"
        );
    }
}
