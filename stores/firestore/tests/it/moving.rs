//! Moves to and from Firestore.

use silverback::{
    MemoryStore,
    store::{Bytes, MigratingStore, Read, RecordKey, Store as _},
};

use crate::{Project, day, seconds};

const KEY: RecordKey = RecordKey::from_bytes([7; 32]);

#[tokio::test]
async fn a_record_that_a_save_has_moved_survives_a_touch() {
    let Some(project) = Project::new() else {
        return;
    };
    let from = MemoryStore::new();
    let first = Bytes::from_static(b"\x01first");
    from.create(&KEY, first, day()).await.unwrap();
    let store = MigratingStore::new(from, project.store().await);
    let loaded = store.load(&KEY, Read::Current).await.unwrap().unwrap();
    let second = Bytes::from_static(b"\x01second");
    let saved = store.update(&KEY, loaded.version(), second.clone(), day());
    let saved = saved.await.unwrap();
    store.touch(&KEY, saved, seconds(90_000)).await.unwrap();
    let loaded = store.load(&KEY, Read::Current).await.unwrap();
    assert_eq!(loaded.map(|record| record.into_data()), Some(second));
}
