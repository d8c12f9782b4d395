//! What makes room in a memory store that is full.

use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, MemoryStore, Read, RecordKey, Store, StoreError},
};

use crate::support::{SECOND, START, until};

const LATER: Timestamp = Timestamp::from_secs(START.as_secs() + 100);

fn store(max_bytes: usize) -> (MemoryStore, Clock) {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock.clone());
    (store.max_bytes(max_bytes), clock)
}

/// A key of the first of the store's 64 shards, each of which may fill a 64th of the room.
fn key(n: u32) -> RecordKey {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&n.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

fn data(len: usize) -> Bytes {
    Bytes::from(vec![0; len])
}

fn later(secs: u32) -> Expiry {
    until(LATER.saturating_add(secs * SECOND))
}

#[tokio::test]
async fn memory_is_bounded() {
    let (store, _) = store(1 << 20);
    // A key of any shard.
    let key = |n: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        RecordKey::from_bytes(bytes)
    };
    for n in 0..5_000 {
        store.create(&key(n), data(840), later(n)).await.unwrap();
    }
    let most = (1 << 20) / (840 + 96);
    assert!((901..=most).contains(&store.len()), "{}", store.len());
    assert!(
        store
            .load(&key(4_999), Read::Current)
            .await
            .unwrap()
            .is_some()
    );
    assert!(store.load(&key(0), Read::Current).await.unwrap().is_none());
    assert!(matches!(
        store.create(&key(9), data(1 << 20), later(0)).await,
        Err(StoreError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn a_record_does_not_make_room_for_itself() {
    let (store, _) = store(64 * 2_000);
    let version = store.create(&key(1), data(500), later(0)).await.unwrap();
    store
        .create(&key(2), data(1_000), later(100))
        .await
        .unwrap();
    let updated = store.update(&key(1), version, data(1_500), later(0)).await;
    updated.unwrap();
    assert!(store.load(&key(1), Read::Current).await.unwrap().is_some());
    assert!(store.load(&key(2), Read::Current).await.unwrap().is_none());
}

/// With what is left of its time, a session waits for its turn among those that make room.
#[tokio::test]
async fn room_is_made_of_what_is_over_first() {
    let (store, clock) = store(64 * 2_000);
    let long = later(1_000);
    store.create(&key(1), data(500), later(0)).await.unwrap();
    store.create(&key(2), data(500), long).await.unwrap();
    let kept = store
        .create(&key(3), data(500), later(1_001))
        .await
        .unwrap();
    clock.set(LATER);
    store.update(&key(3), kept, data(900), long).await.unwrap();
    assert_eq!(store.len(), 2, "the one that was over made room");
    store.create(&key(4), data(500), long).await.unwrap();
    assert_eq!(store.len(), 2);
    assert!(store.load(&key(4), Read::Current).await.unwrap().is_some());
}

/// One shard with more sessions than are looked at for one that needs room: each comes to its turn,
/// wherever it is.
#[tokio::test]
async fn the_oldest_go_first_among_many() {
    let (store, _) = store(64 * 128 * 2_000);
    for n in 0..8_000_u32 {
        let end = later(n.reverse_bits());
        store.create(&key(n), data(32), end).await.unwrap();
    }
    let mut left = Vec::new();
    for n in 0..8_000 {
        let record = store.load(&key(n), Read::Current).await.unwrap();
        left.extend(record.map(|record| record.expires()));
    }
    assert_eq!(left.len(), store.len());
    assert!((1_800..=2_000).contains(&left.len()), "{}", left.len());
    let early = left.iter().filter(|end| **end < later(1 << 31).at).count();
    assert!(early < left.len() / 10, "{early} of {}", left.len());
}
