//! Expired records that the store still holds.

use silverback::{
    Clock, Timestamp,
    store::{Bytes, MemoryStore, Read, RecordKey, Store, Sweep},
};

use crate::support::{SECOND, START, until};

const OLD_END: Timestamp = Timestamp::from_secs(START.as_secs() + 100);
const NEW_END: Timestamp = Timestamp::from_secs(START.as_secs() + 1_000);

/// All neighbours are in the same part of the store, which examines a few of them for each new
/// record.
fn neighbour(number: u8) -> RecordKey {
    let mut key = [7; 32];
    key[31] = number;
    RecordKey::from_bytes(key)
}

#[tokio::test]
async fn a_record_outlives_the_expired_one_it_replaced() {
    // Any of them may be created anew, while the store sweeps the others in passing.
    for anew in 0..100 {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        let create = async |number, data: &'static [u8], end| {
            let data = Bytes::from_static(data);
            store
                .create(&neighbour(number), data, until(end))
                .await
                .unwrap()
        };
        for number in 0..100 {
            create(number, b"old", OLD_END).await;
        }
        clock.set(OLD_END);
        let version = create(anew, b"new", NEW_END).await;
        let is_there = async |after: &str| {
            let found = store.load(&neighbour(anew), Read::Current).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{anew}: gone after {after}"));
            assert_eq!(found.data(), b"new", "{anew}: after {after}");
            assert_eq!((found.version(), found.expires()), (version, NEW_END));
        };
        is_there("the create").await;
        for number in 100..130 {
            create(number, b"other", NEW_END).await;
        }
        is_there("creates of others").await;
        store.sweep().await;
        is_there("a sweep").await;
        assert_eq!(store.len(), 31);
        clock.advance(899 * SECOND);
        is_there("all but a second").await;
        clock.advance(SECOND);
        assert!(
            store
                .load(&neighbour(anew), Read::Current)
                .await
                .unwrap()
                .is_none()
        );
    }
}
