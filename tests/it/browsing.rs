//! Browsing a store as an operator, and sweeping in steps.

use std::{collections::BTreeMap, sync::Arc};

use silverback::{
    Clock, Timestamp,
    store::{
        Browse, Bytes, Cursor, Listed, MemoryStore, Read, RecordKey, RecordKind, Store, StoreError,
        Sweep, Sweeper, count_sessions,
    },
};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, START,
    log::recorded,
    scripted::{Before, Fail, Op, Scripted},
    until,
};

const SOON: Timestamp = START.saturating_add(MINUTE);
const LATER: Timestamp = START.saturating_add(HOUR);

/// As random as the hash of an ID.
fn key(number: u32) -> RecordKey {
    let mut bytes = [0; 32];
    for (part, place) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(1..) {
        *part = (number + place).wrapping_mul(0x9e37_79b9).to_be_bytes();
    }
    RecordKey::from_bytes(bytes)
}

/// Creates this many records, half of which end soon.
pub(crate) async fn fill(store: &impl Store, count: u32) {
    for number in 0..count {
        let data = Bytes::from(vec![1; 20 + number as usize % 7]);
        let end = [SOON, LATER][number as usize % 2];
        store.create(&key(number), data, until(end)).await.unwrap();
    }
}

pub(crate) async fn all(store: &impl Browse, limit: usize) -> Vec<Listed> {
    let (mut listed, mut from) = (Vec::new(), Some(Cursor::default()));
    while let Some(cursor) = from {
        // As if it had been passed through a URL.
        let cursor = Cursor::new(cursor.as_bytes().to_vec());
        let page = store.browse(&cursor, limit).await.unwrap();
        assert!(page.entries.len() <= limit.max(1));
        listed.extend(page.entries);
        assert!(listed.len() <= 1_000, "the listing ends");
        from = page.next;
    }
    listed
}

/// The count spans several pages.
#[tokio::test]
async fn living_sessions_are_counted() {
    let store = MemoryStore::new().clock(Clock::manual(START));
    fill(&store, 2_500).await;
    let roster = Bytes::from_static(&[16]);
    store
        .create(&key(5_000), roster, until(LATER))
        .await
        .unwrap();
    for (now, alive) in [(START, 2_500), (SOON, 1_250), (LATER, 0)] {
        let counted = count_sessions(&store, "carts", now).await;
        assert_eq!(counted.unwrap(), alive, "{now}");
    }
}

pub(crate) async fn shows_all(store: &impl Browse) {
    for limit in [0, 1, 7, 100, 5_000] {
        let listed = all(store, limit).await;
        let by_key: BTreeMap<_, _> = listed.iter().map(|listed| (listed.key, listed)).collect();
        assert_eq!((listed.len(), by_key.len()), (700, 700), "{limit}");
        for number in 0..700 {
            let listed = by_key[&key(number)];
            assert_eq!(listed.kind, Some(RecordKind::Session));
            assert_eq!(listed.size, 20 + number as usize % 7);
            assert_eq!(listed.expires, [SOON, LATER][number as usize % 2]);
        }
    }
    let foreign = store.browse(&Cursor::new(&b"some other"[..]), 9).await;
    assert!(
        matches!(foreign, Err(StoreError::Refused(_))),
        "{foreign:?}"
    );
}

pub(crate) async fn sweeps_in_steps(store: &impl Sweep, clock: &Clock) {
    for _ in 0..100 {
        let swept = store.sweep_some(1).await;
        assert!(swept.examined() <= 1 && swept.removed() == 0);
    }
    assert_eq!(store.sweep().await.removed(), 0);
    clock.set(SOON);
    let mut removed = 0;
    // The rest of the current round, and a whole one.
    for _ in 0..2 {
        loop {
            let swept = store.sweep_some(50).await;
            assert!(swept.examined() <= 50 && swept.failed() == 0 && swept.error().is_none());
            removed += swept.removed();
            if swept.is_finished() {
                break;
            }
        }
    }
    assert_eq!(removed, 350);
    for number in 0..700 {
        let found = store.load(&key(number), Read::Current).await.unwrap();
        assert_eq!(found.is_some(), number % 2 == 1);
    }
    clock.set(LATER);
    let swept = store.sweep().await;
    assert_eq!((swept.examined(), swept.removed()), (350, 350));
    assert!(swept.is_finished());
}

fn memory() -> (MemoryStore, Clock) {
    let clock = Clock::manual(START);
    (MemoryStore::new().clock(clock.clone()), clock)
}

#[tokio::test]
async fn a_memory_store_is_browsed_and_swept() {
    let (store, clock) = memory();
    fill(&store, 700).await;
    shows_all(&store).await;
    let shared = Arc::new(store);
    assert!(!shared.is_empty());
    shows_all(&shared).await;
    sweeps_in_steps(&shared, &clock).await;
    assert!(shared.is_empty());
}

/// Several tasks may sweep at once, while others use the records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_sweep_at_once() {
    let (store, clock) = memory();
    fill(&store, 700).await;
    clock.set(SOON);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut rounds = 0;
            while rounds < 3 {
                rounds += u32::from(store.sweep_some(10).await.is_finished());
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(store.len(), 350);
}

#[tokio::test]
async fn a_sweeper_sweeps_any_store() {
    let (store, clock) = memory();
    fill(&store, 700).await;
    clock.set(SOON);
    let sweeper = Sweeper::start(store.clone(), DAY).unwrap();
    while store.len() > 350 {
        tokio::task::yield_now().await;
    }
    sweeper.stop().await;
}

/// Otherwise it would ask the store without end.
#[tokio::test(start_paused = true)]
async fn a_sweeper_pauses_after_a_round_and_after_a_failure() {
    for fails in [false, true] {
        let store = Scripted::new(memory().0);
        fill(&store.memory, 1).await;
        if fails {
            store.every(Before, Op::Sweep, Fail);
        }
        let sweeper = Sweeper::start(store.clone(), DAY).unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        sweeper.stop().await;
        assert_eq!(store.take_log(), [Op::Sweep]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_reports_what_it_cannot_remove() {
    let store = Scripted::new(memory().0);
    let sweep = async || {
        let sweeper = Sweeper::start(store.clone(), DAY).unwrap();
        while store.take_log().is_empty() {
            tokio::task::yield_now().await;
        }
        sweeper.stop().await;
    };
    assert_eq!(recorded(&sweep).await, "");
    store.every(Before, Op::Sweep, Fail);
    let log = recorded(&sweep).await;
    assert!(
        log.starts_with("WARN") && log.contains("a sweep could not"),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[tokio::test]
async fn a_listing_tells_sessions_from_other_records() {
    let world = Kind::Memory.world();
    world.put(&mut Jar::default(), "n", 1).await;
    let listed = all(&world.records().memory, 9).await;
    let kinds: Vec<_> = listed.iter().map(|listed| listed.kind).collect();
    assert_eq!(kinds, [Some(RecordKind::Session)]);
}

#[test]
fn a_sweeper_needs_a_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime.block_on(async { Sweeper::start(memory().0, DAY).unwrap_err() });
    assert!(error.to_string().contains("enable_time"), "{error}");
}
