//! One round trip per call, counted by a proxy.

use silverback::store::{Read, Store};
use silverback_test_servers::{Proxy, Redis};

use crate::support::{SESSION, create, hour, key, through, update};

#[tokio::test]
async fn every_call_is_one_round_trip() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let store = through(&proxy).await;
    // The first calls load the scripts into the server.
    for number in 10..12 {
        let version = create(&store, number).await;
        let version = update(&store, number, version, SESSION).await.unwrap();
        store.touch(&key(number), version, hour()).await.unwrap();
        store.delete(&key(number), Some(version)).await.unwrap();
    }
    let mut before = proxy.requests();
    let mut is_one = |what: &str| {
        let now = proxy.requests();
        assert_eq!(now - before, 1, "{what}");
        before = now;
    };
    let version = create(&store, 1).await;
    is_one("create");
    let version = update(&store, 1, version, SESSION).await.unwrap();
    is_one("update");
    store.touch(&key(1), version, hour()).await.unwrap();
    is_one("touch");
    store.load(&key(1), Read::Current).await.unwrap();
    is_one("load");
    let keys: Vec<_> = (0..100).map(key).collect();
    let loaded = store.load_many(&keys, Read::Current).await;
    assert_eq!(loaded.len(), 100);
    is_one("load_many");
    store.delete(&key(1), Some(version)).await.unwrap();
    is_one("delete at a version");
    store.delete(&key(1), None).await.unwrap();
    is_one("delete");
    let records: Vec<_> = keys.iter().map(|key| (*key, Some(version))).collect();
    assert_eq!(store.delete_many(&records).await.len(), 100);
    is_one("delete_many");
}

#[tokio::test]
async fn calls_about_no_record_ask_nobody() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let store = through(&proxy).await;
    let before = proxy.requests();
    assert!(store.load_many(&[], Read::Current).await.is_empty());
    assert!(store.delete_many(&[]).await.is_empty());
    assert_eq!(proxy.requests(), before);
}
