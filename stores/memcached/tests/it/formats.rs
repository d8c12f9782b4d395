//! Values of a later release, as during a rolling deploy.

use silverback::store::{Bytes, Read, Store as _, StoreError, Version};
use silverback_test_servers::{Memcached, kit::key};

use crate::{connect, day};

/// Even if it is shorter than this release's.
#[tokio::test]
async fn what_a_later_release_wrote_is_refused_and_stays() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let name = format!("silverback:{}", key(1));
    let data = || Bytes::from_static(b"new");
    for later in ["sbm2", "sbm2, and as long as a record of this release"] {
        let set = format!("set {name} 0 0 {}\r\n{later}\r\n", later.len());
        assert_eq!(server.ask(set.as_bytes(), "\r\n"), "STORED\r\n");
        let old = Version::from_u64(7);
        let refusals = [
            store.load(&key(1), Read::Current).await.map(drop),
            store
                .load_many(&[key(1)], Read::Current)
                .await
                .remove(0)
                .map(drop),
            store.create(&key(1), data(), day()).await.map(drop),
            store.update(&key(1), old, data(), day()).await.map(drop),
            store.touch(&key(1), old, day()).await.map(drop),
            store.delete(&key(1), Some(old)).await,
            store.delete_many(&[(key(1), Some(old))]).await.remove(0),
        ];
        for (call, answer) in refusals.into_iter().enumerate() {
            let is_refused = matches!(answer, Err(StoreError::Refused(_)));
            assert!(is_refused, "{later}, call {call}: {answer:?}");
        }
        let get = format!("get {name}\r\n");
        let found = server.ask(get.as_bytes(), "END\r\n");
        assert!(found.contains(&format!("\r\n{later}\r\n")), "{found}");
        store.delete(&key(1), None).await.unwrap();
        assert_eq!(store.load(&key(1), Read::Current).await.unwrap(), None);
    }
}
