//! The memory store as a store. The filesystem store has its own tests.

use std::time::Duration;

use silverback::{
    Clock, Rejection, SessionConfig, Timestamp,
    store::{Bytes, Expiry, MemoryStore, Read, RecordKey, Store, StoreError, Sweep, Version},
};

use crate::support::{Jar, Kind, START, until};

const LATER: Expiry = until(START.saturating_add(Duration::from_secs(100)));

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
async fn memory_never_overwrites_by_accident() {
    let (store, _) = store();
    let data = Bytes::from_static(b"data");
    let gone = store
        .update(&key(1), Version::from_u64(1), data.clone(), LATER)
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
    store.delete(&key(1), None).await.unwrap();
    store.delete(&key(1), None).await.unwrap();
    assert!(matches!(
        store.touch(&key(1), next, LATER).await,
        Err(StoreError::Gone)
    ));
}

#[tokio::test]
async fn an_expired_record_counts_as_gone() {
    let (store, clock) = store();
    let data = Bytes::from_static(b"data");
    let version = store.create(&key(1), data.clone(), LATER).await.unwrap();
    clock.set(Timestamp::from_secs(LATER.at.as_secs() - 1));
    assert!(store.load(&key(1), Read::Current).await.unwrap().is_some());
    clock.set(LATER.at);
    assert!(store.load(&key(1), Read::Current).await.unwrap().is_none());
    assert!(matches!(
        store.update(&key(1), version, data.clone(), LATER).await,
        Err(StoreError::Gone)
    ));
    assert!(matches!(
        store.touch(&key(1), version, LATER).await,
        Err(StoreError::Gone)
    ));
    store
        .create(
            &key(1),
            data,
            until(LATER.at.saturating_add(Duration::from_secs(9))),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn touching_changes_only_the_end() {
    let (store, clock) = store();
    let version = store
        .create(&key(1), Bytes::from_static(b"data"), LATER)
        .await
        .unwrap();
    let end = LATER.at.saturating_add(Duration::from_secs(50));
    store.touch(&key(1), version, until(end)).await.unwrap();
    clock.set(LATER.at);
    let record = store.load(&key(1), Read::Current).await.unwrap().unwrap();
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
    clock.set(LATER.at);
    for n in 1_000..2_000 {
        store
            .create(&key(n), Bytes::new(), until(Timestamp::from_secs(u64::MAX)))
            .await
            .unwrap();
    }
    assert_eq!(store.len(), 1_000);
    clock.set(START);
    store.sweep().await;
    assert_eq!(
        store.len(),
        1_000,
        "a clock that runs backwards sweeps nothing"
    );
}

#[tokio::test]
async fn a_sealed_record_cannot_be_read_or_modified() {
    let site = Kind::Memory.with(SessionConfig::encrypt_records);
    let store = &site.records().memory;
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
            session.record_key().unwrap()
        })
        .await;
    let record = store.load(&id, Read::Current).await.unwrap().unwrap();
    assert!(
        record
            .data()
            .windows(8)
            .all(|bytes| bytes != b"a secret" && bytes != &id.as_bytes()[..8])
    );
    let mut bent = record.data().to_vec();
    bent[30] ^= 1;
    store
        .update(&id, record.version(), bent.into(), until(record.expires()))
        .await
        .unwrap();
    let (reason, _) = site.visit(jar, async |session| session.rejection()).await;
    assert_eq!(reason, Some(Rejection::Corrupt));
}

/// The store copies its data: it shares no buffer with the caller.
#[tokio::test]
async fn a_record_has_its_own_buffer() {
    let (store, _) = store();
    for len in [0, 1, 512, 513, 100_000] {
        let whole = Bytes::from((0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        store.delete(&key(1), None).await.unwrap();
        let version = store.create(&key(1), whole.clone(), LATER).await.unwrap();
        let first = store
            .load(&key(1), Read::Current)
            .await
            .unwrap()
            .unwrap()
            .into_data();
        store
            .update(&key(1), version, whole.slice(len / 2..), LATER)
            .await
            .unwrap();
        assert_eq!(first, whole);
        assert_eq!(
            store
                .load(&key(1), Read::Current)
                .await
                .unwrap()
                .unwrap()
                .data(),
            &whole[len / 2..]
        );
    }
}
