//! What others do to the table: garbage in its columns, and rows that go.

use axum::http::StatusCode;
use silverback::store::Store;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use crate::support::{
    servers::{file_pool, file_store, mariadb, mysql_pool, on, postgres, postgres_pool},
    site::{Site, Visitor},
};

/// Damages records in each of these ways, and empties the table in mid-request.
async fn is_got_over<S: Store + Clone>(store: S, damages: &[&str], run: impl AsyncFn(String)) {
    let site = Site::of([store.clone(), store]);
    for damage in damages {
        let visitor = site.visitor();
        has_a_session(&visitor).await;
        run(format!("UPDATE damaged SET {damage}")).await;
        // The visitor has a new session, and that one is kept.
        has_a_session(&visitor).await;
    }
    let visitor = site.visitor();
    has_a_session(&visitor).await;
    let tab = visitor.clone();
    let slow = tokio::spawn(async move { tab.post("/slow").await });
    site.gate.arrival().await;
    run("DELETE FROM damaged".to_owned()).await;
    site.gate.open();
    let page = slow.await.unwrap();
    assert_eq!(page.status(), StatusCode::CONFLICT, "{}", page.text());
    has_a_session(&visitor).await;
}

/// Counts from 1 on.
async fn has_a_session(visitor: &Visitor) {
    for n in 1..3 {
        let page = visitor.add("n").await;
        assert_eq!(
            (page.status(), page.text()),
            (StatusCode::OK, &*n.to_string())
        );
    }
}

#[tokio::test]
async fn a_damaged_table_of_sqlite_is_got_over() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let store = file_store(&path).await.table("damaged").unwrap();
    store.create_table().await.unwrap();
    let pool = file_pool(&path);
    let damages = [
        "data = x'0102030405'",
        "data = x''",
        "data = coalesce(substr(data, 1, length(data) / 2), x'')",
        "version = x'00'",
        "version = zeroblob(16), data = zeroblob(100)",
    ];
    let run = async |sql| {
        let run = sqlx::query(AssertSqlSafe(sql));
        run.execute(&pool).await.unwrap();
    };
    is_got_over(store, &damages, run).await;
}

#[tokio::test]
async fn a_damaged_table_of_postgres_is_got_over() {
    let Some(server) = postgres() else { return };
    let store = on(postgres_pool(&server.url()));
    let store = store.table("damaged").unwrap();
    store.create_table().await.unwrap();
    let damages = [
        "data = '\\x0102030405'",
        "data = ''",
        "data = substring(data FROM 1 FOR octet_length(data) / 2)",
        "version = '\\x00'",
        "app_expires = -1",
        "version = '\\x00112233445566778899aabbccddeeff', data = 'garbage'",
    ];
    is_got_over(store, &damages, async |sql: String| drop(server.sql(&sql))).await;
}

#[tokio::test]
async fn a_damaged_table_of_mariadb_is_got_over() {
    let Some(server) = mariadb() else { return };
    let store = on(mysql_pool(&server.url()));
    let store = store.table("damaged").unwrap();
    store.create_table().await.unwrap();
    let damages = [
        "data = x'0102030405'",
        "data = ''",
        "data = LEFT(data, LENGTH(data) / 2)",
        "app_expires = -1",
        "version = REPEAT('x', 16), data = 'garbage'",
    ];
    is_got_over(store, &damages, async |sql: String| drop(server.sql(&sql))).await;
}
