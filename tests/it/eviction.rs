//! How a full memory store makes room.

use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, MemoryStore, Read, RecordKey, Store, StoreError},
};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, SECOND, START, Stores, World, keys, until, user,
};

const LATER: Timestamp = Timestamp::from_secs(START.as_secs() + 100);

fn store(max_bytes: usize) -> (MemoryStore, Clock) {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock.clone());
    (store.max_bytes(max_bytes), clock)
}

/// A key in the first of the store's 64 shards. Each shard may fill a 64th of the room.
fn key(n: u32) -> RecordKey {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&n.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

fn data(len: usize) -> Bytes {
    Bytes::from(vec![0; len])
}

/// The data of an end set this many seconds after the start.
fn end(set: u32) -> Bytes {
    let [_, _, _, secs @ ..] = set_at(set).as_secs().to_be_bytes();
    Bytes::from([&[24][..], &secs].concat())
}

fn set_at(set: u32) -> Timestamp {
    START.saturating_add(set * SECOND)
}

fn mark() -> Bytes {
    Bytes::from(vec![8; 9])
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

/// A session with time left makes room only after the expired ones.
#[tokio::test]
async fn expired_records_make_room_first() {
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
    assert_eq!(store.len(), 2, "the expired one made room");
    store.create(&key(4), data(500), long).await.unwrap();
    assert_eq!(store.len(), 2);
    assert!(store.load(&key(4), Read::Current).await.unwrap().is_some());
}

/// One shard with more sessions than the store examines for one that needs room. Each gets its
/// turn, wherever it is.
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

/// A world with memory for this many bytes of sessions.
fn world(max_bytes: usize) -> World {
    let mut stores = Stores::new();
    stores.records.memory = stores.records.memory.max_bytes(max_bytes);
    let config = Kind::Memory.config(&stores, keys());
    World::new(Kind::Memory, stores, config)
}

#[tokio::test]
async fn visitors_who_come_once_leave_others_alone() {
    let world = world(64 * 4_000);
    let store = &world.records().memory;
    let mut users = Vec::new();
    for number in 0..50 {
        users.push(world.logged_in(&format!("user {number}"), "laptop").await);
    }
    world.clock.advance(HOUR);
    for jar in &mut users {
        assert!(world.visit(jar, user).await.0.is_some());
    }
    world.clock.advance(MINUTE);
    for _ in 0..5_000 {
        world.put(&mut Jar::default(), "n", 1).await;
    }
    for (number, jar) in users.iter_mut().enumerate() {
        let name = world.visit(jar, user).await.0;
        assert_eq!(name, Some(format!("user {number}")));
    }
    let evicted = store.evicted();
    assert_eq!((evicted.sessions, evicted.rosters, evicted.ends), (0, 0, 0));
    assert!(evicted.unused_sessions > 2_500, "{evicted:?}");
    assert_eq!(store.limits().forgotten_until, None);
}

/// Any call counts as use.
#[tokio::test]
async fn used_sessions_stay_longer() {
    for call in 0..4 {
        let (store, _) = store(64 * 128 * 10);
        let session = || Bytes::from(vec![1; 32]);
        // It is by far the closest to its end.
        let version = store.create(&key(0), session(), later(0)).await.unwrap();
        match call {
            0 => assert!(store.load(&key(0), Read::Recent).await.unwrap().is_some()),
            1 => drop(store.touch(&key(0), version, later(1)).await.unwrap()),
            2 => drop(
                store
                    .update(&key(0), version, session(), later(1))
                    .await
                    .unwrap(),
            ),
            _ => drop(store.load_many(&[key(0)], Read::Current).await),
        }
        for n in 1..1_000 {
            store
                .create(&key(n), session(), later(1_000))
                .await
                .unwrap();
        }
        let left = store.load(&key(0), Read::Current).await.unwrap();
        assert!(left.is_some(), "call {call}");
        assert_eq!((store.len(), store.evicted().unused_sessions), (10, 990));
    }
}

#[tokio::test]
async fn ends_are_forgotten_last_and_in_their_order() {
    let (store, _) = store(64 * 10 * (96 + 6));
    for n in 0..5 {
        // The earlier an end is set here, the longer it has to be remembered.
        store.create(&key(n), end(n), later(100 - n)).await.unwrap();
    }
    for n in 5..100 {
        let kind = [1, 16][n as usize % 2];
        let other = Bytes::from(vec![kind, 0, 0, 0, 0, 0]);
        store.create(&key(n), other, later(0)).await.unwrap();
    }
    assert_eq!(store.limits().forgotten_until, None);
    assert_eq!(store.evicted().ends, 0);
    assert!(
        store.evicted().rosters > 0,
        "as nothing else could make room"
    );
    for n in 100..108 {
        store.create(&key(n), end(n), later(200)).await.unwrap();
    }
    let clone = store.clone();
    assert_eq!(clone.limits().forgotten_until, Some(set_at(2)));
    assert_eq!((clone.evicted().ends, clone.len()), (3, 10));
    for n in 0..5 {
        let found = store.load(&key(n), Read::Current).await.unwrap();
        assert_eq!(found.is_some(), n > 2, "{n}");
    }
    // Another shard forgets earlier ends, which does not move the time back.
    let elsewhere = |n: u32| {
        let mut bytes = *key(n).as_bytes();
        bytes[0] = 1;
        RecordKey::from_bytes(bytes)
    };
    for n in 0..12 {
        let old = end(0);
        store.create(&elsewhere(n), old, later(200)).await.unwrap();
    }
    assert_eq!(store.limits().forgotten_until, Some(set_at(2)));
    assert_eq!(store.evicted().ends, 5);
}

/// Only the list remembers that all sessions were ended.
#[tokio::test]
async fn an_evicted_list_brings_no_ended_session_back() {
    let mut stores = Stores::new();
    stores.ends.memory = stores.ends.memory.max_bytes(64 * 600);
    let config = Kind::Revocable.config(&stores, keys());
    let world = World::new(Kind::Revocable, stores, config.persist_up_to(40 * DAY));
    let store = &world.ends().memory;
    let stolen = &mut world.logged_in("ada", "stolen").await;
    world.destroy_all("ada").await;
    assert!(!world.is_alive(stolen).await);
    world.clock.advance(3 * HOUR);
    let later = &mut world.logged_in("eve", "laptop").await;
    for number in 0..4_000 {
        let jar = &mut Jar::default();
        world
            .visit(jar, async |session| {
                session.persist_for(40 * DAY);
                session.insert("user", number).unwrap();
                session
                    .set_subject(&format!("user {number}"), "flood")
                    .unwrap();
            })
            .await;
        assert!(!world.is_alive(stolen).await, "{number}");
    }
    assert!(store.evicted().rosters > 1_000);
    assert!(store.limits().forgotten_until.is_some());
    // The eviction of a list that ended no session ends none.
    assert!(world.is_alive(later).await);
}

#[tokio::test]
async fn marks_stay_until_their_end_and_are_not_counted() {
    let (store, clock) = store(64 * 10 * (96 + 9));
    let session = || Bytes::from(vec![1; 9]);
    for n in 0..10 {
        store.create(&key(n), session(), later(0)).await.unwrap();
    }
    let mut marked = 0;
    let refused = loop {
        let end = until(START.saturating_add(MINUTE));
        match store.create(&key(100 + marked), mark(), end).await {
            Ok(_) => marked += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, StoreError::Refused(_)), "{refused:?}");
    assert_eq!(
        std::error::Error::source(&refused).unwrap().to_string(),
        "it is full: raise `MemoryStore::max_bytes`"
    );
    assert_eq!((marked, store.len()), (10, 0));
    assert!(store.is_empty());
    for n in 100..110 {
        let found = store.load(&key(n), Read::Current).await.unwrap().unwrap();
        assert_eq!(found.data(), mark());
        // A session no larger than its mark takes no extra room.
        store
            .touch(
                &key(n),
                found.version(),
                until(START.saturating_add(MINUTE)),
            )
            .await
            .unwrap();
    }
    let found = store.load(&key(100), Read::Current).await.unwrap().unwrap();
    let larger = store
        .update(&key(100), found.version(), data(10), later(0))
        .await;
    assert!(matches!(larger, Err(StoreError::Refused(_))), "{larger:?}");
    clock.advance(MINUTE);
    store.create(&key(1), session(), later(0)).await.unwrap();
    assert_eq!(store.len(), 1);
}
