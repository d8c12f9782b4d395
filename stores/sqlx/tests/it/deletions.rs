//! Deletions beside others who use the same keys.

use std::time::Duration;

use silverback::store::{Bytes, Store, StoreError, Version};
use sqlx::{query, query_scalar};
use tempfile::TempDir;

use crate::support::{
    records::{HOUR, data, key, make, until},
    servers::{Proxy, file_pool, mariadb, mysql_pool, on, postgres, postgres_pool, through},
};

/// Creates a record anew when one of the data `old` is deleted.
const CREATE_AGAIN: &str = "CREATE TRIGGER again AFTER DELETE ON silverback_sessions \
                            WHEN old.data = x'6f6c64' BEGIN INSERT INTO silverback_sessions \
                            VALUES (old.id, zeroblob(16), x'6e6577', old.expires); END";

/// Another process creates a record as soon as one is deleted. A deletion of several records that
/// has to look at one of them again leaves it there.
#[tokio::test]
async fn a_record_that_was_created_after_its_deletion_stays() {
    let dir = TempDir::new().unwrap();
    let pool = file_pool(&dir.path().join("sessions.db"));
    let store = on(pool.clone());
    store.create_table().await.unwrap();
    make(&store, 1, b"old", HOUR).await;
    query(CREATE_AGAIN).execute(&pool).await.unwrap();
    let records = [(key(1), None), (key(2), Some(Version::from_u64(7)))];
    for deleted in store.delete_many(&records).await {
        deleted.unwrap();
    }
    assert_eq!(data(&store, 1).await.unwrap(), b"new");
}

/// The same, if the deletion expects a version.
#[tokio::test]
async fn a_record_that_was_deleted_is_no_conflict_if_it_is_created_again() {
    let dir = TempDir::new().unwrap();
    let pool = file_pool(&dir.path().join("sessions.db"));
    let store = on(pool.clone());
    store.create_table().await.unwrap();
    let version = make(&store, 1, b"old", HOUR).await;
    let other = make(&store, 2, b"other", HOUR).await;
    query(CREATE_AGAIN).execute(&pool).await.unwrap();
    let records = [
        (key(1), Some(version)),
        (key(2), Some(Version::from_u64(7))),
    ];
    let deleted = store.delete_many(&records).await;
    assert!(
        matches!(deleted[..], [Ok(()), Err(StoreError::Conflict)]),
        "{deleted:?}"
    );
    assert_eq!(data(&store, 1).await.unwrap(), b"new");
    store.delete(&key(2), Some(other)).await.unwrap();
}

/// The same in MariaDB, at each answer that the deletion gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_no_conflict_in_mariadb_either() {
    let Some(server) = mariadb() else { return };
    let proxy = Proxy::to(server.port());
    let address = through(&server.url(), server.port(), &proxy);
    let at = |url: &str| on(mysql_pool(url)).table("created_again").unwrap();
    let (store, direct) = (at(&address), at(&server.url()));
    direct.create_table().await.unwrap();
    // The connection and its statements are made first.
    let nothing = [1, 2].map(|number| (key(number), Some(Version::from_u64(7))));
    for deleted in store.delete_many(&nothing).await {
        deleted.unwrap();
    }
    let mut created = 0;
    for answers in 0.. {
        let version = make(&direct, 1, b"old", HOUR).await;
        let other = make(&direct, 2, b"other", HOUR).await;
        proxy.hold_answers_after(answers);
        let store = store.clone();
        let deleting = tokio::spawn(async move {
            let stale = (key(2), Some(Version::from_u64(7)));
            store.delete_many(&[(key(1), Some(version)), stale]).await
        });
        while !proxy.is_holding() && !deleting.is_finished() {
            tokio::task::yield_now().await;
        }
        let is_over = deleting.is_finished();
        let is_gone = data(&direct, 1).await.is_none();
        if is_gone {
            make(&direct, 1, b"new", HOUR).await;
            created += u32::from(!is_over);
        }
        proxy.release_answers();
        let deleted = deleting.await.unwrap();
        assert!(
            matches!(deleted[..], [Ok(()), Err(StoreError::Conflict)]),
            "{deleted:?}"
        );
        assert_eq!(data(&direct, 1).await.is_some(), is_gone);
        direct.delete(&key(1), None).await.unwrap();
        direct.delete(&key(2), Some(other)).await.unwrap();
        if is_over {
            break;
        }
    }
    assert!(created > 0, "nothing was created while it waited");
}

/// Writes ends that have passed, in the time of a statement that has begun before. It counts the
/// records that it would load then.
macro_rules! past_for_all {
    ($pool:expr, $now:literal) => {{
        let pool = $pool;
        let store = on(pool.clone()).table("past").unwrap();
        store.create_table().await.unwrap();
        let over = until(Duration::ZERO);
        let data = || Bytes::from_static(b"over");
        let [one, two] = [
            make(&store, 1, b"data", HOUR).await,
            make(&store, 2, b"data", HOUR).await,
        ];
        let begun: String = query_scalar($now).fetch_one(&pool).await.unwrap();
        store.update(&key(1), one, data(), over).await.unwrap();
        store.touch(&key(2), two, over).await.unwrap();
        store.create(&key(3), data(), over).await.unwrap();
        let ends = "SELECT CAST(expires AS CHAR(30)) FROM past";
        let ends: Vec<String> = query_scalar(ends).fetch_all(&pool).await.unwrap();
        assert_eq!(ends.len(), 3);
        assert!(ends.iter().all(|end| *end <= begun), "{begun}: {ends:?}");
    }};
}

/// A database takes a statement's time at its beginning. A load that has begun before the write
/// must not find what is over already.
#[tokio::test]
async fn what_is_over_is_over_for_statements_that_have_begun() {
    if let Some(server) = postgres() {
        past_for_all!(
            postgres_pool(&server.url()),
            "SELECT CAST(now() AS CHAR(30))"
        );
    }
    if let Some(server) = mariadb() {
        past_for_all!(
            mysql_pool(&server.url()),
            "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR(30))"
        );
    }
}
