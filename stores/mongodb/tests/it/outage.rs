//! A server that is gone, restarts, or does not answer.

use std::{error::Error as _, time::Duration};

use silverback::store::{
    Browse as _, Bytes, Cursor, Read, Store as _, StoreError, Sweep as _, Version,
};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{
    Proxy, SecantusDb,
    kit::{
        Adding, Answers, DATA, a_server_that_is_away_is_waited_for, an_idle_connection_may_be_cut,
        count, create, data, is_unavailable, key, ok, silence_is_an_error, visitor, visitor_within,
    },
};

use tokio::task::JoinSet;

use crate::{connect, day, server, through};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kills_in_mid_run() {
    let Some(server) = SecantusDb::start() else {
        return;
    };
    let visitor = visitor(connect(&server, "shop").await);
    ok(&visitor, "/add").await;
    let mut answers = Answers::default();
    for _ in 0..2 {
        let adding = Adding::start(&visitor, 4, 10);
        server.kill();
        server.restart();
        answers.extend(adding.answers().await);
    }
    answers.are_among(&[200, 503]);
    answers.are_kept(count(&visitor).await - 1);
}

/// Checks that the store itself has given up. The client would do so too, but later.
fn is_late(error: &StoreError) -> bool {
    let cause = error.source().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    let says_so = cause.contains("did not answer within 50ms") || cause.contains("was not sent");
    matches!(error, StoreError::Unavailable(_)) && says_so
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let patient = through(proxy.port(), "silence").await;
    create(&patient, 1, day()).await;
    let store = patient.clone().timeout(Duration::from_millis(50));
    silence_is_an_error(&proxy, store.clone(), &["/add", "/login"]).await;
    proxy.silence();
    assert!(is_late(
        &store.load(&key(1), Read::Current).await.unwrap_err()
    ));
    let many = store.load_many(&[key(1), key(2)], Read::Current).await;
    let all_late = many.iter().all(|one| is_late(one.as_ref().unwrap_err()));
    assert!(many.len() == 2 && all_late, "{many:?}");
    let (stale, bytes) = (Version::from_u64(7), || Bytes::from_static(DATA));
    for written in [
        store.create(&key(2), bytes(), day()).await.map(drop),
        store.update(&key(3), stale, bytes(), day()).await.map(drop),
        store.touch(&key(3), stale, day()).await.map(drop),
        store.delete(&key(3), Some(stale)).await,
        store.delete_many(&[(key(3), None)]).await.remove(0),
    ] {
        assert!(is_late(&written.unwrap_err()));
    }
    let browsed = store.browse(&Cursor::default(), 9).await;
    assert!(is_late(&browsed.unwrap_err()));
    let swept = store.sweep().await;
    assert!(swept.failed() == 1 && !swept.is_finished(), "{swept:?}");
    assert!(is_late(swept.error().unwrap()));
    let index = store.removes_expired().await;
    assert!(is_late(&index.unwrap_err()));
    proxy.speak();
    assert!(data(&patient, 1).await.is_some());
}

/// A command that has begun is sent after the silence, and no other: each connection has one.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    const CONNECTIONS: usize = 10;
    const CALLS: u32 = 200;
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let patient = through(proxy.port(), "late").await;
    let hasty = patient.clone().timeout(Duration::from_millis(200));
    proxy.silence();
    let mut running = JoinSet::new();
    for number in 0..CALLS {
        let store = hasty.clone();
        running.spawn(async move {
            let data = Bytes::from_static(DATA);
            store.create(&key(number), data, day()).await
        });
    }
    running.join_all().await.iter().for_each(is_unavailable);
    proxy.speak();
    // This is done after all that has begun.
    create(&patient, CALLS, day()).await;
    let keys: Vec<_> = (0..CALLS).map(key).collect();
    let found = patient.load_many(&keys, Read::Current).await;
    let done = found.iter().filter(|it| matches!(it, Ok(Some(_)))).count();
    assert!(done <= CONNECTIONS, "{done} of {CALLS} were done");
}

#[tokio::test]
async fn a_login_that_an_outage_has_stopped_succeeds_after_it() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let store = through(proxy.port(), "login").await;
    let visitor = visitor(store.clone());
    ok(&visitor, "/add").await;
    let hasty = visitor_within(
        store.timeout(Duration::from_millis(50)),
        Duration::from_secs(1),
    );
    proxy.refuse();
    assert_eq!(hasty.get("/login").await.status(), 503);
    proxy.accept();
    for path in ["/login", "/add", "/logout"] {
        ok(&visitor, path).await;
    }
    assert_eq!(count(&visitor).await, 0);
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    an_idle_connection_may_be_cut(&proxy, through(proxy.port(), "idle").await, 3).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let Some(server) = SecantusDb::start() else {
        return;
    };
    let store = connect(&server, "shop").await;
    create(&store, 1, day()).await;
    let hasty = store.clone().timeout(Duration::from_millis(30));
    let found = a_server_that_is_away_is_waited_for(&server, hasty, store).await;
    assert!(found.is_some());
    server.kill();
    is_unavailable(&MongoStore::connect(&server.url("shop")).await.map(drop));
}
