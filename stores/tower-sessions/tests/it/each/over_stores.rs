//! silverback's stores under the layer of tower-sessions.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{Router, routing::get};
use silverback::{
    Clock, FilesystemStore, MemoryStore, Timestamp,
    store::Store,
    testing::{Browser, Calls, FlakyStore},
};
use silverback_tower_sessions::TowerSessionStore;
use time::OffsetDateTime;

use super::{
    former,
    tower_sessions::{
        self, ExpiredDeletion, Expiry, Session, SessionManagerLayer, SessionStore,
        session::{Id, Record},
        session_store::{Error, Result},
    },
};

const START: u64 = 1_800_000_000;

fn record(value: u32, seconds: i64) -> Record {
    let start = OffsetDateTime::from_unix_timestamp(START.try_into().unwrap()).unwrap();
    Record {
        id: Id::default(),
        data: [("n".to_owned(), value.into())].into(),
        expiry_date: start + time::Duration::seconds(seconds),
    }
}

fn in_memory() -> (TowerSessionStore<MemoryStore>, Clock) {
    let clock = Clock::manual(Timestamp::from_secs(START));
    let store = TowerSessionStore::new(MemoryStore::new().clock(clock.clone()));
    (store.clock(clock.clone()), clock)
}

fn app(store: impl SessionStore + Clone) -> Router {
    async fn visits(session: Session) -> String {
        let visits = session.get("visits").await.unwrap().unwrap_or(0) + 1;
        session.insert("visits", visits).await.unwrap();
        visits.to_string()
    }
    async fn id(session: Session) -> String {
        session.id().unwrap().to_string()
    }
    Router::new()
        .route("/", get(visits))
        .route("/id", get(id))
        .route(
            "/cycle",
            get(|session: Session| async move { session.cycle_id().await.unwrap() }),
        )
        .route(
            "/flush",
            get(|session: Session| async move { session.flush().await.unwrap() }),
        )
        .route(
            "/clear",
            get(|session: Session| async move { session.clear().await }),
        )
        .route(
            "/again",
            get(|session: Session| async move {
                session.flush().await.unwrap();
                session.insert("visits", 40).await.unwrap();
            }),
        )
        .layer(
            SessionManagerLayer::new(store)
                .with_expiry(Expiry::OnInactivity(time::Duration::days(1))),
        )
}

async fn is_a_store_of_their_layer(store: impl Store) {
    let browser = Browser::new(app(TowerSessionStore::new(store)));
    assert_eq!(browser.get("/").await.text(), "1");
    assert_eq!(browser.get("/").await.text(), "2");
    let id = browser.get("/id").await.text().to_owned();
    browser.get("/cycle").await;
    let other = browser.get("/id").await.text().to_owned();
    assert_ne!(id, other);
    assert_eq!(browser.get("/").await.text(), "3");
    let tab = browser.another();
    tab.jar(|jar| {
        jar.set(
            &"https://localhost".parse().unwrap(),
            &format!("id={other}"),
        )
    });
    assert_eq!(tab.get("/").await.text(), "4");
    browser.get("/again").await;
    assert_ne!(browser.get("/id").await.text(), other);
    assert_eq!(browser.get("/").await.text(), "41");
    assert_eq!(tab.get("/").await.text(), "1"); // that one has ended
    browser.get("/flush").await;
    assert!(browser.jar(|jar| jar.get("id").is_none()));
    assert_eq!(browser.get("/").await.text(), "1");
}

#[tokio::test]
async fn their_layer_works_on_any_store() {
    is_a_store_of_their_layer(MemoryStore::new()).await;
    let folder = tempfile::tempdir().unwrap();
    is_a_store_of_their_layer(FilesystemStore::open(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn a_cookie_of_a_session_that_is_over_can_be_cleared() {
    let browser = Browser::new(app(TowerSessionStore::new(MemoryStore::new())));
    let cookie = format!("id={}", Id::default());
    browser.jar(|jar| jar.set(&"https://localhost".parse().unwrap(), &cookie));
    assert_eq!(browser.get("/clear").await.status(), 200);
}

#[tokio::test]
async fn what_is_saved_is_loaded() {
    let (store, _) = in_memory();
    let mut record = record(1, 60);
    let asked = record.id;
    store.create(&mut record).await.unwrap();
    assert_ne!(record.id, asked);
    assert_eq!(
        store.load(&record.id).await.unwrap().as_ref(),
        Some(&record)
    );
    record.data.insert("m".to_owned(), 2.into());
    store.save(&record).await.unwrap();
    assert_eq!(
        store.load(&record.id).await.unwrap().as_ref(),
        Some(&record)
    );
    assert_eq!(store.load(&asked).await.unwrap(), None);
    store.delete(&record.id).await.unwrap();
    store.delete(&record.id).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_ended_session_stays_ended() {
    let (store, _) = in_memory();
    let mut record = record(1, 60);
    store.create(&mut record).await.unwrap();
    store.delete(&record.id).await.unwrap();
    assert!(matches!(store.save(&record).await, Err(Error::Backend(_))));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    record.data.clear();
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_session_ends_when_its_record_says() {
    let (store, clock) = in_memory();
    let mut record = record(1, 60);
    record.expiry_date += time::Duration::milliseconds(1);
    store.create(&mut record).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(store.load(&record.id).await.unwrap().is_some());
    record.expiry_date += time::Duration::seconds(60);
    store.save(&record).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(store.load(&record.id).await.unwrap().is_some());
    clock.advance(Duration::from_secs(1));
    assert!(store.load(&record.id).await.unwrap().is_none());
    assert!(store.save(&record).await.is_err());
    store.delete_expired().await.unwrap();
}

#[tokio::test]
async fn the_last_save_wins() {
    let (store, _) = in_memory();
    let mut one = record(1, 60);
    store.create(&mut one).await.unwrap();
    let mut other = store.load(&one.id).await.unwrap().unwrap();
    one.data.insert("one".to_owned(), 1.into());
    store.save(&one).await.unwrap();
    other.data.insert("other".to_owned(), 1.into());
    store.save(&other).await.unwrap();
    assert_eq!(store.load(&one.id).await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_failing_store_is_an_error() {
    let flaky = FlakyStore::new(MemoryStore::new());
    let store = TowerSessionStore::new(flaky.clone());
    let mut record = record(1, 60);
    record.expiry_date = OffsetDateTime::now_utc() + time::Duration::days(1);
    store.create(&mut record).await.unwrap();
    flaky.fail_all(Calls::All);
    assert!(matches!(
        store.load(&record.id).await,
        Err(Error::Backend(_))
    ));
    assert!(store.save(&record).await.is_err());
    assert!(store.delete(&record.id).await.is_err());
    assert!(store.create(&mut record).await.is_err());
}

/// A former store, with a record that some request still holds.
#[derive(Debug)]
struct Lingering {
    record: Record,
    is_deleted: &'static AtomicBool,
}

#[async_trait::async_trait]
impl SessionStore for Lingering {
    async fn save(&self, _: &Record) -> Result<()> {
        unreachable!("nobody writes to a store that is being left")
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        Ok((*id == self.record.id).then(|| self.record.clone()))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        assert_eq!(*id, self.record.id);
        self.is_deleted.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn sessions_move_from_a_former_store_once() {
    static IS_DELETED: AtomicBool = AtomicBool::new(false);
    let (store, _) = in_memory();
    let mut record = record(1, 60);
    record.expiry_date = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    record.expiry_date += time::Duration::days(9_999);
    let id = record.id;
    let store = store.moving_from(former(Lingering {
        record: record.clone(),
        is_deleted: &IS_DELETED,
    }));
    assert_eq!(store.load(&Id::default()).await.unwrap(), None);
    // Without `load` before, as `Session::clear` does.
    record.data.insert("m".to_owned(), 2.into());
    store.save(&record).await.unwrap();
    assert!(IS_DELETED.swap(false, Ordering::SeqCst));
    assert_eq!(store.load(&id).await.unwrap().as_ref(), Some(&record));
    store.delete(&id).await.unwrap();
    assert!(IS_DELETED.load(Ordering::SeqCst));
    // A request that read the former store before the record was deleted there.
    assert_eq!(store.load(&id).await.unwrap(), None);
    assert!(store.save(&record).await.is_err());
}

/// A former store whose only session ends as soon as it has been read.
#[derive(Debug)]
struct Ending(Record, AtomicBool);

#[async_trait::async_trait]
impl SessionStore for Ending {
    async fn save(&self, _: &Record) -> Result<()> {
        unreachable!("nobody writes to a store that is being left")
    }

    async fn load(&self, _: &Id) -> Result<Option<Record>> {
        let has_ended = self.1.swap(true, Ordering::SeqCst);
        Ok((!has_ended).then(|| self.0.clone()))
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        Ok(())
    }
}

/// The process that moves it may be stopped for longer than an end is remembered.
#[tokio::test]
async fn a_session_that_ends_while_it_is_moved_does_not_come_back() {
    let (store, _) = in_memory();
    let mut record = record(1, 60);
    record.expiry_date = OffsetDateTime::now_utc() + time::Duration::days(9_999);
    let id = record.id;
    let store = store.moving_from(former(Ending(record, AtomicBool::new(false))));
    for _ in 0..2 {
        assert_eq!(store.load(&id).await.unwrap(), None);
    }
}

/// As in axum-login's example.
#[test]
fn expired_sessions_can_be_deleted_by_a_task() {
    let (store, _) = in_memory();
    drop(store.continuously_delete_expired(Duration::from_secs(60)));
}

#[tokio::test]
async fn no_visitor_notices_a_move_to_another_store() {
    let old = tower_sessions::MemoryStore::default();
    let before = Browser::new(app(old.clone()));
    assert_eq!(before.get("/").await.text(), "1");
    let store = TowerSessionStore::new(MemoryStore::new()).moving_from(former(old.clone()));
    let after = Browser::new(app(store));
    let cookie = before.jar(|jar| jar.get("id").unwrap().to_owned());
    let uri = "https://localhost".parse().unwrap();
    after.jar(|jar| jar.set(&uri, &format!("id={cookie}")));
    assert_eq!(after.get("/").await.text(), "2");
    assert_eq!(after.jar(|jar| jar.get("id").unwrap().to_owned()), cookie);
    assert_eq!(before.get("/").await.text(), "1"); // it is there no more
    after.get("/flush").await;
    after.jar(|jar| jar.set(&uri, &format!("id={cookie}")));
    assert_eq!(after.get("/").await.text(), "1");
}
