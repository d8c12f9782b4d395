//! Sessions that have outgrown their cookie, or are about to.

use std::time::Duration;

use http::StatusCode;
use silverback::Session;

use crate::support::{
    Jar, Kind, MINUTE, SECOND, START, Site, Stores, World, failure, keys,
    scripted::{ANY, Before, Create, Fail},
};

async fn put(site: &Site, jar: &mut Jar, key: &str, len: usize) -> StatusCode {
    site.put(jar, key, "x".repeat(len)).await.status()
}

async fn len(site: &Site, jar: &mut Jar, key: &str) -> Option<usize> {
    site.get::<String>(jar, key).await.map(|value| value.len())
}

/// One store for what has outgrown and for what has ended.
fn one_store() -> World {
    let stores = Stores::new();
    let config = Kind::Overflow.config(&stores, keys());
    let config = config.revocation(stores.records.clone());
    World::new(Kind::Overflow, stores, config)
}

#[tokio::test]
async fn a_logout_lasts_in_one_store_for_both() {
    let world = one_store();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let copy = jar.clone();
    world.destroy(jar).await;
    assert!(!world.is_alive(&copy).await);
}

#[tokio::test]
async fn an_end_lasts_in_one_store_for_both() {
    let world = one_store();
    let jar = world.logged_in("ada", "laptop").await;
    let subjects = world.subjects();
    let id = subjects.list("ada").await.unwrap()[0].id();
    assert!(subjects.destroy("ada", &id).await.unwrap());
    assert!(!world.is_alive(&jar).await);
}

#[tokio::test]
async fn a_session_grows_in_one_store_for_both() {
    let world = one_store();
    let jar = &mut world.logged_in("ada", "laptop").await;
    assert_eq!(put(&world, jar, "large", 1_000).await, StatusCode::OK);
    assert_eq!(len(&world, jar, "large").await, Some(1_000));
    assert!(world.is_alive(jar).await);
}

#[tokio::test]
async fn one_that_fits_needs_no_store() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        let world = kind.world();
        let jar = &mut Jar::default();
        put(&world, jar, "user", 1).await;
        world.records().every(Before, ANY, Fail);
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
        };
        let (_, response) = world.visit(jar, renew).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(world.is_alive(jar).await);
    }
}

#[tokio::test]
async fn what_insert_accepts_is_saved() {
    for size in 9_900..10_000 {
        let world = Kind::Overflow.with(|config| config.max_bytes(10_000));
        let jar = &mut Jar::default();
        put(&world, jar, "small", 1).await;
        let write = async |session: Session| session.insert("large", "x".repeat(size)).is_ok();
        let (accepted, response) = world.visit(jar, write).await;
        if accepted {
            assert_eq!(failure(&response), None, "{size}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_grow_stays_alive() {
    for destroys_others in [true, false] {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        if destroys_others {
            let others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            world.visit(jar, others).await;
        }
        world.records().every(Before, Create, Fail);
        let status = put(&world, jar, "large", 1_000).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        world.records().calm();
        assert_eq!(world.notes("ada").await, ["laptop"]);
        assert!(world.is_alive(jar).await);
    }
}

#[tokio::test]
async fn a_failed_renewal_leaves_it_as_it_was() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    put(&world, jar, "large", 1_000).await;
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().every(Before, Create, Fail);
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    world.records().calm();
    assert!(world.is_alive(jar).await);
    assert_eq!(put(&world, jar, "answered", 10).await, StatusCode::OK);
    let removed = world.remove(jar, "large").await;
    assert_eq!(removed.status(), StatusCode::OK);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert!(world.is_alive(jar).await);
    // Small again, it lives on.
    for len in [11, 12] {
        assert_eq!(put(&world, jar, "answered", len).await, StatusCode::OK);
    }
    assert!(world.is_alive(jar).await);
}

#[tokio::test]
async fn what_was_answered_in_a_second_is_kept() {
    // By how much the clock of the server that made the first cookie is ahead.
    for skew in [Duration::ZERO, 30 * SECOND] {
        let world = Kind::Overflow.world();
        let jar = &mut Jar::default();
        world.clock.set(START.saturating_add(skew));
        put(&world, jar, "small", 10).await;
        put(&world, &mut jar.clone(), "large", 1_000).await; // its response gets lost
        world.clock.set(START); // the next server
        if !skew.is_zero() {
            world.clock.advance(20 * SECOND);
        }
        // A new cookie, which arrives.
        assert_eq!(put(&world, jar, "answered", 20).await, StatusCode::OK);
        assert_eq!(put(&world, jar, "larger", 2_000).await, StatusCode::OK);
        assert_eq!(len(&world, jar, "answered").await, Some(20), "{skew:?}");
    }
}

/// A request is slow, and its answer gets lost. Meanwhile another one, which knows an older cookie,
/// makes the record.
#[tokio::test]
async fn a_record_in_use_is_not_replaced() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    put(&world, jar, "small", 10).await;
    world.clock.advance(MINUTE);
    let first = &mut jar.clone();
    put(&world, jar, "tiny", 5).await;
    let slow = &mut jar.clone();
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.insert("slow", "x".repeat(900)).unwrap();
        put(&world, first, "large", 1_000).await;
        *jar = first.clone();
        assert_eq!(put(&world, jar, "answered", 20).await, StatusCode::OK);
        assert_eq!(len(&world, jar, "answered").await, Some(20));
    };
    world.visit(slow, grow).await;
    assert_eq!(len(&world, jar, "large").await, Some(1_000));
    assert_eq!(len(&world, jar, "answered").await, Some(20));
}
