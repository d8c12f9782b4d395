//! A server that is away, starts anew, or does not answer.

use std::{collections::BTreeMap, time::Duration};

use silverback::store::{Read, Store as _, StoreError};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::{Memcached, Proxy};

use crate::{
    at, connect, create, data, day, key,
    site::{ok, visitor, visitor_within},
};

#[tokio::test]
async fn a_server_that_was_started_anew_has_forgotten_and_is_used() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let visitor = visitor(store.clone());
    let version = create(&store, 1).await;
    for round in 0..3 {
        ok(&visitor, "/add").await;
        ok(&visitor, "/add").await;
        server.kill();
        server.restart();
        assert_eq!(visitor.get("/add").await.text(), "1", "{round}");
    }
    assert_eq!(data(&store, 1).await, None);
    // Its tokens begin at 1 again: the versions of this store do not.
    let again = create(&store, 1).await;
    assert_ne!(again, version);
    let late = store.update(&key(1), version, "late".into(), day()).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let late = store.delete(&key(1), Some(version)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert!(data(&store, 1).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_run_are_no_500_and_bring_nothing_back() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let visitor = visitor(connect(&server).await);
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    for round in 0..6 {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let visitor = visitor.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for _ in 0..20 {
                        let page = visitor.get("/add").await;
                        let count = page.text().parse::<u64>().unwrap_or_default();
                        seen.push((page.status().as_u16(), count));
                    }
                    seen
                })
            })
            .collect();
        if round % 2 == 1 {
            server.kill();
            server.restart();
        }
        for task in tasks {
            for (status, _) in task.await.unwrap() {
                *answers.entry(status).or_default() += 1;
            }
        }
    }
    println!("{answers:?}");
    let are_known = answers
        .keys()
        .all(|status| matches!(status, 200 | 409 | 503));
    assert!(are_known && answers[&200] > 0, "{answers:?}");
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let patient = at(&format!("memcached://127.0.0.1:{}", proxy.port())).await;
    create(&patient, 1).await;
    let store = patient.clone().timeout(Duration::from_millis(50));
    let visitor = visitor_within(store.clone(), Duration::from_secs(1));
    let before = proxy.connections();
    proxy.silence();
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
    let many = store.load_many(&[key(1), key(2)], Read::Current).await;
    let all_failed = |result| matches!(result, &Err(StoreError::Unavailable(_)));
    assert!(many.len() == 2 && many.iter().all(all_failed), "{many:?}");
    assert_eq!(visitor.get("/add").await.status(), 503);
    assert_eq!(visitor.get("/free").await.text(), "free");
    proxy.speak();
    assert!(data(&patient, 1).await.is_some());
    // Nobody relies on a connection again that did not answer.
    assert!(proxy.connections() > before);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    create(&store, 1).await;
    server.kill();
    let soon = store.clone().timeout(Duration::from_millis(30));
    let loaded = soon.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
    let waiting = tokio::spawn(async move { data(&store, 1).await });
    server.restart();
    assert_eq!(waiting.await.unwrap(), None);
    server.kill();
    let refused = MemcachedStore::connect(&server.url()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}
