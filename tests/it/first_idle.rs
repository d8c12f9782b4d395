//! Visitors who may never come back: a first idle timeout, until a second request.

use std::time::Duration;

use silverback::{Session, Timestamp};

use crate::support::{
    DAY, Jar, Kind, START, World, failure, no_cookie,
    scripted::{Create, Touch, Update},
};

const FIRST: u64 = 100;
const IDLE: u64 = 1_000;

fn world(kind: Kind) -> World {
    kind.with(|config| {
        let config = config.idle_timeout(secs(IDLE)).absolute_timeout(DAY);
        config.first_idle_timeout(secs(FIRST))
    })
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

/// Returns whether it ends at that second and not before.
async fn ends_at(world: &World, jar: &Jar, secs: u64) -> bool {
    world.lives_at(jar, at(secs - 1)).await && !world.lives_at(jar, at(secs)).await
}

async fn read(world: &World, jar: &mut Jar) {
    world.get::<String>(jar, "cart").await.unwrap();
}

#[tokio::test]
async fn a_visitor_who_does_not_come_back_is_forgotten_early() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut Jar::default();
        let begin = async |session: Session| {
            session.load().await.unwrap();
            session.insert("cart", "x".repeat(600)).unwrap();
            session.expires_at().unwrap()
        };
        let (end, _) = world.visit(jar, begin).await;
        assert_eq!(end, Some(at(FIRST)), "{kind:?}");
        assert!(ends_at(&world, jar, FIRST).await, "{kind:?}");
    }
}

#[tokio::test]
async fn one_who_comes_back_has_the_whole_idle_timeout() {
    for kind in Kind::ALL {
        for again in [FIRST / 2, FIRST - 1] {
            let world = world(kind);
            let jar = &mut world.grown().await;
            world.clock.set(at(again));
            read(&world, jar).await;
            assert!(ends_at(&world, jar, again + IDLE).await, "{kind:?} {again}");
        }
    }
}

/// A second request counts even if it writes only to the store.
#[tokio::test]
async fn in_a_record_any_second_request_counts() {
    for kind in [
        Kind::Overflow,
        Kind::RevocableOverflow,
        Kind::Memory,
        Kind::Remote,
    ] {
        for again in [0, 1, FIRST / 10] {
            let world = world(kind);
            let jar = &mut world.grown().await;
            world.clock.set(at(again));
            read(&world, jar).await;
            assert!(ends_at(&world, jar, again + IDLE).await, "{kind:?} {again}");
        }
    }
}

/// The cookie is not sent earlier, as a late response to a read would replace a newer state with an
/// old one.
#[tokio::test]
async fn in_a_cookie_a_read_counts_when_the_cookie_is_sent_again() {
    for (kind, from) in [
        (Kind::Cookie, FIRST / 2),
        (Kind::Revocable, FIRST / 10),
        (Kind::RemoteRevocable, FIRST / 10),
    ] {
        let world = world(kind);
        let jar = &mut world.grown().await;
        world.clock.set(at(from - 1));
        let before = jar.clone();
        read(&world, jar).await;
        assert_eq!(jar.value("s"), before.value("s"), "{kind:?}");
        assert!(ends_at(&world, jar, FIRST).await, "{kind:?}");
        let written = &mut before.clone();
        world.put(written, "n", 1).await;
        assert!(ends_at(&world, written, from - 1 + IDLE).await, "{kind:?}");
        world.clock.set(at(from));
        read(&world, jar).await;
        assert!(ends_at(&world, jar, from + IDLE).await, "{kind:?}");
    }
}

/// A visitor who logs in or asks to be remembered is no passer-by.
#[tokio::test]
async fn a_login_has_the_whole_idle_timeout_from_the_start() {
    for kind in Kind::ALL {
        for what in ["renew", "subject", "persist"] {
            if what == "subject" && !Kind::WITH_SUBJECTS.contains(&kind) {
                continue;
            }
            for comes_back in [false, true] {
                let world = world(kind);
                let jar = &mut Jar::default();
                if comes_back {
                    *jar = world.grown().await;
                }
                let log_in = async |session: Session| {
                    session.load().await.unwrap();
                    session.insert("user", 7).unwrap();
                    match what {
                        "renew" => session.renew(),
                        "subject" => session.set_subject("ada", "laptop").unwrap(),
                        _ => session.persist_for(secs(IDLE)),
                    }
                };
                let (_, response) = world.visit(jar, log_in).await;
                assert!(failure(&response).is_none(), "{kind:?} {what}");
                assert!(ends_at(&world, jar, IDLE).await, "{kind:?} {what}");
            }
        }
    }
}

#[tokio::test]
async fn a_poll_does_not_count() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut world.grown().await;
        world.clock.set(at(FIRST - 1));
        let poll = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
        };
        let (_, response) = world.visit(jar, poll).await;
        assert!(failure(&response).is_none());
        assert!(ends_at(&world, jar, FIRST).await, "{kind:?}");
    }
}

/// The first request may save several times.
#[tokio::test]
async fn the_first_request_counts_once() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = world(kind);
        let jar = &mut Jar::default();
        let begin = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            session.get::<u32>("n").unwrap();
        };
        world.visit(jar, begin).await;
        assert!(ends_at(&world, jar, FIRST).await, "{kind:?}");
        let log = world.records().take_log();
        let writes = log
            .iter()
            .filter(|op| matches!(op, Create | Touch | Update));
        // The response sets a cookie, so it must know that the session is alive.
        assert_eq!(writes.collect::<Vec<_>>(), [&Create, &Touch], "{kind:?}");
        let again = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            session.save().await.unwrap();
            session.insert("n", 3).unwrap();
        };
        let jar = &mut Jar::default();
        world.visit(jar, again).await;
        assert!(ends_at(&world, jar, FIRST).await, "{kind:?}");
    }
}

/// A socket or stream of the first request saves late.
#[tokio::test]
async fn a_late_save_of_the_first_request_takes_no_time_away() {
    for kind in [Kind::Memory, Kind::Remote] {
        for touches in [false, true] {
            let world = world(kind);
            let jar = &mut Jar::default();
            let begin = async |session: Session| {
                session.load().await.unwrap();
                session.insert("cart", "x").unwrap();
                session
            };
            let (socket, _) = world.visit(jar, begin).await;
            world.clock.set(at(50));
            read(&world, jar).await;
            world.clock.set(at(60));
            socket.load().await.unwrap();
            socket.insert("late", 1).unwrap();
            // A touch by a socket shows that the visitor is still there.
            let end = if touches {
                socket.touch().await.unwrap();
                60
            } else {
                socket.save().await.unwrap();
                50
            };
            assert!(ends_at(&world, jar, end + IDLE).await, "{kind:?}");
        }
    }
}

/// Nothing changes without a first idle timeout.
#[tokio::test]
async fn a_first_request_that_saves_early_touches_no_more_than_before() {
    let world = Kind::Remote.with(|config| config.idle_timeout(secs(IDLE)));
    let jar = &mut Jar::default();
    let begin = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
    };
    world.visit(jar, begin).await;
    assert!(ends_at(&world, jar, IDLE).await);
    world.clock.set(at(IDLE / 10 - 1));
    let (_, response) = world
        .visit(jar, async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap()
        })
        .await;
    assert!(no_cookie(&response));
    assert!(ends_at(&world, jar, IDLE).await);
}
