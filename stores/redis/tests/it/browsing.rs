//! Operators list the records.

use std::collections::HashMap;

use silverback::store::{Browse, Cursor, Listed, RecordKind, Store, StoreError};
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Redis};

use crate::support::{MARK, SESSION, connect, create, hour, key, update};

async fn all(store: &RedisStore, limit: usize) -> HashMap<[u8; 32], Listed> {
    let mut found = HashMap::new();
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let page = store.browse(&from, limit).await.unwrap();
        assert!(page.entries.len() <= limit.max(1));
        found.extend(
            page.entries
                .iter()
                .map(|entry| (*entry.key.as_bytes(), *entry)),
        );
        cursor = page.next;
    }
    found
}

async fn lists_everything(store: &RedisStore) {
    for number in 0..200 {
        let version = create(store, number).await;
        if number % 2 == 1 {
            update(store, number, version, MARK).await.unwrap();
        }
    }
    for limit in [0, 1, 7, 1_000, usize::MAX] {
        let found = all(store, limit).await;
        assert_eq!(found.len(), 200, "{limit}");
        for number in 0..200 {
            let listed = found[key(number).as_bytes()];
            let (kind, size) = if number % 2 == 1 {
                (RecordKind::Mark, MARK.len())
            } else {
                (RecordKind::Session, SESSION.len())
            };
            assert_eq!((listed.kind, listed.size), (Some(kind), size));
            assert_eq!(listed.expires, hour().at);
        }
    }
}

#[tokio::test]
async fn every_record_is_listed_and_nothing_else() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await.prefix("a*[b]?:");
    create(&connect(&redis).await.prefix("aXb?:"), 1).await;
    for command in [
        ["SET", "another program's", "x"],
        ["SET", "a*[b]?:not a key", "x"],
        ["SET", &format!("a*[b]?:{}", key(250)), "no record"],
    ] {
        let _ = redis.ask(&command);
    }
    let _ = redis.ask(&["RPUSH", &format!("a*[b]?:{}", key(251)), "a list"]);
    let not_utf8 = "return redis.call('SET', 'a*[b]?:\\255', 'x')";
    let _ = redis.ask(&["EVAL", not_utf8, "0"]);
    lists_everything(&store).await;
}

#[tokio::test]
async fn every_record_of_a_cluster_is_listed() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = RedisStore::connect_cluster(cluster.urls()).await.unwrap();
    lists_everything(&store).await;
}

#[tokio::test]
async fn a_cursor_of_another_store_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let refused = store.browse(&Cursor::new(&b"x"[..]), 10).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    store.delete(&key(1), None).await.unwrap();
}
