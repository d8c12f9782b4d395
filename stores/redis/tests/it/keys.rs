//! The keys and values in Redis, and how long they last.

use silverback::store::{Bytes, Store};
use silverback_test_servers::{Redis, Reply};

use crate::support::{SESSION, connect, create, data, hour, key, seconds, update};

fn name(number: u8) -> String {
    format!("silverback:{}", key(number))
}

/// How long the server keeps a record, in whole seconds from now, rounded up.
fn remaining(redis: &Redis, number: u8) -> i64 {
    let Reply::Number(milliseconds) = redis.ask(&["PTTL", &name(number)]) else {
        panic!()
    };
    (milliseconds + 999) / 1_000
}

#[tokio::test]
async fn the_server_removes_records_at_their_end() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let is_about = |number, seconds: i64| {
        let remaining = remaining(&redis, number);
        assert!((seconds - 60..=seconds).contains(&remaining), "{remaining}");
    };
    let version = create(&store, 1).await;
    is_about(1, 3_600);
    let day = seconds(86_400);
    let data = Bytes::from_static(SESSION);
    let version = store.update(&key(1), version, data, day).await.unwrap();
    is_about(1, 86_400);
    store.touch(&key(1), version, seconds(7_200)).await.unwrap();
    is_about(1, 7_200);
    let forever = seconds(u64::MAX);
    store.touch(&key(1), version, forever).await.unwrap();
    assert!(remaining(&redis, 1) > 100 * 366 * 86_400);
    let over = seconds(0);
    store.touch(&key(1), version, over).await.unwrap();
    assert_eq!(redis.ask(&["EXISTS", &name(1)]), Reply::Number(0));
}

#[tokio::test]
async fn a_touch_leaves_the_data_in_its_place() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let version = create(&store, 1).await;
    assert_eq!(
        store.touch(&key(1), version, seconds(60)).await.unwrap(),
        version
    );
    assert_eq!(data(&store, 1).await.unwrap(), SESSION);
    update(&store, 1, version, b"\x01more").await.unwrap();
    assert_eq!(data(&store, 1).await.unwrap(), b"\x01more");
}

#[tokio::test]
async fn applications_share_a_server_by_their_prefixes() {
    let Some(redis) = Redis::start() else { return };
    let [shop, admin] = ["shop:", "admin:"].map(|prefix| (prefix, redis.url()));
    let connect = |(prefix, url): (&'static str, String)| async move {
        let store = silverback_redis::RedisStore::connect(&url).await.unwrap();
        store.prefix(prefix)
    };
    let (shop, admin) = (connect(shop).await, connect(admin).await);
    create(&shop, 1).await;
    assert_eq!(data(&admin, 1).await, None);
    let in_shop = format!("shop:{}", key(1));
    assert_eq!(redis.ask(&["EXISTS", &in_shop]), Reply::Number(1));
    admin.delete(&key(1), None).await.unwrap();
    assert!(data(&shop, 1).await.is_some());
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_scripts_is_given_them_again() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let mut version = create(&store, 1).await;
    let flush = || drop(redis.ask(&["SCRIPT", "FLUSH", "SYNC"]));
    flush();
    version = update(&store, 1, version, SESSION).await.unwrap();
    flush();
    store.touch(&key(1), version, hour()).await.unwrap();
    flush();
    let records = [
        (key(1), Some(version)),
        (key(2), None),
        (key(3), Some(version)),
    ];
    for deleted in store.delete_many(&records).await {
        deleted.unwrap();
    }
    assert_eq!(data(&store, 1).await, None);
}

#[tokio::test]
async fn a_server_that_evicts_may_forget() {
    for (policy, forgets) in [
        ("noeviction", false),
        ("allkeys-lru", true),
        ("volatile-ttl", true),
    ] {
        let options = Redis::options().set("maxmemory-policy", policy);
        let Some(redis) = options.start() else { return };
        let limits = connect(&redis).await.limits();
        assert_eq!(limits.may_forget, forgets, "{policy}");
        assert!(!limits.may_repeat, "a server alone is asked once");
    }
}
