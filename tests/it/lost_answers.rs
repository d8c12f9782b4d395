//! Operations that were applied, but whose answer got lost.

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{
    Jar, Kind, failure, no_cookie, one_more,
    schedule::until_it_hangs,
    scripted::{After, Before, Create, Fail, Hang, Load, Lose, Update, Wait},
    watched::kept,
};

#[tokio::test]
async fn a_save_is_not_done_twice() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let add = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        world.records().at(After, Update, Lose);
    };
    let (_, response) = world.visit(jar, add).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(2));
}

#[tokio::test]
async fn a_renewal_is_done() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let old = &mut jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Lose);
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(1));
    assert_eq!(world.get::<u32>(old, "n").await, None);
}

#[tokio::test]
async fn a_session_outgrows_its_cookie_once() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        session.insert("large", "x".repeat(1_000)).unwrap();
        world.records().at(After, Create, Lose);
    };
    let (_, response) = world.visit(jar, grow).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(2));
}

/// The answer of a save is lost, others save on top, and it is tried again.
#[tokio::test]
async fn a_save_under_those_of_others_is_not_done_twice() {
    for others in 0..=9 {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let add = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", one_more).unwrap();
            world.records().at(After, Update, Hang);
            assert!(until_it_hangs(session.save()).await.is_none());
            for n in 0..others {
                world.put(other, "other", n).await;
            }
        };
        let (_, response) = world.visit(jar, add).await;
        // Whether it is among those that are not noted any more, nobody can tell.
        let expected = (others > 7).then_some(ErrorKind::Conflict);
        assert_eq!(failure(&response), expected, "{others} others");
        assert_eq!(world.get(jar, "n").await, Some(2), "{others} others");
    }
}

/// By then its session has ended.
#[tokio::test]
async fn a_renewal_that_was_ended_sets_no_cookie() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let before = jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Hang);
        assert!(until_it_hangs(session.save()).await.is_none());
        world.destroy(&mut before.clone()).await;
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
    assert_eq!(world.records().sessions().await, 0);
}

/// It finds its own mark only after a logout has followed that.
#[tokio::test]
async fn nor_does_one_that_was_ended_before_it_knew() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let before = jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Lose);
        world.records().at(Before, Load, Wait);
    };
    let logout = async {
        world.records().reached().await;
        world.destroy(&mut before.clone()).await;
        world.records().go();
    };
    let ((_, response), ()) = tokio::join!(world.visit(jar, renew), logout);
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
    assert_eq!(world.records().sessions().await, 0);
}

/// A kept handle that is loaded again finds there what it has saved.
#[tokio::test]
async fn nor_is_it_after_a_load() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let session = kept(&world, jar).await;
    let add = |session: &Session| session.update("n", one_more).unwrap();
    session.load().await.unwrap();
    add(&session);
    world.records().at(After, Update, Fail);
    let failed = session.save().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    session.load().await.unwrap();
    assert_eq!(add(&session), 2);
    session.save().await.unwrap();
    assert_eq!(world.get(jar, "n").await, Some(2));
}

/// Unless so many others have saved since that nobody can tell.
#[tokio::test]
async fn a_load_that_cannot_tell_is_an_error() {
    for others in [7, 8] {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        let session = kept(&world, jar).await;
        session.load().await.unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        world.records().at(After, Update, Fail);
        assert!(session.save().await.is_err());
        for n in 0..others {
            world.put(jar, "other", n).await;
        }
        let loaded = session.load().await.map_err(|error| error.kind());
        let expected = if others > 7 {
            Err(ErrorKind::Conflict)
        } else {
            Ok(())
        };
        assert_eq!(loaded, expected, "{others} others");
        assert_eq!(world.get(jar, "n").await, Some(1), "{others} others");
    }
}

/// As for a save that was cut off: its answer is lost, and others save before the record is read
/// again.
#[tokio::test]
#[ignore = "a save that eight others have pushed out is done twice within its own call"]
async fn a_save_that_cannot_tell_is_not_done_twice() {
    for others in 0..=9 {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let add = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", one_more).unwrap();
            world.records().at(After, Update, Lose);
            world.records().at(Before, Load, Wait);
            let beside = async {
                world.records().reached().await;
                for n in 0..others {
                    world.put(other, "other", n).await;
                }
                world.records().go();
            };
            tokio::join!(session.save(), beside).0
        };
        let (saved, _) = world.visit(jar, add).await;
        let expected = (others > 7).then_some(ErrorKind::Conflict);
        assert_eq!(saved.err().map(|error| error.kind()), expected, "{others}");
        assert_eq!(world.get(jar, "n").await, Some(2), "{others} others");
    }
}
