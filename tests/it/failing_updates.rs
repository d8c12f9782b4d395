//! Updates that may fail, at once or when they run again after another request's save.

use std::{error::Error as _, fmt, mem};

use http::StatusCode;
use silverback::{Error, ErrorKind, Session};

use crate::support::{
    Jar, Kind, World, failure,
    scripted::{ANY, Before, Create, Fail, Update, Wait},
    steps::in_between,
};

#[derive(Debug, PartialEq)]
struct SoldOut;

impl fmt::Display for SoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sold out")
    }
}

impl std::error::Error for SoldOut {}

fn buy(session: &Session) -> Result<Result<u32, SoldOut>, Error> {
    session.try_update("left", |left: &mut u32| -> Result<u32, SoldOut> {
        *left = left.checked_sub(1).ok_or(SoldOut)?;
        Ok(*left)
    })
}

async fn shop(world: &World, left: u32) -> Jar {
    let mut jar = Jar::default();
    world.put(&mut jar, "left", left).await;
    jar
}

#[tokio::test]
async fn one_that_fails_changes_nothing() {
    for world in Kind::PLAIN.map(Kind::world) {
        let jar = &mut shop(&world, 1).await;
        let buy_three = async |session: Session| {
            session.load().await.unwrap();
            let spoil = |left: &mut u32| {
                *left = 99;
                Err::<(), _>("no")
            };
            assert_eq!(session.try_update("left", spoil).unwrap(), Err("no"));
            [1, 2, 3].map(|_| buy(&session).unwrap())
        };
        let (bought, response) = world.visit(jar, buy_three).await;
        assert_eq!(bought, [Ok(0), Err(SoldOut), Err(SoldOut)]);
        assert_eq!(failure(&response), None);
        assert_eq!(world.get(jar, "left").await, Some(0));
    }
}

#[tokio::test]
async fn one_that_fails_in_a_session_of_another_type_is_the_sessions_error() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "left", "many").await;
    let (bought, _) = world.visit(jar, async |session| buy(&session)).await;
    let error = bought.unwrap_err();
    assert_eq!(
        (error.kind(), error.session()),
        (ErrorKind::DeserializeFailed, Some("s"))
    );
}

/// Another request buys the last one while this one holds it.
async fn lose_the_last(world: &World, jar: &Jar, session: &Session) {
    session.load().await.unwrap();
    assert_eq!(buy(session).unwrap(), Ok(0));
    session.insert("name", "Ada").unwrap();
    let other = async |session: Session| {
        session.load().await.unwrap();
        buy(&session).unwrap().unwrap();
    };
    let (_, response) = world.visit(&mut jar.clone(), other).await;
    assert_eq!(failure(&response), None);
}

const MERGED: [Kind; 2] = [Kind::Memory, Kind::Remote];

#[tokio::test]
async fn one_that_fails_when_it_runs_again_fails_the_response() {
    for world in MERGED.map(Kind::world) {
        let jar = &mut shop(&world, 1).await;
        let old = jar.clone();
        let handler = async |session: Session| lose_the_last(&world, &old, &session).await;
        let (_, response) = world.visit(jar, handler).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(failure(&response), Some(ErrorKind::UpdateRefused));
        let error = response.extensions().get::<Error>().unwrap();
        let source = error.source().unwrap().downcast_ref::<SoldOut>();
        assert_eq!((source, error.session()), (Some(&SoldOut), Some("s")));
        assert_eq!(world.get(jar, "left").await, Some(0));
        assert_eq!(world.get::<String>(jar, "name").await, None, "saved half");
    }
}

/// A handler that saves gets the error, and decides on its own response.
#[tokio::test]
async fn one_that_failed_a_save_fails_no_other_save() {
    for world in MERGED.map(Kind::world) {
        let jar = &mut shop(&world, 1).await;
        let old = jar.clone();
        let handler = async |session: Session| {
            lose_the_last(&world, &old, &session).await;
            session.save().await.unwrap_err().kind()
        };
        let (kind, response) = world.visit(jar, handler).await;
        assert_eq!(kind, ErrorKind::UpdateRefused);
        assert_eq!(failure(&response), None);
        assert_eq!(world.get(jar, "left").await, Some(0));
        assert_eq!(world.get::<String>(jar, "name").await.unwrap(), "Ada");
    }
}

/// It runs again once the session is back.
#[tokio::test]
async fn one_that_fails_after_a_destroy_that_failed_leaves_the_session_as_before() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.grown().await;
    world.put(jar, "n", 1).await;
    let act = async |session: Session| {
        session.load().await.unwrap();
        world.ends().at(Before, Create, Wait);
        let update = async {
            world.ends().reached().await;
            let first = |n: &mut u32| match mem::replace(n, 2) {
                0 => Ok(()),
                _ => Err("there is one"),
            };
            session.try_update("n", first).unwrap().unwrap();
            world.records().every(Before, ANY, Fail);
            world.ends().go();
        };
        let (destroyed, ()) = tokio::join!(session.destroy(), update);
        assert_eq!(destroyed.unwrap_err().kind(), ErrorKind::StoreFailed);
        world.calm();
        assert_eq!(session.get::<u32>("n").unwrap(), Some(1));
    };
    let (_, response) = world.visit(jar, act).await;
    assert_eq!(failure(&response), None);
}

#[tokio::test]
async fn one_that_succeeds_when_it_runs_again_is_saved() {
    let world = Kind::Remote.world();
    let jar = &mut shop(&world, 5).await;
    let one = async |session: Session| {
        session.load().await.unwrap();
        buy(&session).unwrap().unwrap();
    };
    let (mut first, mut second) = (jar.clone(), jar.clone());
    let at = (world.records(), 1, Before);
    let first = world.visit(&mut first, one);
    let second = world.visit(&mut second, one);
    let ((_, first), second) = in_between(at, first, second).await;
    assert_eq!((failure(&first), failure(&second.unwrap().1)), (None, None));
    assert_eq!(world.get(jar, "left").await, Some(3));
    assert!(world.records().take_log().contains(&Update));
}
