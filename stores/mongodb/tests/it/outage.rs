//! A server that is away, starts anew, or does not answer.

use std::{collections::BTreeMap, time::Duration};

use silverback::store::{Read, Store as _, StoreError};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{Proxy, SecantusDb};
use tokio::task::JoinSet;

use crate::{
    connect, create, data, key, server,
    site::{Visitor, count, ok, visitor, visitor_within},
    through,
};

/// Adds to one session from several tasks, and counts the answers.
async fn add(visitor: &Visitor, answers: &mut BTreeMap<u16, u64>, strike: impl FnOnce()) {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let visitor = visitor.clone();
        tasks.spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..10 {
                statuses.push(visitor.get("/add").await.status().as_u16());
            }
            statuses
        });
    }
    strike();
    for status in tasks.join_all().await.concat() {
        *answers.entry(status).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kills_in_mid_run() {
    let Some(server) = SecantusDb::start() else {
        return;
    };
    let visitor = visitor(connect(&server, "shop").await);
    ok(&visitor, "/add").await;
    let mut answers = BTreeMap::from([(200, 1)]);
    for _ in 0..2 {
        add(&visitor, &mut answers, || {
            server.kill();
            server.restart();
        })
        .await;
    }
    println!("{answers:?}");
    assert!(answers.keys().all(|status| matches!(status, 200 | 503)));
    let (kept, failed) = (count(&visitor).await, answers.get(&503).unwrap_or(&0));
    let acknowledged = answers[&200];
    // Of what failed nobody knows whether it was done.
    assert!(
        (acknowledged..=acknowledged + failed).contains(&kept),
        "{kept}"
    );
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let patient = through(&proxy, "silence").await;
    create(&patient, 1).await;
    let store = patient.clone().timeout(Duration::from_millis(50));
    let visitor = visitor_within(store.clone(), Duration::from_secs(1));
    proxy.silence();
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
    let many = store.load_many(&[key(1), key(2)], Read::Current).await;
    let all_failed = |result| matches!(result, &Err(StoreError::Unavailable(_)));
    assert!(many.len() == 2 && many.iter().all(all_failed), "{many:?}");
    for path in ["/add", "/login"] {
        assert_eq!(visitor.get(path).await.status(), 503, "{path}");
    }
    assert_eq!(visitor.get("/free").await.text(), "free");
    proxy.speak();
    assert!(data(&patient, 1).await.is_some());
}

#[tokio::test]
async fn a_login_that_an_outage_has_stopped_succeeds_after_it() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let store = through(&proxy, "login").await;
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
    let visitor = visitor(through(&proxy, "idle").await);
    ok(&visitor, "/add").await;
    for expected in 1..=3 {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let Some(server) = SecantusDb::start() else {
        return;
    };
    let store = connect(&server, "shop").await;
    create(&store, 1).await;
    server.kill();
    let soon = store.clone().timeout(Duration::from_millis(30));
    let loaded = soon.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
    let waiting = tokio::spawn(async move { data(&store, 1).await });
    server.restart();
    assert!(waiting.await.unwrap().is_some());
    server.kill();
    let refused = MongoStore::connect(&server.url("shop")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}
