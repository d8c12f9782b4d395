//! The time on the clock of a filesystem store's operations, on the calling thread and on one for
//! blocking work.

use std::{error::Error, hint::black_box, path::Path};

use silverback::store::{Bytes, Durability, FilesystemStore, Read, Store, Version};
use tokio::{runtime::Runtime, task::spawn_blocking};

use kit::{
    page::Page,
    time::{micros, percentile, wall_of},
};

use crate::{NEVER, Scale, goals::put, key_of, now};

pub(crate) fn run(scale: &Scale, parent: &Path, page: &Page) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let mut rows = Vec::new();
    for size in [300, 3 << 10] {
        for durability in [Durability::None, Durability::Data, Durability::Full] {
            let dir = tempfile::tempdir_in(parent)?;
            let store = FilesystemStore::options()
                .durability(durability)
                .open(dir.path())?;
            let rounds = if durability == Durability::None {
                scale.syncs * 40
            } else {
                scale.syncs
            };
            let name = format!("{size} B, {durability:?}");
            Bench {
                runtime: &runtime,
                store: &store,
                rounds,
                name,
                rows: &mut rows,
            }
            .run(size, durability);
        }
    }
    put(
        page,
        "file-operations",
        ["µs on the clock", "median", "90 %", "99 %"],
        &rows,
    )
}

struct Bench<'a> {
    runtime: &'a Runtime,
    store: &'a FilesystemStore,
    rounds: usize,
    name: String,
    rows: &'a mut Vec<[String; 4]>,
}

impl Bench<'_> {
    fn run(mut self, size: usize, durability: Durability) {
        let store = self.store;
        let data = Bytes::from(vec![7; size]);
        let key = key_of(0);
        let mut version = now(store.create(&key, data.clone(), NEVER));
        if durability == Durability::None {
            self.sync("load, calling thread", || {
                drop(black_box(now(store.load(&key, Read::Current))))
            });
            self.wait("load, blocking thread", async || {
                let store = store.clone();
                let _ =
                    black_box(spawn_blocking(move || now(store.load(&key, Read::Current))).await);
            });
            self.wait("load, as it is", async || {
                drop(black_box(store.load(&key, Read::Current).await))
            });
        }
        self.sync("update, calling thread", || {
            version = now(store.update(&key, version, data.clone(), NEVER))
        });
        self.wait("update, as it is", async || {
            version = store
                .update(&key, version, data.clone(), NEVER)
                .await
                .unwrap_or(version);
        });
        let mut number = 0;
        self.wait("create, as it is", async || {
            number += 1;
            let _: Result<Version, _> = store.create(&key_of(number), data.clone(), NEVER).await;
        });
        self.wait("delete, as it is", async || {
            let _ = store.delete(&key_of(number), None).await;
            number -= 1;
        });
    }

    fn sync(&mut self, operation: &str, mut work: impl FnMut()) {
        let times: Vec<_> = (0..self.rounds)
            .map(|_| micros(wall_of(&mut work).0))
            .collect();
        self.row(operation, &times);
    }

    fn wait(&mut self, operation: &str, mut work: impl AsyncFnMut()) {
        let mut times = Vec::with_capacity(self.rounds);
        self.runtime.block_on(async {
            for _ in 0..self.rounds {
                let started = std::time::Instant::now();
                work().await;
                times.push(micros(started.elapsed()));
            }
        });
        self.row(operation, &times);
    }

    fn row(&mut self, operation: &str, times: &[f64]) {
        let [p50, p90, p99] =
            [50, 90, 99].map(|percent| format!("{:.1}", percentile(times.to_vec(), percent)));
        self.rows
            .push([format!("{}: {operation}", self.name), p50, p90, p99]);
    }
}
