//! Random writes on a disk that fails at random, beside a model.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::{StorageBackend as _, backends::FileBackend};
use silverback::store::{Bytes, Read, Record, Store, StoreError};
use tempfile::TempDir;

use super::{END, key, path};
use crate::{RedbStore, disk::Access};

/// Fails one access in a hundred, before or after it is made.
#[derive(Debug)]
struct Shaky {
    numbers: AtomicU64,
    is_calm: AtomicBool,
}

impl Shaky {
    /// The next random number below this (splitmix64).
    fn below(&self, limit: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let number = self.numbers.fetch_add(step, Ordering::Relaxed);
        let mut z = number.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn access(&self, access: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let fault = match self.is_calm.load(Ordering::Relaxed) {
            true => u64::MAX,
            false => self.below(300),
        };
        match fault {
            0 => Err(io::ErrorKind::StorageFull.into()),
            1 => Err(io::Error::other("the disk fails")),
            2 => access().and(Err(io::Error::other("the disk fails"))),
            _ => access(),
        }
    }
}

impl Access for Shaky {
    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.access(|| file.read(offset, out))
    }

    fn write(&self, file: &FileBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        self.access(|| file.write(offset, data))
    }

    fn sync(&self, file: &FileBackend) -> io::Result<()> {
        self.access(|| file.sync_data())
    }
}

/// Loads a record, retrying until the disk lets it.
async fn loaded(store: &RedbStore, number: u8) -> Option<Record> {
    loop {
        match store.load(&key(number), Read::Current).await {
            Ok(record) => return record,
            Err(StoreError::Unavailable(_) | StoreError::Refused(_)) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// What was answered is kept. A refusal has written nothing, and only what is unknown may be either.
#[tokio::test]
async fn every_answer_is_true_on_a_disk_that_fails_at_random() {
    let mut failed = 0;
    for seed in 1..=3 {
        let dir = TempDir::new().unwrap();
        let disk = Arc::new(Shaky {
            numbers: AtomicU64::new(seed),
            is_calm: AtomicBool::new(true),
        });
        let options = RedbStore::options().access(disk.clone()).cache_bytes(0);
        let store = options.open(path(&dir)).await.unwrap();
        disk.is_calm.store(false, Ordering::Relaxed);
        let mut possible: [Vec<Option<Bytes>>; 4] = std::array::from_fn(|_| vec![None]);
        for step in 0..80_u64 {
            let number = u8::try_from(disk.below(4)).unwrap();
            let possible = &mut possible[usize::from(number)];
            let before = loaded(&store, number).await;
            let data = before
                .as_ref()
                .map(|record| Bytes::copy_from_slice(record.data()));
            assert!(possible.contains(&data), "seed {seed}, step {step}");
            *possible = vec![data];
            let (key, new) = (key(number), Bytes::from(vec![1; 10 + step as usize]));
            let (after, done) = match before.map(|record| record.version()) {
                None => (
                    Some(new.clone()),
                    store.create(&key, new, END).await.map(drop),
                ),
                Some(version) if disk.below(3) == 0 => {
                    (None, store.delete(&key, Some(version)).await)
                }
                Some(version) => {
                    let updated = store.update(&key, version, new.clone(), END).await;
                    (Some(new), updated.map(drop))
                }
            };
            failed += u32::from(done.is_err());
            match done {
                Ok(()) => *possible = vec![after],
                Err(StoreError::Unavailable(_)) => possible.push(after),
                Err(StoreError::Refused(_)) => {}
                Err(error) => panic!("seed {seed}, step {step}: {error:?}"),
            }
        }
        store.close().await;
    }
    println!("{failed} writes failed");
    assert!(failed > 20, "{failed}");
}
