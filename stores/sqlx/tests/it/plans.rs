//! What the calls cost PostgreSQL.

use silverback::store::{Bytes, Read, Store};
use silverback_sqlx::SqlStore;
use sqlx::postgres::PgPoolOptions;

use crate::support::{
    records::{HOUR, key, until},
    servers::{LONG, postgres},
};

/// PostgreSQL plans the first five runs of a statement anew, and then only those for which a plan
/// that is made for their values seems worth its time.
#[tokio::test]
async fn a_lone_record_needs_no_plan_of_its_own() {
    let Some(server) = postgres() else { return };
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_lazy(&server.url()).unwrap();
    let store = SqlStore::new(pool.clone()).timeout(LONG);
    let store = store.table("planned").unwrap();
    store.create_table().await.unwrap();
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
