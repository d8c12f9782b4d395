//! Firestore's limits on sizes, names and times.

use silverback::store::{Bytes, Read, Store as _, StoreError};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::kit::{DATA, create, key, load};

use crate::{Project, at, day};

#[tokio::test]
async fn the_largest_record_fits_with_the_longest_name() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await.collection(&"c".repeat(100)).unwrap();
    let most = store.limits().record_bytes;
    assert_eq!(most, 1_047_552);
    let data = Bytes::from(vec![1; most]);
    let version = store.create(&key(1), data.clone(), day()).await.unwrap();
    let record = load(&store, 1).await.unwrap();
    assert_eq!(record.data(), data);
    let more = Bytes::from(vec![1; most + 1]);
    let updated = store.update(&key(1), version, more, day()).await;
    assert!(
        matches!(updated, Err(StoreError::TooLarge { .. })),
        "{updated:?}"
    );
    assert_eq!(load(&store, 1).await, Some(record), "the old one stays");
    assert_eq!(store.record_bytes(usize::MAX).limits().record_bytes, most);
}

/// The service accepts at most 500 writes at once.
#[tokio::test]
async fn more_than_one_question_takes_are_asked_for_in_several() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    for number in [0, 499, 500, 1_100] {
        create(&store, number, day()).await;
    }
    let keys: Vec<_> = (0..=1_100).map(key).collect();
    let there = async || {
        let loaded = store.load_many(&keys, Read::Current).await;
        let there = loaded.into_iter().map(|record| record.unwrap().is_some());
        let there = there
            .enumerate()
            .filter_map(|(at, is_there)| is_there.then_some(at));
        there.collect::<Vec<_>>()
    };
    assert_eq!(there().await, [0, 499, 500, 1_100]);
    let all: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
    for deleted in store.delete_many(&all).await {
        deleted.unwrap();
    }
    assert_eq!(there().await, [0; 0]);
}

#[tokio::test]
async fn applications_share_a_database_by_their_collections() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    let [shop, admin] = ["shop", "admin"].map(|name| store.clone().collection(name).unwrap());
    create(&shop, 1, day()).await;
    assert_eq!(load(&admin, 1).await, None);
    admin.delete(&key(1), None).await.unwrap();
    assert!(load(&shop, 1).await.is_some());
    let refused = store.collection("a/b");
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let refused = FirestoreStore::connect_emulator(&project.emulator.host(), "shop").await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let other = format!("{}/other", project.url());
    assert_eq!(
        load(&at(&project.emulator.host(), &other).await, 1).await,
        None
    );
}

/// Otherwise the update time, which is the version, would not change.
#[tokio::test]
async fn a_write_of_the_same_bytes_is_a_write() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    let mut versions = vec![create(&store, 1, day()).await];
    for _ in 0..3 {
        let data = Bytes::from_static(DATA);
        let last = *versions.last().unwrap();
        let next = store.update(&key(1), last, data, day()).await.unwrap();
        assert!(!versions.contains(&next));
        versions.push(next);
    }
    let late = store.delete(&key(1), Some(versions[2])).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}
