//! Concurrent sweeps, and browsing a table page by page.

use std::{collections::BTreeMap, time::Duration};

use silverback::store::{
    Browse as _, Bytes, Cursor, RecordKind, Store, StoreError, Sweep, Sweeper,
};
use silverback_sqlx::{Dialect, SqlStore};
use silverback_test_servers::kit::{listed, swept};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{
    records::{HOUR, data, key, make, until},
    servers::{
        Galera, file_pool, file_store, mariadb, mysql_pool, mysql_store, on, postgres,
        postgres_pool,
    },
};

const RECORDS: u32 = 300;

/// Makes records of which every third lives.
async fn fill<DB: Dialect>(store: &SqlStore<DB>) {
    for number in 0..RECORDS {
        let life = if number % 3 == 0 {
            HOUR
        } else {
            Duration::ZERO
        };
        make(store, number, b"data", life).await;
    }
}

/// Several nodes sweep at once, while others replace expired records.
async fn is_swept_by_all<DB: Dialect>(nodes: Vec<SqlStore<DB>>) {
    let first = nodes[0].clone();
    first.create_table().await.unwrap();
    fill(&first).await;
    let mut sweepers = JoinSet::new();
    for node in [nodes.clone(), nodes.clone()].concat() {
        sweepers.spawn(async move { swept(&node, 7).await });
    }
    let mut anew = Vec::new();
    for (node, number) in nodes.iter().cycle().zip((1..RECORDS).step_by(30)) {
        make(node, number, b"anew", HOUR).await;
        anew.push(number);
    }
    let removed: u64 = sweepers.join_all().await.iter().sum();
    let last = first.sweep().await;
    assert!(last.is_finished() && last.failed() == 0, "{last:?}");
    assert!(removed + last.removed() <= u64::from(RECORDS) * 2 / 3);
    let left = listed(&first, 1_000).await.len();
    assert_eq!(left, RECORDS as usize / 3 + anew.len());
    for number in 0..RECORDS {
        let expected: Option<&[u8]> = match number {
            number if anew.contains(&number) => Some(b"anew"),
            number if number % 3 == 0 => Some(b"data"),
            _ => None,
        };
        assert_eq!(data(&first, number).await.as_deref(), expected, "{number}");
    }
    assert_eq!(first.sweep().await.examined(), 0);
}

/// `set_back` has the sweep look at all records of the table `outlived`, as if their ends had been
/// nearer once.
async fn are_kept<DB: Dialect>(store: SqlStore<DB>, set_back: impl Fn()) {
    store.create_table().await.unwrap();
    let version = make(&store, 1, b"data", HOUR).await;
    set_back();
    for examined in [1, 0] {
        let swept = store.sweep_some(9).await;
        assert!(swept.is_finished() && swept.failed() == 0, "{swept:?}");
        assert_eq!((swept.examined(), swept.removed()), (examined, 0));
    }
    // An end that comes nearer is not missed.
    let data = Bytes::from_static(b"over");
    let over = until(Duration::ZERO);
    let version = store.update(&key(1), version, data, until(HOUR * 2)).await;
    store.touch(&key(1), version.unwrap(), over).await.unwrap();
    make(&store, 2, b"data", HOUR).await;
    let swept = store.sweep().await;
    assert_eq!((swept.examined(), swept.removed()), (1, 1));
}

async fn shows_all<DB: Dialect>(store: SqlStore<DB>) {
    store.create_table().await.unwrap();
    let end = until(HOUR);
    for number in 0..RECORDS {
        let bytes = vec![1 + (number % 2) as u8 * 7; number as usize];
        let data = Bytes::from(bytes);
        store.create(&key(number), data, end).await.unwrap();
    }
    for limit in [0, 1, 7, 100, 5_000] {
        let listed = listed(&store, limit).await;
        let by_key: BTreeMap<_, _> = listed.iter().map(|listed| (listed.key, listed)).collect();
        assert_eq!(listed.len(), RECORDS as usize, "{limit}");
        assert!(
            listed
                .iter()
                .map(|listed| listed.key)
                .eq(by_key.keys().copied())
        );
        for number in 1..RECORDS {
            let listed = by_key[&key(number)];
            let kind = [RecordKind::Session, RecordKind::Mark][number as usize % 2];
            assert_eq!(listed.kind, Some(kind));
            assert_eq!((listed.size, listed.expires), (number as usize, end.at));
        }
        assert_eq!(by_key[&key(0)].kind, None, "it has no first byte");
    }
    let foreign = store.browse(&Cursor::new(&b"some other"[..]), 9).await;
    assert!(
        matches!(foreign, Err(StoreError::Refused(_))),
        "{foreign:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_swept_by_several_at_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let nodes = [file_store(&path).await, file_store(&path).await];
    is_swept_by_all(nodes.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_swept_by_several_at_once() {
    let Some(server) = postgres() else { return };
    let node = || on(postgres_pool(&server.url())).table("swept");
    is_swept_by_all(vec![node().unwrap(), node().unwrap(), node().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_swept_by_several_at_once() {
    let Some(server) = mariadb() else { return };
    let node = || on(mysql_pool(&server.url())).table("swept");
    is_swept_by_all(vec![node().unwrap(), node().unwrap(), node().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn galera_is_swept_by_all_of_its_nodes() {
    let Some(cluster) = Galera::start() else {
        return;
    };
    let mut nodes = Vec::new();
    for url in cluster.urls() {
        nodes.push(mysql_store(&url).await);
    }
    is_swept_by_all(nodes).await;
}

#[tokio::test]
async fn records_that_outlive_their_first_end_are_kept() {
    if let Some(server) = postgres() {
        let store = on(postgres_pool(&server.url()));
        are_kept(store.table("outlived").unwrap(), || {
            server.sql("UPDATE outlived SET sweep_after = expires - interval '2 hours'");
        })
        .await;
    }
    if let Some(server) = mariadb() {
        let store = on(mysql_pool(&server.url()));
        are_kept(store.table("outlived").unwrap(), || {
            server.sql("UPDATE outlived SET sweep_after = expires - INTERVAL 2 HOUR");
        })
        .await;
    }
}

#[tokio::test]
async fn pages_show_every_record_once() {
    let dir = TempDir::new().unwrap();
    let pool = file_pool(&dir.path().join("sessions.db"));
    shows_all(on(pool)).await;
    if let Some(server) = postgres() {
        let store = on(postgres_pool(&server.url()));
        shows_all(store.table("browsed").unwrap()).await;
    }
    if let Some(server) = mariadb() {
        let store = on(mysql_pool(&server.url()));
        shows_all(store.table("browsed").unwrap()).await;
    }
}

#[tokio::test]
async fn a_sweeper_goes_through_a_table() {
    let dir = TempDir::new().unwrap();
    let store = file_store(&dir.path().join("sessions.db")).await;
    fill(&store).await;
    let sweeper = Sweeper::start(store.clone(), HOUR).unwrap();
    while listed(&store, 1_000).await.len() > RECORDS as usize / 3 {
        tokio::task::yield_now().await;
    }
    sweeper.stop().await;
}

#[tokio::test]
async fn a_sweep_that_fails_says_so() {
    let dir = TempDir::new().unwrap();
    let store = on(file_pool(&dir.path().join("sessions.db")));
    for swept in [store.sweep_some(9).await, store.sweep().await] {
        assert!(swept.failed() == 1 && !swept.is_finished(), "{swept:?}");
    }
}
