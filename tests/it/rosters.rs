//! The contents and lifetime of a subject's list of sessions.

use http::{Response, StatusCode};
use silverback::{ErrorKind, Session};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, SECOND, Stores, World, failure, keys, log_in,
    schedule::all,
    scripted::{Before, DeleteMany, Fail, Update},
    user,
};

async fn remember(world: &World, jar: &mut Jar) {
    let remember = async |session: Session| {
        session.load().await.unwrap();
        session.persist_for(30 * DAY);
    };
    world.visit(jar, remember).await;
}

async fn shorten(world: &World, jar: &mut Jar) -> Response<String> {
    let shorten = async |session: Session| {
        session.load().await.unwrap();
        session.persist_for(MINUTE);
    };
    world.visit(jar, shorten).await.1
}

#[tokio::test]
async fn last_use_is_known_to_within_an_hour() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        remember(&world, jar).await;
        let mut writes = 0;
        for minute in 1..=180 {
            world.clock.advance(MINUTE);
            world.rosters().take_log();
            assert!(world.visit(jar, user).await.0.is_some());
            writes += usize::from(world.rosters().take_log().contains(&Update));
            let used = world.subjects().list("ada").await.unwrap()[0].last_used();
            let known = used.saturating_add(HOUR) >= world.clock.now();
            assert!(known, "minute {minute}");
        }
        assert_eq!(writes, 3, "once an hour");
    }
}

#[tokio::test]
async fn a_session_that_has_expired_is_not_listed() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        world.logged_in("ada", "laptop").await;
        world.clock.advance(DAY - HOUR);
        let phone = &mut world.logged_in("ada", "phone").await;
        world.clock.advance(3 * HOUR);
        assert_eq!(world.notes("ada").await, ["phone"]);
        // A session in constant use outlives its first entry.
        for _ in 0..40 {
            world.clock.advance(8 * HOUR);
            world.visit(phone, user).await;
            assert_eq!(world.notes("ada").await, ["phone"]);
        }
        world.clock.advance(DAY);
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_session_is_listed_as_long_as_it_lives() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(59 * MINUTE);
        // The save puts off the end, but is too early for another entry.
        world.put(jar, "more", 1).await;
        world.clock.advance(DAY - MINUTE);
        assert!(world.is_alive(jar).await);
        assert_eq!(world.notes("ada").await, ["laptop"]);
        assert_eq!(world.destroy_all("ada").await, 1);
        assert!(!world.is_alive(jar).await);
    }
}

#[tokio::test]
async fn a_session_remembered_later_stays_listed() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(5 * MINUTE);
        remember(&world, jar).await;
        world.clock.advance(2 * DAY);
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
        world.destroy_all("ada").await;
        assert!(!world.is_alive(jar).await, "{kind:?}");
    }
}

/// An older cookie outlives the one that `persist_for` has shortened.
#[tokio::test]
async fn a_session_in_a_cookie_is_listed_as_long_as_its_older_cookies_last() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let older = jar.clone();
        world.clock.advance(MINUTE);
        shorten(&world, jar).await;
        world.clock.advance(HOUR);
        assert!(!world.is_alive(jar).await, "{kind:?}");
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
        assert!(world.is_alive(&older).await, "{kind:?}");
        world.clock.advance(2 * DAY);
        assert!(world.notes("ada").await.is_empty(), "{kind:?}");
    }
}

/// The list is told first, and the record keeps its time.
#[tokio::test]
async fn a_session_that_could_not_be_shortened_stays_listed() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.clock.advance(MINUTE);
    world.records().every(Before, Update.of_sessions(), Fail);
    let response = shorten(&world, jar).await;
    assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
    world.records().calm();
    world.clock.advance(HOUR);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert_eq!(world.destroy_all("ada").await, 1);
    assert!(!world.is_alive(jar).await);
}

#[tokio::test]
async fn a_session_that_is_shortened_under_a_former_name_stays_listed() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let mut older = jar.clone();
        world.clock.advance(MINUTE);
        let late = async |session: Session| {
            session.load().await.unwrap();
            world.renew(jar).await;
            world.clock.advance(10 * SECOND);
            session.persist_for(MINUTE);
        };
        let (_, response) = world.visit(&mut older, late).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        world.clock.advance(HOUR);
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
        assert_eq!(world.destroy_all("ada").await, 1, "{kind:?}");
        assert!(!world.is_alive(jar).await, "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_remembered_outgrown_ends() {
    let world = Kind::RevocableOverflow.with_cookies(|cookies| cookies.up_to(100));
    world.logged_in("ada", "laptop").await;
    world.destroy_all("ada").await; // from now on the roster has a `not_before`
    let jar = &mut Jar::default();
    let log_in_large = async |session: Session| {
        log_in(session.clone(), "ada", "phone").await;
        session.insert("large", "x".repeat(1_000)).unwrap();
    };
    world.visit(jar, log_in_large).await;
    world.clock.advance(5 * MINUTE);
    remember(&world, jar).await;
    world.clock.advance(2 * DAY);
    for _ in 0..5 {
        world.visit(jar, user).await;
        world.clock.advance(2 * HOUR);
        world.visit(jar, user).await;
        world.destroy_all("ada").await;
    }
    assert!(!world.is_alive(jar).await);
}

#[tokio::test]
async fn reads_answered_not_modified_write_once() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(2 * HOUR);
        world.rosters().take_log();
        for _ in 0..50 {
            world.clock.advance(SECOND);
            world.answer(jar, StatusCode::NOT_MODIFIED, user).await;
        }
        let log = world.rosters().take_log();
        let writes = log.iter().filter(|op| **op == Update).count();
        // One write of the roster, and one of the session if that is in a store.
        let most = if kind.is_cookie() { 1 } else { 2 };
        assert!((1..=most).contains(&writes), "{kind:?}: {writes}");
    }
}

#[tokio::test]
async fn an_ended_session_is_ended_twice_at_most() {
    let world = Kind::Remote.world();
    world.logged_in("ada", "laptop").await;
    world.records().take_log();
    world.destroy_all("ada").await;
    assert!(world.records().take_log().contains(&DeleteMany));
    // The next write of the roster ends the session again, and drops it from the list.
    world.logged_in("ada", "phone").await;
    assert!(world.records().take_log().contains(&DeleteMany));
    world.logged_in("ada", "tablet").await;
    assert!(!world.records().take_log().contains(&DeleteMany));
}

#[tokio::test]
async fn many_logins_at_once_are_all_listed() {
    for kind in Kind::WITH_SUBJECTS {
        let world = &kind.world();
        let logins = (0..32).map(|n| async move { world.logged_in("ada", &format!("{n}")).await });
        all(logins.collect()).await;
        assert_eq!(world.notes("ada").await.len(), 32);
        assert_eq!(world.destroy_all("ada").await, 32);
    }
}

#[tokio::test]
async fn a_roster_that_is_full_locks_nobody_out() {
    let mut stores = Stores::new();
    stores.records = stores.records.limit(20_000);
    let config = Kind::Remote.config(&stores, keys());
    let world = World::new(Kind::Remote, stores, config);
    for n in 0..200 {
        let note = "Mozilla/5.0 ".repeat(20);
        let response = world.log_in(&mut Jar::default(), "ada", &note).await;
        assert_eq!(failure(&response), None, "login {n}");
    }
}
