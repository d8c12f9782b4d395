//! Lost and slow connections, and the application's own.

use std::time::Duration;

use redis::{Client, cluster::ClusterClient};
use silverback::store::{Read, Store, StoreError};
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Proxy, Redis};

use crate::support::{LONG, SESSION, connect, create, data, key, through, try_create, update};

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_cut_connection_is_one_error_at_most() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let store = through(&proxy).await;
    create(&store, 1).await;
    proxy.cut();
    let _ = store.load(&key(1), Read::Current).await;
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
}

#[tokio::test]
async fn a_server_that_is_started_again_is_found() {
    let Some(redis) = Redis::options().durable().start() else {
        return;
    };
    let store = connect(&redis).await;
    create(&store, 1).await;
    redis.kill();
    assert!(is_unavailable(&store.load(&key(1), Read::Current).await));
    redis.restart();
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
}

#[tokio::test]
async fn a_silent_server_is_given_up_on() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let store = through(&proxy).await.timeout(Duration::from_millis(200));
    create(&store, 1).await;
    proxy.silence();
    assert!(is_unavailable(&store.load(&key(1), Read::Current).await));
    let many = store.load_many(&[key(1), key(2)], Read::Current).await;
    assert!(many.iter().all(is_unavailable) && many.len() == 2);
    assert!(is_unavailable(&try_create(&store, 2).await));
    proxy.speak();
    let store = store.timeout(LONG);
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_and_unknown() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let store = through(&proxy).await;
    let version = create(&store, 1).await;
    update(&store, 1, version, SESSION).await.unwrap();
    let version = create(&store, 2).await;
    proxy.lose_answer(0);
    assert!(is_unavailable(
        &update(&store, 2, version, b"\x01new").await
    ));
    assert_eq!(data(&store, 2).await.unwrap(), b"\x01new");
    proxy.lose_answer(0);
    assert!(is_unavailable(&try_create(&store, 3).await));
    assert!(data(&store, 3).await.is_some());
    proxy.lose_answer(0);
    assert!(is_unavailable(&store.delete(&key(3), None).await));
    assert!(data(&store, 3).await.is_none());
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await.timeout(Duration::from_millis(100));
    let url = redis.url();
    redis.kill();
    assert!(is_unavailable(&try_create(&store, 1).await));
    assert!(is_unavailable(&RedisStore::connect(&url).await));
}

#[tokio::test]
async fn the_applications_connection_is_used() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let client = Client::open(format!("redis://127.0.0.1:{}", proxy.port())).unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    let store = RedisStore::from_connection(manager).await.unwrap();
    let version = create(&store, 1).await;
    update(&store, 1, version, b"\x01new").await.unwrap();
    assert_eq!(proxy.connections(), 1);
    proxy.cut();
    let _ = store.load(&key(1), Read::Current).await;
    assert_eq!(data(&store, 1).await.unwrap(), b"\x01new");
}

#[tokio::test]
async fn the_applications_cluster_is_read_at_its_masters() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let client = ClusterClient::builder(cluster.urls())
        .read_routing_strategy(redis::cluster_read_routing::RandomReplicaStrategy)
        .build()
        .unwrap();
    let connection = client.get_async_connection().await.unwrap();
    let store = RedisStore::from_cluster_connection(connection)
        .await
        .unwrap();
    for number in 0..50 {
        let version = create(&store, number).await;
        update(&store, number, version, b"\x01new").await.unwrap();
        assert_eq!(data(&store, number).await.unwrap(), b"\x01new");
    }
    let masters: Vec<_> = cluster.masters().iter().map(|node| node.port()).collect();
    for node in cluster.nodes() {
        let stats = node.ask(&["INFO", "commandstats"]).text();
        let was_read = stats.contains("cmdstat_get:");
        assert_eq!(was_read, masters.contains(&node.port()));
    }
}

#[tokio::test]
async fn a_call_waits_for_a_server_that_starts() {
    let Some(redis) = Redis::options().durable().start() else {
        return;
    };
    let store = connect(&redis).await;
    create(&store, 1).await;
    redis.kill();
    let _ = store.load(&key(1), Read::Current).await;
    let waiting = tokio::spawn(async move { data(&store, 1).await });
    tokio::task::yield_now().await;
    redis.restart();
    assert_eq!(waiting.await.unwrap().unwrap(), SESSION);
}

#[tokio::test]
async fn a_name_that_leads_to_another_master_is_followed() {
    let (Some(old), Some(new)) = (Redis::start(), Redis::start()) else {
        return;
    };
    let proxy = Proxy::to(old.port());
    let store = through(&proxy).await;
    create(&store, 1).await;
    // The old master continues as a replica and does not close its connections.
    let port = new.port().to_string();
    assert_eq!(old.ask(&["REPLICAOF", "127.0.0.1", &port]).text(), "OK");
    proxy.redirect(new.port());
    create(&store, 2).await;
    assert!(data(&connect(&new).await, 2).await.is_some());
}
