//! The memory that a full cache takes.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use silverback::{
    MemoryStore, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use silverback_cached::CachedStore;

/// Has a record of this many bytes under every key.
struct Full(usize);

impl Store for Full {
    async fn load(&self, _: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let (data, end) = (vec![1; self.0], Timestamp::from_secs(4_000_000_000));
        Ok(Some(Record::new(data, Version::from_u64(1), end)))
    }

    async fn load_many(&self, _: &[RecordKey], _: Read) -> Vec<Result<Option<Record>, StoreError>> {
        Vec::new()
    }

    async fn create(&self, _: &RecordKey, _: Bytes, _: Expiry) -> Result<Version, StoreError> {
        Err(StoreError::Exists)
    }

    async fn update(
        &self,
        _: &RecordKey,
        _: Version,
        _: Bytes,
        _: Expiry,
    ) -> Result<Version, StoreError> {
        Err(StoreError::Conflict)
    }

    async fn touch(&self, _: &RecordKey, _: Version, _: Expiry) -> Result<Version, StoreError> {
        Err(StoreError::Conflict)
    }

    async fn delete(&self, _: &RecordKey, _: Option<Version>) -> Result<(), StoreError> {
        Err(StoreError::Conflict)
    }

    async fn delete_many(&self, _: &[(RecordKey, Option<Version>)]) -> Vec<Result<(), StoreError>> {
        Vec::new()
    }

    fn limits(&self) -> Limits {
        MemoryStore::new().limits()
    }
}

#[test]
fn a_full_cache_takes_no_more_memory_than_it_may() {
    const MOST: u64 = 4 << 20;
    for size in [1, 40, 100, 200, 500, 1_000, 2_000, 4_000] {
        let mut cached = None;
        let measured = allocation_counter::measure(|| {
            let store = CachedStore::new(Full(size), Duration::MAX).max_bytes(MOST);
            for number in 0..40_000_u64 {
                // Spread like the hashes that keys are.
                let part = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                let key = RecordKey::from_bytes([part; 4].concat().try_into().unwrap());
                let mut context = Context::from_waker(Waker::noop());
                let loaded = pin!(store.load(&key, Read::Current)).poll(&mut context);
                assert!(loaded.is_ready());
            }
            cached = Some(store);
        });
        let (taken, said) = (
            measured.bytes_current.unsigned_abs(),
            cached.unwrap().bytes(),
        );
        println!("records of {size} bytes: {taken} bytes, said to be {said}");
        assert!(taken <= MOST, "records of {size} bytes take {taken}");
        assert!(said > MOST / 10 * 9, "it is full: {said}");
    }
}
