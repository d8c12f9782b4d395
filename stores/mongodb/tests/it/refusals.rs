//! What the server or the store refuses, and the errors.

use std::error::Error as _;

use silverback::store::{Read, Store as _, StoreError};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{SecantusDb, kit::key};

use crate::at;

#[tokio::test]
async fn an_address_without_a_database_is_refused() {
    for url in [
        "",
        "localhost",
        "postgres://localhost/shop",
        "mongodb://",
        "mongodb://localhost",
        "mongodb://localhost/?replicaSet=rs0",
    ] {
        let refused = MongoStore::connect(url).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{url}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_user_who_is_not_let_in_is_refused_without_the_password() {
    let Some(server) = SecantusDb::start_with(&["--auth"]) else {
        return;
    };
    let url = server.url("shop").replace("://", "://ada:swordfish@");
    let refused = loop {
        match MongoStore::connect(&url).await {
            Err(StoreError::Unavailable(_)) => {}
            answered => break answered.unwrap_err(),
        }
    };
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    let source = refused.source().unwrap().to_string();
    assert!(!source.contains("swordfish"), "{source}");

    // The connection is not authenticated, and still its ping is answered.
    let store = at(&server.url("shop")).await;
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
}
