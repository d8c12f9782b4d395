//! Deletions beside others who use the same keys.

use silverback::store::{Store, Version};
use sqlx::query;
use tempfile::TempDir;

use crate::support::{
    records::{HOUR, data, key, make},
    servers::{file_pool, on},
};

/// Another process creates a record as soon as one is deleted. A deletion of several records that
/// has to look at one of them again leaves it there.
#[tokio::test]
async fn a_record_that_was_created_after_its_deletion_stays() {
    let dir = TempDir::new().unwrap();
    let pool = file_pool(&dir.path().join("sessions.db"));
    let store = on(pool.clone());
    store.create_table().await.unwrap();
    make(&store, 1, b"old", HOUR).await;
    let again = "CREATE TRIGGER again AFTER DELETE ON silverback_sessions WHEN old.data = x'6f6c64' \
                 BEGIN INSERT INTO silverback_sessions \
                 VALUES (old.id, zeroblob(16), x'6e6577', old.expires); END";
    query(again).execute(&pool).await.unwrap();
    let records = [(key(1), None), (key(2), Some(Version::from_u64(7)))];
    for deleted in store.delete_many(&records).await {
        deleted.unwrap();
    }
    assert_eq!(data(&store, 1).await.unwrap(), b"new");
}
