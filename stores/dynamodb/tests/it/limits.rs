//! The limits of a record, and the items in the table.

use std::time::Duration;

use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, Read, Store as _, StoreError, Version},
};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::kit::{DATA, create, data, key};

use crate::{
    LATEST, NOW, day, fresh, seconds,
    table::{binary, number},
};

#[tokio::test]
async fn a_record_as_large_as_the_limit_is_kept_and_a_larger_one_is_not_sent() {
    let Some((store, _)) = fresh().await else {
        return;
    };
    let limit = store.limits().record_bytes;
    assert_eq!(limit, 409_476);
    let (latest, full) = (Expiry::new(LATEST, NOW), vec![7; limit]);
    let version = store
        .create(&key(1), full.clone().into(), latest)
        .await
        .unwrap();
    assert_eq!(data(&store, 1).await.unwrap(), full);
    let larger = || Bytes::from(vec![7; limit + 1]);
    for refused in [
        store.create(&key(2), larger(), day()).await,
        store.update(&key(1), version, larger(), day()).await,
    ] {
        let is_too_large = matches!(refused, Err(StoreError::TooLarge { .. }));
        assert!(is_too_large, "{refused:?}");
    }
    let small = store.clone().max_record_bytes(10);
    let refused = small.create(&key(2), vec![7; 11].into(), day()).await;
    assert!(matches!(
        refused,
        Err(StoreError::TooLarge {
            size: 11,
            limit: 10
        })
    ));
    assert_eq!(
        store.max_record_bytes(usize::MAX).limits().record_bytes,
        limit
    );
}

/// A record that the store accepts and the table does not is refused, without harm.
#[tokio::test]
async fn the_table_takes_no_larger_item() {
    let Some((store, table)) = fresh().await else {
        return;
    };
    create(&store, 1, day()).await;
    let put = table.client.put_item().table_name(&table.name);
    let put = put.item(
        "id",
        aws_sdk_dynamodb::types::AttributeValue::S(key(1).to_string()),
    );
    let put = put.item("content", binary(&[7; 409_600]));
    assert!(put.send().await.is_err());
    assert_eq!(data(&store, 1).await.as_deref(), Some(DATA));
}

#[tokio::test]
async fn dynamodb_is_told_the_end() {
    let Some((store, table)) = fresh().await else {
        return;
    };
    let now = NOW.as_secs();
    let version = create(&store, 1, day()).await;
    assert_eq!(table.expires(&key(1)).await, Some(now + 86_400));
    let version = store
        .update(&key(1), version, DATA.into(), seconds(60))
        .await
        .unwrap();
    assert_eq!(table.expires(&key(1)).await, Some(now + 60));
    store.touch(&key(1), version, seconds(3_600)).await.unwrap();
    assert_eq!(table.expires(&key(1)).await, Some(now + 3_600));
    let latest = Expiry::new(LATEST, NOW);
    store.touch(&key(1), version, latest).await.unwrap();
    assert_eq!(table.expires(&key(1)).await, Some(253_402_300_799));
    assert_eq!(data(&store, 1).await.as_deref(), Some(DATA));
}

/// DynamoDB does not remove items that expired more than five years ago.
#[tokio::test]
async fn what_ended_long_ago_ends_now() {
    let Some((store, table)) = fresh().await else {
        return;
    };
    let long_ago = Expiry::new(Timestamp::from_secs(1), NOW);
    store.create(&key(1), DATA.into(), long_ago).await.unwrap();
    let version = create(&store, 2, day()).await;
    store.touch(&key(2), version, long_ago).await.unwrap();
    let version = create(&store, 3, day()).await;
    store
        .update(&key(3), version, DATA.into(), long_ago)
        .await
        .unwrap();
    for number in [1, 2, 3] {
        assert_eq!(data(&store, number).await, None);
        assert_eq!(table.expires(&key(number)).await, Some(NOW.as_secs()));
    }
}

#[tokio::test]
async fn what_is_over_gives_way_and_is_for_no_write() {
    let Some((store, _)) = fresh().await else {
        return;
    };
    let later = Clock::manual(NOW.saturating_add(Duration::from_secs(60)));
    let old = store
        .create(&key(1), DATA.into(), seconds(60))
        .await
        .unwrap();
    let again = store.create(&key(1), DATA.into(), day()).await;
    assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
    let store = store.clock(later);
    assert_eq!(data(&store, 1).await, None);
    let late = store.update(&key(1), old, DATA.into(), day()).await;
    assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
    let late = store.touch(&key(1), old, day()).await;
    assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
    store
        .delete(&key(1), Some(Version::from_u64(1)))
        .await
        .unwrap();
    store.create(&key(1), "new".into(), day()).await.unwrap();
    let late = store.update(&key(1), old, DATA.into(), day()).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert_eq!(data(&store, 1).await.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn half_a_record_is_for_no_write_and_gives_way() {
    let Some((store, table)) = fresh().await else {
        return;
    };
    for (id, attribute) in [(1, "content"), (2, "version"), (3, "expires")] {
        let version = create(&store, id, day()).await;
        table.remove(&key(id), attribute).await;
        for refused in [
            store.load(&key(id), Read::Recent).await.map(drop),
            store
                .update(&key(id), version, DATA.into(), day())
                .await
                .map(drop),
            store.touch(&key(id), version, day()).await.map(drop),
        ] {
            let is_corrupt = matches!(refused, Err(StoreError::Corrupt(_)));
            assert!(is_corrupt, "without {attribute}: {refused:?}");
        }
        store.create(&key(id), "new".into(), day()).await.unwrap();
        assert_eq!(data(&store, id).await.as_deref(), Some(&b"new"[..]));
    }
    let others = [
        ("version", binary(&[7; 16])),
        ("expires", number(9_000_000_000)),
    ];
    table.put(&key(4).to_string(), &others).await;
    store.create(&key(4), DATA.into(), day()).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_ahead_is_noticed() {
    let Some((_, table)) = fresh().await else {
        return;
    };
    let ahead = Clock::manual(NOW.saturating_add(Duration::from_secs(86_401)));
    let store = DynamoDbStore::new(&table.client, &table.name)
        .clock(ahead)
        .timeout(crate::FOR_EVER);
    let refused = store.create(&key(1), DATA.into(), day()).await;
    assert!(
        matches!(refused, Err(StoreError::ClocksDiffer { .. })),
        "{refused:?}"
    );
    assert!(table.item(&key(1)).await.is_none());
}
