//! A store in memcached, on a real one.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(unix)]

mod contract;
mod cuts;
mod forgetting;
mod limits;
mod nonsense;
mod outage;
mod site;

use std::time::Duration;

use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store, StoreError, Version},
};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::Memcached;

const DATA: &[u8] = b"\x01data";

fn key(number: u32) -> RecordKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_bytes(bytes)
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

/// A busy machine may need longer than the default.
async fn at(url: &str) -> MemcachedStore {
    let store = loop {
        match MemcachedStore::connect(url).await {
            Err(StoreError::Unavailable(_)) => {}
            connected => break connected.unwrap(),
        }
    };
    store.timeout(Duration::from_secs(30))
}

async fn connect(server: &Memcached) -> MemcachedStore {
    at(&server.url()).await
}

async fn create(store: &MemcachedStore, number: u32) -> Version {
    let key = key(number);
    let created = store.create(&key, Bytes::from_static(DATA), day());
    created.await.unwrap()
}

async fn data(store: &MemcachedStore, number: u32) -> Option<Bytes> {
    let record = store.load(&key(number), Read::Current).await.unwrap();
    record.map(silverback::store::Record::into_data)
}
