//! Rules for every store, checked with the filesystem store.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use silverback::{
    Clock, ErrorKind, FilesystemStore, Session, SessionConfig, SessionLayer,
    store::{
        Bytes, Durability, DynStore, Expiry, FilesystemOptions, Read, RecordKey, Store, StoreError,
    },
};
use tempfile::TempDir;

use crate::{
    browsing::{all, fill, shows_all, sweeps_in_steps},
    clock_skew::{
        IN_2100, falls_behind_the_layers_clock, misses_the_layers_clock, misses_the_stores_clock,
    },
    concurrency::count_up,
    limits::bounds_its_sessions,
    support::{HOUR, Jar, START, Site, Stores, keys, until},
};

fn options(clock: &Clock) -> FilesystemOptions {
    FilesystemStore::options()
        .durability(Durability::None)
        .clock(clock.clone())
}

#[tokio::test]
async fn they_are_browsed_and_swept() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::manual(START));
    let store = options(&clock).open(folder.path()).unwrap();
    fill(&store, 700).await;
    shows_all(&store).await;
    sweeps_in_steps(&store, &clock).await;
    assert_eq!(all(&store, 9).await, []);
}

/// Once the permissions are mended, the session is back. So it is not over before.
#[tokio::test]
async fn one_with_wrong_permissions_is_neither_empty_nor_ended() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::manual(START));
    let store = options(&clock).open(folder.path()).unwrap();
    let site = Site::at(
        &clock,
        SessionLayer::new(SessionConfig::new("s", store, keys())),
    );
    let jar = &mut Jar::default();
    let begin = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        session.record_key().unwrap().to_string()
    };
    let key = site.visit(jar, begin).await.0;
    let file = folder.path().join(&key[..2]).join(&key);
    let allow = |mode| fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    allow(0o640);
    let fails = async |session: Session| {
        let loaded = session.load().await.map_err(|error| error.kind());
        (
            loaded,
            session.destroy().await.map_err(|error| error.kind()),
        )
    };
    let (failed, _) = site.visit(jar, fails).await;
    let error = Err(ErrorKind::StoreFailed);
    assert_eq!(failed, (error, error));
    allow(0o600);
    assert_eq!(site.get(jar, "n").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost() {
    let (stores, folder) = (Stores::new(), TempDir::new().unwrap());
    let files = options(&stores.clock).lock_timeout(HOUR);
    count_up(&stores, files.open(folder.path().join("sessions")).unwrap()).await;
}

#[tokio::test]
async fn a_store_that_was_not_given_the_clock_is_an_error() {
    let folder = TempDir::new().unwrap();
    let store = FilesystemStore::open(folder.path()).unwrap();
    misses_the_layers_clock(DynStore::new(store)).await;
}

#[tokio::test]
async fn a_layer_that_was_not_given_the_stores_clock_is_an_error() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::manual(IN_2100));
    let store = options(&clock).open(folder.path()).unwrap();
    misses_the_stores_clock(DynStore::new(store), &clock).await;
}

#[tokio::test]
async fn a_store_behind_the_layers_clock_keeps_its_sessions() {
    let folder = TempDir::new().unwrap();
    let store = FilesystemStore::open(folder.path()).unwrap();
    falls_behind_the_layers_clock(DynStore::new(store)).await;
}

#[tokio::test]
async fn a_session_is_bounded_by_its_store() {
    let folder = TempDir::new().unwrap();
    let files = || options(&Clock::manual(START)).max_record_bytes(1_000);
    bounds_its_sessions(|| files().open(folder.path()).unwrap()).await;
}

/// A record above the limit is not read into memory. It is not lost either: it is back once the
/// limit is raised again.
#[tokio::test]
async fn a_lowered_limit_holds_for_old_records() {
    const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
    const END: Expiry = until(START.saturating_add(HOUR));
    let folder = TempDir::new().unwrap();
    let open = |limit| {
        options(&Clock::manual(START))
            .max_record_bytes(limit)
            .open(folder.path())
            .unwrap()
    };
    let (wide, narrow) = (open(100_000), open(1_000));
    let data = Bytes::from(vec![7; 90_000]);
    let version = wide.create(&KEY, data.clone(), END).await.unwrap();
    let results = [
        narrow.load(&KEY, Read::Current).await.map(drop),
        narrow.touch(&KEY, version, END).await.map(drop),
        narrow
            .update(&KEY, version, Bytes::from_static(b"small"), END)
            .await
            .map(drop),
    ];
    for result in results {
        assert!(
            matches!(result, Err(StoreError::TooLarge { .. })),
            "{result:?}"
        );
    }
    assert_eq!(
        wide.load(&KEY, Read::Current)
            .await
            .unwrap()
            .unwrap()
            .data(),
        data
    );
}
