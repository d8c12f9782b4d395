//! The connection is cut after the server has handled a request, at each answer of each visit.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};
use silverback::{
    Clock,
    store::{Read, Store as _},
};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::{
    Proxy,
    kit::{
        Case, DATA, an_idle_connection_may_be_cut, create, data, is_unavailable, key,
        lost_answers_cost_nobody_an_error, no_increment_is_lost,
    },
};

use crate::{FOR_EVER, client, config, day, server, store, table, table::Table, through};

async fn place() -> Option<Table> {
    Some(table::create(client(&server()?.url())).await)
}

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(table) = place().await else {
        return;
    };
    // Connections belong to one client, so no round uses another's.
    let connect = async |port| DynamoDbStore::new(&through(port), &table.name).timeout(FOR_EVER);
    lost_answers_cost_nobody_an_error(&Case::ALL, server().unwrap().port(), connect).await;
}

/// The application's client repeats lost requests, as AWS's clients do by default.
fn repeating(proxy: &Proxy) -> Client {
    let config = config(&format!("http://127.0.0.1:{}", proxy.port()));
    let retries = RetryConfig::standard().with_max_attempts(5);
    Client::from_conf(config.retry_config(retries).build())
}

#[tokio::test]
async fn a_client_that_repeats_its_writes_reports_no_conflict_with_itself() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let (through, direct) = (
        store(&repeating(&proxy), &table.name),
        store(&table.client, &table.name),
    );
    proxy.lose_answer(0);
    let created = through.create(&key(1), DATA.into(), day()).await;
    is_unavailable(&created);
    assert_eq!(data(&direct, 1).await.as_deref(), Some(DATA));

    let version = create(&direct, 2, day()).await;
    proxy.lose_answer(0);
    let updated = through.update(&key(2), version, "new".into(), day()).await;
    is_unavailable(&updated);
    assert_eq!(data(&direct, 2).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(proxy.lost(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let store = store(&through(proxy.port()), &table.name).clock(Clock::system());
    an_idle_connection_may_be_cut(&proxy, store, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(table) = place().await else {
        return;
    };
    let stores = [(); 2].map(|()| {
        let client = client(&server().unwrap().url());
        DynamoDbStore::new(&client, &table.name).timeout(FOR_EVER)
    });
    no_increment_is_lost(stores, 16, 10).await;
}

/// A call that is dropped, as at a request's deadline, leaves a client that works.
#[tokio::test]
async fn a_dropped_call_takes_nobodys_answer() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let store = store(&through(proxy.port()), &table.name);
    create(&store, 1, day()).await;
    let other = store.create(&key(2), "other".into(), day()).await;
    other.unwrap();
    for _ in 0..5 {
        proxy.hold_answers();
        let asked = proxy.requests();
        let first = key(1);
        let mut load = Box::pin(store.load(&first, Read::Current));
        while proxy.requests() == asked {
            let pending = tokio::time::timeout(Duration::ZERO, &mut load).await;
            assert!(pending.is_err(), "{pending:?}");
            tokio::task::yield_now().await;
        }
        drop(load);
        proxy.release_answers();
        assert_eq!(data(&store, 2).await.as_deref(), Some(&b"other"[..]));
    }
}
