//! Full disks.

use std::fs;

use silverback::store::{Bytes, Read, Store, StoreError};
use silverback_redb::RedbStore;

use crate::{
    END, HANG, data, key,
    mount::{Kind, Mount},
};

/// Repeats a call until another thread has reopened the store's file.
async fn loaded(store: &RedbStore, number: u8) -> Option<Bytes> {
    let loaded = async {
        loop {
            match store.load(&key(number), Read::Current).await {
                Ok(record) => return record.map(silverback::store::Record::into_data),
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    tokio::time::timeout(HANG, loaded).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_fails_writes_and_loses_nothing() {
    for kind in [Kind::Tmpfs("size=6m"), Kind::Ext4("", "rw")] {
        let Some(mount) = Mount::new(kind) else {
            continue;
        };
        let path = mount.path().join("sessions.redb");
        let store = RedbStore::open(&path).await.unwrap();
        let state = |number: u8| Bytes::from(vec![number; 20_000]);
        for number in 0..10 {
            store
                .create(&key(number), state(number), END)
                .await
                .unwrap();
        }
        mount.fill();
        let mut kept = 10;
        let failure = loop {
            match store.create(&key(kept), state(kept), END).await {
                Ok(_) => kept += 1,
                Err(failure) => break failure,
            }
            assert!(kept < 250, "{kind:?} is never full");
        };
        let is_known = matches!(failure, StoreError::Unavailable(_) | StoreError::Refused(_));
        assert!(is_known, "{failure:?}");
        for number in 0..kept {
            assert_eq!(
                loaded(&store, number).await,
                Some(state(number)),
                "{kind:?}"
            );
        }
        fs::remove_file(mount.path().join("filler")).unwrap();
        // A failed write may be done after all.
        store.delete(&key(kept), None).await.unwrap();
        store.create(&key(kept), state(kept), END).await.unwrap();
        store.close().await;
        let again = RedbStore::open(&path).await.unwrap();
        for number in 0..=kept {
            assert_eq!(data(&again, number).await, Some(state(number)), "{kind:?}");
        }
        again.close().await;
    }
}
