//! A store that answers when another thread lets it, and the passing of time.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    task::{Poll, Waker},
    time::Duration,
};

use crate::{
    MemoryStore,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use shuttle::{
    rand::{Rng, thread_rng},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};

thread_local! {
    /// The calls that wait for their answers. All threads of shuttle are one thread of the system.
    static CALLS: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Answers come after fewer turns of the other threads than this.
const TURNS: usize = 15;

/// A thread answers the calls and advances the clock while a scene is played.
pub(super) struct Network(Runtime);

/// Works in a runtime whose clock stands still, unless the [`Network`] advances it.
pub(super) fn with_network(work: impl FnOnce(&'static Network)) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    // shuttle takes only closures that borrow nothing.
    let network: &'static Network = Box::leak(Box::new(Network(runtime.unwrap())));
    let _entered = network.0.enter();
    work(network);
}

impl Network {
    pub(super) fn run<T>(&'static self, work: impl FnOnce() -> T) -> T {
        CALLS.take();
        let is_over = Arc::new(AtomicBool::new(false));
        let answers = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || self.answer_until(&is_over)
        });
        let done = work();
        is_over.store(true, Ordering::SeqCst);
        answers.join().unwrap();
        done
    }

    fn answer_until(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            for _ in 0..thread_rng().gen_range(0..TURNS) {
                thread::yield_now();
            }
            CALLS.take().into_iter().for_each(Waker::wake);
            self.0.block_on(sleep(Duration::from_millis(5)));
        }
    }
}

/// A store in memory that waits.
pub(super) struct Remote {
    memory: MemoryStore,
    /// How often a call fails, in percent.
    faults: u8,
}

impl Remote {
    pub(super) fn new() -> Self {
        let memory = MemoryStore::new();
        Self { memory, faults: 0 }
    }

    pub(super) fn failing() -> Self {
        Self {
            faults: 10,
            ..Self::new()
        }
    }

    async fn call<T>(
        &self,
        apply: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut answer = Err(StoreError::unavailable("not sent"));
        travel().await;
        if !self.is_lost() {
            answer = apply.await;
        }
        travel().await;
        match self.is_lost() {
            true => Err(StoreError::unavailable("not heard")),
            false => answer,
        }
    }

    fn is_lost(&self) -> bool {
        thread_rng().gen_range(0..100) < self.faults
    }
}

/// Waits a few times, most of them for another thread.
async fn travel() {
    for _ in 0..thread_rng().gen_range(0..3) {
        let (mut has_waited, wakes_itself) = (false, thread_rng().gen_bool(0.3));
        poll_fn(move |cx| {
            if mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            match wakes_itself {
                true => cx.waker().wake_by_ref(),
                false => CALLS.with_borrow_mut(|calls| calls.push(cx.waker().clone())),
            }
            Poll::Pending
        })
        .await;
    }
}

impl Store for Remote {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.call(self.memory.load(key, read)).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut answers = Vec::new();
        for key in keys {
            answers.push(self.load(key, read).await);
        }
        answers
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.call(self.memory.create(key, data, expiry)).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.call(self.memory.update(key, expected, data, expiry))
            .await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.call(self.memory.touch(key, expected, expiry)).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.call(self.memory.delete(key, expected)).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut answers = Vec::new();
        for (key, expected) in records {
            answers.push(self.delete(key, *expected).await);
        }
        answers
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: false,
            ..self.memory.limits()
        }
    }
}
