//! Saves that conflict, fail or lose their answer: no change is lost, none is applied twice, and
//! changes keep their order.

use std::pin::pin;

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{
    Jar, Kind, failure,
    schedule::cut_off,
    scripted::{ANY, After, Before, Create, Fail, Lose, Update},
    steps::at_every_step,
};

#[tokio::test]
async fn a_failed_save_keeps_the_order() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "place", "none").await;
    let twice = async |session: Session| {
        session.load().await.unwrap();
        session.insert("place", "first").unwrap();
        world.records().every(Before, Update, Fail);
        let mut save = pin!(session.save());
        assert!(cut_off(1, save.as_mut()).await.is_none());
        session.insert("place", "second").unwrap();
        save.await.unwrap_err();
        world.records().calm();
        // The next save meets another request's, so the changes are applied again.
        world.put(&mut jar.clone(), "other", "there").await;
    };
    let (_, response) = world.visit(&mut jar.clone(), twice).await;
    assert_eq!(response.status(), StatusCode::OK);
    for (key, value) in [("place", "second"), ("other", "there")] {
        let found = world.get::<String>(jar, key).await;
        assert_eq!(found.as_deref(), Some(value));
    }
}

#[tokio::test]
async fn an_insert_while_a_save_merges_is_seen() {
    const MERGED: [(&str, &str); 3] = [("late", "yes"), ("place", "second"), ("other", "there")];
    at_every_step(3, async |step| {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "place", "none").await;
        let merge = async |session: Session| {
            session.load().await.unwrap();
            session.insert("place", "first").unwrap();
            world.put(&mut jar.clone(), "other", "there").await;
            let mut save = pin!(session.save());
            if cut_off(step, save.as_mut()).await.is_some() {
                return false;
            }
            session.insert("late", "yes").unwrap();
            session.insert("place", "second").unwrap();
            save.await.unwrap();
            for (key, value) in MERGED {
                let found = session.get::<String>(key).unwrap();
                assert_eq!(found.as_deref(), Some(value), "{key}, step {step}");
            }
            true
        };
        let (is_done, response) = world.visit(&mut jar.clone(), merge).await;
        assert_eq!(response.status(), StatusCode::OK);
        if is_done {
            for (key, value) in MERGED {
                let found = world.get::<String>(jar, key).await;
                assert_eq!(found.as_deref(), Some(value), "{key}, step {step}");
            }
        }
        is_done
    })
    .await;
}

#[tokio::test]
async fn outgrowing_a_cookie_counts_once() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let outgrow = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            session.insert("large", "x".repeat(1_000)).unwrap();
            world.records().at(After, Create, Lose);
        };
        let (_, response) = world.visit(jar, outgrow).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(world.get(jar, "n").await, Some(2), "{kind:?}");
        let large = world.get::<String>(jar, "large").await.unwrap();
        assert_eq!(large.len(), 1_000);
    }
}

/// The life of a subject's session that overflows. In one of these visits, the stores fail for one
/// call.
#[tokio::test]
async fn an_acknowledged_change_is_saved() {
    const SIZES: [usize; 6] = [10, 1_000, 10, 20, 30, 2_000];
    for unlucky in 1..SIZES.len() {
        at_every_step(1, async |step| {
            let world = Kind::RevocableOverflow.world();
            let jar = &mut Jar::default();
            let login = async |session: Session| {
                session.load().await.unwrap();
                session.set_subject("ada", "laptop").unwrap();
            };
            world.visit(jar, login).await;
            for size in &SIZES[..unlucky] {
                world.put(jar, "value", "x".repeat(*size)).await;
            }
            let is_answered = {
                let own = &mut *jar;
                let change = async |session: Session| {
                    let loaded = session.load().await;
                    loaded.and_then(|()| session.insert("value", "y".repeat(SIZES[unlucky])))
                };
                let mut visit = pin!(world.visit(own, change));
                if cut_off(step, visit.as_mut()).await.is_some() {
                    return false;
                }
                world.fail(ANY);
                let done = cut_off(1, visit.as_mut()).await;
                world.calm();
                let (changed, response) = match done {
                    Some(done) => done,
                    None => visit.await,
                };
                changed.is_ok() && response.status().is_success()
            };
            let found = world.get::<String>(jar, "value").await.unwrap().len();
            let (before, after) = (SIZES[unlucky - 1], SIZES[unlucky]);
            let what = format!("visit {unlucky}, step {step}: {found}");
            assert!(found == after || !is_answered && found == before, "{what}");
            true
        })
        .await;
    }
}

/// An update is made while a save merges, and another request has made its value another type.
#[tokio::test]
async fn an_update_of_another_type_overwrites_nothing() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let merge = async |session: Session| {
        session.load().await.unwrap();
        session.insert("mine", 1).unwrap();
        world.put(&mut jar.clone(), "n", "text").await;
        let mut save = pin!(session.save());
        assert!(cut_off(1, save.as_mut()).await.is_none());
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        let error = save.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeserializeFailed);
        assert_eq!(error.value_key(), Some("n"));
        assert_eq!(
            session.get::<u32>("mine").unwrap_err().kind(),
            ErrorKind::NotLoaded
        );
    };
    let (_, response) = world.visit(&mut jar.clone(), merge).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.get::<String>(jar, "n").await.as_deref(), Some("text"));
    assert_eq!(world.get(jar, "mine").await, Some(1));
}

/// As if the same random number had been drawn twice.
#[tokio::test]
async fn a_new_session_whose_id_is_taken_gets_another() {
    let (world, jar) = (Kind::Memory.world(), &mut Jar::default());
    world.records().at(After, Create, Lose);
    let response = world.put(jar, "n", 1).await;
    assert_eq!(failure(&response), None);
    assert_eq!(world.get(jar, "n").await, Some(1));
}
