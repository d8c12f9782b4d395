//! Writes that replicas confirm.

use std::time::Duration;

use silverback::store::{Store, StoreError};
use silverback_redis::RedisStore;
use silverback_test_servers::{Port, Proxy, Redis, Sentinel};

use crate::support::{
    LONG, MARK, SESSION, connect, create, data, key, through, try_create, update,
};

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn what_no_replica_confirms_is_unavailable() {
    let Some(redis) = Redis::start() else { return };
    let plain = connect(&redis).await;
    let store = plain.clone().wait_replicas(1, SOON);
    let unconfirmed = |result: Result<_, StoreError>| {
        let Err(StoreError::Unavailable(cause)) = result else {
            panic!("{result:?}")
        };
        assert!(cause.to_string().contains("0 of 1 replicas"), "{cause}");
    };
    unconfirmed(try_create(&store, 1).await.map(drop));
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
    let version = create(&plain, 2).await;
    let version = update(&store, 2, version, b"\x01new").await.unwrap();
    unconfirmed(update(&store, 2, version, MARK).await.map(drop));
    unconfirmed(store.delete(&key(1), None).await);
    let many = store.delete_many(&[(key(1), None), (key(2), None)]).await;
    assert_eq!(many.len(), 2);
    many.into_iter().for_each(unconfirmed);
    // A refused write needs no confirmation.
    let version = create(&plain, 3).await;
    let again = try_create(&store, 3).await;
    assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
    store
        .wait_replicas(0, SOON)
        .delete(&key(3), Some(version))
        .await
        .unwrap();
}

/// The write was done, and may be lost or not.
#[tokio::test]
async fn what_a_master_has_written_before_it_became_a_replica_is_unavailable() {
    let Some(redis) = Redis::start() else { return };
    let plain = connect(&redis).await;
    let store = plain.clone().wait_replicas(1, LONG / 2);
    let waiting = tokio::spawn(async move { try_create(&store, 1).await });
    while data(&plain, 1).await.is_none() {
        tokio::task::yield_now().await;
    }
    let nobody = Port::take();
    let _ = redis.ask(&["REPLICAOF", "127.0.0.1", &nobody.number().to_string()]);
    let created = waiting.await.unwrap();
    assert!(
        matches!(created, Err(StoreError::Unavailable(_))),
        "{created:?}"
    );
}

/// The server has done the write and refuses to wait for replicas.
#[tokio::test]
async fn what_cannot_be_confirmed_is_unavailable() {
    let Some(redis) = Redis::start() else { return };
    let _ = redis.ask(&[
        "ACL", "SETUSER", "hasty", "on", "nopass", "~*", "+@all", "-wait",
    ]);
    let url = redis.url().replace("redis://", "redis://hasty:any@");
    let store = RedisStore::connect(&url).await.unwrap();
    let store = store.wait_replicas(1, SOON);
    let created = try_create(&store, 1).await;
    assert!(
        matches!(created, Err(StoreError::Unavailable(_))),
        "{created:?}"
    );
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
}

#[tokio::test]
async fn what_replicas_confirm_takes_no_round_trip_more() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let proxy = Proxy::to(sentinel.nodes()[0].port());
    let store = through(&proxy).await.wait_replicas(1, LONG / 2);
    let version = create(&store, 1).await;
    store.delete(&key(1), Some(version)).await.unwrap();
    let before = proxy.requests();
    let version = create(&store, 2).await;
    store.delete(&key(2), Some(version)).await.unwrap();
    assert_eq!(proxy.requests() - before, 2);
}

#[tokio::test]
async fn other_calls_do_not_wait_for_replicas() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let [master, replica] = sentinel.nodes() else {
        panic!()
    };
    let plain = connect(master).await;
    let version = create(&plain, 1).await;
    let slow = plain.clone().wait_replicas(1, LONG / 2);
    replica.pause();
    let waiting = tokio::spawn({
        let slow = slow.clone();
        async move { try_create(&slow, 2).await }
    });
    while data(&plain, 2).await.is_none() {
        tokio::task::yield_now().await;
    }
    update(&slow, 1, version, b"\x01new").await.unwrap();
    assert_eq!(data(&slow, 1).await.unwrap(), b"\x01new");
    assert!(!waiting.is_finished());
    replica.resume();
    waiting.await.unwrap().unwrap();
}
