#![allow(clippy::unwrap_used, missing_docs, clippy::indexing_slicing)]
#[path = "support/nodes.rs"]
mod nodes;
use silverback::{store::{Sweep, conformance::Subject}, store_conformance};
use silverback_sqlx::*;
store_conformance!(mod galera, my().await);
async fn my() -> Subject<nodes::Nodes<MySqlStore>> {
    let mut all = vec![];
    for n in 1..=3 {
    let pool = sqlx::mysql::MySqlPoolOptions::new().max_connections(8).test_before_acquire(false).connect(&format!("mysql://root@127.0.0.1:2330{n}/t")).await.unwrap();
    let store = SqlStore::new(pool).max_record_bytes(10 << 20);
    store.create_table().await.unwrap();
    all.push(store);
    }
    Subject::new(nodes::Nodes::new(all)).sweep(|store| async move { drop(store.sweep().await) })
}
