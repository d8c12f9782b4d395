//! Numbered records.

use silverback::store::{Bytes, Expiry, Read, Record, RecordKey, Store, Version};

/// The data of a record that [`create`] makes.
pub const DATA: &[u8] = b"\x01data";

/// Returns the key of this number.
#[must_use]
pub fn key(number: u32) -> RecordKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

/// Creates the record of this number.
pub async fn create(store: &impl Store, number: u32, expiry: Expiry) -> Version {
    let data = Bytes::from_static(DATA);
    store.create(&key(number), data, expiry).await.unwrap()
}

/// Loads the record of this number.
pub async fn load(store: &impl Store, number: u32) -> Option<Record> {
    store.load(&key(number), Read::Current).await.unwrap()
}

/// Loads the data of the record with this number.
pub async fn data(store: &impl Store, number: u32) -> Option<Bytes> {
    load(store, number).await.map(Record::into_data)
}
