//! A server that is away, starts anew, or does not answer.

use std::{collections::BTreeMap, time::Duration};

use silverback::store::{Read, Store as _, StoreError};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::{DynamoDb, Proxy};

use crate::{
    FOR_EVER, add, client, data, key, server,
    site::{count, ok, visitor, visitor_within},
    table::create,
    through,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_run_lose_nothing_that_was_acknowledged() {
    let Some(server) = DynamoDb::start() else {
        return;
    };
    let table = create(client(&server.url())).await;
    let store = DynamoDbStore::new(&table.client, &table.name).timeout(FOR_EVER);
    let visitor = visitor(store);
    ok(&visitor, "/add").await;
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    for round in 0..4 {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let visitor = visitor.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for _ in 0..10 {
                        seen.push(visitor.get("/add").await.status().as_u16());
                    }
                    seen
                })
            })
            .collect();
        if round % 2 == 1 {
            server.kill();
            server.restart();
        }
        for task in tasks {
            for status in task.await.unwrap() {
                *answers.entry(status).or_default() += 1;
            }
        }
    }
    let kept = count(&visitor).await - 1;
    println!("{answers:?}, and {kept} are kept");
    let mut statuses = answers.keys();
    assert!(
        statuses.all(|status| matches!(status, 200 | 409 | 503)),
        "{answers:?}"
    );
    assert!(
        (answers[&200]..=320).contains(&kept),
        "{answers:?}, {kept} are kept"
    );
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = create(client(&server.url())).await;
    let patient = DynamoDbStore::new(&through(&proxy), &table.name).timeout(FOR_EVER);
    let version = add(&patient, 1).await;
    let store = patient.clone().timeout(Duration::from_millis(50));
    let visitor = visitor_within(store.clone(), Duration::from_secs(1));
    proxy.silence();
    let loaded = store.load(&key(1), Read::Current).await;
    let is_unavailable = |error: &_| matches!(error, StoreError::Unavailable(_));
    assert!(loaded.as_ref().is_err_and(is_unavailable), "{loaded:?}");
    let many = store.load_many(&[key(1), key(2)], Read::Current).await;
    let mut failed = many
        .iter()
        .map(|loaded| loaded.as_ref().is_err_and(is_unavailable));
    assert!(many.len() == 2 && failed.all(|failed| failed), "{many:?}");
    let deleted = store
        .delete_many(&[(key(1), Some(version)), (key(2), None)])
        .await;
    let mut failed = deleted
        .iter()
        .map(|it| it.as_ref().is_err_and(is_unavailable));
    assert!(
        deleted.len() == 2 && failed.all(|failed| failed),
        "{deleted:?}"
    );
    assert_eq!(visitor.get("/add").await.status(), 503);
    assert_eq!(visitor.get("/free").await.text(), "free");
    proxy.speak();
    assert!(data(&patient, 2).await.is_none());
}

#[tokio::test]
async fn a_login_during_an_outage_is_an_error_and_logs_nobody_in() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = create(client(&server.url())).await;
    let store = DynamoDbStore::new(&through(&proxy), &table.name).timeout(FOR_EVER);
    let visitor = visitor(store);
    ok(&visitor, "/add").await;
    let cookie = || visitor.jar(|jar| jar.get("__Host-session").map(str::to_owned));
    let before = cookie();
    proxy.refuse();
    for path in ["/login", "/renew", "/add", "/n", "/logout"] {
        assert_eq!(visitor.get(path).await.status(), 503, "{path}");
    }
    assert_eq!(visitor.get("/free").await.text(), "free");
    assert!(before.is_some() && cookie() == before);
    proxy.accept();
    assert_eq!(count(&visitor).await, 1);
    ok(&visitor, "/login").await;
    ok(&visitor, "/logout").await;
    assert_eq!(count(&visitor).await, 0);
}
