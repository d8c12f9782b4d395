//! Many records: which requests are sent, and how partial answers are handled.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::Router;
use silverback::store::{Read, Record, Store as _, StoreError, Version};
use silverback_test_servers::{
    Proxy,
    kit::{create, data, key},
};

use crate::{client, day, scripted::serving, server, store, table, through};

#[tokio::test]
async fn a_key_that_is_asked_for_twice_is_answered_twice() {
    let Some(server) = server() else {
        return;
    };
    let table = table::create(client(&server.url())).await;
    let store = store(&table.client, &table.name);
    let version = create(&store, 1, day()).await;
    let loaded = store
        .load_many(&[key(1), key(2), key(1)], Read::Current)
        .await;
    let found = |loaded: &Result<Option<Record>, _>| loaded.as_ref().unwrap().is_some();
    assert_eq!(
        loaded.iter().map(found).collect::<Vec<_>>(),
        [true, false, true]
    );
    let records = [
        (key(2), None),
        (key(1), Some(Version::from_u64(1))),
        (key(2), None),
        (key(1), Some(version)),
    ];
    let deleted = store.delete_many(&records).await;
    // The first request may see what the last has deleted.
    assert!(matches!(&deleted[1], Ok(()) | Err(StoreError::Conflict)));
    assert!(
        [0, 2, 3].iter().all(|at| deleted[*at].is_ok()),
        "{deleted:?}"
    );
    assert_eq!(data(&store, 1).await, None);
    assert!(store.load_many(&[], Read::Current).await.is_empty());
    assert!(store.delete_many(&[]).await.is_empty());
}

/// DynamoDB reads 100 keys at once and deletes 25 items. It has no batches of conditional deletes.
#[tokio::test]
async fn many_records_are_asked_for_by_few_questions() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = table::create(client(&server.url())).await;
    let store = store(&through(proxy.port()), &table.name);
    let mut versions = Vec::new();
    for number in 0..10 {
        versions.push(create(&store, number, day()).await);
    }
    let keys: Vec<_> = (0..250).map(key).collect();
    let before = proxy.requests();
    let loaded = store.load_many(&keys, Read::Current).await;
    let found = loaded
        .iter()
        .filter(|loaded| loaded.as_ref().unwrap().is_some());
    assert_eq!(found.count(), 10);
    assert_eq!(proxy.requests() - before, 3);
    let mut records: Vec<_> = keys[5..].iter().map(|key| (*key, None)).collect();
    for (number, version) in (0..).zip(&versions[..5]) {
        records.push((key(number), Some(*version)));
    }
    let before = proxy.requests();
    let deleted = store.delete_many(&records).await;
    assert!(
        deleted.len() == 250 && deleted.iter().all(Result::is_ok),
        "{deleted:?}"
    );
    assert_eq!(proxy.requests() - before, 10 + 5);
    let loaded = store.load_many(&keys, Read::Current).await;
    assert!(loaded.into_iter().all(|loaded| loaded.unwrap().is_none()));
}

/// An answer is limited in size, and DynamoDB reports which keys are left.
#[tokio::test]
async fn what_did_not_fit_into_an_answer_is_asked_for_again() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let table = table::create(client(&server.url())).await;
    let store = store(&through(proxy.port()), &table.name);
    let keys: Vec<_> = (0..40).map(key).collect();
    for (number, key) in (0..).zip(&keys) {
        let created = store.create(key, vec![number; 100_000].into(), day());
        created.await.unwrap();
    }
    for read in [Read::Current, Read::Recent] {
        let before = proxy.requests();
        let loaded = store.load_many(&keys, read).await;
        for (number, loaded) in (0_u8..).zip(loaded) {
            assert_eq!(loaded.unwrap().unwrap().data(), vec![number; 100_000]);
        }
        assert!(proxy.requests() - before > 1);
    }
}

/// Each question under way takes a connection, and a process has a limited number of them.
#[tokio::test]
async fn only_some_of_many_questions_are_asked_at_once() {
    const RECORDS: u32 = 200;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (asked, longest) = (Arc::clone(&now), Arc::clone(&most));
    let answer = async move || {
        longest.fetch_max(asked.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        asked.fetch_sub(1, Ordering::Relaxed);
        ([("x-amzn-requestid", "4711")], "{}")
    };
    let store = store(
        &client(&serving(Router::new().fallback(answer)).await),
        "sessions",
    );
    let records: Vec<_> = (0..RECORDS)
        .map(|number| (key(number), Some(Version::from_u64(1))))
        .collect();
    let deleted = store.delete_many(&records).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    assert!((1..=50).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}
