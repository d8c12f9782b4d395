//! A server that is gone, restarts, or does not answer.

use std::time::Duration;

use silverback::store::Store as _;
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::{
    DynamoDb, Proxy,
    kit::{
        Adding, Answers, count, create, data, is_unavailable, key, ok, silence_is_an_error, visitor,
    },
};

use crate::{FOR_EVER, client, day, server, table, through};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_run_lose_nothing_that_was_acknowledged() {
    let Some(server) = DynamoDb::start() else {
        return;
    };
    let table = table::create(client(&server.url())).await;
    let store = DynamoDbStore::new(&table.client, &table.name).timeout(FOR_EVER);
    let visitor = visitor(store);
    ok(&visitor, "/add").await;
    let mut answers = Answers::default();
    for round in 0..4 {
        let adding = Adding::start(&visitor, 8, 10);
        if round % 2 == 1 {
            server.kill();
            server.restart();
        }
        answers.extend(adding.answers().await);
    }
    answers.are_among(&[200, 409, 503]);
    answers.are_kept(count(&visitor).await - 1);
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = table::create(client(&server.url())).await;
    let patient = DynamoDbStore::new(&through(proxy.port()), &table.name).timeout(FOR_EVER);
    let version = create(&patient, 1, day()).await;
    let hasty = patient.clone().timeout(Duration::from_millis(50));
    silence_is_an_error(&proxy, hasty.clone(), &["/add"]).await;
    proxy.silence();
    let deletions = [(key(1), Some(version)), (key(2), None)];
    let deleted = hasty.delete_many(&deletions).await;
    assert_eq!(deleted.len(), 2, "{deleted:?}");
    deleted.iter().for_each(is_unavailable);
    proxy.speak();
    assert!(data(&patient, 2).await.is_none());
}

#[tokio::test]
async fn a_login_during_an_outage_is_an_error_and_logs_nobody_in() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = table::create(client(&server.url())).await;
    let store = DynamoDbStore::new(&through(proxy.port()), &table.name).timeout(FOR_EVER);
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
