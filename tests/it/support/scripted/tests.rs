//! Tests of the scripted store, on which the other tests rely.

use silverback::Clock;

use super::*;
use crate::support::{HOUR, Jar, Kind, START, schedule::cut_off, until};

const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
const DATA: Bytes = Bytes::from_static(b"data");
const END: Expiry = until(START.saturating_add(HOUR));

async fn create(store: &Scripted) -> Result<Version, StoreError> {
    store.create(&KEY, DATA, END).await
}

fn store() -> Scripted {
    let clock = Clock::manual(START);
    Scripted::new(MemoryStore::new().clock(clock))
}

#[tokio::test]
async fn a_rule_is_for_one_call_or_until_calm() {
    let store = store();
    store.at(Before, Load, Fail);
    store.nth(2, Before, Load, Fail);
    for fails in [true, true, false] {
        assert_eq!(store.load(&KEY, Read::Current).await.is_err(), fails);
    }
    store.nth(2, Before, ANY, Fail);
    for fails in [false, true, false] {
        assert_eq!(store.load(&KEY, Read::Current).await.is_err(), fails);
    }
    store.every(Before, Load | Delete, Fail);
    for _ in 0..3 {
        assert!(
            store.load(&KEY, Read::Current).await.is_err()
                && store.delete(&KEY, None).await.is_err()
        );
    }
    create(&store).await.unwrap();
    store.calm();
    store.delete(&KEY, None).await.unwrap();
}

#[tokio::test]
async fn before_it_is_not_applied_and_after_it_is() {
    for (when, applied) in [(Before, 0), (After, 1)] {
        let store = store();
        store.at(when, Create, Fail);
        assert!(create(&store).await.is_err());
        store.calm();
        assert_eq!(store.memory.len(), applied, "{when:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_that_of_a_second_try() {
    let store = store();
    store.at(After, Create | Update, Lose);
    assert!(matches!(create(&store).await, Err(StoreError::Exists)));
    let version = store
        .load(&KEY, Read::Current)
        .await
        .unwrap()
        .unwrap()
        .version();
    store.at(After, Create | Update, Lose);
    let updated = store.update(&KEY, version, DATA, END).await;
    assert!(matches!(updated, Err(StoreError::Conflict)));
    assert_ne!(
        store
            .load(&KEY, Read::Current)
            .await
            .unwrap()
            .unwrap()
            .version(),
        version,
        "applied"
    );
    assert_eq!(
        store.take_log(),
        [Create, Load, Update, Load],
        "as the caller made them"
    );
}

#[tokio::test]
async fn it_waits_to_be_let_go_or_for_ever() {
    let store = store();
    store.at(After, Create, Wait);
    let (created, applied) = tokio::join!(create(&store), async {
        store.reached().await;
        let applied = store.memory.len();
        store.go();
        applied
    });
    assert!(created.is_ok() && applied == 1);
    store.at(Before, Delete, Hang);
    assert_eq!(cut_off(100, store.delete(&KEY, None)).await.map(drop), None);
    assert_eq!(store.memory.len(), 1);
}

#[tokio::test]
async fn it_waits_once_per_call() {
    let store = store();
    assert!(cut_off(1, store.load(&KEY, Read::Current)).await.is_none());
    assert!(cut_off(2, store.load(&KEY, Read::Current)).await.is_some());
}

#[tokio::test]
async fn it_refuses_what_is_too_large() {
    let store = store().limit(3);
    assert!(matches!(
        create(&store).await,
        Err(StoreError::TooLarge { size: 4, limit: 3 })
    ));
}

#[tokio::test]
async fn it_tells_rosters_from_sessions() {
    let world = Kind::Remote.world();
    let status = async |user: Option<&str>| {
        let jar = &mut Jar::default();
        match user {
            Some(user) => world.log_in(jar, user, "laptop").await.status(),
            None => world.put(jar, "n", 1).await.status(),
        }
    };
    world.records().every(Before, ANY.of_rosters(), Fail);
    assert_eq!(status(None).await, 200);
    assert_eq!(status(Some("ada")).await, 503);
    world.records().calm();
    world.records().every(Before, ANY.of_sessions(), Fail);
    assert_eq!(status(None).await, 503);
    world.records().calm();
    // A roster is known by its key where there is no data.
    assert_eq!(status(Some("ada")).await, 200);
    world.records().take_log();
    world.records().at(Before, Load.of_rosters(), Fail);
    assert!(world.subjects().list("ada").await.is_err());
    assert_eq!(world.records().take_log(), [Load]);
}
