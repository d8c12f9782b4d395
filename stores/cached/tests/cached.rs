//! The answers that the cache may give, and for how long.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use silverback::{
    Clock, MemoryStore, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use silverback_cached::CachedStore;
use tokio::{sync::Semaphore, time::advance};

const STALENESS: Duration = Duration::from_millis(500);
const KEY: RecordKey = RecordKey::from_bytes([7; 32]);

/// Counts the calls of a memory store. A write waits for a permit before it runs, and every call
/// waits for one before it answers.
#[derive(Clone)]
struct Counted {
    store: Arc<MemoryStore>,
    calls: Arc<AtomicUsize>,
    before: Arc<Semaphore>,
    after: Arc<Semaphore>,
}

impl Counted {
    fn new() -> Self {
        let open = || Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self {
            store: Arc::new(MemoryStore::new()),
            calls: Arc::default(),
            before: open(),
            after: open(),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = call.await;
        self.after.acquire().await.unwrap().forget();
        answer
    }

    async fn write<T>(&self, call: impl Future<Output = T>) -> T {
        self.call(async {
            self.before.acquire().await.unwrap().forget();
            call.await
        })
        .await
    }

    fn take_count(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    fn cached(&self) -> CachedStore<Self> {
        CachedStore::new(self.clone(), STALENESS)
    }
}

impl Store for Counted {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        assert_eq!(read, Read::Current, "the bound is the cache's alone");
        self.call(self.store.load(key, read)).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        assert_eq!(read, Read::Current, "the bound is the cache's alone");
        self.call(self.store.load_many(keys, read)).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(self.store.create(key, data, expiry)).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(self.store.update(key, expected, data, expiry))
            .await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.write(self.store.touch(key, expected, expiry)).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.write(self.store.delete(key, expected)).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.write(self.store.delete_many(records)).await
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}

fn in_an_hour() -> Expiry {
    let now = Clock::system().now();
    Expiry::new(now.saturating_add(Duration::from_secs(3_600)), now)
}

fn data(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn text(store: &impl Store, read: Read) -> Option<String> {
    let record = store.load(&KEY, read).await.unwrap()?;
    Some(String::from_utf8(record.data().to_vec()).unwrap())
}

async fn recent(store: &impl Store) -> Option<String> {
    text(store, Read::Recent).await
}

#[tokio::test(start_paused = true)]
async fn a_recent_read_is_answered_from_memory_until_it_is_stale() {
    let store = Counted::new();
    let cached = store.cached();
    cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    store.take_count();
    for (wait, calls) in [(0, 1), (0, 0), (499, 0), (1, 1), (499, 0)] {
        advance(Duration::from_millis(wait)).await;
        assert_eq!(recent(&cached).await.as_deref(), Some("a"));
        assert_eq!(store.take_count(), calls, "after {wait} ms");
    }
}

/// The bound counts from before the store was asked, however late the answer comes.
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_older_than_it_looks() {
    let store = Counted::new();
    let cached = store.cached();
    cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    store.after.forget_permits(Semaphore::MAX_PERMITS);
    let mut load = pin!(recent(&cached));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(load.as_mut().poll(context).is_pending());
    advance(Duration::from_millis(400)).await;
    store.after.add_permits(1_000);
    assert_eq!(load.await.as_deref(), Some("a"));
    store.take_count();
    for (wait, calls) in [(99, 0), (1, 1)] {
        advance(Duration::from_millis(wait)).await;
        recent(&cached).await;
        assert_eq!(store.take_count(), calls, "after {wait} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_current_read_always_asks_and_is_kept_for_recent_ones() {
    let store = Counted::new();
    let (cached, other) = (store.cached(), store.cached());
    let version = cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    recent(&cached).await;
    other
        .update(&KEY, version, data("b"), in_an_hour())
        .await
        .unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("a"));
    let current = text(&cached, Read::Current).await;
    assert_eq!(current.as_deref(), Some("b"));
    store.take_count();
    assert_eq!(recent(&cached).await.as_deref(), Some("b"));
    assert_eq!(store.take_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_this_process_writes_is_seen_at_once() {
    let store = Counted::new();
    let cached = store.cached();
    let version = cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    recent(&cached).await;
    let version = cached
        .update(&KEY, version, data("b"), in_an_hour())
        .await
        .unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("b"));
    let later = Expiry {
        at: in_an_hour().at.saturating_add(Duration::from_secs(60)),
        ..in_an_hour()
    };
    let version = cached.touch(&KEY, version, later).await.unwrap();
    let touched = cached.load(&KEY, Read::Recent).await.unwrap().unwrap();
    assert_eq!(touched.expires(), later.at);
    cached.delete(&KEY, Some(version)).await.unwrap();
    assert_eq!(recent(&cached).await, None);
    cached.create(&KEY, data("c"), in_an_hour()).await.unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("c"));
    let deleted = cached.delete_many(&[(KEY, None)]).await;
    assert!(deleted.iter().all(Result::is_ok));
    assert_eq!(recent(&cached).await, None);
}

/// The load was answered before the write, but is cached after it.
#[tokio::test(start_paused = true)]
async fn a_read_that_a_write_overtakes_is_not_kept() {
    for is_dropped in [false, true] {
        let store = Counted::new();
        let cached = store.cached();
        let version = cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
        let context = &mut Context::from_waker(Waker::noop());
        store.after.forget_permits(Semaphore::MAX_PERMITS);
        let mut load = pin!(recent(&cached));
        assert!(load.as_mut().poll(context).is_pending());
        let mut write = Box::pin(cached.update(&KEY, version, data("b"), in_an_hour()));
        assert!(write.as_mut().poll(context).is_pending());
        if is_dropped {
            drop(write);
            store.after.add_permits(1_000);
        } else {
            store.after.add_permits(1_000);
            write.await.unwrap();
        }
        assert_eq!(load.await.as_deref(), Some("a"), "it was asked before");
        assert_eq!(recent(&cached).await.as_deref(), Some("b"));
    }
}

/// Threads that load a record, beside one that writes it and reads it after each write.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_read_of_another_thread_hides_a_write() {
    let cached = Arc::new(CachedStore::new(MemoryStore::new(), Duration::MAX));
    let is_over = Arc::new(AtomicBool::new(false));
    let loading = (0..7).map(|_| {
        let (cached, is_over) = (Arc::clone(&cached), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                cached.load(&KEY, Read::Current).await.unwrap();
            }
        })
    });
    let loading: Vec<_> = loading.collect();
    let bytes = |number: u32| Bytes::copy_from_slice(&number.to_be_bytes());
    let mut version = cached.create(&KEY, bytes(0), in_an_hour()).await.unwrap();
    let mut older = 0;
    for written in 1..=100_000 {
        let update = cached.update(&KEY, version, bytes(written), in_an_hour());
        version = update.await.unwrap();
        for _ in 0..4 {
            let read = cached.load(&KEY, Read::Recent).await.unwrap().unwrap();
            older += u32::from(*read.data() != written.to_be_bytes());
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for loading in loading {
        loading.await.unwrap();
    }
    assert_eq!(older, 0, "reads that did not see the last write");
}

/// The load starts after the write and ends before it.
#[tokio::test(start_paused = true)]
async fn what_is_read_during_a_write_is_not_kept() {
    let store = Counted::new();
    let cached = store.cached();
    let version = cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    store.before.forget_permits(Semaphore::MAX_PERMITS);
    let mut write = pin!(cached.update(&KEY, version, data("b"), in_an_hour()));
    assert!(write.as_mut().poll(context).is_pending());
    assert_eq!(recent(&cached).await.as_deref(), Some("a"));
    store.before.add_permits(1_000);
    write.await.unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn that_there_is_none_is_not_kept() {
    let store = Counted::new();
    let (cached, other) = (store.cached(), store.cached());
    assert_eq!(recent(&cached).await, None);
    other.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("a"));
    other.delete(&KEY, None).await.unwrap();
    assert_eq!(recent(&cached).await.as_deref(), Some("a"), "as it was");
    assert_eq!(text(&cached, Read::Current).await, None);
    assert_eq!(recent(&cached).await, None, "once it is known");
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_answered() {
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = MemoryStore::new().clock(clock.clone());
    let cached = CachedStore::new(store, Duration::from_secs(3_600)).clock(clock.clone());
    let expiry = Expiry::new(Timestamp::from_secs(1_060), clock.now());
    cached.create(&KEY, data("a"), expiry).await.unwrap();
    assert!(recent(&cached).await.is_some());
    clock.advance(Duration::from_secs(60));
    assert_eq!(recent(&cached).await, None);
}

#[tokio::test(start_paused = true)]
async fn many_are_asked_for_by_one_call_without_those_that_are_there() {
    let store = Counted::new();
    let cached = store.cached();
    let keys = [1, 2, 3].map(|byte| RecordKey::from_bytes([byte; 32]));
    for key in &keys[..2] {
        cached.create(key, data("a"), in_an_hour()).await.unwrap();
    }
    cached.load(&keys[1], Read::Recent).await.unwrap();
    store.take_count();
    for (read, calls) in [(Read::Recent, 1), (Read::Current, 1), (Read::Recent, 1)] {
        let loaded = cached.load_many(&keys, read).await;
        let found: Vec<_> = loaded
            .iter()
            .map(|record| record.as_ref().unwrap().is_some())
            .collect();
        assert_eq!(found, [true, true, false]);
        assert_eq!(store.take_count(), calls);
    }
    cached.load_many(&keys[..2], Read::Recent).await;
    assert_eq!(store.take_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn its_memory_is_bounded() {
    let store = Counted::new();
    let cached = store.cached().max_bytes(100_000);
    let large = Bytes::from(vec![1; 1_000]);
    for n in 0..1_000_u16 {
        let mut bytes = [9; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        let key = RecordKey::from_bytes(bytes);
        cached
            .create(&key, large.clone(), in_an_hour())
            .await
            .unwrap();
        cached.load(&key, Read::Recent).await.unwrap();
        assert!(cached.bytes() <= 100_000);
    }
    assert!(cached.bytes() > 50_000);
}

#[tokio::test]
async fn without_staleness_it_keeps_nothing() {
    let store = Counted::new();
    let cached = CachedStore::new(store.clone(), Duration::ZERO);
    cached.create(&KEY, data("a"), in_an_hour()).await.unwrap();
    store.take_count();
    recent(&cached).await;
    recent(&cached).await;
    assert_eq!(store.take_count(), 2);
}
