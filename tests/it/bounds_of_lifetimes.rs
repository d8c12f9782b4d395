//! Lifetime settings apply to existing sessions, and no stored time exceeds them.

use silverback::{
    Keys, Rejection, Session, SessionConfig, SessionLayer,
    store::{CookieStore, Sweep},
};

use crate::support::{DAY, HOUR, Jar, Kind, SECOND, START, Site, Stores, keys, set_cookie};

/// The same cookies, before and after the settings have changed.
#[tokio::test]
async fn cookies_follow_a_shorter_idle_timeout() {
    let kinds: [fn(&Stores, Keys) -> SessionConfig; 4] = [
        |_, keys| SessionConfig::cookie("s", keys),
        |_, keys| SessionConfig::new("s", CookieStore::new().signed(), keys),
        |stores, keys| Kind::Revocable.config(stores, keys),
        |stores, keys| Kind::Overflow.config(stores, keys),
    ];
    for kind in kinds {
        let stores = Stores::new();
        let site = |idle| {
            let config = kind(&stores, keys()).idle_timeout(idle);
            Site::at(&stores.clock, SessionLayer::new(config))
        };
        let (long, short) = (site(DAY), site(HOUR));
        let jar = &mut Jar::default();
        long.put(jar, "user", 7).await;
        stores.clock.advance(HOUR - SECOND);
        assert_eq!(short.get(&mut jar.clone(), "user").await, Some(7));
        stores.clock.advance(SECOND);
        let why = short.rejection(&mut jar.clone()).await;
        assert_eq!(why, Some(Rejection::Expired));
        assert_eq!(long.get(&mut jar.clone(), "user").await, Some(7));
    }
}

/// A lowered bound cuts the time that a visitor was granted.
#[tokio::test]
async fn remembered_sessions_follow_a_lower_bound() {
    for kind in [Kind::Cookie, Kind::Revocable, Kind::Overflow, Kind::Memory] {
        let stores = Stores::new();
        let site = |days: u32| {
            let config = kind.config(&stores, keys()).persist_up_to(days * DAY);
            Site::at(&stores.clock, SessionLayer::new(config))
        };
        let (high, low) = (site(300), site(20));
        let jar = &mut Jar::default();
        let remember = async |session: Session| {
            session.load().await.unwrap();
            session.insert("user", 7).unwrap();
            session.persist_for(300 * DAY);
        };
        high.visit(jar, remember).await;
        stores.clock.advance(20 * DAY - SECOND);
        assert_eq!(low.get(&mut jar.clone(), "user").await, Some(7));
        stores.clock.advance(SECOND);
        let why = low.rejection(&mut jar.clone()).await;
        assert_eq!(why, Some(Rejection::Expired), "{kind:?}");
        assert_eq!(high.get(&mut jar.clone(), "user").await, Some(7));
    }
}

/// A raised bound does not extend the time that a visitor was granted.
#[tokio::test]
async fn a_wish_stays_cut_when_the_bound_is_raised() {
    for kind in [Kind::Cookie, Kind::Memory] {
        let stores = Stores::new();
        let site = |days: u32| {
            let config = kind.config(&stores, keys()).persist_up_to(days * DAY);
            Site::at(&stores.clock, SessionLayer::new(config))
        };
        let (low, high) = (site(20), site(300));
        let jar = &mut Jar::default();
        let remember = async |session: Session| {
            session.insert("user", 7).unwrap();
            session.persist_for(300 * DAY);
        };
        low.visit(jar, remember).await;
        stores.clock.advance(20 * DAY);
        let found: Option<u8> = high.get(jar, "user").await;
        assert_eq!(found, None, "{kind:?}");
    }
}

/// As after a backup is restored.
#[tokio::test]
async fn sessions_made_before_a_time_are_refused() {
    for kind in [
        Kind::Cookie,
        Kind::Revocable,
        Kind::Overflow,
        Kind::Memory,
        Kind::Remote,
    ] {
        let stores = Stores::new();
        let old = Site::at(
            &stores.clock,
            SessionLayer::new(kind.config(&stores, keys())),
        );
        let restored = START.saturating_add(HOUR);
        let config = kind.config(&stores, keys()).not_before(restored);
        let new = Site::at(&stores.clock, SessionLayer::new(config));
        let long = &mut Jar::default();
        old.put(long, "long", "x".repeat(600)).await;
        let [before, at] = [HOUR - SECOND, HOUR].map(|time| START.saturating_add(time));
        let (early, late) = (&mut Jar::default(), &mut Jar::default());
        for (jar, made) in [(&mut *early, before), (&mut *late, at)] {
            stores.clock.set(made);
            old.put(jar, "user", 7).await;
        }
        for jar in [long, early] {
            let why = new.rejection(&mut jar.clone()).await;
            assert_eq!(why, Some(Rejection::Expired), "{kind:?}");
            new.put(jar, "user", 8).await;
            assert_eq!(new.get(jar, "user").await, Some(8), "a new one");
        }
        assert_eq!(new.get(late, "user").await, Some(7), "{kind:?}");
    }
}

/// A browser keeps no cookie longer than the session can live.
#[tokio::test]
async fn max_age_never_exceeds_the_remaining_lifetime() {
    for kind in Kind::PLAIN {
        let world = kind.with(|config| {
            let config = config.max_age(7 * DAY).idle_timeout(7 * DAY);
            config.absolute_timeout(10 * DAY)
        });
        let jar = &mut Jar::default();
        for (day, left) in [(0, 7), (2, 7), (4, 6), (9, 1)] {
            world.clock.set(START.saturating_add(day * DAY));
            let renew = async |session: Session| {
                session.load().await.unwrap();
                session.insert("day", day).unwrap();
                session.renew();
            };
            let (_, response) = world.visit(jar, renew).await;
            let cookie = set_cookie(&response);
            let max_age = format!("Max-Age={}", left * 86_400);
            let found = cookie.split("; ").any(|part| part == max_age);
            assert!(found, "{kind:?}, day {day}: {cookie}");
        }
    }
}

/// A store need not keep a record that nobody can open.
#[tokio::test]
async fn a_record_ends_with_its_session() {
    let world = Kind::Memory.with(|config| {
        let config = config.idle_timeout(7 * DAY);
        config.absolute_timeout(10 * DAY)
    });
    let (read, written) = (&mut Jar::default(), &mut Jar::default());
    for jar in [&mut *read, &mut *written] {
        world.put(jar, "day", 0).await;
    }
    for day in [3, 6, 9] {
        world.clock.set(START.saturating_add(day * DAY));
        assert_eq!(world.get(read, "day").await, Some(0));
        world.put(written, "day", day).await;
    }
    let store = &world.records().memory;
    world.clock.set(START.saturating_add(10 * DAY - SECOND));
    store.sweep().await;
    assert_eq!(store.len(), 2);
    world.clock.advance(SECOND);
    store.sweep().await;
    assert_eq!(store.len(), 0);
}
