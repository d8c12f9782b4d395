//! A store in Firestore, on Google's emulator.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(unix)]

mod answers;
mod contract;
mod cuts;
mod limits;
mod moving;
mod outage;
mod scripted;
mod upkeep;

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use silverback::{
    Timestamp,
    store::{Expiry, RecordKey},
};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::{Firestore, kit::connected};

const COLLECTION: &str = "silverback_sessions";

/// One emulator for all tests, because it takes seconds to start. It ends with the process.
fn emulator() -> Option<&'static Firestore> {
    static EMULATOR: LazyLock<Option<Firestore>> = LazyLock::new(Firestore::start);
    EMULATOR.as_ref()
}

/// A project of the emulator for one test only.
struct Project {
    emulator: &'static Firestore,
    name: String,
}

impl Project {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let emulator = emulator()?;
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Some(Self { emulator, name })
    }

    fn url(&self) -> String {
        format!("firestore://{}", self.name)
    }

    async fn store(&self) -> FirestoreStore {
        at(&self.emulator.host(), &self.url()).await
    }

    /// A store on a port that leads to the emulator.
    async fn through(&self, port: u16) -> FirestoreStore {
        at(&format!("127.0.0.1:{port}"), &self.url()).await
    }

    fn path(&self, key: &RecordKey) -> String {
        let project = &self.name;
        format!("/v1/projects/{project}/databases/(default)/documents/{COLLECTION}/{key}")
    }

    /// Inserts a document with these fields as JSON.
    fn put(&self, key: &RecordKey, fields: &str) {
        let document = format!(r#"{{"fields":{fields}}}"#);
        let answer = self.emulator.ask("PATCH", &self.path(key), &document);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The document as JSON, without the head of the answer.
    fn get(&self, key: &RecordKey) -> String {
        self.emulator.ask("GET", &self.path(key), "")
    }
}

/// Longer than the default, for busy machines.
async fn at(host: &str, url: &str) -> FirestoreStore {
    let store = connected(|| FirestoreStore::connect_emulator(host, url)).await;
    store.timeout(Duration::from_secs(60))
}

/// A day, so that nothing ends during a test.
fn day() -> Expiry {
    seconds(86_400)
}

fn seconds(after: u64) -> Expiry {
    let now = Timestamp::from_secs(1_800_000_000);
    let at = Timestamp::from_secs(now.as_secs().saturating_add(after));
    Expiry::new(at, now)
}
