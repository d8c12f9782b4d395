//! A disk that fails: the answers, and what is kept.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend as _, backends::FileBackend};
use silverback::store::{Bytes, Read, Store, StoreError, Sweep as _};
use tempfile::TempDir;

use super::{END, data, key, path};
use crate::{RedbStore, disk::Access};

/// Fails while a flag is set.
#[derive(Debug, Default)]
struct Failing {
    writes: AtomicBool,
    syncs: AtomicBool,
    reads: AtomicBool,
}

fn fails(flag: &AtomicBool, kind: io::ErrorKind) -> io::Result<()> {
    if flag.load(Ordering::Relaxed) {
        return Err(kind.into());
    }
    Ok(())
}

impl Access for Failing {
    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        fails(&self.reads, io::ErrorKind::Other)?;
        file.read(offset, out)
    }

    fn write(&self, file: &FileBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        fails(&self.writes, io::ErrorKind::StorageFull)?;
        file.write(offset, data)
    }

    fn sync(&self, file: &FileBackend) -> io::Result<()> {
        fails(&self.syncs, io::ErrorKind::Other)?;
        file.sync_data()
    }
}

/// Opens a store with so small a cache that reads reach the disk.
async fn failing(dir: &TempDir) -> (RedbStore, Arc<Failing>) {
    let disk = Arc::new(Failing::default());
    let options = RedbStore::options().access(disk.clone()).cache_bytes(0);
    (options.open(path(dir)).await.unwrap(), disk)
}

const ONE: Bytes = Bytes::from_static(b"\x01one");
const TWO: Bytes = Bytes::from_static(b"\x01two");

/// Bounds a hang.
const HANG: Duration = Duration::from_secs(600);

/// Loads a record, retrying until another thread has reopened the file.
async fn loaded(store: &RedbStore, number: u8) -> Option<Bytes> {
    let loaded = async {
        loop {
            match store.load(&key(number), Read::Current).await {
                Ok(record) => return record.map(silverback::store::Record::into_data),
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    tokio::time::timeout(HANG, loaded).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_costs_only_the_writes_made_meanwhile() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = failing(&dir).await;
    let version = store.create(&key(1), ONE, END).await.unwrap();
    disk.writes.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let update = store.update(&key(1), version, TWO, END).await;
        let is_error = matches!(
            update,
            Err(StoreError::Unavailable(_) | StoreError::Refused(_))
        );
        assert!(is_error, "{update:?}");
        let create = store.create(&key(2), TWO, END).await;
        assert!(create.is_err(), "{create:?}");
    }
    disk.writes.store(false, Ordering::Relaxed);
    assert_eq!(loaded(&store, 1).await, Some(ONE));
    assert_eq!(loaded(&store, 2).await, None);
    store.update(&key(1), version, TWO, END).await.unwrap();
    store.create(&key(2), TWO, END).await.unwrap();
    store.close().await;
    let again = RedbStore::open(path(&dir)).await.unwrap();
    assert_eq!(data(&again, 1).await, Some(TWO));
    assert_eq!(data(&again, 2).await, Some(TWO));
}

#[tokio::test]
async fn a_write_whose_sync_failed_is_unknown_and_whole() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = failing(&dir).await;
    let version = store.create(&key(1), ONE, END).await.unwrap();
    disk.syncs.store(true, Ordering::Relaxed);
    let update = store.update(&key(1), version, TWO, END).await;
    assert!(
        matches!(update, Err(StoreError::Unavailable(_))),
        "{update:?}"
    );
    disk.syncs.store(false, Ordering::Relaxed);
    let kept = loaded(&store, 1).await.unwrap();
    assert!(kept == ONE || kept == TWO, "{kept:?}");
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_the_next_one_is_not() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = failing(&dir).await;
    store.create(&key(1), ONE, END).await.unwrap();
    disk.reads.store(true, Ordering::Relaxed);
    let mut failed = 0;
    for number in 0..50 {
        match store.load(&key(number), Read::Current).await {
            Ok(record) => assert_eq!(record.is_some(), number == 1),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                failed += 1;
            }
        }
    }
    assert!(failed > 0, "no read has reached the disk");
    let swept = store.sweep().await;
    assert!(swept.failed() > 0 && !swept.is_finished(), "{swept:?}");
    disk.reads.store(false, Ordering::Relaxed);
    assert_eq!(loaded(&store, 1).await, Some(ONE));
}

#[tokio::test]
async fn a_damaged_record_is_counted_by_a_sweep_and_left_out_of_a_list() {
    use silverback::store::{Browse as _, Cursor};

    let dir = TempDir::new().unwrap();
    let store = RedbStore::open(path(&dir)).await.unwrap();
    store.create(&key(1), ONE, END).await.unwrap();
    store.damage(key(2), b"");
    let swept = store.sweep().await;
    assert_eq!(
        (swept.examined(), swept.removed(), swept.failed()),
        (2, 0, 1)
    );
    let page = store.browse(&Cursor::default(), 10).await.unwrap();
    let listed: Vec<_> = page.entries.iter().map(|listed| listed.key).collect();
    assert_eq!(listed, [key(1)]);
    store.delete(&key(2), None).await.unwrap();
    assert_eq!(store.sweep().await.failed(), 0);
}

#[tokio::test]
async fn garbage_is_replaced_and_a_later_format_stays() {
    let dir = TempDir::new().unwrap();
    let store = RedbStore::open(path(&dir)).await.unwrap();
    for bytes in [&b""[..], b"\x01half", b"\0another program's"] {
        store.damage(key(1), bytes);
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        store.create(&key(1), ONE, END).await.unwrap();
        assert_eq!(data(&store, 1).await, Some(ONE));
    }
    store.damage(key(1), b"\x02 of a later release");
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
    let created = store.create(&key(1), ONE, END).await;
    assert!(
        matches!(created, Err(StoreError::Refused(_))),
        "{created:?}"
    );
}
