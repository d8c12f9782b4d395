//! What the collection stores, how much, and for how long.

use std::time::Duration;

use mongodb::bson::doc;
use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, Read, Store as _, StoreError},
};
use silverback_test_servers::kit::{create, data, key};

use crate::{connect, day, documents, id, server};

#[tokio::test]
async fn a_record_is_a_document_of_four_fields() {
    let Some(server) = server() else {
        return;
    };
    let store = connect(server, "fields").await;
    let expiry = day();
    let bytes = Bytes::from_static(b"\x01data");
    let version = store.create(&key(1), bytes, expiry).await.unwrap();
    let records = documents(server, "fields", "silverback_sessions").await;
    let found = records.find_one(doc! { "_id": id(&key(1)) }).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.len(), 4, "{found}");
    assert_eq!(
        found.get_binary_generic("version").unwrap(),
        version.as_bytes()
    );
    assert_eq!(found.get_binary_generic("data").unwrap(), b"\x01data");
    let end = found.get_datetime("expires").unwrap().timestamp_millis();
    assert_eq!(end.cast_unsigned(), expiry.at.as_secs() * 1_000);

    // Another collection is another store.
    let carts = store.clone().collection("carts");
    assert_eq!(data(&carts, 1).await, None);
    create(&carts, 1, day()).await;
    carts.delete(&key(1), None).await.unwrap();
    assert!(data(&store, 1).await.is_some());
}

#[tokio::test]
async fn records_are_checked_before_they_are_sent() {
    let Some(server) = server() else {
        return;
    };
    let store = connect(server, "sizes").await;
    assert_eq!(store.limits().record_bytes, 1 << 20);
    let store = store.max_record_bytes(usize::MAX);
    let limit = store.limits().record_bytes;
    assert_eq!(limit, (16 << 20) - 1_024);
    let bytes = |len| Bytes::from(vec![1; len]);
    let version = store.create(&key(1), bytes(limit), day()).await.unwrap();
    let version = store.update(&key(1), version, bytes(limit), day()).await;
    let version = version.unwrap();
    let refused = [
        store.create(&key(2), bytes(limit + 1), day()).await,
        store
            .update(&key(1), version, bytes(limit + 1), day())
            .await,
    ];
    for refused in refused {
        let is_right = matches!(refused, Err(StoreError::TooLarge { size, limit: most })
            if size == limit + 1 && most == limit);
        assert!(is_right, "{refused:?}");
    }
    assert_eq!(data(&store, 1).await.unwrap().len(), limit);
    assert_eq!(data(&store, 2).await, None);
}

#[tokio::test]
async fn a_record_is_over_by_the_clock_of_the_application() {
    let Some(server) = server() else {
        return;
    };
    let start = Timestamp::from_secs(1_800_000_000);
    let clock = Clock::manual(start);
    let store = connect(server, "ends").await.clock(clock.clone());
    let minute = Expiry::new(start.saturating_add(Duration::from_secs(60)), start);
    let data = || Bytes::from_static(b"\x01data");
    let version = store.create(&key(1), data(), minute).await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(store.load(&key(1), Read::Current).await.unwrap().is_some());
    let again = store.create(&key(1), data(), minute).await;
    assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");

    clock.advance(Duration::from_secs(1));
    assert_eq!(store.load(&key(1), Read::Current).await.unwrap(), None);
    let later = Expiry::new(minute.at.saturating_add(Duration::from_secs(60)), minute.at);
    for late in [
        store.update(&key(1), version, data(), later).await,
        store.touch(&key(1), version, later).await,
    ] {
        assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
    }
    store.delete(&key(1), Some(version)).await.unwrap();
    let anew = store.create(&key(1), data(), later).await.unwrap();
    assert_ne!(anew, version);
    let late = store.update(&key(1), version, data(), later).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

#[tokio::test]
async fn the_index_has_the_server_remove_what_is_over() {
    let Some(server) = server() else {
        return;
    };
    let store = connect(server, "index").await;
    assert!(!store.removes_expired().await.unwrap());
    create(&store, 1, day()).await;
    assert!(!store.removes_expired().await.unwrap());
    for _ in 0..2 {
        store.create_index().await.unwrap();
        assert!(store.removes_expired().await.unwrap());
    }
    let records = documents(server, "index", "silverback_sessions").await;
    let mut indexes = records.list_indexes().await.unwrap();
    let mut after = Vec::new();
    while indexes.advance().await.unwrap() {
        let index = indexes.deserialize_current().unwrap();
        after.extend(index.options.and_then(|options| options.expire_after));
    }
    assert_eq!(after, [Duration::from_secs(600)]);

    let carts = documents(server, "index", "carts").await;
    let index = mongodb::IndexModel::builder().keys(doc! { "expires": 1 });
    carts.create_index(index.build()).await.unwrap();
    let other = store.collection("carts");
    let refused = other.create_index().await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    assert!(!other.removes_expired().await.unwrap());
}
