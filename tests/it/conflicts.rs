//! Saves that meet another's, fail or lose their answer: no change is lost, none is done twice, and
//! the later of two stays the later.

use std::pin::pin;

use http::{Response, StatusCode};
use silverback::{
    Clock, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Bytes, MemoryStore, Record, RecordKey, Store, StoreError, Version},
};

use crate::support::{
    Jar, START, Site, keys,
    steps::{at_every_step, steps},
    store::Remote,
};

/// Sessions in a store that waits.
fn remote() -> (Site, Remote) {
    let clock = Clock::manual(START);
    let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
    let layer = SessionLayer::new(SessionConfig::new("s", remote.clone(), keys()));
    let layer = layer.clock(clock.clone());
    (Site { layer, clock }, remote)
}

async fn put(site: &Site, jar: &mut Jar, key: &str, value: &str) -> Response<String> {
    let put = async |session: Session| {
        session.load().await.unwrap();
        session.insert(key, value).unwrap();
    };
    site.visit(jar, put).await.1
}

async fn get(site: &Site, jar: &Jar, key: &str) -> Option<String> {
    let get = async |session: Session| {
        session.load().await.unwrap();
        session.get(key).unwrap()
    };
    site.visit(&mut jar.clone(), get).await.0
}

#[tokio::test]
async fn changes_keep_their_order_when_a_save_fails() {
    let (site, remote) = remote();
    let jar = &mut Jar::default();
    put(&site, jar, "place", "none").await;
    let twice = async |session: Session| {
        session.load().await.unwrap();
        session.insert("place", "first").unwrap();
        remote.fail("update");
        let mut save = pin!(session.save());
        assert!(steps(&mut save, 1).await.is_none());
        session.insert("place", "second").unwrap();
        save.await.unwrap_err();
        remote.fail("");
        // The next save meets another one, so the changes are done again.
        put(&site, &mut jar.clone(), "other", "there").await;
    };
    let (_, response) = site.visit(&mut jar.clone(), twice).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(get(&site, jar, "place").await.as_deref(), Some("second"));
    assert_eq!(get(&site, jar, "other").await.as_deref(), Some("there"));
}

#[tokio::test]
async fn an_insert_while_a_save_merges_is_seen() {
    at_every_step(3, async |step| {
        let (site, _) = remote();
        let jar = &mut Jar::default();
        put(&site, jar, "place", "none").await;
        let merge = async |session: Session| {
            session.load().await.unwrap();
            session.insert("place", "first").unwrap();
            put(&site, &mut jar.clone(), "other", "there").await;
            let mut save = pin!(session.save());
            if steps(&mut save, step).await.is_some() {
                return false;
            }
            session.insert("late", "yes").unwrap();
            session.insert("place", "second").unwrap();
            save.await.unwrap();
            let get = |key: &str| session.get::<String>(key).unwrap();
            assert_eq!(get("late").as_deref(), Some("yes"), "step {step}");
            assert_eq!(get("place").as_deref(), Some("second"), "step {step}");
            assert_eq!(get("other").as_deref(), Some("there"), "step {step}");
            true
        };
        let (under_way, response) = site.visit(&mut jar.clone(), merge).await;
        assert_eq!(response.status(), StatusCode::OK);
        if under_way {
            for (key, value) in [("late", "yes"), ("place", "second"), ("other", "there")] {
                assert_eq!(get(&site, jar, key).await.as_deref(), Some(value), "{step}");
            }
        }
        under_way
    })
    .await;
}

/// A store whose creates are done and answered as if the record had been there before, as when the
/// first answer got lost on the way and the client asked again.
#[derive(Clone)]
struct AsksAgain(MemoryStore);

impl Store for AsksAgain {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.0.create(key, data.clone(), expires).await?;
        self.0.create(key, data, expires).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.0.update(key, expected, data, expires).await
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn outgrowing_a_cookie_counts_once() {
    let clock = Clock::manual(START);
    let store = AsksAgain(MemoryStore::new().clock(clock.clone()));
    let config = SessionConfig::cookie("s", keys())
        .overflow(store)
        .cookie_bytes(500);
    let layer = SessionLayer::new(config).clock(clock.clone());
    let site = Site { layer, clock };
    let jar = &mut Jar::default();
    let count = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
    };
    site.visit(jar, count).await;
    let outgrow = async |session: Session| {
        count(session.clone()).await;
        session.insert("large", "x".repeat(1_000)).unwrap();
    };
    let (_, response) = site.visit(jar, outgrow).await;
    assert_eq!(response.status(), StatusCode::OK);
    let read = async |session: Session| {
        session.load().await.unwrap();
        let large = session.get::<String>("large").unwrap();
        (session.get("n").unwrap(), large.map(|large| large.len()))
    };
    let (found, _) = site.visit(jar, read).await;
    assert_eq!(found, (Some(2_u32), Some(1_000)));
}

/// What a session of a subject goes through when it can be in a cookie and in a store.
#[tokio::test]
async fn a_change_that_is_answered_well_is_saved() {
    const SIZES: [usize; 6] = [10, 1_000, 10, 20, 30, 2_000];
    // Whichever of these visits meets a store that fails for one operation.
    for unlucky in 1..SIZES.len() {
        at_every_step(1, async |step| {
            let (site, remote) = overflowing();
            let jar = &mut Jar::default();
            let login = async |session: Session| {
                session.load().await.unwrap();
                session.set_subject("ada", "laptop").unwrap();
            };
            site.visit(jar, login).await;
            for size in &SIZES[..unlucky] {
                put(&site, jar, "value", &"x".repeat(*size)).await;
            }
            let before = get(&site, jar, "value").await.unwrap().len();
            let answered = {
                let own = &mut *jar;
                let change = async |session: Session| {
                    let loaded = session.load().await;
                    loaded.and_then(|()| session.insert("value", "y".repeat(SIZES[unlucky])))
                };
                let mut visit = pin!(site.visit(own, change));
                if steps(&mut visit, step).await.is_some() {
                    return false;
                }
                remote.fail("all");
                let done = steps(&mut visit, 1).await;
                remote.fail("");
                let (changed, response) = match done {
                    Some(done) => done,
                    None => visit.await,
                };
                changed.is_ok() && response.status().is_success()
            };
            let after = get(&site, jar, "value").await.unwrap().len();
            let what = format!("visit {unlucky}, step {step}");
            if answered {
                assert_eq!(after, SIZES[unlucky], "{what}");
            } else {
                assert!([before, SIZES[unlucky]].contains(&after), "{what}: {after}");
            }
            true
        })
        .await;
    }
}

/// Sessions in a cookie of 500 bytes at most, and beyond that in a store that waits.
fn overflowing() -> (Site, Remote) {
    let clock = Clock::manual(START);
    let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
    let config = SessionConfig::cookie("s", keys())
        .revocation(remote.clone())
        .overflow(remote.clone())
        .cookie_bytes(500);
    let layer = SessionLayer::new(config).clock(clock.clone());
    (Site { layer, clock }, remote)
}
