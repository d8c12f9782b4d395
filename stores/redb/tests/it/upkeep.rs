//! Sweeping and browsing while others write.

use std::{collections::BTreeSet, time::Duration};

use silverback::{
    Clock, Timestamp,
    store::{
        Browse, Bytes, Cursor, Expiry, RecordKey, RecordKind, Store as _, StoreError, Sweep as _,
        Sweeper,
    },
};
use silverback_redb::{Durability, RedbStore};
use tempfile::TempDir;

use crate::path;

const NOW: Timestamp = Timestamp::from_secs(1_000);
const SOON: Expiry = Expiry::new(Timestamp::from_secs(2_000), NOW);
const LATER: Expiry = Expiry::new(Timestamp::from_secs(9_000), NOW);

fn key(number: u32) -> RecordKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    RecordKey::from_bytes(bytes)
}

async fn open(dir: &TempDir) -> (RedbStore, Clock) {
    let clock = Clock::manual(NOW);
    let options = RedbStore::options().durability(Durability::None);
    let opened = options.clock(clock.clone()).open(path(dir)).await;
    (opened.unwrap(), clock)
}

const RECORDS: u32 = 300;

/// Every third record lives longer. Every second is a mark.
async fn fill(store: &RedbStore) {
    for number in 0..RECORDS {
        let expiry = if number % 3 == 0 { LATER } else { SOON };
        let kind = if number % 2 == 0 { 8 } else { 1 };
        let data = Bytes::from(vec![kind; 1 + number as usize]);
        store.create(&key(number), data, expiry).await.unwrap();
    }
}

#[tokio::test]
async fn every_record_is_listed_once_whatever_the_page() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(&dir).await;
    fill(&store).await;
    for limit in [0, 1, 7, 300, 1_000] {
        let (mut seen, mut from) = (BTreeSet::new(), Some(Cursor::default()));
        while let Some(cursor) = from {
            let page = store.browse(&cursor, limit).await.unwrap();
            assert!(page.entries.len() <= limit.max(1));
            for listed in page.entries {
                let number = (0..RECORDS)
                    .find(|number| key(*number) == listed.key)
                    .unwrap();
                let kind = if number % 2 == 0 {
                    RecordKind::Mark
                } else {
                    RecordKind::Session
                };
                assert_eq!(
                    (listed.kind, listed.size),
                    (Some(kind), 1 + number as usize)
                );
                let end = if number % 3 == 0 { LATER } else { SOON };
                assert_eq!(listed.expires, end.at);
                assert!(seen.insert(number), "{number} twice");
            }
            from = page.next;
        }
        assert_eq!(seen.len(), RECORDS as usize, "{limit}");
    }
    let foreign = store.browse(&Cursor::new(&b"x"[..]), 10).await;
    assert!(matches!(foreign, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn a_sweep_removes_what_is_over_in_bounded_steps() {
    let dir = TempDir::new().unwrap();
    let (store, clock) = open(&dir).await;
    fill(&store).await;
    assert_eq!(store.sweep().await.removed(), 0);
    clock.set(SOON.at);
    // In place of an expired record.
    store
        .create(&key(1), Bytes::from_static(b"\x01new"), LATER)
        .await
        .unwrap();
    let (mut removed, mut steps) = (0, 0);
    loop {
        let step = store.sweep_some(7).await;
        assert!(step.examined() <= 7 && step.failed() == 0, "{step:?}");
        (removed, steps) = (removed + step.removed(), steps + 1);
        if step.is_finished() {
            break;
        }
    }
    assert_eq!((removed, steps), (199, 43));
    let page = store.browse(&Cursor::default(), 1_000).await.unwrap();
    assert_eq!(page.entries.len(), 101);
    assert!(page.entries.iter().all(|listed| listed.expires == LATER.at));
    let swept = store.sweep().await;
    assert_eq!((swept.examined(), swept.removed()), (101, 0));
    assert!(swept.is_finished());
}

#[tokio::test]
async fn a_sweeper_sweeps_in_the_background() {
    let dir = TempDir::new().unwrap();
    let (store, clock) = open(&dir).await;
    fill(&store).await;
    clock.set(LATER.at);
    let sweeper = Sweeper::start(store.clone(), Duration::from_secs(3_600)).unwrap();
    while !store
        .browse(&Cursor::default(), 1)
        .await
        .unwrap()
        .entries
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    sweeper.stop().await;
}
