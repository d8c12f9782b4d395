//! Records under numbers.

use silverback::store::{Bytes, Expiry, Read, Record, RecordKey, Store, Version};

/// What [`create`] puts into a record.
pub const DATA: &[u8] = b"\x01data";

/// Returns the key of this number.
#[must_use]
pub fn key(number: u32) -> RecordKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

/// Makes the record of this number.
pub async fn create(store: &impl Store, number: u32, expiry: Expiry) -> Version {
    let data = Bytes::from_static(DATA);
    store.create(&key(number), data, expiry).await.unwrap()
}

/// Loads the record of this number.
pub async fn load(store: &impl Store, number: u32) -> Option<Record> {
    store.load(&key(number), Read::Current).await.unwrap()
}

/// Loads what the record of this number has.
pub async fn data(store: &impl Store, number: u32) -> Option<Bytes> {
    load(store, number).await.map(Record::into_data)
}
