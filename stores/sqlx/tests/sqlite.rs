//! SQLite keeps the contract.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use silverback::{
    Clock,
    store::{Sweep, conformance::Subject},
    store_conformance,
};
use silverback_sqlx::{SqlStore, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tempfile::TempDir;

store_conformance!(mod file, |clock| file(clock).await);
store_conformance!(mod file_of_the_systems_time, file(Clock::system()).await);

async fn file(clock: Clock) -> Subject<SqliteStore> {
    let dir = TempDir::new().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("sessions.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    let store = SqlStore::new(pool).clock(clock).max_record_bytes(10 << 20);
    store.create_table().await.unwrap();
    let swept = Subject::new(store).sweep(|store| async move { drop(store.sweep().await) });
    swept.keep(dir)
}
