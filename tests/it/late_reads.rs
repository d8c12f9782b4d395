//! A browser's slow request only reads. Its response arrives after that of a faster request.

use http::StatusCode;
use silverback::{ErrorKind, Key, Keys, Session};

use crate::support::{DAY, HOUR, Jar, Kind, SECOND, Stores, World, failure, no_cookie};

/// Why the slow request would set the cookie again.
#[derive(Clone, Copy, Debug)]
enum Due {
    MaxAge,
    Rotation,
}

/// What the faster request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fast {
    Renew,
    LogOutAndIn,
    LogOut,
}

impl Due {
    fn world(self, kind: Kind, keys: Keys) -> World {
        let stores = Stores::new();
        let config = kind.config(&stores, keys);
        let config = match self {
            Self::MaxAge => config
                .max_age(HOUR)
                .idle_timeout(HOUR)
                .absolute_timeout(14 * DAY),
            Self::Rotation => config,
        };
        World::new(kind, stores, config)
    }

    fn happen(self, world: &World, keys: &Keys) {
        match self {
            Self::MaxAge => world.clock.advance(2_000 * SECOND),
            Self::Rotation => keys.rotate(Key::generate().unwrap()).unwrap(),
        }
    }
}

impl Fast {
    async fn run(self, session: Session) {
        session.load().await.unwrap();
        if self == Self::Renew {
            session.renew();
        } else {
            session.destroy().await.unwrap();
        }
        if self != Self::LogOut {
            session.insert("login", 1).unwrap();
        }
    }
}

#[tokio::test]
async fn it_plants_no_dead_session() {
    for kind in Kind::ENDED_BY_SERVER {
        for due in [Due::MaxAge, Due::Rotation] {
            for fast in [Fast::Renew, Fast::LogOutAndIn, Fast::LogOut] {
                let keys = Keys::generate().unwrap();
                let world = due.world(kind, keys.clone());
                let mut browser = world.grown().await;
                due.happen(&world, &keys);
                let late = &mut browser.clone();
                let slow = async |session: Session| {
                    session.load().await.unwrap();
                    assert!(session.contains_key("cart").unwrap());
                    world.visit(&mut browser, |session| fast.run(session)).await;
                };
                let (_, response) = world.visit(late, slow).await;
                let what = format!("{kind:?}, {due:?}, {fast:?}");
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                assert!(no_cookie(&response), "{what}");
                let expected = (fast != Fast::LogOut).then_some(1);
                assert_eq!(world.get(&mut browser, "login").await, expected, "{what}");
            }
        }
    }
}

/// If nothing happens in between, the slow request does set the cookie.
#[tokio::test]
async fn it_refreshes_a_session_that_lives() {
    for kind in Kind::ENDED_BY_SERVER {
        for due in [Due::MaxAge, Due::Rotation] {
            let keys = Keys::generate().unwrap();
            let world = due.world(kind, keys.clone());
            let mut browser = world.grown().await;
            due.happen(&world, &keys);
            let old = browser.value("s").to_owned();
            let read = async |session: Session| {
                session.load().await.unwrap();
                assert!(session.contains_key("cart").unwrap());
            };
            world.visit(&mut browser, read).await;
            assert_ne!(browser.value("s"), old, "{kind:?}, {due:?}");
        }
    }
}

/// Without a store, only the browser knows of the newer state.
#[tokio::test]
async fn in_a_cookie_alone_it_leaves_the_newer_state_for_half_the_time() {
    for (seconds, is_refreshed) in [(1_799, false), (1_800, true)] {
        let world = Kind::Cookie.with(|config| config.idle_timeout(HOUR));
        let mut jar = Jar::default();
        world.put(&mut jar, "n", 1).await;
        world.clock.advance(seconds * SECOND);
        let read = async |session: Session| session.get::<u32>("n").unwrap();
        let (_, response) = world.visit(&mut jar, read).await;
        assert_eq!(!no_cookie(&response), is_refreshed, "{seconds} s");
    }
}

/// The session is locked out with its key, whatever the request does.
#[tokio::test]
async fn a_key_revoked_in_mid_request_brings_no_cookie() {
    const ALL: [Kind; 7] = [
        Kind::Cookie,
        Kind::Revocable,
        Kind::RemoteRevocable,
        Kind::Overflow,
        Kind::RevocableOverflow,
        Kind::Memory,
        Kind::Remote,
    ];
    for kind in ALL {
        for act in ["read", "write", "renew", "destroy"] {
            let keys = Keys::generate().unwrap();
            let world = kind.with_keys(keys.clone());
            let jar = world.grown().await;
            world.clock.advance(13 * HOUR);
            let stolen = keys.list()[0].0;
            let request = async |session: Session| {
                session.load().await.unwrap();
                assert!(session.contains_key("cart").unwrap());
                keys.rotate(Key::generate().unwrap()).unwrap();
                keys.revoke(stolen).unwrap();
                match act {
                    "write" => session.insert("more", 1).unwrap(),
                    "renew" => session.renew(),
                    "destroy" => session.destroy().await.unwrap(),
                    // The response does not restart the idle timeout.
                    _ => {
                        let end = world.clock.now().saturating_add(11 * HOUR);
                        assert_eq!(session.expires_at().unwrap(), Some(end), "{kind:?}");
                    }
                }
            };
            let browser = &mut jar.clone();
            let (_, response) = world.visit(browser, request).await;
            let what = format!("{kind:?}, {act}");
            let expected = match act {
                "write" | "renew" => Some(ErrorKind::Gone),
                _ => None,
            };
            assert_eq!(failure(&response), expected, "{what}");
            assert_eq!(browser.0.is_empty(), act == "destroy", "{what}");
            assert!(act == "destroy" || no_cookie(&response), "{what}");
            let records = world.records().sessions().await;
            assert!(act != "destroy" || records == 0, "{what}");
        }
    }
}

/// A session that expires during its request is as dead as any other. For a session in a cookie, a
/// refresh would revive it, and a removal could hit a newer login.
#[tokio::test]
async fn one_that_expires_in_mid_request_gets_no_cookie() {
    for kind in [Kind::Cookie, Kind::Overflow]
        .into_iter()
        .chain(Kind::ENDED_BY_SERVER)
    {
        for act in ["read", "write", "renew", "persist", "save"] {
            let world = kind.with(|config| config.max_age(HOUR).absolute_timeout(2 * HOUR));
            for late in [1_799, 1_800, 10_000] {
                let jar = world.grown().await;
                world.clock.advance(1_800 * SECOND);
                let request = async |session: Session| {
                    session.load().await.unwrap();
                    assert!(session.contains_key("cart").unwrap());
                    world.clock.advance(late * SECOND);
                    match act {
                        "write" => session.insert("more", 1).unwrap(),
                        "renew" => session.renew(),
                        "persist" => session.persist_for(DAY),
                        "save" => {
                            session.insert("more", 1).unwrap();
                            let saved = session.save().await.map_err(|error| error.kind());
                            assert_eq!(saved.is_err(), late >= 1_800);
                        }
                        _ => {}
                    }
                };
                let (_, response) = world.visit(&mut jar.clone(), request).await;
                let what = format!("{kind:?}, {act}, {late} s");
                let is_over = late >= 1_800;
                let expected = (is_over && act != "read").then_some(ErrorKind::Gone);
                assert_eq!(failure(&response), expected, "{what}");
                assert!(!is_over || no_cookie(&response), "{what}");
            }
        }
    }
}
