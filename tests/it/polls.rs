//! Requests that do not count as use: a page that polls by itself keeps nobody logged in.

use std::time::Duration;

use http::header;
use silverback::{Key, Keys, Session, Timestamp};

use crate::support::{
    DAY, Jar, Kind, MINUTE, START, World, failure, keys, no_cookie,
    scripted::{Op, Touch, Update},
    set_cookie,
};

const IDLE: u64 = 1_000;

fn world(kind: Kind) -> World {
    kind.with(|config| config.idle_timeout(secs(IDLE)).absolute_timeout(DAY))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

/// The number of items in the cart, for a page that polls by itself.
async fn poll(session: Session) -> Option<u32> {
    session.skip_touch();
    session.load().await.unwrap();
    session.get("n").unwrap()
}

/// Like `poll`, but the session is loaded and used before the handler declares the poll.
async fn late_poll(session: Session) -> Option<u32> {
    session.load().await.unwrap();
    let n = session.get("n").unwrap();
    session.skip_touch();
    n
}

/// A new browser with `n` in its session, which is in a record if it can be in one.
async fn browser(world: &World) -> Jar {
    let mut jar = world.grown().await;
    world.put(&mut jar, "n", 1).await;
    jar
}

#[tokio::test]
async fn a_poll_keeps_no_session_alive() {
    for kind in Kind::ALL {
        for late in [false, true] {
            let world = world(kind);
            let jar = &mut browser(&world).await;
            world.records().take_log();
            for now in (50..IDLE).step_by(50).chain([IDLE - 1]) {
                world.clock.set(at(now));
                let (n, response) = match late {
                    true => world.visit(jar, late_poll).await,
                    false => world.visit(jar, poll).await,
                };
                assert_eq!(n, Some(1), "{kind:?} {now}");
                assert!(no_cookie(&response), "{kind:?} {now}");
                assert_eq!(response.headers()[header::VARY], "Cookie", "it is used");
            }
            let writes = |op: &Op| matches!(op, Touch | Update);
            let log = world.records().take_log();
            assert!(!log.iter().any(writes), "{kind:?} {log:?}");
            world.clock.set(at(IDLE));
            assert_eq!(world.visit(jar, poll).await.0, None, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn use_beside_polls_keeps_it_alive() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut browser(&world).await;
        for now in (50..5 * IDLE).step_by(50) {
            world.clock.set(at(now));
            let n = match now % 600 {
                0 => world.get(jar, "n").await,
                _ => world.visit(jar, poll).await.0,
            };
            assert_eq!(n, Some(1), "{kind:?} {now}");
        }
    }
}

/// A poll may change values, but never the end.
#[tokio::test]
async fn a_change_in_a_poll_is_saved_and_the_end_stays() {
    for kind in Kind::ALL {
        for saves in [false, true] {
            let world = world(kind);
            let jar = &mut browser(&world).await;
            for now in [300, 600, 900] {
                world.clock.set(at(now));
                let write = async |session: Session| {
                    session.skip_touch();
                    session.load().await.unwrap();
                    session.insert("n", now).unwrap();
                    if saves {
                        session.save().await.unwrap();
                    }
                    session.expires_at().unwrap()
                };
                let (end, response) = world.visit(jar, write).await;
                assert!(failure(&response).is_none(), "{kind:?}");
                assert_eq!(end, Some(at(IDLE)), "{kind:?}");
            }
            world.clock.set(at(IDLE - 1));
            assert_eq!(world.visit(jar, poll).await.0, Some(900), "{kind:?}");
            world.clock.set(at(IDLE));
            assert_eq!(world.visit(jar, poll).await.0, None, "{kind:?}");
        }
    }
}

/// The browser drops a cookie that a poll has changed at the time of the one before.
#[tokio::test]
async fn a_cookie_of_a_poll_lasts_no_longer() {
    for kind in [Kind::Cookie, Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.with(|config| config.max_age(secs(IDLE)));
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        for now in [400, 700] {
            world.clock.set(at(now));
            let write = async |session: Session| {
                session.skip_touch();
                session.load().await.unwrap();
                session.insert("n", now).unwrap();
            };
            let (_, response) = world.visit(jar, write).await;
            let max_age = format!("; Max-Age={};", IDLE - now);
            let cookie = set_cookie(&response);
            assert!(cookie.contains(&max_age), "{kind:?}: {cookie}");
        }
        // Its age still counts from the last use: it is time to put off the end.
        let (_, response) = world
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.get::<u32>("n").unwrap()
            })
            .await;
        assert!(
            set_cookie(&response).contains("; Max-Age=1000;"),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_lifetime_call_in_a_poll_counts() {
    async fn touch(session: &Session) {
        session.touch().await.unwrap();
    }
    for kind in Kind::ALL {
        for what in ["renew", "persist", "until close", "subject", "touch"] {
            if what == "subject" && !Kind::WITH_SUBJECTS.contains(&kind) {
                continue;
            }
            let world = world(kind);
            let jar = &mut browser(&world).await;
            world.clock.set(at(900));
            let ask = async |session: Session| {
                session.skip_touch();
                session.load().await.unwrap();
                match what {
                    "renew" => session.renew(),
                    "persist" => session.persist_for(secs(IDLE)),
                    "until close" => session.until_browser_closes(),
                    "subject" => session.set_subject("ada", "laptop").unwrap(),
                    _ => touch(&session).await,
                }
                session.expires_at().unwrap()
            };
            let (end, response) = world.visit(jar, ask).await;
            assert!(failure(&response).is_none(), "{kind:?} {what}");
            assert_eq!(end, Some(at(900 + IDLE)), "{kind:?} {what}");
            world.clock.set(at(899 + IDLE));
            assert_eq!(world.visit(jar, poll).await.0, Some(1), "{kind:?} {what}");
            world.clock.set(at(900 + IDLE));
            assert_eq!(world.visit(jar, poll).await.0, None, "{kind:?} {what}");
        }
    }
}

/// However shortly after the last use, unlike a mere use.
#[tokio::test]
async fn a_touch_restarts_the_timeout_at_once() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut browser(&world).await;
        world.clock.set(at(3));
        let read = async |session: Session| {
            session.load().await.unwrap();
            session.get::<u32>("n").unwrap()
        };
        let (_, response) = world.visit(jar, read).await;
        assert!(no_cookie(&response), "{kind:?}");
        let touch = async |session: Session| session.touch().await.unwrap();
        world.visit(jar, touch).await;
        world.clock.set(at(2 + IDLE));
        assert_eq!(world.visit(jar, poll).await.0, Some(1), "{kind:?}");
        world.clock.set(at(3 + IDLE));
        assert_eq!(world.visit(jar, poll).await.0, None, "{kind:?}");
    }
}

/// A poll that loses the race keeps the end that the faster request has set.
#[tokio::test]
async fn a_poll_takes_no_time_from_another_request() {
    for kind in [Kind::Memory, Kind::Remote, Kind::Overflow] {
        let world = world(kind);
        let jar = &browser(&world).await;
        world.clock.set(at(600));
        let slow = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            world.put(&mut jar.clone(), "other", 1).await;
            world.clock.set(at(700));
            session.insert("n", 2).unwrap();
        };
        world.visit(&mut jar.clone(), slow).await;
        world.clock.set(at(599 + IDLE));
        let (n, _) = world.visit(&mut jar.clone(), poll).await;
        assert_eq!(n, Some(2), "{kind:?}");
        world.clock.set(at(600 + IDLE));
        let (n, _) = world.visit(&mut jar.clone(), poll).await;
        assert_eq!(n, None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_that_a_poll_begins_has_its_usual_end() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut Jar::default();
        let begin = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
        };
        world.visit(jar, begin).await;
        world.clock.set(at(IDLE - 1));
        assert_eq!(world.visit(jar, poll).await.0, Some(1), "{kind:?}");
        world.clock.set(at(IDLE));
        assert_eq!(world.visit(jar, poll).await.0, None, "{kind:?}");
    }
}

/// Middleware may skip the touch for every page of a kind.
#[tokio::test]
async fn skipping_the_touch_is_not_use() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut browser(&world).await;
        world.clock.set(at(900));
        let skip = async |session: Session| session.skip_touch();
        let (_, response) = world.visit(jar, skip).await;
        assert!(response.headers().is_empty(), "{kind:?}");
    }
}

/// A poll that changes something still gets a cookie sealed with the new key.
#[tokio::test]
async fn a_cookie_of_a_retired_key_waits_for_a_request_that_counts() {
    for kind in Kind::ALL {
        let ring = keys();
        let world = kind.with_keys(ring.clone());
        let jar = &mut browser(&world).await;
        ring.rotate(Key::generate().unwrap()).unwrap();
        let (n, response) = world.visit(jar, poll).await;
        assert_eq!(n, Some(1));
        assert!(no_cookie(&response), "{kind:?}");
        let write = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        let (_, response) = world.visit(jar, write).await;
        assert!(failure(&response).is_none(), "{kind:?}");
        assert_eq!(world.visit(jar, poll).await.0, Some(2), "{kind:?}");
    }
}

/// The list is sealed with the key of the cookie: the older key may be dropped once no cookie uses
/// it.
#[tokio::test]
async fn a_list_is_resealed_with_a_cookie_of_a_poll() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let (ring, bytes) = (keys(), b"another key, of 32 bytes or more");
        let world = kind.with_keys(ring.clone());
        let jar = &mut world.logged_in("ada", "phone").await;
        ring.rotate(Key::from_bytes(bytes).unwrap()).unwrap();
        world.clock.advance(MINUTE);
        let write = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        world.visit(jar, write).await;
        let later = world.beside(Keys::new(Key::from_bytes(bytes).unwrap()));
        assert!(later.is_alive(jar).await, "{kind:?}");
        assert_eq!(later.notes("ada").await, ["phone"], "{kind:?}");
        assert_eq!(later.destroy_all("ada").await, 1, "{kind:?}");
        assert!(!later.is_alive(jar).await, "{kind:?}");
    }
}

/// The list of a subject's sessions shows the last use.
#[tokio::test]
async fn a_poll_is_not_use_in_the_list() {
    for kind in Kind::WITH_SUBJECTS {
        let world = world(kind);
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.set(at(900));
        world.visit(jar, poll).await;
        let listed = world.subjects().list("ada").await.unwrap();
        assert_eq!(listed[0].last_used(), START, "{kind:?}");
        world.get::<u32>(jar, "n").await;
        let listed = world.subjects().list("ada").await.unwrap();
        assert_eq!(listed[0].last_used(), at(900), "{kind:?}");
    }
}
