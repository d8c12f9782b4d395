//! Waiting writes share a transaction.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{StorageBackend as _, backends::FileBackend};
use silverback::store::{Bytes, Store as _};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{END, data, key, path};
use crate::{RedbStore, disk::Access};

/// Counts syncs, and blocks them while the gate is closed.
#[derive(Debug)]
struct Gate {
    syncs: AtomicU64,
    arrived: Semaphore,
    open: std::sync::Mutex<bool>,
    opened: std::sync::Condvar,
}

impl Gate {
    fn set(&self, is_open: bool) {
        *self.open.lock().unwrap() = is_open;
        self.opened.notify_all();
    }
}

impl Access for Gate {
    fn sync(&self, file: &FileBackend) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.arrived.add_permits(1);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        file.sync_data()
    }
}

#[tokio::test]
async fn two_hundred_waiting_writes_share_the_next_sync() {
    let dir = TempDir::new().unwrap();
    let gate = Arc::new(Gate {
        syncs: AtomicU64::new(0),
        arrived: Semaphore::new(0),
        open: true.into(),
        opened: std::sync::Condvar::new(),
    });
    let options = RedbStore::options().access(gate.clone());
    let store = options.open(path(&dir)).await.unwrap();
    let create = |number| {
        let store = store.clone();
        let data = Bytes::from(vec![1, number]);
        tokio::spawn(async move { store.create(&key(number), data, END).await })
    };
    gate.set(false);
    gate.arrived.forget_permits(usize::MAX >> 4);
    let before = gate.syncs.load(Ordering::Relaxed);
    let first = create(0);
    gate.arrived.acquire().await.unwrap().forget();
    let others: Vec<_> = (1..=200).map(create).collect();
    // One thread runs the tasks, so all of them have asked when this one is polled again.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    gate.set(true);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    let syncs = gate.syncs.load(Ordering::Relaxed) - before;
    // The first write's sync, that of all the others, and those that redb adds to free pages.
    assert!(syncs <= 4, "{syncs} syncs for 201 writes");
    for number in 0..=200 {
        assert_eq!(
            data(&store, number).await,
            Some(Bytes::from(vec![1, number]))
        );
    }
}

#[tokio::test]
async fn one_refusal_does_not_harm_the_others_of_its_transaction() {
    let dir = TempDir::new().unwrap();
    let store = RedbStore::open(path(&dir)).await.unwrap();
    let one = || Bytes::from_static(b"\x01one");
    store.create(&key(1), one(), END).await.unwrap();
    let keys = [key(1), key(2)];
    let (again, other) = tokio::join!(
        store.create(&keys[0], one(), END),
        store.create(&keys[1], one(), END)
    );
    assert!(matches!(again, Err(silverback::store::StoreError::Exists)));
    other.unwrap();
    assert_eq!(data(&store, 2).await, Some(one()));
}
