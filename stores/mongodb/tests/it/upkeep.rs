//! Concurrent sweeps, and browsing a collection page by page.

use std::{collections::BTreeSet, time::Duration};

use mongodb::bson::doc;
use silverback::{
    Clock, Timestamp,
    store::{
        Browse as _, Bytes, Cursor, Expiry, RecordKey, RecordKind, Store as _, StoreError,
        Sweep as _,
    },
};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{
    SecantusDb,
    kit::{key, listed, swept},
};
use tokio::task::JoinSet;

use crate::{connect, documents, id, put, server};

const RECORDS: u32 = 120;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

async fn make(store: &MongoStore, number: u32, data: Bytes, life: u64) -> Expiry {
    let expiry = Expiry::new(NOW.saturating_add(Duration::from_secs(life)), NOW);
    store.create(&key(number), data, expiry).await.unwrap();
    expiry
}

#[tokio::test]
async fn pages_show_every_record_once_in_the_order_of_keys() {
    let Some(server) = server() else {
        return;
    };
    let store = connect(server, "pages").await;
    let records = documents(server, "pages", "silverback_sessions").await;
    put(&records, key(7), doc! { "a": "record that is damaged" }).await;
    records
        .insert_one(doc! { "_id": "another's" })
        .await
        .unwrap();
    for number in (0..30).filter(|number| *number != 7) {
        let bytes = vec![1 + (number % 2) as u8 * 7; number as usize];
        make(&store, number, Bytes::from(bytes), 3_600).await;
    }
    for limit in [0, 1, 4, 100] {
        let listed = listed(&store, limit).await;
        let keys: BTreeSet<_> = listed.iter().map(|listed| listed.key).collect();
        assert!(listed.iter().map(|one| one.key).eq(keys), "{limit}");
        let numbers = (0..30).filter(|number| *number != 7);
        assert_eq!(listed.len(), 29, "{limit}");
        for (number, listed) in numbers.zip(listed) {
            let kind = [RecordKind::Session, RecordKind::Mark][number as usize % 2];
            let expected = (number > 0).then_some(kind);
            assert_eq!((listed.key, listed.kind), (key(number), expected));
            assert_eq!(listed.size, number as usize);
            assert_eq!(
                listed.expires,
                NOW.saturating_add(Duration::from_secs(3_600))
            );
        }
    }
    let foreign = store.browse(&Cursor::new(&b"some other"[..]), 9).await;
    assert!(
        matches!(foreign, Err(StoreError::Refused(_))),
        "{foreign:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sweep_at_once_and_leave_what_lives() {
    let Some(server) = server() else {
        return;
    };
    let clock = Clock::manual(NOW);
    let store = connect(server, "swept").await.clock(clock.clone());
    for number in 0..RECORDS {
        let life = if number % 3 == 0 { 3_600 } else { 60 };
        make(&store, number, Bytes::from_static(b"\x01old"), life).await;
    }
    clock.advance(Duration::from_secs(60));
    let mut sweepers = JoinSet::new();
    for _ in 0..3 {
        let node = store.clone();
        sweepers.spawn(async move { swept(&node, 7).await });
    }
    // In place of an ended record, whether it was swept or not.
    for number in [1, 61] {
        make(&store, number, Bytes::from_static(b"\x01new"), 3_600).await;
    }
    let removed: u64 = sweepers.join_all().await.iter().sum();
    let last = store.sweep().await;
    assert!(last.is_finished() && last.failed() == 0, "{last:?}");
    assert!(removed + last.removed() <= u64::from(RECORDS) * 2 / 3);
    let left: Vec<_> = listed(&store, 1_000)
        .await
        .iter()
        .map(|one| one.key)
        .collect();
    let lives = |number: &u32| number.is_multiple_of(3) || matches!(number, 1 | 61);
    assert_eq!(
        left,
        (0..RECORDS).filter(lives).map(key).collect::<Vec<_>>()
    );
    assert_eq!(store.sweep().await.examined(), 0);
}

#[tokio::test]
async fn a_sweep_that_fails_says_so() {
    let Some(server) = SecantusDb::start_with(&["--auth"]) else {
        return;
    };
    let store = connect(&server, "shop").await;
    for swept in [store.sweep_some(9).await, store.sweep().await] {
        assert!(swept.failed() == 1 && !swept.is_finished(), "{swept:?}");
    }
}

#[tokio::test]
async fn the_first_and_the_last_key_are_on_a_page() {
    let Some(server) = server() else {
        return;
    };
    let store = connect(server, "ends_of_keys").await;
    let keys = [[0; 32], [7; 32], [0xff; 32]].map(RecordKey::from_bytes);
    for key in keys {
        let expiry = Expiry::new(NOW.saturating_add(Duration::from_secs(60)), NOW);
        let made = store.create(&key, Bytes::from_static(b"\x01"), expiry);
        made.await.unwrap();
    }
    for limit in [1, 9] {
        let listed = listed(&store, limit).await;
        assert!(listed.iter().map(|one| one.key).eq(keys), "{limit}");
    }
}

/// More records than one command removes.
#[tokio::test]
async fn a_sweep_goes_on_to_the_end_and_a_step_keeps_to_its_limit() {
    let Some(server) = server() else {
        return;
    };
    let clock = Clock::manual(NOW);
    let store = connect(server, "long_sweep").await.clock(clock);
    let records = documents(server, "long_sweep", "silverback_sessions").await;
    let over = mongodb::bson::DateTime::from_millis(1_000);
    let document = |number| doc! { "_id": id(&key(number)), "expires": over };
    records.insert_many((0..1_003).map(document)).await.unwrap();
    for limit in [0, 1] {
        let swept = store.sweep_some(limit).await;
        assert_eq!((swept.examined(), swept.removed()), (1, 1), "{limit}");
        assert!(!swept.is_finished(), "{limit}");
    }
    let swept = store.sweep().await;
    assert_eq!(swept.removed(), 1_001);
    assert!(swept.is_finished(), "{swept:?}");
}
