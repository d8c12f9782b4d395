//! Records as the session layer makes them.

use std::time::Duration;

use silverback::{
    Clock,
    store::{Bytes, Expiry, Read, RecordKey, Store, StoreError, Version},
};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// As random as the hash of an ID is.
pub(crate) fn key(number: u32) -> RecordKey {
    let mut bytes = [0; 32];
    for (part, place) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(1..) {
        *part = (number + place).wrapping_mul(0x9e37_79b9).to_be_bytes();
    }
    RecordKey::from_bytes(bytes)
}

/// An end so far from now.
pub(crate) fn until(after: Duration) -> Expiry {
    let now = Clock::system().now();
    Expiry::new(now.saturating_add(after), now)
}

pub(crate) async fn make(
    store: &impl Store,
    number: u32,
    data: &'static [u8],
    life: Duration,
) -> Version {
    let data = Bytes::from_static(data);
    store.create(&key(number), data, until(life)).await.unwrap()
}

/// A store's data under a key.
pub(crate) async fn data(store: &impl Store, number: u32) -> Option<Vec<u8>> {
    let record = store.load(&key(number), Read::Current).await.unwrap();
    record.map(|record| record.data().to_vec())
}

/// An error with its causes.
pub(crate) fn told(error: &StoreError) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}
