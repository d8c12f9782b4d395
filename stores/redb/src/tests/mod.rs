//! Tests that need the inside of the store: what a failing disk does to the file, and values that
//! are not records.

mod contract;
mod faults;
mod model;
mod power;
mod sharing;

use std::{path::PathBuf, sync::Arc};

use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store},
};
use tempfile::TempDir;

use crate::{RedbOptions, RedbStore, disk::Access, error::Fault, operation::TABLE};

const NOW: Timestamp = Timestamp::from_secs(1_000);
const END: Expiry = Expiry::new(Timestamp::from_secs(9_000_000_000), NOW);

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("sessions.redb")
}

impl RedbOptions {
    fn access(mut self, access: Arc<dyn Access>) -> Self {
        self.access = access;
        self
    }
}

impl RedbStore {
    /// Puts bytes that are not a record under a key.
    fn damage(&self, key: RecordKey, bytes: &[u8]) {
        let put = self.file().with(|database| {
            let write = database.begin_write().map_err(Fault::undone)?;
            let mut table = write.open_table(TABLE).map_err(Fault::undone)?;
            table.insert(key.as_bytes(), bytes)?;
            drop(table);
            write.commit().map_err(Fault::unknown)
        });
        put.unwrap();
    }
}

async fn data(store: &RedbStore, number: u8) -> Option<Bytes> {
    let record = store.load(&key(number), Read::Current).await.unwrap();
    record.map(silverback::store::Record::into_data)
}
