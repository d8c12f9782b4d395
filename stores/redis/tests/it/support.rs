//! Shared helpers.

use std::time::Duration;

use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store, StoreError, Version},
};
use silverback_redis::RedisStore;
use silverback_test_servers::{Proxy, Redis};

/// A record of a session, by its first byte.
pub(crate) const SESSION: &[u8] = b"\x01a session";

/// A mark, by its first byte.
pub(crate) const MARK: &[u8] = b"\x08a mark";

pub(crate) fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

/// An end in this many seconds, by the server's clock.
pub(crate) fn seconds(after: u64) -> Expiry {
    let now = Timestamp::from_secs(1_800_000_000);
    Expiry::new(now.saturating_add(Duration::from_secs(after)), now)
}

pub(crate) fn hour() -> Expiry {
    seconds(3_600)
}

/// Longer than any call takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) async fn connect(server: &Redis) -> RedisStore {
    let store = RedisStore::connect(&server.url()).await;
    store.unwrap().timeout(LONG)
}

pub(crate) async fn through(proxy: &Proxy) -> RedisStore {
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    RedisStore::connect(&url).await.unwrap().timeout(LONG)
}

pub(crate) async fn create(store: &RedisStore, number: u8) -> Version {
    try_create(store, number).await.unwrap()
}

pub(crate) async fn try_create(store: &RedisStore, number: u8) -> Result<Version, StoreError> {
    let data = Bytes::from_static(SESSION);
    store.create(&key(number), data, hour()).await
}

pub(crate) async fn update(
    store: &RedisStore,
    number: u8,
    from: Version,
    data: &'static [u8],
) -> Result<Version, StoreError> {
    let data = Bytes::from_static(data);
    store.update(&key(number), from, data, hour()).await
}

/// The value under a key.
pub(crate) async fn data(store: &RedisStore, number: u8) -> Option<Vec<u8>> {
    let record = store.load(&key(number), Read::Current).await.unwrap()?;
    Some(record.data().to_vec())
}
