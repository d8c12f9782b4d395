//! The store of `testing` that fails on demand.

use silverback::{
    ErrorKind, Session, SessionConfig, SessionLayer,
    store::{Bytes, MemoryStore, Read, RecordKey, Store, StoreError},
    testing::{Calls, FlakyStore},
};

use crate::support::{HOUR, START, keys, until};

const KEY: RecordKey = RecordKey::from_bytes([7; 32]);

fn flaky() -> FlakyStore<MemoryStore> {
    let clock = silverback::Clock::manual(START);
    FlakyStore::new(MemoryStore::new().clock(clock))
}

async fn write(store: &FlakyStore<MemoryStore>) -> bool {
    let end = until(START.saturating_add(HOUR));
    let made = store.create(&KEY, Bytes::from_static(b"\x01"), end).await;
    match made {
        Ok(_) | Err(StoreError::Exists) => true,
        Err(StoreError::Unavailable(_) | StoreError::Refused(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

async fn read(store: &FlakyStore<MemoryStore>) -> bool {
    store.load(&KEY, Read::Current).await.is_ok()
}

#[tokio::test]
async fn calls_fail_on_demand() {
    let store = flaky();
    for (calls, reads, writes) in [
        (Calls::All, false, true),
        (Calls::Reads, false, true),
        (Calls::Writes, true, false),
    ] {
        store.fail_next(calls);
        assert_eq!(read(&store).await, reads, "{calls:?}");
        assert_eq!(write(&store).await, writes, "{calls:?}");
        assert!(read(&store).await && write(&store).await, "{calls:?}: once");
    }
    for (calls, reads, writes) in [
        (Calls::All, false, false),
        (Calls::Reads, false, true),
        (Calls::Writes, true, false),
    ] {
        store.fail_all(calls);
        for _ in 0..3 {
            assert_eq!(read(&store).await, reads, "{calls:?}");
            assert_eq!(write(&store).await, writes, "{calls:?}");
        }
        store.heal();
        assert!(
            read(&store).await && write(&store).await,
            "{calls:?}: healed"
        );
    }
}

#[tokio::test]
async fn a_call_for_several_records_counts_once() {
    let store = flaky();
    assert!(write(&store).await);
    store.take_count();
    store.fail_next(Calls::Reads);
    store.fail_next(Calls::Reads);
    for is_ok in [false, false, true] {
        let loaded = store.load_many(&[KEY, KEY, KEY], Read::Current).await;
        let ok = loaded.iter().filter(|record| record.is_ok()).count();
        assert_eq!((loaded.len(), ok), (3, if is_ok { 3 } else { 0 }));
    }
    store.fail_next(Calls::Writes);
    let deleted = store.delete_many(&[(KEY, None)]).await;
    assert!(deleted.len() == 1 && deleted[0].is_err());
    assert_eq!(store.take_count(), 4);
    assert_eq!(store.take_count(), 0);
}

#[tokio::test]
async fn healing_removes_all_failures() {
    let store = flaky();
    store.fail_next(Calls::All);
    store.lose_next_answer();
    store.heal();
    assert!(read(&store).await && write(&store).await);
}

#[tokio::test]
async fn a_lost_answer_is_of_an_applied_write() {
    let store = flaky();
    store.lose_next_answer();
    assert!(read(&store).await, "the answer of a read is not lost");
    assert!(!write(&store).await);
    assert!(store.load(&KEY, Read::Current).await.unwrap().is_some());
}

#[tokio::test]
async fn it_waits_even_if_its_inner_store_does_not() {
    let store = flaky();
    assert!(!store.limits().never_waits);
    let config = SessionConfig::new("s", store.clone(), keys());
    let layer = SessionLayer::new(config).clock(silverback::Clock::manual(START));
    let sessions = layer.detached();
    let unloaded = sessions.iter().next().unwrap();
    let refused = unloaded.insert("n", 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotLoaded);
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_is_done_once() {
    let store = flaky();
    let config = SessionConfig::new("s", store.clone(), keys());
    let layer = SessionLayer::new(config).clock(silverback::Clock::manual(START));
    let session: Session = layer.detached().get("s").await.unwrap();
    session.insert("n", 0).unwrap();
    session.save().await.unwrap();
    session.update("n", |n: &mut u32| *n += 1).unwrap();
    store.lose_next_answer();
    session.save().await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(1));
}
