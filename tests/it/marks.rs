//! The mark that a renewed or destroyed session leaves for a minute.

use http::{Response, StatusCode};
use silverback::{ErrorKind, Rejection, Session, store::RecordKind};

use crate::support::{
    DAY, Jar, Kind, MINUTE, SECOND, START, World, failure, no_cookie,
    scripted::{After, Create, Fail},
    set_cookie,
};

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Renewed,
    Destroyed,
}

const ENDS: [End; 2] = [End::Renewed, End::Destroyed];

impl End {
    async fn happen(self, world: &World, jar: &mut Jar) {
        match self {
            Self::Renewed => drop(world.renew(jar).await),
            Self::Destroyed => drop(world.destroy(jar).await),
        }
    }

    fn reason(self) -> Rejection {
        match self {
            Self::Renewed => Rejection::Renewed,
            Self::Destroyed => Rejection::Ended,
        }
    }
}

async fn load_and<T>(session: Session, act: impl FnOnce(&Session) -> T) -> T {
    session.load().await.unwrap();
    act(&session)
}

/// A request that inserts a value, and may renew the session.
async fn put(world: &World, jar: &mut Jar, renews: bool) -> Response<String> {
    let put = |session: &Session| {
        session.insert("late", 1).unwrap();
        if renews {
            session.renew();
        }
    };
    world.visit(jar, |session| load_and(session, put)).await.1
}

async fn keys(world: &World, jar: &Jar) -> Vec<String> {
    let keys = |session: &Session| session.keys().unwrap();
    let jar = &mut jar.clone();
    world.visit(jar, |session| load_and(session, keys)).await.0
}

fn assert_gone(response: &Response<String>, what: &str) {
    assert_eq!(failure(response), Some(ErrorKind::Gone), "{what}");
    assert!(no_cookie(response), "{what}");
}

/// The request may have been sent before the login or the logout.
#[tokio::test]
async fn a_cookie_that_has_just_expired_writes_nothing() {
    for kind in Kind::ENDED_BY_SERVER {
        for end in ENDS {
            let world = kind.world();
            let jar = &mut Jar::default();
            let remember = |session: &Session| {
                session.insert("cart", 1).unwrap();
                session.persist_for(DAY);
            };
            world
                .visit(jar, |session| load_and(session, remember))
                .await;
            world.clock.advance(DAY - SECOND);
            end.happen(&world, &mut jar.clone()).await;
            for (age, is_marked) in [(SECOND, true), (58 * SECOND, true), (SECOND, false)] {
                world.clock.advance(age);
                let what = format!("{kind:?}, {end:?}, {age:?}");
                let response = put(&world, &mut jar.clone(), false).await;
                if is_marked {
                    assert_gone(&response, &what);
                    assert_eq!(keys(&world, jar).await, [""; 0], "{what}");
                } else {
                    assert_eq!(failure(&response), None, "{what}");
                }
                let response = put(&world, &mut jar.clone(), true).await;
                assert_eq!(failure(&response), None, "{what}: it renews");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_finds_one_reads_nothing() {
    for kind in Kind::ENDED_BY_SERVER {
        for end in ENDS {
            let world = kind.world();
            let jar = world.grown().await;
            end.happen(&world, &mut jar.clone()).await;
            for age in [0, 59] {
                let what = format!("{kind:?}, {end:?}, {age} s");
                world.clock.set(START);
                world.clock.advance(age * SECOND);
                let look = |session: &Session| (session.len().unwrap(), session.rejection());
                let look = |session| load_and(session, look);
                let (seen, response) = world.visit(&mut jar.clone(), look).await;
                assert_eq!(seen, (0, Some(end.reason())), "{what}");
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                assert!(no_cookie(&response), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_finds_one_writes_nothing() {
    for kind in Kind::ENDED_BY_SERVER {
        for end in ENDS {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let newer = &mut jar.clone();
            end.happen(&world, newer).await;
            world.clock.advance(59 * SECOND);
            let what = format!("{kind:?}, {end:?}");
            let stale = jar.value("s").to_owned();
            assert_gone(&put(&world, jar, false).await, &what);
            assert_eq!(jar.value("s"), stale, "{what}");
            // After that, nobody knows the ID any more.
            world.clock.advance(SECOND);
            let response = put(&world, jar, false).await;
            assert_eq!(failure(&response), None, "{what}");
            assert_ne!(jar.value("s"), stale, "{what}");
            assert_eq!(keys(&world, jar).await, ["late"], "{what}");
            let expected: &[&str] = if end == End::Renewed { &["cart"] } else { &[] };
            assert_eq!(keys(&world, newer).await, expected, "{what}");
        }
    }
}

/// Like a login whose form was sent twice.
#[tokio::test]
async fn a_request_that_finds_one_and_renews_keeps_its_own_values() {
    for kind in Kind::ENDED_BY_SERVER {
        for end in ENDS {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let newer = &mut jar.clone();
            end.happen(&world, newer).await;
            let what = format!("{kind:?}, {end:?}");
            let empty_handed = world.renew(&mut jar.clone()).await;
            assert_gone(&empty_handed, &what);
            let response = put(&world, jar, true).await;
            assert_eq!(failure(&response), None, "{what}");
            set_cookie(&response);
            assert_eq!(keys(&world, jar).await, ["late"], "{what}");
            if end == End::Renewed {
                assert_eq!(keys(&world, newer).await, ["cart"], "{what}");
            }
        }
    }
}

/// Both have read the old session, and one of them loses.
#[tokio::test]
async fn of_two_logins_one_has_the_old_values() {
    for kind in Kind::ENDED_BY_SERVER {
        for name in ["user", "second"] {
            let world = kind.world();
            let before = world.grown().await;
            let (mut jar, other) = (before.clone(), &mut before.clone());
            let log_in = |name: &'static str| {
                move |session: &Session| {
                    session.get::<String>("cart").unwrap();
                    session.renew();
                    session.insert(name, "ada").unwrap();
                }
            };
            let slow = async |session: Session| {
                load_and(session, log_in(name)).await;
                let fast = |session| load_and(session, log_in("user"));
                let response = world.visit(other, fast).await.1;
                assert_eq!(failure(&response), None, "{kind:?}");
            };
            let (_, response) = world.visit(&mut jar, slow).await;
            assert_eq!(failure(&response), None, "{kind:?}");
            assert_eq!(keys(&world, other).await, ["cart", "user"], "{kind:?}");
            assert_eq!(keys(&world, &jar).await, [name], "{kind:?}");
            assert_eq!(keys(&world, &before).await, [""; 0], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_loser_that_inserts_nothing_gets_no_session() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let other = &mut jar.clone();
        let slow = async |session: Session| {
            load_and(session, Session::renew).await;
            world.renew(other).await;
        };
        let (_, response) = world.visit(jar, slow).await;
        assert_gone(&response, &format!("{kind:?}"));
        assert_eq!(keys(&world, other).await, ["cart"], "{kind:?}");
        let records = world.records().sessions().await;
        assert!(records <= 1, "{kind:?}: what it had made is gone");
    }
}

/// A slow request from before the logout ends after the next login.
#[tokio::test]
async fn a_slow_writer_does_not_undo_the_next_login() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let late = &mut jar.clone();
        let slow = async |session: Session| {
            load_and(session, |session| session.insert("slow", 1).unwrap()).await;
            world.destroy(jar).await;
            put(&world, jar, true).await;
        };
        let (_, response) = world.visit(late, slow).await;
        assert_gone(&response, &format!("{kind:?}"));
        assert_eq!(keys(&world, jar).await, ["late"], "{kind:?}");
    }
}

#[tokio::test]
async fn the_logout_itself_can_begin_anew() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let old = jar.clone();
        let destroy = async |session: Session| {
            session.destroy().await.unwrap();
            session.insert("goodbye", 1).unwrap();
        };
        let (_, response) = world.visit(jar, destroy).await;
        set_cookie(&response);
        assert_eq!(keys(&world, jar).await, ["goodbye"], "{kind:?}");
        assert_eq!(keys(&world, &old).await, [""; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn one_is_gone_after_a_minute() {
    for kind in [Kind::Memory, Kind::Remote] {
        for end in ENDS {
            let world = kind.world();
            end.happen(&world, &mut world.grown().await).await;
            let marks = async || world.records().count(RecordKind::Mark).await;
            assert_eq!(marks().await, 1, "{kind:?}, {end:?}");
            world.clock.advance(MINUTE);
            assert_eq!(marks().await, 0, "{kind:?}, {end:?}");
        }
    }
}

#[tokio::test]
async fn a_session_without_a_record_leaves_none() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        world.destroy(&mut Jar::default()).await;
        world.renew(&mut Jar::default()).await;
        assert_eq!(world.records().keys(), [], "{kind:?}");
        assert_eq!(world.ends().keys(), [], "{kind:?}");
    }
}

/// A late record under a reused ID would bring back a session that has ended since.
#[tokio::test]
async fn no_id_is_given_twice() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let retry = async |session: Session| {
        load_and(session.clone(), |session| session.insert("n", 1).unwrap()).await;
        world.records().at(After, Create, Fail);
        let error = session.save().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailed);
    };
    let (_, response) = world.visit(jar, retry).await;
    assert_eq!(failure(&response), None);
    assert_eq!(world.records().keys().len(), 2);
    assert_eq!(world.get(jar, "n").await, Some(1));
}
