//! Settings bound what there is already, and no time that is written down goes beyond them.

use std::time::Duration;

use silverback::{
    Clock, Keys, Rejection, Session, SessionConfig, SessionLayer,
    store::{CookieStore, MemoryStore},
};

use crate::support::{DAY, HOUR, Jar, START, Site, keys, set_cookie};

const SECOND: Duration = Duration::from_secs(1);

async fn log_in(session: Session) {
    session.load().await.unwrap();
    session.insert("user", 7).unwrap();
}

async fn look(session: Session) -> (Option<u32>, Option<Rejection>) {
    session.load().await.unwrap();
    (session.get("user").unwrap(), session.rejection())
}

/// The same cookies, before and after the settings have changed.
#[tokio::test]
async fn a_shorter_idle_timeout_applies_to_cookies() {
    let kinds: [fn(Keys) -> SessionConfig; 3] = [
        |keys| SessionConfig::cookie("s", keys),
        |keys| SessionConfig::new("s", CookieStore::new().signed(), keys),
        |keys| SessionConfig::cookie("s", keys).overflow(MemoryStore::new()),
    ];
    for kind in kinds {
        let clock = Clock::manual(START);
        let site = |idle| Site {
            layer: SessionLayer::new(kind(keys()).idle_timeout(idle)).clock(clock.clone()),
            clock: clock.clone(),
        };
        let (long, short) = (site(DAY), site(HOUR));
        let jar = &mut Jar::default();
        long.visit(jar, log_in).await;
        clock.advance(HOUR - SECOND);
        assert_eq!(short.visit(&mut jar.clone(), look).await.0, (Some(7), None));
        clock.advance(SECOND);
        let over = (None, Some(Rejection::Expired));
        assert_eq!(short.visit(&mut jar.clone(), look).await.0, over);
        assert_eq!(long.visit(&mut jar.clone(), look).await.0, (Some(7), None));
    }
}

/// A browser keeps no cookie for longer than the session can live.
#[tokio::test]
async fn max_age_is_no_longer_than_what_is_left() {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock.clone());
    for config in [
        SessionConfig::cookie("s", keys()),
        SessionConfig::new("s", store, keys()),
    ] {
        clock.set(START);
        let config = config.max_age(7 * DAY).idle_timeout(7 * DAY);
        let layer = SessionLayer::new(config.absolute_timeout(10 * DAY));
        let site = Site {
            layer: layer.clock(clock.clone()),
            clock: clock.clone(),
        };
        let jar = &mut Jar::default();
        for (day, left) in [(0, 7), (2, 7), (4, 6), (9, 1)] {
            site.clock.set(START.saturating_add(day * DAY));
            let renewed = async |session: Session| {
                log_in(session.clone()).await;
                session.renew();
            };
            let (_, response) = site.visit(jar, renewed).await;
            let (cookie, seconds) = (set_cookie(&response), left * 86_400);
            let max_age = format!("; Max-Age={seconds}");
            assert!(
                cookie.contains(&format!("{max_age};")) || cookie.ends_with(&max_age),
                "day {day}: {cookie}"
            );
        }
    }
}

/// A store need not keep what nobody can open any more.
#[tokio::test]
async fn a_record_ends_with_its_session() {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock.clone());
    let config = SessionConfig::new("s", store.clone(), keys());
    let config = config.idle_timeout(7 * DAY).absolute_timeout(10 * DAY);
    let layer = SessionLayer::new(config).clock(clock.clone());
    let site = Site { layer, clock };
    let (read, written) = (&mut Jar::default(), &mut Jar::default());
    for jar in [&mut *read, &mut *written] {
        site.visit(jar, log_in).await;
    }
    for day in [3, 6, 9] {
        site.clock.set(START.saturating_add(day * DAY));
        assert_eq!(site.visit(read, look).await.0, (Some(7), None));
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("day", day).unwrap();
        };
        site.visit(written, write).await;
    }
    site.clock.set(START.saturating_add(10 * DAY - SECOND));
    store.sweep();
    assert_eq!(store.len(), 2);
    site.clock.advance(SECOND);
    store.sweep();
    assert_eq!(store.len(), 0);
}
