//! The first accessor is the first use of a session. Loading is not use.

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, header};
use silverback::{Flashes, Key, Keys, Session, SessionConfig, SessionData, SessionLayer, Typed};
use tower::ServiceExt;

use crate::support::{
    HOUR, Jar, Kind, keys, no_cookie,
    scripted::{Load, Scripted, Touch},
    sessions,
};

const KINDS: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

fn varies<B>(response: &Response<B>) -> bool {
    response.headers().contains_key(header::VARY)
}

#[tokio::test]
async fn asking_for_the_claimed_key_is_not_use() {
    let claim = async |session: Session| {
        assert!(!session.is_used());
        (session.has_cookie(), session.claimed_key())
    };
    for kind in KINDS {
        let stores = crate::support::Stores::new();
        let config = kind.config(&stores, Keys::generate().unwrap());
        let world = crate::support::World::new(kind, stores, config);
        let jar = &mut Jar::default();
        let (claimed, _) = world.visit(jar, claim).await;
        assert_eq!(claimed, (false, None), "{kind:?}");
        world.put(jar, "n", "x".repeat(600)).await;
        world.records().take_log();
        let (claimed, response) = world.visit(jar, claim).await;
        assert!(no_cookie(&response) && !varies(&response), "{kind:?}");
        assert!(world.records().take_log().is_empty(), "{kind:?}");
        let load = async |session: Session| {
            session.load().await.unwrap();
            assert!(!session.is_used());
            let key = session.record_key();
            assert!(session.is_used());
            key
        };
        let (key, _) = world.visit(jar, load).await;
        assert_eq!(claimed, (true, key), "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_that_was_only_loaded_is_not_used() {
    for kind in KINDS {
        // Its cookie is due for three reasons: half of the idle timeout, `Max-Age`, and a new key.
        let ring = Keys::generate().unwrap();
        let stores = crate::support::Stores::new();
        let config = kind.config(&stores, ring.clone());
        let config = config.max_age(30 * 24 * HOUR).idle_timeout(24 * HOUR);
        let world = crate::support::World::new(kind, stores, config);
        let jar = &mut Jar::default();
        world.put(jar, "n", "x".repeat(600)).await;
        ring.rotate(Key::generate().unwrap()).unwrap();
        world.clock.advance(18 * HOUR);
        world.records().take_log();
        let load = async |session: Session| session.load().await.unwrap();
        let fetch = async |session: Session| drop(sessions(&session).get("s").await.unwrap());
        let save = async |session: Session| {
            session.load().await.unwrap();
            session.save().await.unwrap();
        };
        for response in [
            world.visit(jar, load).await.1,
            world.visit(jar, fetch).await.1,
            world.visit(jar, save).await.1,
        ] {
            assert!(no_cookie(&response) && !varies(&response), "{kind:?}");
        }
        assert!(!world.records().take_log().contains(&Touch), "{kind:?}");
        let use_it = async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap();
        };
        let (_, response) = world.visit(&mut jar.clone(), use_it).await;
        assert!(!no_cookie(&response) && varies(&response), "{kind:?}");
        // The earlier visits have not put off its end. The last one has (for a cookie, in the other
        // jar).
        world.clock.advance(7 * HOUR);
        let in_store = !matches!(kind, Kind::Cookie | Kind::Revocable | Kind::RemoteRevocable);
        let n = world.get::<String>(jar, "n").await;
        assert_eq!(n.is_some(), in_store, "{kind:?}");
    }
}

#[tokio::test]
async fn loading_alone_puts_off_no_end() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", "x".repeat(600)).await;
        for _ in 0..3 {
            world.clock.advance(9 * HOUR);
            let load = async |session: Session| session.load().await.unwrap();
            world.visit(jar, load).await;
        }
        assert_eq!(world.get::<String>(jar, "n").await, None, "{kind:?}");
    }
}

#[tokio::test]
async fn accessors_and_wishes_are_use() {
    type Ask = fn(&Session);
    let asks: [(&str, Ask); 8] = [
        ("get", |session| drop(session.get::<u8>("n"))),
        ("is_new", |session| drop(session.is_new())),
        ("record_key", |session| {
            assert!(session.record_key().is_none())
        }),
        ("rejection", |session| {
            assert!(session.rejection().is_none())
        }),
        ("flashes", |session| drop(session.flashes::<u8>())),
        ("insert", |session| drop(session.insert("n", 1))),
        ("renew", |session| session.renew()),
        ("persist_for", |session| session.persist_for(HOUR)),
    ];
    for (kind, (name, ask)) in KINDS
        .into_iter()
        .flat_map(|kind| asks.map(|ask| (kind, ask)))
    {
        let world = kind.world();
        let use_it = async |session: Session| {
            session.load().await.unwrap();
            ask(&session);
        };
        let (_, response) = world.visit(&mut Jar::default(), use_it).await;
        assert!(varies(&response), "{kind:?} {name}");
    }
    for kind in KINDS {
        let destroy = async |session: Session| session.destroy().await.unwrap();
        let (_, response) = kind.world().visit(&mut Jar::default(), destroy).await;
        assert!(varies(&response), "{kind:?}");
    }
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    world.fail(Load);
    let fail = async |session: Session| drop(session.destroy().await.unwrap_err());
    let (_, response) = world.visit(jar, fail).await;
    assert!(varies(&response));
}

#[derive(Default, serde::Deserialize, serde::Serialize)]
struct Visits(u32);

impl SessionData for Visits {
    const KEY: &'static str = "visits";
}

#[tokio::test]
async fn an_extractor_is_not_use_but_option_asks() {
    let stores = [
        SessionConfig::cookie("s", keys()),
        SessionConfig::new("s", Scripted::default(), keys()),
    ];
    for config in stores {
        let app = Router::new()
            .route("/session", get(async |_: Session| ()))
            .route("/typed", get(async |_: Typed<Visits>| ()))
            .route("/flashes", get(async |_: Flashes| ()))
            .route("/option", get(async |_: Option<Session>| ()))
            .layer(SessionLayer::new(config));
        for (path, expected) in [
            ("/session", false),
            ("/typed", false),
            ("/flashes", false),
            ("/option", true),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(varies(&response), expected, "{path}");
        }
    }
}
