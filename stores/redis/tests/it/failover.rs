//! Another server takes over.

use std::time::Duration;

use silverback::store::{Read, Store};
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Sentinel};

use crate::support::{SESSION, create, data, key, try_create};

/// Asks until the store answers again.
async fn recovered(store: &RedisStore, number: u8) {
    while try_create(store, number).await.is_err() {
        let _ = store.delete(&key(number), None).await;
    }
}

#[tokio::test]
async fn sentinels_lead_to_the_next_master() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let connected = RedisStore::connect_sentinel(sentinel.urls(), Sentinel::NAME).await;
    let store = connected.unwrap();
    let confirmed = store.clone().wait_replicas(1, Duration::from_secs(1));
    for number in 0..20 {
        create(&confirmed, number).await;
    }
    sentinel.master().kill();
    recovered(&store, 100).await;
    for number in 0..20 {
        assert_eq!(data(&store, number).await.unwrap(), SESSION, "{number}");
    }
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_left() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let url = format!("redis://{}/0", Sentinel::NAME);
    let store = RedisStore::connect_sentinel(sentinel.urls(), &url)
        .await
        .unwrap();
    create(&store, 1).await;
    let before = sentinel.master();
    let told = sentinel.sentinels()[0].ask(&["SENTINEL", "FAILOVER", Sentinel::NAME]);
    assert_eq!(told.text(), "OK");
    while sentinel.master().port() == before.port() {
        tokio::task::yield_now().await;
    }
    recovered(&store, 2).await;
    assert!(before.is_running());
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
}

#[tokio::test]
async fn a_cluster_goes_on_without_a_master() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = RedisStore::connect_cluster(cluster.urls()).await.unwrap();
    assert!(
        store.limits().may_repeat,
        "its client sends again what has no answer"
    );
    let confirmed = store.clone().wait_replicas(1, Duration::from_secs(1));
    for number in 0..60 {
        create(&confirmed, number).await;
    }
    cluster.masters()[0].kill();
    for number in 100..160 {
        recovered(&store, number).await;
    }
    let keys: Vec<_> = (0..60).map(key).collect();
    let loaded = store.load_many(&keys, Read::Current).await;
    for (number, loaded) in loaded.into_iter().enumerate() {
        assert!(loaded.unwrap().is_some(), "{number}");
    }
}
