//! A server that is gone, restarts, or does not answer.

use std::time::Duration;

use silverback::store::{Read, Store as _};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::{
    Firestore, Proxy,
    kit::{
        Adding, create, is_unavailable, key, load, ok, silence_is_an_error, visitor, visitor_within,
    },
};

use crate::{Project, at, day};

/// A restart of the emulator loses everything, unlike the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_mid_run_is_no_500() {
    let Some(emulator) = Firestore::start() else {
        return;
    };
    let store = at(&emulator.host(), "firestore://shop").await;
    let visitor = visitor_within(store.clone(), Duration::from_secs(10));
    ok(&visitor, "/login").await;
    let adding = Adding::start(&visitor, 8, 20);
    emulator.kill();
    let away = FirestoreStore::connect_emulator(&emulator.host(), "firestore://shop").await;
    is_unavailable(&away.map(drop));
    let loaded = store.load(&key(1), Read::Current).await;
    is_unavailable(&loaded);
    emulator.restart();
    let answers = adding.answers().await;
    println!("{answers:?}");
    answers.are_among(&[200, 409, 503]);
    ok(&visitor, "/add").await;
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout_and_never_no_record() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    let patient = project.through(proxy.port()).await;
    create(&patient, 1, day()).await;
    let before = proxy.connections();
    let hasty = patient.clone().timeout(Duration::from_millis(50));
    silence_is_an_error(&proxy, hasty, &["/login"]).await;
    assert!(load(&patient, 1).await.is_some());
    // A connection that did not answer is not used again.
    assert!(proxy.connections() > before);
}

/// Writes acknowledged before the outage survive it, and a logout is final.
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
