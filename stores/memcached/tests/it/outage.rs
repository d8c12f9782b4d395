//! A server that is gone, restarts, or does not answer.

use std::time::Duration;

use silverback::store::{Store as _, StoreError};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::{
    Memcached, Proxy,
    kit::{
        Adding, Answers, a_server_that_is_away_is_waited_for, create, data, is_unavailable, key,
        ok, silence_is_an_error, visitor,
    },
};

use crate::{connect, day, through};

#[tokio::test]
async fn a_server_that_was_started_anew_has_forgotten_and_is_used() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let visitor = visitor(store.clone());
    let version = create(&store, 1, day()).await;
    for round in 0..3 {
        ok(&visitor, "/add").await;
        ok(&visitor, "/add").await;
        server.kill();
        server.restart();
        assert_eq!(visitor.get("/add").await.text(), "1", "{round}");
    }
    assert_eq!(data(&store, 1).await, None);
    // The server's tokens start at 1 again. The versions of this store do not.
    let again = create(&store, 1, day()).await;
    assert_ne!(again, version);
    let late = store.update(&key(1), version, "late".into(), day()).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let late = store.delete(&key(1), Some(version)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert!(data(&store, 1).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_run_are_no_500_and_bring_nothing_back() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let visitor = visitor(connect(&server).await);
    let mut answers = Answers::default();
    for round in 0..6 {
        let adding = Adding::start(&visitor, 8, 20);
        if round % 2 == 1 {
            server.kill();
            server.restart();
        }
        answers.extend(adding.answers().await);
    }
    println!("{answers:?}");
    answers.are_among(&[200, 409, 503]);
    assert!(answers.of(200) > 0, "{answers:?}");
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let patient = through(proxy.port()).await;
    create(&patient, 1, day()).await;
    let before = proxy.connections();
    let hasty = patient.clone().timeout(Duration::from_millis(50));
    silence_is_an_error(&proxy, hasty, &["/add"]).await;
    assert!(data(&patient, 1).await.is_some());
    // A connection that did not answer is not used again.
    assert!(proxy.connections() > before);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    create(&store, 1, day()).await;
    let hasty = store.clone().timeout(Duration::from_millis(30));
    let found = a_server_that_is_away_is_waited_for(&server, hasty, store).await;
    assert_eq!(found, None);
    server.kill();
    is_unavailable(&MemcachedStore::connect(&server.url()).await.map(drop));
}
