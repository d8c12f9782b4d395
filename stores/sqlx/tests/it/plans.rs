//! What the calls cost PostgreSQL.

use silverback::store::{Bytes, Read, Store};
use silverback_sqlx::{PostgresStore, SqlStore};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::support::{
    records::{HOUR, key, until},
    servers::{LONG, Postgres, postgres},
};

/// A store whose calls all take the same connection.
async fn on_one_connection(server: &Postgres, table: &str) -> (PostgresStore, PgPool) {
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_lazy(&server.url()).unwrap();
    let store = SqlStore::new(pool.clone()).timeout(LONG);
    let store = store.table(table).unwrap();
    store.create_table().await.unwrap();
    (store, pool)
}

/// PostgreSQL plans the first five runs of a statement anew, and then only those for which a plan
/// that is made for their values seems worth its time.
#[tokio::test]
async fn a_lone_record_needs_no_plan_of_its_own() {
    let Some(server) = postgres() else { return };
    let (store, pool) = on_one_connection(server, "planned").await;
    let data = Bytes::from_static(b"data");
    for number in 0..9 {
        let (key, end) = (key(number), until(HOUR));
        let version = store.create(&key, data.clone(), end).await.unwrap();
        store.load(&key, Read::Current).await.unwrap().unwrap();
        let exists = store.create(&key, data.clone(), end).await;
        exists.unwrap_err(); // asks for the version
        let version = store.update(&key, version, data.clone(), end).await;
        let version = version.unwrap();
        store.touch(&key, version, end).await.unwrap();
        store.delete(&key, Some(version)).await.unwrap();
    }
    let look = "SELECT statement, custom_plans FROM pg_prepared_statements WHERE statement ~ $1";
    let look = sqlx::query_as(look).bind("planned").fetch_all(&pool);
    let planned: Vec<(String, i64)> = look.await.unwrap();
    assert_eq!(planned.len(), 6, "{planned:?}");
    for (statement, plans) in planned {
        assert!(plans <= 5, "{plans}: {statement}");
    }
}

/// Each write gets a later end. A HOT update (heap-only tuple) writes no index.
#[tokio::test]
async fn a_later_end_writes_no_index() {
    let Some(server) = postgres() else { return };
    let (store, pool) = on_one_connection(server, "heap_only").await;
    let data = Bytes::from_static(b"data");
    let end = |hours| until(HOUR * hours);
    let key = key(1);
    let version = store.create(&key, data.clone(), end(1)).await;
    let mut version = version.unwrap();
    for hours in 2..9 {
        let updated = store.update(&key, version, data.clone(), end(hours));
        version = updated.await.unwrap();
        store.touch(&key, version, end(hours)).await.unwrap();
    }
    let flush = sqlx::query("SELECT pg_stat_force_next_flush()");
    flush.execute(&pool).await.unwrap();
    let updates: (i64, i64) = sqlx::query_as(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'heap_only'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(updates, (14, 14));
}
