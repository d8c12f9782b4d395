//! A store in a file of redb.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[cfg(unix)]
mod crash;
#[cfg(unix)]
mod full;
#[cfg(unix)]
#[path = "../../../../tests/filesystem/mount.rs"]
#[allow(dead_code, reason = "the tests of the filesystem store use the rest")]
mod mount;
mod opening;
mod site;
mod upkeep;

use std::path::PathBuf;

use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store},
};
use silverback_redb::{Durability, RedbStore};
use tempfile::TempDir;

/// Bounds a hang.
#[cfg(unix)]
const HANG: std::time::Duration = std::time::Duration::from_secs(600);

const END: Expiry = Expiry::new(
    Timestamp::from_secs(9_000_000_000),
    Timestamp::from_secs(1_000),
);

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("sessions.redb")
}

/// A store that does not wait for the disk.
async fn open(dir: &TempDir) -> RedbStore {
    let options = RedbStore::options().durability(Durability::None);
    options.open(path(dir)).await.unwrap()
}

async fn data(store: &RedbStore, number: u8) -> Option<Bytes> {
    let record = store.load(&key(number), Read::Current).await.unwrap();
    record.map(silverback::store::Record::into_data)
}
