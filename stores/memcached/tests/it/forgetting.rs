//! What the server forgets, and what becomes of a session then.

use axum::{Router, extract::State, routing::get};
use silverback::{
    ConfigError, CookieStore, Error, ErrorKind, Keys, Session, SessionConfig, SessionLayer,
    store::{Bytes, Read, Store as _, StoreError},
    testing::Browser,
};
use silverback_test_servers::Memcached;

use crate::{
    connect, create, data, day, key,
    site::{Visitor, add, app, count, ok, visitor},
};

#[tokio::test]
async fn a_full_server_forgets_sessions_and_never_serves_another() {
    let Some(server) = Memcached::start_with(&["-m", "1", "-I", "512k"]) else {
        return;
    };
    let store = connect(&server).await;
    let visitor = visitor(store.clone());
    ok(&visitor, "/add").await;
    // memcached makes room among items of about one size.
    let large = |number: u32| Bytes::from(vec![number as u8; 9_000]);
    let version = store.create(&key(0), large(0), day()).await.unwrap();
    for number in 1..400 {
        store
            .create(&key(number), large(number), day())
            .await
            .unwrap();
    }
    assert_eq!(data(&store, 0).await, None, "the oldest is forgotten");
    let late = store.update(&key(0), version, large(0), day()).await;
    assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
    let late = store.touch(&key(0), version, day()).await;
    assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
    store.delete(&key(0), Some(version)).await.unwrap();
    let mut there = 0;
    for number in 1..400 {
        if let Some(found) = data(&store, number).await {
            assert_eq!(found, large(number));
            there += 1;
        }
    }
    assert!((1..399).contains(&there), "{there}");
    // Whether the visitor's session was among them or not.
    ok(&visitor, "/add").await;
    ok(&visitor, "/add").await;
}

#[tokio::test]
async fn a_server_that_does_not_evict_refuses() {
    let Some(server) = Memcached::start_with(&["-m", "1", "-I", "512k", "-M"]) else {
        return;
    };
    let store = connect(&server).await;
    assert!(store.limits().may_forget, "a restart forgets all the same");
    for number in 0.. {
        let data = Bytes::from(vec![1; 500]);
        match store.create(&key(number), data, day()).await {
            Ok(_) => assert!(number < 10_000, "it is never full"),
            Err(error) => {
                assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
                break;
            }
        }
    }
    // The server has dropped the old record before it finds no room for the new one.
    let loaded = store.load(&key(0), Read::Current).await.unwrap();
    let new = Bytes::from(vec![2; 500]);
    let version = loaded.unwrap().version();
    let update = store.update(&key(0), version, new, day()).await;
    assert!(matches!(update, Err(StoreError::Refused(_))), "{update:?}");
    assert_eq!(data(&store, 0).await, None);
    // What makes room is taken.
    store.delete(&key(1), None).await.unwrap();
    create(&store, 0).await;
}

/// Loads the session, and has the server forget everything before it is saved.
async fn flushed(State(port): State<u16>, session: Session) -> Result<String, Error> {
    use std::io::{Read as _, Write as _};

    session.load().await?;
    let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.write_all(b"flush_all\r\n").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    add(session).await
}

#[tokio::test]
async fn a_flush_between_load_and_save_is_a_conflict() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let config = SessionConfig::new("session", connect(&server).await, Keys::generate().unwrap());
    let app = Router::new()
        .route("/flushed", get(flushed))
        .with_state(server.port())
        .route("/add", get(add))
        .layer(SessionLayer::new(config));
    let visitor = Browser::new(app);
    assert_eq!(visitor.get("/add").await.text(), "1");
    assert_eq!(visitor.get("/add").await.text(), "2");
    assert_eq!(visitor.get("/flushed").await.status(), 409);
    assert_eq!(visitor.get("/add").await.text(), "1");
    assert_eq!(visitor.get("/add").await.text(), "2");
}

/// The record of an ended session is away whether its mark is kept or forgotten.
#[tokio::test]
async fn a_session_that_was_logged_out_stays_so_when_everything_is_forgotten() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let visitor = visitor(connect(&server).await);
    ok(&visitor, "/add").await;
    ok(&visitor, "/renew").await;
    let stolen = visitor.jar(|jar| jar.clone());
    ok(&visitor, "/logout").await;
    let thief = visitor.another();
    thief.jar(|jar| *jar = stolen);
    assert_eq!(count(&thief).await, 0);
    server.flush();
    assert_eq!(count(&thief).await, 0);
}

#[tokio::test]
async fn what_rests_on_memory_is_refused_unless_it_is_allowed() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let keys = Keys::generate().unwrap();
    let revoking = || CookieStore::new().revocation(store.clone());
    let refused = SessionConfig::new("session", revoking(), keys.clone());
    let refused = SessionLayer::try_new(refused);
    assert!(matches!(refused, Err(ConfigError::ForgetfulStore(_))));
    let allowed = SessionConfig::new("session", revoking(), keys.clone());
    assert!(SessionLayer::try_new(allowed.allow_forgetful_stores()).is_ok());

    let config = || SessionConfig::new("session", store.clone(), keys.clone());
    let page = Visitor::new(app(config())).get("/login").await;
    assert_eq!(
        page.error().map(Error::kind),
        Some(ErrorKind::ForgetfulStore)
    );
    ok(
        &Visitor::new(app(config().allow_forgetful_stores())),
        "/login",
    )
    .await;
}
