//! What the operations of a filesystem store take, on the thread that calls and on one for blocking work.
//!
//! Run it with `cargo bench --bench filesystem`, and name a directory to measure another file system than that of the
//! temporary one: `cargo bench --bench filesystem -- /srv`.

use std::{
    error::Error,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use silverback::{
    Timestamp,
    store::{Bytes, Durability, FilesystemStore, RecordKey, Store, Version},
};
use tokio::{runtime::Runtime, task::spawn_blocking};

const END: Timestamp = Timestamp::from_secs(u64::MAX);

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = parent.map_or_else(std::env::temp_dir, Into::into);
    let quick = std::env::args().any(|argument| argument == "--test");
    let runtime = Runtime::new()?;
    println!("{:<34} {:>10} {:>10} {:>10}   µs", "", "p50", "p90", "p99");
    for size in [300, 3 << 10] {
        for durability in [Durability::None, Durability::Data, Durability::Full] {
            let dir = tempfile::tempdir_in(&parent)?;
            let store = FilesystemStore::options().durability(durability).open(dir.path())?;
            let rounds = if quick { 2 } else { rounds(durability) };
            Bench { runtime: &runtime, store: &store, size, rounds, name: format!("{size} B, {durability:?}") }
                .run(durability);
        }
    }
    Ok(())
}

fn rounds(durability: Durability) -> usize {
    if durability == Durability::None { 20_000 } else { 500 }
}

struct Bench<'a> {
    runtime: &'a Runtime,
    store: &'a FilesystemStore,
    size: usize,
    rounds: usize,
    name: String,
}

impl Bench<'_> {
    fn run(&self, durability: Durability) {
        let data = Bytes::from(vec![7; self.size]);
        let key = RecordKey::from_bytes([1; 32]);
        let mut version = now(self.store.create(&key, data.clone(), END));
        if durability == Durability::None {
            self.print("load, calling thread", || drop(black_box(now(self.store.load(&key)))));
            self.print_async("load, blocking thread", async || {
                let store = self.store.clone();
                let _ = black_box(spawn_blocking(move || now(store.load(&key))).await);
            });
            self.print_async("load, as it is", async || drop(black_box(self.store.load(&key).await)));
        }
        self.print("update, calling thread", || version = now(self.store.update(&key, version, data.clone(), END)));
        self.print_async("update, as it is", async || {
            version = self.store.update(&key, version, data.clone(), END).await.unwrap_or(version);
        });
        let mut number = 0_u64;
        let mut created = Vec::new();
        self.print_async("create, as it is", async || {
            number += 1;
            created.push(key_of(number));
            let _: Result<Version, _> = self.store.create(&key_of(number), data.clone(), END).await;
        });
        self.print_async("delete, as it is", async || {
            let _ = self.store.delete(&created.pop().unwrap_or(key)).await;
        });
    }

    fn print(&self, operation: &str, mut work: impl FnMut()) {
        let times = (0..self.rounds).map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        });
        self.line(operation, times.collect());
    }

    fn print_async(&self, operation: &str, mut work: impl AsyncFnMut()) {
        let mut times = Vec::with_capacity(self.rounds);
        self.runtime.block_on(async {
            for _ in 0..self.rounds {
                let started = Instant::now();
                work().await;
                times.push(started.elapsed());
            }
        });
        self.line(operation, times);
    }

    fn line(&self, operation: &str, mut times: Vec<Duration>) {
        times.sort_unstable();
        let [p50, p90, p99] = [50, 90, 99]
            .map(|percent| times.get(times.len() * percent / 100).map_or(0.0, |time| time.as_nanos() as f64 / 1_000.0));
        println!("{:<12} {operation:<21} {p50:>10.1} {p90:>10.1} {p99:>10.1}", self.name);
    }
}

fn key_of(number: u64) -> RecordKey {
    let mut bytes = [0; 32];
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    bytes.iter_mut().zip(hash).for_each(|(place, byte)| *place = byte);
    RecordKey::from_bytes(bytes)
}

/// Outside of a runtime, the store does its work on the calling thread.
fn now<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output.expect("the directory is there"),
        Poll::Pending => unreachable!("nothing waits outside of a runtime"),
    }
}
