//! Writes whose answer was lost. The client repeats them only if the server can recognise a
//! repeated write, so no refusal is caused by an earlier attempt of the same write.

use silverback::store::{Bytes, Store as _, StoreError, Version};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{
    Proxy, SecantusDb,
    kit::{DATA, create, data, key},
};

use crate::{at, day, server, through, through_repeating};

const NEW: Bytes = Bytes::from_static(b"\x01new");

/// Makes each kind of write once with its answer lost, and returns the outcomes.
async fn each_write(
    store: &MongoStore,
    proxy: &Proxy,
    is_right: impl Fn(&str, &Result<(), StoreError>) -> bool,
) {
    for (number, what) in (0..).zip(["create", "update", "touch", "delete"]) {
        let key = key(number);
        let version = match what {
            "create" => Version::from_u64(0),
            _ => create(store, number, day()).await,
        };
        // It is not certain which answer is next, because the client monitors its servers too.
        let before = proxy.lost();
        proxy.lose_answer(0);
        let done = match what {
            "create" => store.create(&key, NEW, day()).await.map(drop),
            "update" => store.update(&key, version, NEW, day()).await.map(drop),
            "touch" => store.touch(&key, version, day()).await.map(drop),
            _ => store.delete(&key, Some(version)).await,
        };
        assert_eq!(proxy.lost(), before + 1, "{what}");
        assert!(is_right(what, &done), "{what}: {done:?}");
        let expected = match what {
            "create" | "update" => Some(NEW),
            "touch" => Some(Bytes::from_static(DATA)),
            _ => None,
        };
        assert_eq!(data(store, number).await, expected, "{what}");
    }
}

fn is_lost(done: &Result<(), StoreError>) -> bool {
    matches!(done, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_replica_set_is_asked_again_and_has_done_it_once() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let store = through_repeating(proxy.port(), "asked_again").await;
    assert!(
        store.limits().may_repeat,
        "sessions have to look all the same"
    );
    each_write(&store, &proxy, |what, done| {
        // No client repeats a deletion of many.
        done.is_ok() || (what == "delete" && is_lost(done))
    })
    .await;
}

#[tokio::test]
async fn a_single_server_is_not_asked_again() {
    let Some(server) = SecantusDb::start_with(&["--standalone"]) else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let store = through_repeating(proxy.port(), "shop").await;
    each_write(&store, &proxy, |_, done| done.is_ok() || is_lost(done)).await;
}

#[tokio::test]
async fn the_stores_own_client_asks_nobody_again() {
    let Some(server) = server() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let store = through(proxy.port(), "asked_once").await;
    assert!(!store.limits().may_repeat);
    let url = SecantusDb::url_at(proxy.port(), "asked_again");
    let told_to = at(&format!("{url}&retryWrites=true")).await;
    assert!(told_to.limits().may_repeat, "as the address says");
    each_write(&store, &proxy, |_, done| done.is_ok() || is_lost(done)).await;
}
