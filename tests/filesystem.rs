//! The filesystem store, as users of the crate see it.
#![cfg(all(unix, feature = "filesystem"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
#[path = "filesystem/hints.rs"]
mod hints;
#[cfg(target_os = "linux")]
#[path = "filesystem/linux.rs"]
mod linux;
#[path = "filesystem/mount.rs"]
mod mount;

use std::{
    error::Error,
    fs,
    future::Future,
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use silverback::{
    Clock, Timestamp,
    store::{
        Browse, Bytes, Cursor, Durability, Expiry, FilesystemOptions, FilesystemStore, MemoryStore,
        MigratingStore, Read, Record, RecordKey, Store, StoreError, Sweep, Sweeper, Version,
    },
};
use tempfile::TempDir;
use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
};

use self::mount::{Kind, Mount, is_root};

type Outcome = Result<(), Box<dyn Error>>;

const KEY: RecordKey = RecordKey::from_bytes([0xab; 32]);
const END: Expiry = until(u64::MAX);

const fn until(end: u64) -> Expiry {
    Expiry::new(Timestamp::from_secs(end), Timestamp::from_secs(0))
}

/// Bounds a hang, but is far longer than a busy machine or a stopped process takes.
const HANG: Duration = Duration::from_secs(600);

fn options() -> FilesystemOptions {
    FilesystemStore::options().lock_timeout(HANG)
}

fn store() -> (TempDir, FilesystemStore) {
    let dir = TempDir::new().unwrap();
    let store = options().open(dir.path()).unwrap();
    (dir, store)
}

fn path_of(dir: &TempDir) -> PathBuf {
    dir.path().join("ab").join(KEY.to_string())
}

async fn load(store: &FilesystemStore) -> Option<Record> {
    store.load(&KEY, Read::Current).await.unwrap()
}

#[tokio::test]
async fn a_record_lives_and_dies() -> Outcome {
    let dir = TempDir::new()?;
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())?;
    let end = until(2_000);
    assert!(store.load(&KEY, Read::Current).await?.is_none());
    let first = store.create(&KEY, Bytes::from_static(b"one"), end).await?;
    assert_eq!(
        store.load(&KEY, Read::Current).await?,
        Some(Record::new("one", first, end.at))
    );
    assert!(matches!(
        store.create(&KEY, Bytes::new(), end).await,
        Err(StoreError::Exists)
    ));
    let second = store
        .update(&KEY, first, Bytes::from(vec![5; 10_000]), end)
        .await?;
    assert!(matches!(
        store.update(&KEY, first, Bytes::new(), end).await,
        Err(StoreError::Conflict)
    ));
    assert!(matches!(
        store.touch(&KEY, first, end).await,
        Err(StoreError::Conflict)
    ));
    store.touch(&KEY, second, until(3_000)).await?;
    clock.advance(Duration::from_secs(1_999));
    assert_eq!(
        store.load(&KEY, Read::Current).await?,
        Some(Record::new(
            vec![5; 10_000],
            second,
            Timestamp::from_secs(3_000)
        ))
    );
    store.delete(&KEY, None).await?;
    assert!(store.load(&KEY, Read::Current).await?.is_none());
    assert!(matches!(
        store.update(&KEY, second, Bytes::new(), until(3_000)).await,
        Err(StoreError::Gone)
    ));
    assert!(matches!(
        store.touch(&KEY, second, until(3_000)).await,
        Err(StoreError::Gone)
    ));
    store.delete(&KEY, None).await?;
    Ok(())
}

#[tokio::test]
async fn an_expired_record_counts_as_deleted() -> Outcome {
    let dir = TempDir::new()?;
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())?;
    let end = until(2_000);
    let version = store.create(&KEY, Bytes::from_static(b"one"), end).await?;
    clock.set(end.at);
    assert!(store.load(&KEY, Read::Current).await?.is_none());
    assert!(matches!(
        store.update(&KEY, version, Bytes::new(), END).await,
        Err(StoreError::Gone)
    ));
    assert!(matches!(
        store.touch(&KEY, version, END).await,
        Err(StoreError::Gone)
    ));
    store.create(&KEY, Bytes::from_static(b"two"), END).await?;
    assert_eq!(
        store
            .load(&KEY, Read::Current)
            .await?
            .ok_or("it is there")?
            .data(),
        b"two"
    );
    Ok(())
}

#[tokio::test]
async fn sessions_survive_the_store_and_are_shared() -> Outcome {
    let (dir, store) = store();
    let version = store.create(&KEY, Bytes::from_static(b"data"), END).await?;
    let other = FilesystemStore::open(dir.path())?;
    drop(store);
    assert_eq!(
        other.load(&KEY, Read::Current).await?,
        Some(Record::new("data", version, END.at))
    );
    Ok(())
}

#[test]
fn it_works_outside_a_runtime() {
    let (_dir, store) = store();
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        pin!(store.create(&KEY, Bytes::new(), END))
            .poll(&mut context)
            .is_ready()
    );
    assert!(
        pin!(store.load(&KEY, Read::Current))
            .poll(&mut context)
            .is_ready()
    );
    assert!(Sweeper::start(store.clone(), Duration::from_secs(1)).is_err());
}

/// The future is dropped while its work is under way. The work continues to its end.
#[tokio::test]
async fn a_cancelled_update_is_done_completely() {
    let (dir, store) = store();
    let mut version = store
        .create(&KEY, Bytes::from(vec![0; 1_000]), END)
        .await
        .unwrap();
    for round in 1..=300_u64 {
        let data = Bytes::from(vec![round as u8; 1_000 + round as usize * 20]);
        let mut context = Context::from_waker(Waker::noop());
        // The work cannot be done before the lock is free.
        let locked = fs::File::open(path_of(&dir)).unwrap();
        locked.lock().unwrap();
        let updated = pin!(store.update(&KEY, version, data, END)).poll(&mut context);
        assert!(updated.is_pending());
        locked.unlock().unwrap();
        let next = tokio::time::timeout(HANG, next_version(&store, version));
        version = next.await.expect("the work is completed");
    }
}

/// Loads the record until it has another version.
async fn next_version(store: &FilesystemStore, version: Version) -> Version {
    loop {
        let record = load(store).await.unwrap();
        let (data, first) = (record.data(), record.data()[0]);
        assert!(data.len() >= 1_000 && data.iter().all(|byte| *byte == first));
        if record.version() != version {
            return record.version();
        }
        yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_64_tasks_is_lost() {
    let (_dir, store) = store();
    store
        .create(&KEY, Bytes::copy_from_slice(&0_u64.to_le_bytes()), END)
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..200 {
                increment(&store).await;
            }
        });
    }
    tasks.join_all().await;
    let record = load(&store).await.unwrap();
    assert_eq!(record.data(), 12_800_u64.to_le_bytes());
}

async fn increment(store: &FilesystemStore) {
    loop {
        let record = load(store).await.expect("nobody deletes it");
        let count = u64::from_le_bytes(record.data().try_into().unwrap()) + 1;
        match store
            .update(
                &KEY,
                record.version(),
                Bytes::copy_from_slice(&count.to_le_bytes()),
                END,
            )
            .await
        {
            Err(StoreError::Conflict) => {}
            done => break assert!(done.is_ok(), "{done:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_creates_wins() {
    let (_dir, store) = store();
    let mut tasks = JoinSet::new();
    for number in 0..32_u8 {
        let store = store.clone();
        tasks.spawn(async move {
            (
                number,
                store.create(&KEY, Bytes::from(vec![number]), END).await,
            )
        });
    }
    let results = tasks.join_all().await;
    let winners: Vec<_> = results
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(winners.len(), 1);
    assert!(
        results
            .iter()
            .all(|(_, result)| matches!(result, Ok(_) | Err(StoreError::Exists)))
    );
    assert_eq!(load(&store).await.unwrap().data(), winners);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_record_never_comes_back() {
    let (dir, store) = store();
    let rounds = if std::env::var_os("SILVERBACK_SOAK").is_some() {
        10_000
    } else {
        1_000
    };
    let mut late = 0;
    // On a busy machine the updates of all these rounds may win the race.
    for round in 0..1_000 * rounds {
        if round >= rounds && late > 0 {
            break;
        }
        let version = store
            .create(&KEY, Bytes::from_static(b"data"), END)
            .await
            .unwrap();
        let barrier = Arc::new(Barrier::new(3));
        let mut updates = JoinSet::new();
        for size in [100, 100 + (round % 7) * 900] {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            updates.spawn(async move {
                barrier.wait().await;
                store
                    .update(&KEY, version, Bytes::from(vec![1; size]), END)
                    .await
            });
        }
        barrier.wait().await;
        store.delete(&KEY, None).await.unwrap();
        for result in updates.join_all().await {
            late += u32::from(matches!(result, Err(StoreError::Gone)));
            assert!(
                matches!(result, Ok(_) | Err(StoreError::Gone | StoreError::Conflict)),
                "{result:?}"
            );
        }
        assert!(load(&store).await.is_none());
        assert!(!path_of(&dir).exists());
    }
    assert!(late > 0);
    assert_eq!(fs::read_dir(dir.path().join("ab")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_record_is_never_swept() {
    let dir = TempDir::new().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = options().clock(clock.clone()).open(dir.path()).unwrap();
    let ends = |from: u64| until(from + 10);
    let version = store
        .create(&KEY, Bytes::from_static(b"data"), ends(1_000))
        .await
        .unwrap();
    let sweeper = Sweeper::start(store.clone(), Duration::ZERO).unwrap();
    for second in 1_001..1_500 {
        store.touch(&KEY, version, ends(second)).await.unwrap();
        clock.set(Timestamp::from_secs(second));
        assert!(load(&store).await.is_some());
    }
    sweeper.stop().await;
    clock.advance(Duration::from_secs(10));
    assert_eq!(store.sweep().await.removed(), 1);
}

#[tokio::test]
async fn sweeping_keeps_its_limits_and_continues() {
    let dir = TempDir::new().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())
        .unwrap();
    for number in 0..100 {
        let end = until(2_000 + number % 2 * 1_000);
        store
            .create(
                &RecordKey::from_bytes([number as u8; 32]),
                Bytes::new(),
                end,
            )
            .await
            .unwrap();
    }
    clock.set(Timestamp::from_secs(0));
    assert_eq!(store.sweep().await.removed(), 0);
    clock.set(Timestamp::from_secs(2_500));
    fs::write(
        dir.path()
            .join("63")
            .join(RecordKey::from_bytes([0x63; 32]).to_string()),
        b"damage",
    )
    .unwrap();
    let step = store.sweep_some(30).await;
    assert!(
        (step.examined(), step.is_finished()) == (30, false),
        "{step:?}"
    );
    let (mut removed, mut failed) = (step.removed(), step.failed());
    loop {
        let step = store.sweep_some(30).await;
        (removed, failed) = (removed + step.removed(), failed + step.failed());
        if step.is_finished() {
            break;
        }
    }
    assert_eq!((removed, failed), (50, 1));
}

#[tokio::test]
async fn strays_are_swept_after_an_hour() {
    let dir = TempDir::new().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())
        .unwrap();
    store
        .create(&KEY, Bytes::from_static(b"data"), END)
        .await
        .unwrap();
    let stray = dir.path().join("ab/0123456789abcdef.tmp");
    fs::write(&stray, b"half a rec").unwrap();
    let written = Timestamp::from(fs::metadata(&stray).unwrap().modified().unwrap());
    for early in [
        written,
        Timestamp::from_secs(0),
        written.saturating_add(Duration::from_secs(3_599)),
    ] {
        clock.set(early);
        assert_eq!(store.sweep().await.removed(), 0);
    }
    clock.set(written.saturating_add(Duration::from_secs(3_600)));
    assert_eq!(store.sweep().await.removed(), 1);
    assert!(!stray.exists() && load(&store).await.is_some());
}

#[tokio::test]
async fn a_dropped_sweeper_stops() {
    let (_dir, store) = store();
    drop(Sweeper::start(store.clone(), Duration::from_secs(3_600)).unwrap());
    let sweeper = Sweeper::start(store, Duration::from_secs(3_600)).unwrap();
    sweeper.stop().await;
}

#[tokio::test]
async fn files_are_private_to_their_owner_and_named_by_hash() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("sessions");
    let store = FilesystemStore::open(&path).unwrap();
    store
        .create(&KEY, Bytes::from_static(b"data"), END)
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let file = path.join("ab").join(KEY.to_string());
    assert_eq!(
        (mode(&path), mode(&path.join("ab")), mode(&file)),
        (0o700, 0o700, 0o600)
    );
}

#[tokio::test]
async fn a_record_over_the_limit_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = FilesystemStore::options()
        .max_record_bytes(10)
        .open(dir.path())
        .unwrap();
    let version = store
        .create(&KEY, Bytes::from(vec![1; 10]), END)
        .await
        .unwrap();
    let result = store
        .update(&KEY, version, Bytes::from(vec![1; 11]), END)
        .await;
    assert!(matches!(
        result,
        Err(StoreError::TooLarge {
            size: 11,
            limit: 10
        })
    ));
    assert_eq!(load(&store).await.unwrap().data(), [1; 10]);
    let unbounded = FilesystemStore::options()
        .max_record_bytes(usize::MAX)
        .open(dir.path())
        .unwrap();
    assert_eq!(load(&unbounded).await.unwrap().data(), [1; 10]);
}

#[test]
fn unsafe_directories_are_refused() {
    let parent = TempDir::new().unwrap();
    let at = |name: &str| parent.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    fs::write(at("file"), b"").unwrap();
    for (name, mode) in [("group", 0o770), ("world", 0o777), ("sticky", 0o1777)] {
        fs::DirBuilder::new().mode(0o700).create(at(name)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let table = [
        ("link", "is a symbolic link"),
        ("link/", "is a symbolic link"),
        ("link/.", "is a symbolic link"),
        ("file", "is not a directory"),
        ("group", "can be written to by other users"),
        ("world", "can be written to by other users"),
        ("sticky", "can be written to by other users"),
        ("none/sessions", "cannot be opened"),
    ];
    for (name, reason) in table {
        let error = FilesystemStore::open(at(name)).expect_err(name).to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    for name in ["group", "world", "none/sessions", "it's mine/sessions"] {
        let error = FilesystemStore::open(at(name)).unwrap_err().to_string();
        let command = error.split('`').nth(1).expect(&error);
        let done = Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(done.success(), "{error}");
        FilesystemStore::open(at(name)).expect(command);
    }
    assert!(FilesystemStore::open("").is_err());
    FilesystemStore::open(at("real/")).unwrap();
    if is_root() {
        std::os::unix::fs::chown(at("real"), Some(65_534), None).unwrap();
        let error = FilesystemStore::open(at("real")).unwrap_err().to_string();
        assert!(error.contains("belongs to another user"), "{error}");
        assert!(error.contains("chown -R 0 "), "{error}");
    } else {
        println!("skipped: only root can give a directory to another user");
    }
}

#[tokio::test]
async fn a_planted_file_is_refused() {
    type Plant = fn(&Path, &Path);
    let plants: [(&str, Plant); 4] = [
        ("symbolic link", |record, other| {
            symlink(other, record).unwrap()
        }),
        ("hard link", |record, other| {
            fs::hard_link(other, record).unwrap()
        }),
        ("FIFO", |record, _| {
            assert!(
                Command::new("mkfifo")
                    .arg("-m")
                    .arg("600")
                    .arg(record)
                    .status()
                    .unwrap()
                    .success()
            )
        }),
        ("directory", |record, _| fs::create_dir(record).unwrap()),
    ];
    for ((what, plant), knows_version) in plants
        .into_iter()
        .flat_map(|plant| [(plant, false), (plant, true)])
    {
        let (dir, store) = store();
        let version = store
            .create(&KEY, Bytes::from_static(b"data"), END)
            .await
            .unwrap();
        let other = dir.path().join("other");
        fs::rename(path_of(&dir), &other).unwrap();
        let before = fs::read(&other).unwrap();
        plant(&path_of(&dir), &other);
        let load = store.load(&KEY, Read::Current).await;
        assert!(
            matches!(load, Err(StoreError::Corrupt(_))),
            "{what}: {load:?}"
        );
        let update = store
            .update(&KEY, version, Bytes::from_static(b"new"), END)
            .await;
        assert!(
            matches!(update, Err(StoreError::Corrupt(_))),
            "{what}: {update:?}"
        );
        assert!(matches!(
            store.touch(&KEY, version, until(u64::MAX - 1)).await,
            Err(StoreError::Corrupt(_))
        ));
        assert!(
            store.create(&KEY, Bytes::new(), END).await.is_err(),
            "{what}"
        );
        assert_eq!(store.sweep().await.removed(), 0, "{what}");
        assert_eq!(
            store
                .delete(&KEY, knows_version.then_some(version))
                .await
                .is_ok(),
            what != "directory",
            "{what}"
        );
        assert_eq!(path_of(&dir).exists(), what == "directory", "{what}");
        assert_eq!(fs::read(&other).unwrap(), before, "{what}");
    }
}

/// Nobody can read it, so nobody can move it.
#[tokio::test]
async fn a_planted_file_of_a_move_can_be_deleted() {
    for deletes_many in [false, true] {
        let (dir, from) = store();
        let version = from.create(&KEY, Bytes::new(), END).await.unwrap();
        let other = dir.path().join("other");
        fs::rename(path_of(&dir), &other).unwrap();
        symlink(&other, path_of(&dir)).unwrap();
        let store = MigratingStore::new(from, MemoryStore::new());
        let delete = async |expected| match deletes_many {
            false => store.delete(&KEY, expected).await,
            true => store.delete_many(&[(KEY, expected)]).await.remove(0),
        };
        let known = delete(Some(version)).await;
        assert!(matches!(known, Err(StoreError::Corrupt(_))), "{known:?}");
        assert!(delete(None).await.is_ok());
        assert_eq!(store.load(&KEY, Read::Current).await.unwrap(), None);
    }
}

/// An operator's backup may come back with other permissions. Until they are mended, no session is
/// empty, and none has ended: it would be back afterwards.
#[tokio::test]
async fn a_file_with_wrong_permissions_is_an_error() -> Outcome {
    let (dir, store) = store();
    let data = Bytes::from_static(b"data");
    let version = store.create(&KEY, data.clone(), END).await?;
    let allow = |mode| fs::set_permissions(path_of(&dir), fs::Permissions::from_mode(mode));
    allow(0o640)?;
    let loaded = store.load(&KEY, Read::Current).await;
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
    for changed in [
        store.update(&KEY, version, data.clone(), END).await,
        store.touch(&KEY, version, until(u64::MAX - 1)).await,
        store.create(&KEY, data.clone(), END).await,
    ] {
        assert!(
            matches!(changed, Err(StoreError::Refused(_))),
            "{changed:?}"
        );
    }
    let deleted = store.delete(&KEY, Some(version)).await;
    assert!(
        matches!(deleted, Err(StoreError::Refused(_))),
        "{deleted:?}"
    );
    assert_eq!(store.sweep().await.removed(), 0);
    let page = store.browse(&Cursor::default(), 9).await?;
    assert_eq!(page.entries.len(), 1, "a move of all records must find it");
    allow(0o600)?;
    assert_eq!(load(&store).await.ok_or("lost")?.into_data(), data);
    allow(0o640)?;
    store.delete(&KEY, None).await?;
    assert!(!path_of(&dir).exists());
    Ok(())
}

#[tokio::test]
async fn a_removed_directory_is_an_error_and_not_an_empty_store() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("sessions");
    let store = FilesystemStore::open(&path).unwrap();
    let version = store
        .create(&KEY, Bytes::from_static(b"data"), END)
        .await
        .unwrap();
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(
        store.load(&KEY, Read::Current).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.update(&KEY, version, Bytes::new(), END).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.create(&KEY, Bytes::new(), END).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.delete(&KEY, None).await,
        Err(StoreError::Unavailable(_))
    ));
    let swept = store.sweep().await;
    assert!(swept.failed() > 0 && swept.error().is_some());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_follows_its_moved_directory() {
    let parent = TempDir::new().unwrap();
    let (path, moved, trap) = (
        parent.path().join("sessions"),
        parent.path().join("moved"),
        parent.path().join("trap"),
    );
    let store = FilesystemStore::open(&path).unwrap();
    let version = store
        .create(&KEY, Bytes::from_static(b"data"), END)
        .await
        .unwrap();
    fs::create_dir(&trap).unwrap();
    fs::rename(&path, &moved).unwrap();
    symlink(&trap, &path).unwrap();
    store
        .update(&KEY, version, Bytes::from_static(b"new"), END)
        .await
        .unwrap();
    store
        .create(&RecordKey::from_bytes([1; 32]), Bytes::new(), END)
        .await
        .unwrap();
    assert_eq!(load(&store).await.unwrap().data(), b"new");
    assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
    assert!(moved.join("01").is_dir());
}

const SMALL: Bytes = Bytes::from_static(&[7; 10]);

async fn make(options: FilesystemOptions, dir: &TempDir) -> (FilesystemStore, Version) {
    let store = options.lock_timeout(HANG).open(dir.path()).unwrap();
    let version = store.create(&KEY, SMALL, END).await.unwrap();
    (store, version)
}

/// The only other thread is busy, so a change that is left to it is still pending.
#[test]
fn a_change_that_may_wait_is_left_to_another_thread() {
    let large = Bytes::from(vec![7; 9_000]);
    for (options, data) in [
        (options(), large),
        (options().durability(Durability::Data), SMALL),
        (options().inline_writes(false), SMALL),
        (options().allow_network_filesystem(true), SMALL),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let dir = TempDir::new().unwrap();
            let (store, version) = make(options, &dir).await;
            let (free, busy) = std::sync::mpsc::channel::<()>();
            let other = tokio::task::spawn_blocking(move || busy.recv());
            let mut update = Box::pin(store.update(&KEY, version, data.clone(), END));
            let mut context = Context::from_waker(Waker::noop());
            assert!(update.as_mut().poll(&mut context).is_pending());
            drop(free);
            update.await.unwrap();
            assert_eq!(load(&store).await.unwrap().data(), data);
            assert!(other.await.unwrap().is_err());
        });
    }
}

#[tokio::test]
async fn a_change_waits_as_long_for_another_as_it_is_told() {
    let dir = TempDir::new().unwrap();
    let options = options().lock_timeout(Duration::ZERO);
    let store = options.open(dir.path()).unwrap();
    let version = store.create(&KEY, SMALL, END).await.unwrap();
    let other = fs::File::open(path_of(&dir)).unwrap();
    other.lock().unwrap();
    let error = store.update(&KEY, version, SMALL, END).await.unwrap_err();
    assert!(format!("{error:?}").contains("lock for 0ns"), "{error:?}");
}

#[tokio::test]
async fn a_shard_that_is_a_link_is_not_followed() {
    let (dir, store) = store();
    let trap = TempDir::new().unwrap();
    symlink(trap.path(), dir.path().join("ab")).unwrap();
    assert!(matches!(
        store.load(&KEY, Read::Current).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.create(&KEY, Bytes::new(), END).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store
            .update(&KEY, Version::from_u64(1), Bytes::new(), END)
            .await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(fs::read_dir(trap.path()).unwrap().count(), 0);
}

/// A key in the same shard as the others.
fn key(number: u16) -> RecordKey {
    let mut bytes = [0xab; 32];
    bytes[30..].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

/// The length of a record that fits on none of the disks below.
const HUGE: usize = 2_000_000;

fn open(mount: &Mount, durability: Durability) -> FilesystemStore {
    FilesystemStore::options()
        .durability(durability)
        .max_record_bytes(HUGE)
        .open(mount.path())
        .unwrap()
}

/// Checks that the store's directory has these records and no other file.
async fn check(mount: &Mount, records: &[(RecordKey, Record)], what: &str) {
    let store = open(mount, Durability::Full);
    for (key, record) in records {
        assert_eq!(
            store.load(key, Read::Current).await.unwrap().as_ref(),
            Some(record),
            "{what}"
        );
    }
    let files = fs::read_dir(mount.path().join("ab")).unwrap().count();
    assert_eq!(files, records.len(), "{what}: nothing else is left");
}

/// Returns whether the file system reports that it is full, or that the disk failed.
fn is_full_or_failed<T>(result: &Result<T, StoreError>) -> bool {
    matches!(
        result,
        Err(StoreError::Refused(_) | StoreError::Unavailable(_))
    )
}

fn is_full<T>(result: Result<T, StoreError>) -> bool {
    let Err(StoreError::Refused(source)) = result else {
        return false;
    };
    source
        .downcast_ref()
        .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::StorageFull)
}

/// Creates records until none fits. A file system with delayed allocation frees room when it
/// allocates, so this continues until none fits right after a sync. A new file system may report
/// for a while that it is full.
async fn fill(mount: &Mount, store: &FilesystemStore) -> Vec<(RecordKey, Record)> {
    let (mut records, mut tries) = (Vec::new(), 1_000);
    for size in [100_000, 10_000, 300] {
        loop {
            let before = records.len();
            loop {
                let key = key(records.len() as u16);
                match store.create(&key, Bytes::from(vec![1; size]), END).await {
                    Ok(version) => records.push((key, Record::new(vec![1; size], version, END.at))),
                    full => break assert!(is_full(full)),
                }
            }
            mount.sync();
            let is_new = records.is_empty() && size == 300 && tries > 0;
            if is_new {
                tries -= 1;
            } else if records.len() == before {
                break;
            }
        }
    }
    records
}

async fn outgrow(store: &FilesystemStore, (key, record): &(RecordKey, Record), what: &str) {
    assert!(
        is_full(
            store
                .update(key, record.version(), Bytes::from(vec![2; HUGE]), END)
                .await
        ),
        "{what}"
    );
}

#[tokio::test]
async fn a_full_disk_keeps_old_sessions_and_takes_updates() {
    let disks = [
        (Kind::Tmpfs("size=64k"), Durability::None),
        (Kind::Tmpfs("size=4m,nr_inodes=8"), Durability::None),
        (Kind::Ext4("-b 4096", "rw"), Durability::None),
        (Kind::Ext4("-b 4096", "nodelalloc"), Durability::Data),
        (Kind::Ext4("-b 4096", "commit=600"), Durability::Full),
        (Kind::Ext4("-b 4096 -N 16", "rw"), Durability::None),
        (Kind::Ext4("-b 4096 -N 16", "commit=600"), Durability::Full),
    ];
    for (kind, durability) in disks {
        let Some(mount) = Mount::new(kind) else {
            continue;
        };
        let what = format!("{kind:?}, {durability:?}");
        let store = open(&mount, durability);
        let mut kept = fill(&mount, &store).await;
        let elsewhere = RecordKey::from_bytes([1; 32]);
        assert!(
            is_full(store.create(&elsewhere, Bytes::new(), END).await),
            "{what}"
        );
        for entry in &mut kept {
            outgrow(&store, entry, &what).await;
            let (key, record) = entry;
            let version = store
                .update(key, record.version(), Bytes::from(vec![3; 1_500]), END)
                .await
                .unwrap();
            *record = Record::new(vec![3; 1_500], version, END.at);
        }
        check(&mount, &kept, &what).await;
        let (deleted, _) = kept.remove(0);
        store.delete(&deleted, None).await.unwrap();
        // Now part of the record fits.
        outgrow(&store, &kept[0], &what).await;
        check(&mount, &kept, &what).await;
        let version = store.create(&deleted, Bytes::new(), END).await.unwrap();
        kept.push((deleted, Record::new("", version, END.at)));
        if durability == Durability::Full
            && let Some(mount) = mount.after_power_failure()
        {
            check(&mount, &kept, &format!("{what}, after a power failure")).await;
        }
        drop(store);
        mount.mount_again();
        check(&mount, &kept, &format!("{what}, mounted again")).await;
    }
}

/// The disk promises more room than it has, so writes that do not fit succeed and fail only when
/// they are synced.
#[tokio::test]
async fn a_disk_that_fails_late_keeps_old_sessions() {
    let disks = [
        Kind::Ext4("-b 4096", "commit=600"),
        Kind::Ext4("-b 4096 -O ^has_journal", "rw"),
    ];
    let levels = [Durability::Data, Durability::Full];
    for (kind, durability) in disks
        .into_iter()
        .flat_map(|kind| levels.map(|level| (kind, level)))
    {
        let Some(pool) = Mount::new(Kind::Tmpfs("size=16m")) else {
            return;
        };
        let Some(mount) = Mount::new_in(kind, &pool.path()) else {
            return;
        };
        let what = format!("{kind:?}, {durability:?}");
        let version = open(&mount, Durability::Full)
            .create(&KEY, Bytes::new(), END)
            .await
            .unwrap();
        pool.fill();
        let store = open(&mount, durability);
        let version = store
            .update(&KEY, version, Bytes::from(vec![1; 1_500]), END)
            .await
            .unwrap();
        let kept = [(KEY, Record::new(vec![1; 1_500], version, END.at))];
        let large = store
            .update(&KEY, version, Bytes::from(vec![2; 100_000]), END)
            .await;
        assert!(is_full_or_failed(&large), "{what}: {large:?}");
        let new = store.create(&key(1), Bytes::new(), END).await;
        assert!(is_full_or_failed(&new), "{what}: {new:?}");
        assert_eq!(
            store.load(&key(1), Read::Current).await.unwrap(),
            None,
            "{what}"
        );
        check(&mount, &kept, &what).await;
        drop(store);
        pool.remount("size=32m");
        mount.mount_again();
        check(&mount, &kept, &format!("{what}, mounted again")).await;
        let store = open(&mount, durability);
        store
            .update(&KEY, version, Bytes::from(vec![2; 100_000]), END)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_read_only_file_system_is_read() {
    type Stop = fn(&Mount) -> bool;
    let remount: Stop = |mount| {
        mount.remount("ro");
        true
    };
    let disks = [
        (Kind::Tmpfs("size=1m"), remount),
        (Kind::Ext4("", "rw"), remount),
        (Kind::Ext4("", "errors=remount-ro"), Mount::damage),
    ];
    for (kind, stop) in disks {
        let Some(mount) = Mount::new(kind) else {
            continue;
        };
        let store = open(&mount, Durability::Full);
        let version = store
            .create(&KEY, Bytes::from_static(b"data"), END)
            .await
            .unwrap();
        let damaged = key(1);
        store
            .create(&damaged, Bytes::from_static(b"data"), END)
            .await
            .unwrap();
        fs::write(
            mount.path().join("ab").join(damaged.to_string()),
            vec![7; 4_096],
        )
        .unwrap();
        if !stop(&mount) {
            continue;
        }
        assert_eq!(load(&store).await.unwrap().data(), b"data", "{kind:?}");
        assert!(
            matches!(
                store.load(&damaged, Read::Current).await,
                Err(StoreError::Corrupt(_))
            ),
            "{kind:?}"
        );
        let update = store.update(&KEY, version, Bytes::new(), END).await;
        assert!(
            matches!(update, Err(StoreError::Refused(_))),
            "{kind:?}: {update:?}"
        );
        let create = store.create(&key(2), Bytes::new(), END).await;
        assert!(
            matches!(create, Err(StoreError::Refused(_))),
            "{kind:?}: {create:?}"
        );
        let delete = store.delete(&KEY, None).await;
        assert!(
            matches!(delete, Err(StoreError::Refused(_))),
            "{kind:?}: {delete:?}"
        );
        drop(store);
        let store = open(&mount, Durability::Full);
        assert_eq!(load(&store).await.unwrap().version(), version, "{kind:?}");
        drop(store);
        mount.mount_again();
        let store = open(&mount, Durability::Full);
        assert_eq!(load(&store).await.unwrap().data(), b"data", "{kind:?}");
        store
            .update(&KEY, version, Bytes::new(), END)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn every_durability_works_on_a_real_disk() {
    for durability in [Durability::None, Durability::Data, Durability::Full] {
        let parent = TempDir::new().unwrap();
        let store = FilesystemStore::options()
            .durability(durability)
            .open(parent.path().join("sessions"))
            .unwrap();
        let version = store
            .create(&KEY, Bytes::from_static(b"data"), END)
            .await
            .unwrap();
        let version = store
            .update(&KEY, version, Bytes::from(vec![1; 5_000]), END)
            .await
            .unwrap();
        store
            .touch(&KEY, version, until(u64::MAX - 1))
            .await
            .unwrap();
        assert_eq!(load(&store).await.unwrap().data(), [1; 5_000]);
        store.delete(&KEY, None).await.unwrap();
        assert!(load(&store).await.is_none());
    }
}
