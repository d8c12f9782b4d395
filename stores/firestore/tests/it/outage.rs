//! A server that is away, starts anew, or does not answer.

use std::{collections::BTreeMap, time::Duration};

use silverback::store::{Read, Store as _, StoreError};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::{Firestore, Proxy};

use crate::{
    Project, at, create, key, load,
    site::{ok, visitor, visitor_within},
};

/// The emulator forgets everything then, which the service does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_mid_run_is_no_500() {
    let Some(emulator) = Firestore::start() else {
        return;
    };
    let store = at(&emulator.host(), "firestore://shop").await;
    let visitor = visitor_within(store.clone(), Duration::from_secs(10));
    ok(&visitor, "/login").await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..20 {
                    seen.push(visitor.get("/add").await.status().as_u16());
                }
                seen
            })
        })
        .collect();
    emulator.kill();
    let away = FirestoreStore::connect_emulator(&emulator.host(), "firestore://shop").await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
    emulator.restart();
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    for task in tasks {
        for status in task.await.unwrap() {
            *answers.entry(status).or_default() += 1;
        }
    }
    println!("{answers:?}");
    let are_known = answers
        .keys()
        .all(|status| matches!(status, 200 | 409 | 503));
    assert!(are_known, "{answers:?}");
    ok(&visitor, "/add").await;
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    let patient = project.through(proxy.port()).await;
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
    assert_eq!(visitor.get("/login").await.status(), 503);
    assert_eq!(visitor.get("/free").await.text(), "free");
    proxy.speak();
    assert!(load(&patient, 1).await.is_some());
    // Nobody relies on a connection again that did not answer.
    assert!(proxy.connections() > before);
}

/// What was acknowledged before the outage is there after it, and a logout is final.
#[tokio::test]
async fn a_login_during_an_outage_is_refused_and_works_afterwards() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    let laptop = visitor(project.through(proxy.port()).await);
    let phone = laptop.another();
    for visitor in [&laptop, &phone] {
        ok(visitor, "/login").await;
        ok(visitor, "/add").await;
    }
    let new = laptop.another();
    proxy.refuse();
    for path in ["/login", "/add"] {
        assert_eq!(new.get(path).await.status(), 503, "{path}");
        assert_eq!(laptop.get(path).await.status(), 503, "{path}");
    }
    assert_eq!(laptop.get("/logout").await.status(), 503);
    proxy.accept();
    assert_eq!(ok(&laptop, "/n").await, "1");
    ok(&new, "/login").await;
    assert_eq!(ok(&phone, "/end-others").await, "2");
    assert_eq!(ok(&laptop, "/n").await, "0");
    assert_eq!(ok(&phone, "/n").await, "1");
}
