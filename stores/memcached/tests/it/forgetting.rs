//! Records that the server forgets, and what becomes of their sessions.

use std::sync::Arc;

use silverback::{
    ConfigError, CookieStore, Error, ErrorKind, Keys, SessionConfig, SessionLayer,
    store::{Bytes, Read, Store as _, StoreError},
};
use silverback_test_servers::{
    Memcached,
    kit::{self, count, create, data, key, ok, visitor, visitor_with},
};

use crate::{connect, day};

#[tokio::test]
async fn a_full_server_forgets_sessions_and_never_serves_another() {
    let Some(server) = Memcached::start_with(&["-m", "1", "-I", "512k"]) else {
        return;
    };
    let store = connect(&server).await;
    let visitor = visitor(store.clone());
    ok(&visitor, "/add").await;
    // memcached evicts items of about the same size.
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
    // Whether or not the visitor's session was evicted.
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
    // The server drops the old record before it finds no room for the new one.
    let loaded = store.load(&key(0), Read::Current).await.unwrap();
    let new = Bytes::from(vec![2; 500]);
    let version = loaded.unwrap().version();
    let update = store.update(&key(0), version, new, day()).await;
    assert!(matches!(update, Err(StoreError::Refused(_))), "{update:?}");
    assert_eq!(data(&store, 0).await, None);
    // Writes that free memory are accepted.
    store.delete(&key(1), None).await.unwrap();
    create(&store, 0, day()).await;
}

#[tokio::test]
async fn a_flush_between_load_and_save_is_a_conflict() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let (store, server) = (connect(&server).await, Arc::new(server));
    kit::a_flush_between_load_and_save_is_a_conflict(store, move || server.flush()).await;
}

/// The record of an ended session is gone, whether its mark is kept or forgotten.
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

    let page = visitor(store.clone()).get("/login").await;
    assert_eq!(
        page.error().map(Error::kind),
        Some(ErrorKind::ForgetfulStore)
    );
    let allowed = visitor_with([store], SessionConfig::allow_forgetful_stores);
    ok(&allowed, "/login").await;
}
