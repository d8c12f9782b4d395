//! Failures and their errors.

use std::time::Duration;

use silverback::store::{Browse, Bytes, Cursor, Read, Store, StoreError};
use silverback_redis::RedisStore;
use silverback_test_servers::{Redis, Sentinel};

use crate::support::{MARK, connect, create, data, hour, key, try_create, update};

#[tokio::test]
async fn a_full_server_refuses() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let version = create(&store, 1).await;
    let _ = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(matches!(
        try_create(&store, 2).await,
        Err(StoreError::Refused(_))
    ));
    let updated = update(&store, 1, version, b"\x01more").await;
    assert!(
        matches!(updated, Err(StoreError::Refused(_))),
        "{updated:?}"
    );
    assert!(data(&store, 1).await.is_some());
    // A session stays in use, and a logout or a deletion frees memory.
    store.touch(&key(1), version, hour()).await.unwrap();
    let version = update(&store, 1, version, MARK).await.unwrap();
    assert_eq!(data(&store, 1).await.unwrap(), MARK);
    store.delete(&key(1), Some(version)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_know_the_password_refuses() {
    let options = Redis::options().set("requirepass", "secret");
    let Some(redis) = options.start() else { return };
    let refused = RedisStore::connect(&redis.url()).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let wrong = format!("redis://:wrong@127.0.0.1:{}", redis.port());
    let refused = RedisStore::connect(&wrong).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let right = format!("redis://:secret@127.0.0.1:{}", redis.port());
    create(&RedisStore::connect(&right).await.unwrap(), 1).await;
}

#[tokio::test]
async fn a_user_that_may_not_write_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let user = [
        "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+info",
    ];
    let _ = redis.ask(&user);
    let url = format!("redis://reader:secret@127.0.0.1:{}", redis.port());
    let store = RedisStore::connect(&url).await.unwrap();
    assert_eq!(data(&store, 1).await, None);
    let refused = try_create(&store, 1).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in ["", "localhost", "http://localhost", "redis://:99999999"] {
        let refused = RedisStore::connect(url).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{url}");
    }
}

#[tokio::test]
async fn a_replica_is_no_master() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let store = connect(&sentinel.nodes()[1]).await;
    let store = store.timeout(Duration::from_millis(200));
    let tried = try_create(&store, 1).await;
    assert!(
        matches!(tried, Err(StoreError::Unavailable(_))),
        "{tried:?}"
    );
}

#[tokio::test]
async fn what_is_no_record_is_corrupt_until_a_create() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let old = create(&store, 1).await;
    let name = format!("silverback:{}", key(1));
    let garbage: [&[&str]; 4] = [
        &["SET", &name, "a value of another program, of some length"],
        &["SET", &name, ""],
        &["SET", &name, "sbr1"],
        &["HSET", &name, "a", "b"],
    ];
    for command in garbage {
        let _ = redis.ask(&["DEL", &name]);
        let _ = redis.ask(command);
        let is_corrupt = |error: StoreError| matches!(error, StoreError::Corrupt(_));
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_corrupt(loaded.unwrap_err()), "{command:?}");
        let many = store.load_many(&[key(2), key(1)], Read::Current).await;
        let [Ok(None), Err(error)] = <[_; 2]>::try_from(many).unwrap() else {
            panic!("{command:?}")
        };
        assert!(is_corrupt(error), "{command:?}");
        let updated = update(&store, 1, old, b"\x01new").await;
        assert!(is_corrupt(updated.unwrap_err()), "{command:?}");
        let touched = store.touch(&key(1), old, hour()).await;
        assert!(is_corrupt(touched.unwrap_err()), "{command:?}");
        let deleted = store.delete(&key(1), Some(old)).await;
        assert!(is_corrupt(deleted.unwrap_err()), "{command:?}");
        create(&store, 1).await;
        assert!(data(&store, 1).await.is_some(), "{command:?}");
    }
}

/// Even if it is shorter than this release's. A move of all records finds it, and fails.
#[tokio::test]
async fn what_a_later_release_wrote_is_refused_and_stays() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await;
    let old = create(&store, 1).await;
    let name = format!("silverback:{}", key(1));
    for later in ["sbr2", "sbr2, and as long as a record of this release"] {
        let _ = redis.ask(&["SET", &name, later]);
        let is_refused = |error: StoreError| matches!(error, StoreError::Refused(_));
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_refused(loaded.unwrap_err()), "{later}");
        let many = store.load_many(&[key(2), key(1)], Read::Current).await;
        let [Ok(None), Err(error)] = <[_; 2]>::try_from(many).unwrap() else {
            panic!("{later}")
        };
        assert!(is_refused(error), "{later}");
        let data = Bytes::from_static(b"\x01new");
        let created = store.create(&key(1), data, hour()).await;
        assert!(is_refused(created.unwrap_err()), "{later}");
        let updated = update(&store, 1, old, b"\x01new").await;
        assert!(is_refused(updated.unwrap_err()), "{later}");
        let touched = store.touch(&key(1), old, hour()).await;
        assert!(is_refused(touched.unwrap_err()), "{later}");
        let deleted = store.delete(&key(1), Some(old)).await;
        assert!(is_refused(deleted.unwrap_err()), "{later}");
        let deleted = store.delete_many(&[(key(1), Some(old))]).await.remove(0);
        assert!(is_refused(deleted.unwrap_err()), "{later}");
        let listed = store.browse(&Cursor::default(), 9).await.unwrap().entries;
        let listed: Vec<_> = listed
            .iter()
            .map(|listed| (listed.key, listed.kind))
            .collect();
        assert_eq!(listed, [(key(1), None)], "{later}");
        assert_eq!(redis.ask(&["GET", &name]).text(), later);
        store.delete(&key(1), None).await.unwrap();
        assert_eq!(redis.ask(&["EXISTS", &name]).text(), "0");
    }
}

#[tokio::test]
async fn a_record_over_the_limit_is_not_sent() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis).await.record_bytes(100);
    assert_eq!(store.limits().record_bytes, 100);
    let key = key(1);
    let created = store.create(&key, Bytes::from(vec![1; 101]), hour());
    let error = created.await.unwrap_err();
    assert!(matches!(
        error,
        StoreError::TooLarge {
            size: 101,
            limit: 100
        }
    ));
    let created = store.create(&key, Bytes::from(vec![1; 100]), hour());
    created.await.unwrap();
    let most = connect(&redis).await.record_bytes(usize::MAX);
    assert!(most.limits().record_bytes < 512 << 20);
}
