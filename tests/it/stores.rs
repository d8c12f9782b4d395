//! The memory store as a store; the filesystem store has tests of its own.

use std::time::Duration;

use silverback::{
    Clock, Timestamp,
    store::{Bytes, MemoryStore, RecordKey, Store, StoreError, Version},
};

use crate::support::START;

const LATER: Timestamp = Timestamp::from_secs(START.as_secs() + 100);

fn key(n: u32) -> RecordKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    RecordKey::from_bytes(bytes)
}

fn store() -> (MemoryStore, Clock) {
    let clock = Clock::manual(START);
    (MemoryStore::new().clock(clock.clone()), clock)
}

#[tokio::test]
async fn the_memory_store_never_makes_or_overwrites_by_accident() {
    let (store, _) = store();
    let data = Bytes::from_static(b"data");
    let gone = store
        .update(&key(1), Version::FIRST, data.clone(), LATER)
        .await;
    assert!(matches!(gone, Err(StoreError::Gone)) && store.is_empty());
    let version = store.create(&key(1), data.clone(), LATER).await.unwrap();
    assert!(matches!(
        store.create(&key(1), data.clone(), LATER).await,
        Err(StoreError::Exists)
    ));
    let next = store
        .update(&key(1), version, data.clone(), LATER)
        .await
        .unwrap();
    assert_ne!(version, next);
    assert!(matches!(
        store.update(&key(1), version, data.clone(), LATER).await,
        Err(StoreError::Conflict)
    ));
    assert!(matches!(
        store.touch(&key(1), version, LATER).await,
        Err(StoreError::Conflict)
    ));
    store.delete(&key(1)).await.unwrap();
    store.delete(&key(1)).await.unwrap();
    assert!(matches!(
        store.touch(&key(1), next, LATER).await,
        Err(StoreError::Gone)
    ));
}

#[tokio::test]
async fn an_expired_record_is_as_good_as_gone() {
    let (store, clock) = store();
    let data = Bytes::from_static(b"data");
    let version = store.create(&key(1), data.clone(), LATER).await.unwrap();
    clock.set(Timestamp::from_secs(LATER.as_secs() - 1));
    assert!(store.load(&key(1)).await.unwrap().is_some());
    clock.set(LATER);
    assert!(store.load(&key(1)).await.unwrap().is_none());
    assert!(matches!(
        store.update(&key(1), version, data.clone(), LATER).await,
        Err(StoreError::Gone)
    ));
    assert!(matches!(
        store.touch(&key(1), version, LATER).await,
        Err(StoreError::Gone)
    ));
    store
        .create(&key(1), data, LATER.saturating_add(Duration::from_secs(9)))
        .await
        .unwrap();
}

#[tokio::test]
async fn touching_changes_the_end_and_nothing_else() {
    let (store, clock) = store();
    let version = store
        .create(&key(1), Bytes::from_static(b"data"), LATER)
        .await
        .unwrap();
    let end = LATER.saturating_add(Duration::from_secs(50));
    store.touch(&key(1), version, end).await.unwrap();
    clock.set(LATER);
    let record = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(
        (record.data(), record.version(), record.expires()),
        (b"data" as &[u8], version, end)
    );
}

#[tokio::test]
async fn expired_sessions_are_removed_in_passing() {
    let (store, clock) = store();
    for n in 0..1_000 {
        store.create(&key(n), Bytes::new(), LATER).await.unwrap();
    }
    clock.set(LATER);
    for n in 1_000..2_000 {
        store
            .create(&key(n), Bytes::new(), Timestamp::from_secs(u64::MAX))
            .await
            .unwrap();
    }
    assert_eq!(store.len(), 1_000);
    clock.set(START);
    store.sweep();
    assert_eq!(store.len(), 1_000, "a clock that goes back sweeps nothing");
}

#[tokio::test]
async fn memory_is_bounded_and_those_closest_to_their_end_make_room() {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock).max_bytes(1 << 20);
    let data = Bytes::from(vec![0; 840]);
    for n in 0..5_000 {
        store
            .create(
                &key(n),
                data.clone(),
                LATER.saturating_add(Duration::from_secs(n.into())),
            )
            .await
            .unwrap();
    }
    assert!(
        store.len() <= (1 << 20) / (840 + 96) && store.len() > 900,
        "{}",
        store.len()
    );
    assert!(store.load(&key(4_999)).await.unwrap().is_some());
    assert!(store.load(&key(0)).await.unwrap().is_none());
    let huge = Bytes::from(vec![0; 1 << 20]);
    assert!(matches!(
        store.create(&key(9), huge, LATER).await,
        Err(StoreError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn an_encrypted_record_tells_a_thief_of_the_store_nothing_and_is_worth_nothing_changed() {
    use crate::support::{Jar, Site, keys};
    use silverback::{Rejection, SessionConfig, SessionLayer};

    let (store, clock) = store();
    let config = SessionConfig::new("s", store.clone(), keys()).encrypt_records();
    let site = Site {
        layer: SessionLayer::new(config).clock(clock.clone()),
        clock,
    };
    let jar = &mut Jar::default();
    site.visit(jar, async |session| {
        session.insert("user", "a secret value").unwrap()
    })
    .await;
    let (id, _) = site
        .visit(jar, async |session| {
            assert_eq!(
                session.get::<String>("user").unwrap().as_deref(),
                Some("a secret value")
            );
            session.update("n", |n: &mut u8| *n += 1).unwrap();
            session.renew();
            session.save().await.unwrap();
            session.id().unwrap()
        })
        .await;
    let record = store.load(&id).await.unwrap().unwrap();
    assert!(
        record
            .data()
            .windows(8)
            .all(|bytes| bytes != b"a secret" && bytes != &id.as_bytes()[..8])
    );
    let mut bent = record.data().to_vec();
    bent[30] ^= 1;
    store
        .update(&id, record.version(), bent.into(), record.expires())
        .await
        .unwrap();
    let (reason, _) = site.visit(jar, async |session| session.rejection()).await;
    assert_eq!(reason, Some(Rejection::Corrupt));
}

/// With what is left of its time, a session waits for its turn among those that make room.
#[tokio::test]
async fn room_is_made_of_what_is_over_first() {
    let (store, clock) = store();
    let store = store.max_bytes(64 * 2_000);
    // All in one shard.
    let key = |n| RecordKey::from_bytes([[0; 31].as_slice(), &[n]].concat().try_into().unwrap());
    let data = || Bytes::from(vec![0; 500]);
    let long = LATER.saturating_add(Duration::from_secs(1_000));
    store.create(&key(1), data(), LATER).await.unwrap();
    store.create(&key(2), data(), long).await.unwrap();
    let kept = store
        .create(&key(3), data(), long.saturating_add(Duration::from_secs(1)))
        .await
        .unwrap();
    clock.set(LATER);
    store
        .update(&key(3), kept, Bytes::from(vec![0; 900]), long)
        .await
        .unwrap();
    assert_eq!(store.len(), 2, "the one that was over made room");
    store.create(&key(4), data(), long).await.unwrap();
    assert_eq!(store.len(), 2);
    assert!(store.load(&key(4)).await.unwrap().is_some());
}

/// One shard with more sessions than are looked at for one that needs room: each comes to its turn,
/// wherever it is.
#[tokio::test]
async fn room_is_made_of_those_closest_to_their_end_among_many() {
    let store = MemoryStore::new()
        .clock(Clock::manual(START))
        .max_bytes(64 * 128 * 2_000);
    let key = |n: u32| {
        RecordKey::from_bytes(
            [[0; 28].as_slice(), &n.to_be_bytes()]
                .concat()
                .try_into()
                .unwrap(),
        )
    };
    let end = |n: u32| LATER.saturating_add(Duration::from_secs(u64::from(n.reverse_bits())));
    for n in 0..8_000 {
        store
            .create(&key(n), Bytes::from(vec![0; 32]), end(n))
            .await
            .unwrap();
    }
    let mut left = Vec::new();
    for n in 0..8_000 {
        left.extend(
            store
                .load(&key(n))
                .await
                .unwrap()
                .map(|record| record.expires()),
        );
    }
    assert_eq!(left.len(), store.len());
    assert!((1_800..=2_000).contains(&left.len()), "{}", left.len());
    let median = LATER.saturating_add(Duration::from_secs(1 << 31));
    let early = left.iter().filter(|end| **end < median).count();
    assert!(early < left.len() / 10, "{early} of {}", left.len());
}

/// Whatever a caller keeps of the buffer it gave, or was given, the store has its own.
#[tokio::test]
async fn a_record_is_bytes_of_its_own() {
    let (store, _) = store();
    for len in [0, 1, 512, 513, 100_000] {
        let whole = Bytes::from((0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        store.delete(&key(1)).await.unwrap();
        let version = store.create(&key(1), whole.clone(), LATER).await.unwrap();
        let first = store.load(&key(1)).await.unwrap().unwrap().into_data();
        store
            .update(&key(1), version, whole.slice(len / 2..), LATER)
            .await
            .unwrap();
        assert_eq!(first, whole);
        assert_eq!(
            store.load(&key(1)).await.unwrap().unwrap().data(),
            &whole[len / 2..]
        );
    }
}
