//! Browsing a collection page by page, and sweeping it.

use std::collections::BTreeMap;

use silverback::store::{
    Browse as _, Bytes, Cursor, RecordKey, RecordKind, Store as _, StoreError, Sweep as _,
};
use silverback_test_servers::kit::{create, key, listed, load, swept};
use tokio::task::JoinSet;

use crate::{Project, day, seconds};

const RECORDS: u32 = 25;

#[tokio::test]
async fn pages_show_every_record_once() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    for number in 0..RECORDS {
        let bytes = vec![1 + (number % 2) as u8 * 7; number as usize * 10];
        let data = Bytes::from(bytes);
        store.create(&key(number), data, day()).await.unwrap();
    }
    // Documents that are not records are skipped, even at the end of a page.
    project.put(&key(1_000), r#"{"cart":{"stringValue":"x"}}"#);
    store
        .touch(&key(3), load(&store, 3).await.unwrap().version(), day())
        .await
        .unwrap();
    for limit in [0, 1, 2, 7, 100, 5_000] {
        let listed = listed(&store, limit).await;
        let by_key: BTreeMap<RecordKey, _> = listed.iter().map(|it| (it.key, it)).collect();
        assert_eq!(listed.len(), RECORDS as usize, "{limit}");
        assert!(listed.iter().map(|it| it.key).eq(by_key.keys().copied()));
        for number in 1..RECORDS {
            let listed = by_key[&key(number)];
            let kind = [RecordKind::Session, RecordKind::Mark][number as usize % 2];
            assert_eq!(listed.kind, Some(kind));
            let size = number as usize * 10;
            assert_eq!((listed.size, listed.expires), (size, day().at));
        }
        assert_eq!(by_key[&key(0)].kind, None, "it has no first byte");
    }
    for foreign in [&b"some other"[..], key(1).as_bytes()] {
        let refused = store.browse(&Cursor::new(foreign.to_vec()), 9).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sweep_at_once_and_remove_nothing_that_lives() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    for number in 0..RECORDS {
        let life = if number % 3 == 0 { day() } else { seconds(0) };
        store
            .create(&key(number), Bytes::from_static(b"\x01"), life)
            .await
            .unwrap();
    }
    let mut sweepers = JoinSet::new();
    for node in [store.clone(), project.store().await, store.clone()] {
        sweepers.spawn(async move { swept(&node, 4).await });
    }
    // Records that are extended meanwhile stay.
    let anew = [1, 10, 22];
    for number in anew {
        create(&store, number, day()).await;
    }
    let removed: u64 = sweepers.join_all().await.iter().sum();
    let last = store.sweep().await;
    assert!(last.is_finished() && last.failed() == 0, "{last:?}");
    assert!(removed + last.removed() <= 16, "{removed} {last:?}");
    for number in 0..RECORDS {
        let lives = number % 3 == 0 || anew.contains(&number);
        assert_eq!(load(&store, number).await.is_some(), lives, "{number}");
    }
    assert_eq!(listed(&store, 100).await.len(), 9 + anew.len());
    assert_eq!(store.sweep().await.examined(), 0);
}

#[tokio::test]
async fn a_sweep_leaves_the_documents_of_others() {
    let Some(project) = Project::new() else {
        return;
    };
    let store = project.store().await;
    let path = project.path(&key(1)).replace(&key(1).to_string(), "cart");
    let document = r#"{"fields":{"expires":{"timestampValue":"2001-01-01T00:00:00Z"}}}"#;
    let answer = project.emulator.ask("PATCH", &path, document);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    store
        .create(&key(1), Bytes::from_static(b"\x01"), seconds(0))
        .await
        .unwrap();
    let swept = store.sweep().await;
    assert_eq!((swept.removed(), swept.failed()), (1, 0));
    // The sweep ends even if a step finds only such documents.
    assert!(store.sweep_some(1).await.is_finished());
    let answer = project.emulator.ask("GET", &path, "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
