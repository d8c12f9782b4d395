//! Tables: how they are made and named, and what happens without one.

use std::sync::Arc;

use silverback::store::{Read, Store, StoreError};
use silverback_sqlx::Dialect;
use sqlx::Pool;
use tempfile::TempDir;
use tokio::{sync::Barrier, task::JoinSet};

use crate::support::{
    records::{HOUR, data, key, make, told},
    servers::{file_pool, mariadb, mysql_pool, on, postgres, postgres_pool},
};

/// Twelve servers of an application, each with its own pool, start at once, and again later.
async fn starts_everywhere<DB: Dialect>(table: &str, pool: impl Fn() -> Pool<DB>) {
    let stores: Vec<_> = (0..12).map(|_| on(pool()).table(table).unwrap()).collect();
    for _ in 0..2 {
        let begin = Arc::new(Barrier::new(stores.len()));
        let mut starts = JoinSet::new();
        for (number, store) in stores.iter().cloned().enumerate() {
            let begin = Arc::clone(&begin);
            starts.spawn(async move {
                begin.wait().await;
                store.create_table().await.unwrap();
                let number = number as u32;
                store.delete(&key(number), None).await.unwrap();
                make(&store, number, b"data", HOUR).await;
            });
        }
        starts.join_all().await;
        for (number, store) in (0..).zip(stores.iter().rev()) {
            assert_eq!(data(store, number).await.unwrap(), b"data");
        }
    }
}

/// Tables of one database are separate.
async fn has_its_own_records<DB: Dialect>(pool: &Pool<DB>, names: [&str; 2]) {
    let [one, other] = names.map(|name| on(pool.clone()).table(name).unwrap());
    for store in [&one, &other] {
        store.create_table().await.unwrap();
        store.create_table().await.unwrap();
    }
    make(&one, 1, b"one", HOUR).await;
    assert_eq!(data(&other, 1).await, None);
    make(&other, 1, b"other", HOUR).await;
    assert_eq!(data(&one, 1).await.unwrap(), b"one");
}

async fn says_what_to_do<DB: Dialect>(pool: Pool<DB>) {
    let store = on(pool).table("nowhere").unwrap();
    let loaded = store.load(&key(1), Read::Current).await.unwrap_err();
    assert!(matches!(loaded, StoreError::Refused(_)), "{loaded:?}");
    assert!(told(&loaded).contains("create_table"), "{}", told(&loaded));
    let deleted = store.delete_many(&[(key(1), None), (key(2), None)]).await;
    assert_eq!(deleted.len(), 2);
    for deleted in deleted {
        let error = deleted.unwrap_err();
        assert!(told(&error).contains("create_table"), "{}", told(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_start_at_once_with_sqlite() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    starts_everywhere("starts", || file_pool(&path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_start_at_once_with_postgres() {
    let Some(server) = postgres() else { return };
    starts_everywhere("starts", || postgres_pool(&server.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_start_at_once_with_mariadb() {
    let Some(server) = mariadb() else { return };
    starts_everywhere("starts", || mysql_pool(&server.url())).await;
}

#[tokio::test]
async fn a_table_of_sqlite_has_its_own_records() {
    let dir = TempDir::new().unwrap();
    let pool = file_pool(&dir.path().join("sessions.db"));
    has_its_own_records(&pool, ["order", "main.select"]).await;
}

#[tokio::test]
async fn a_table_of_postgres_has_its_own_records() {
    let Some(server) = postgres() else { return };
    server.sql("CREATE SCHEMA shop");
    let pool = postgres_pool(&server.url());
    has_its_own_records(&pool, ["order", "shop.order"]).await;
}

#[tokio::test]
async fn a_table_of_mariadb_has_its_own_records() {
    let Some(server) = mariadb() else { return };
    server.sql("CREATE DATABASE shop");
    let pool = mysql_pool(&server.url());
    has_its_own_records(&pool, ["order", "shop.order"]).await;
}

#[tokio::test]
async fn a_missing_table_is_said_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    says_what_to_do(file_pool(&dir.path().join("sessions.db"))).await;
    if let Some(server) = postgres() {
        says_what_to_do(postgres_pool(&server.url())).await;
    }
    if let Some(server) = mariadb() {
        says_what_to_do(mysql_pool(&server.url())).await;
    }
}

/// An application whose tables come from migrations needs no right to create them.
#[tokio::test]
async fn a_table_may_come_from_a_migration() {
    let Some(server) = postgres() else { return };
    let owner = on(postgres_pool(&server.url()));
    let owner = owner.table("migrated").unwrap();
    server.sql(&owner.schema().join(";\n"));
    server.sql(
        "CREATE ROLE app LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON migrated TO app",
    );
    let url = server.url().replace("postgres@", "app@");
    let app = on(postgres_pool(&url));
    let app = app.table("migrated").unwrap();
    app.create_table().await.unwrap();
    make(&app, 1, b"data", HOUR).await;
    assert_eq!(data(&owner, 1).await.unwrap(), b"data");
    let another = app.clone().table("another").unwrap();
    let refused = another.create_table().await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
}

#[tokio::test]
async fn expired_records_are_found_by_an_index() {
    if let Some(server) = postgres() {
        let store = on(postgres_pool(&server.url()));
        store
            .table("indexed")
            .unwrap()
            .create_table()
            .await
            .unwrap();
        let plan = server.sql(
            "SET enable_seqscan = off; \
             EXPLAIN SELECT id FROM indexed WHERE sweep_after <= now() ORDER BY sweep_after LIMIT 9",
        );
        assert!(plan.contains("indexed_sweep"), "{plan}");
    }
    if let Some(server) = mariadb() {
        let store = on(mysql_pool(&server.url()));
        store
            .table("indexed")
            .unwrap()
            .create_table()
            .await
            .unwrap();
        let indexes = server.sql("SHOW INDEX FROM indexed");
        assert!(indexes.contains("indexed_sweep"), "{indexes}");
    }
}
