//! A disk that fails: the answers, and what is kept.

use std::{
    error::Error as _,
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend as _, StorageError, backends::FileBackend};
use silverback::store::{Browse as _, Bytes, Cursor, Read, Store, StoreError, Sweep as _};
use tempfile::TempDir;

use super::{END, data, key, path};
use crate::{OpenError, RedbStore, disk::Access, error::Fault};

/// Fails while a flag is set.
#[derive(Debug, Default)]
struct Failing {
    writes: AtomicBool,
    syncs: AtomicBool,
    reads: AtomicBool,
    asked: AtomicU64,
}

impl Failing {
    /// The number of reads so far.
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn fails(flag: &AtomicBool, kind: io::ErrorKind) -> io::Result<()> {
    if flag.load(Ordering::Relaxed) {
        return Err(kind.into());
    }
    Ok(())
}

impl Access for Failing {
    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
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

/// Opens a store of one record, whose writer has had nothing to do yet.
async fn idle(dir: &TempDir) -> (RedbStore, Arc<Failing>) {
    let store = RedbStore::open(path(dir)).await.unwrap();
    store.create(&key(1), ONE, END).await.unwrap();
    store.close().await;
    failing(dir).await
}

#[tokio::test]
async fn an_error_that_redb_gets_over_reopens_nothing() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = idle(&dir).await;
    let file = store.file();
    let damaged = || Fault::undone(StorageError::Corrupted("a page".to_owned()));
    let failed: Result<(), _> = file.with(|_| Err(damaged()));
    assert!(failed.is_err());
    let before = disk.asked();
    file.mend();
    assert_eq!(disk.asked(), before, "the file was read");
    let panicked: Result<(), _> = file.with(|_| panic!("as redb does"));
    assert!(matches!(panicked, Err(Fault::Panicked)));
    let before = disk.asked();
    file.mend();
    assert!(disk.asked() > before, "it was not reopened");
    assert_eq!(data(&store, 1).await, Some(ONE));
}

/// Has the store find out that its disk fails, without a job for its writer.
fn break_down(store: &RedbStore, disk: &Failing) {
    disk.reads.store(true, Ordering::Relaxed);
    let read = store
        .file()
        .read(|table| Ok(table.get(&[7; 32])?.is_some()));
    disk.reads.store(false, Ordering::Relaxed);
    assert!(read.is_err());
}

#[tokio::test]
async fn the_error_says_why_the_file_cannot_be_reopened() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = idle(&dir).await;
    let whole = fs::read(path(&dir)).unwrap();
    break_down(&store, &disk);
    fs::write(path(&dir), vec![7; whole.len()]).unwrap();
    store.file().mend();
    let error = store.load(&key(1), Read::Current).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let why = error.source().unwrap();
    assert_eq!(why.to_string(), "the file of sessions is damaged");
    let why = format!("{why}: {}", why.source().unwrap());
    let many = store.load_many(&[key(1)], Read::Current).await;
    let source = many[0].as_ref().unwrap_err().source().unwrap();
    assert_eq!(source.to_string(), why);
    let update = store.delete(&key(1), None).await.unwrap_err();
    let source = update.source().unwrap();
    assert_eq!(source.to_string(), "the file of sessions is damaged");
    fs::write(path(&dir), whole).unwrap();
    assert_eq!(loaded(&store, 1).await, Some(ONE));
}

#[tokio::test]
async fn a_file_that_cannot_be_reopened_is_tried_once_for_each_write() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = idle(&dir).await;
    break_down(&store, &disk);
    let len = fs::metadata(path(&dir)).unwrap().len();
    fs::write(path(&dir), vec![7; usize::try_from(len).unwrap()]).unwrap();
    let before = disk.asked();
    store.file().mend();
    let once = disk.asked() - before;
    assert!(once > 0);
    for number in 1..=5 {
        store.create(&key(1), ONE, END).await.unwrap_err();
        assert_eq!(disk.asked() - before, once * (1 + number));
    }
}

/// The disk with the file may be gone. An empty file in its place would end all sessions.
#[tokio::test]
async fn a_file_that_is_missing_is_not_made_anew() {
    let dir = TempDir::new().unwrap();
    let (store, disk) = idle(&dir).await;
    break_down(&store, &disk);
    let away = dir.path().join("away");
    fs::rename(path(&dir), &away).unwrap();
    store.file().mend();
    let error = store.create(&key(2), TWO, END).await.unwrap_err();
    let source = error.source().unwrap();
    let why = source.downcast_ref::<Arc<OpenError>>().unwrap();
    let is_missing = matches!(&**why, OpenError::Io(why) if why.kind() == io::ErrorKind::NotFound);
    assert!(is_missing, "{why:?}");
    assert!(!path(&dir).exists());
    fs::rename(&away, path(&dir)).unwrap();
    assert_eq!(loaded(&store, 1).await, Some(ONE));
}

/// The process may change its directory.
#[cfg(unix)]
#[tokio::test]
async fn a_file_is_reopened_where_it_was_opened() {
    let dir = TempDir::new().unwrap();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(path(&dir).strip_prefix("/").unwrap());
    assert!(relative.is_relative());
    let store = RedbStore::open(relative).await.unwrap();
    let at = format!("path: \"{}", here.display());
    assert!(format!("{store:?}").contains(&at), "{store:?}");
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
    // A move of all records finds it, and fails.
    let page = store.browse(&Cursor::default(), 9).await.unwrap();
    let listed: Vec<_> = page
        .entries
        .iter()
        .map(|listed| (listed.key, listed.kind))
        .collect();
    assert_eq!(listed, [(key(1), None)]);
}
