//! Sessions ended from elsewhere while a request uses them.

use http::StatusCode;
use silverback::{ErrorKind, Key, Session};

use crate::support::{
    HOUR, Jar, Kind, failure, keys, log_in, no_cookie,
    scripted::{Before, Create, Wait},
};

#[tokio::test]
async fn a_request_under_way_does_not_survive() {
    for kind in Kind::WITH_SUBJECTS {
        for renews in [false, true] {
            let world = kind.world();
            let other = world.logged_in("ada", "laptop").await;
            let jar = &mut world.logged_in("ada", "phone").await;
            let (_, response) = world
                .visit(jar, async |session| {
                    session.load().await.unwrap();
                    session.insert("slow", 1).unwrap();
                    if renews {
                        session.renew();
                    }
                    world.destroy_all("ada").await;
                })
                .await;
            let why = failure(&response);
            assert_eq!(why, Some(ErrorKind::Gone), "{kind:?}, {renews}");
            assert!(no_cookie(&response), "{kind:?}, {renews}");
            assert!(!world.is_alive(jar).await, "{kind:?}, {renews}");
            assert!(!world.is_alive(&other).await);
            assert_eq!(world.notes("ada").await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_change_is_not_lost_silently() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(2 * HOUR); // it is time to list it again
        let (_, response) = world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("order", "paid").unwrap();
                world.destroy_all("ada").await;
            })
            .await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
    }
}

#[tokio::test]
async fn a_login_under_way_lives_and_is_listed() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut Jar::default();
        let (_, response) = world
            .visit(jar, async |session: Session| {
                log_in(session, "ada", "laptop").await;
                world.destroy_all("ada").await;
            })
            .await;
        assert_eq!(
            response.status(),
            StatusCode::OK,
            "the login came after all were ended"
        );
        assert!(world.is_alive(jar).await);
        assert_eq!(world.notes("ada").await, ["laptop"]);
    }
}

/// The login is already in the roster, but has no record yet that could be removed.
#[tokio::test]
async fn a_login_being_saved_does_not_survive() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.records().at(Before, Create.of_sessions(), Wait);
    let (response, ()) = tokio::join!(world.log_in(jar, "ada", "laptop"), async {
        world.records().reached().await;
        assert_eq!(world.destroy_all("ada").await, 1);
        world.records().go();
    });
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response) && !world.is_alive(jar).await);
    assert_eq!(world.notes("ada").await, [""; 0]);
}

/// A thief has a socket or a slow request. Meanwhile the owner ends all sessions and logs in again.
#[tokio::test]
async fn an_ended_session_ends_no_others() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let thief = &mut world.logged_in("ada", "stolen").await;
        let owner = &mut Jar::default();
        let (ended, _) = world
            .visit(thief, async |session| {
                session.load().await.unwrap();
                world.destroy_all("ada").await;
                world.log_in(owner, "ada", "laptop").await;
                session.destroy_others().await
            })
            .await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Gone);
        assert!(world.is_alive(owner).await);
    }
}

/// Another request has renewed the session, and this one's new session has no subject.
#[tokio::test]
async fn the_loser_of_two_renewals_does_not_seem_to_end_others() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let phone = world.logged_in("ada", "phone").await;
        let jar = &mut world.logged_in("ada", "laptop").await;
        let tab = &mut jar.clone();
        let lose = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.insert("n", 1).unwrap();
            world.renew(tab).await;
            session.save().await.unwrap();
            session.destroy_others().await
        };
        let ended = world.visit(jar, lose).await.0;
        let ended = ended.map_err(|error| error.kind());
        assert_eq!(ended, Err(ErrorKind::Gone), "{kind:?}");
        assert!(world.is_alive(&phone).await, "{kind:?}");
    }
}

/// It keeps its ID, so it would come back with its values.
#[tokio::test]
async fn no_change_of_the_subject_brings_it_back() {
    type Change = fn(&Session);
    let changes: [(&str, Change); 3] = [
        ("same", |session| {
            session.set_subject("ada", "again").unwrap();
        }),
        ("other", |session| session.set_subject("bob", "").unwrap()),
        ("none", |session| {
            assert!(session.remove_subject().unwrap());
        }),
    ];
    for kind in Kind::WITH_SUBJECTS {
        for (what, change) in changes {
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            let before = jar.clone();
            let (_, response) = world
                .visit(jar, async |session| {
                    session.load().await.unwrap();
                    change(&session);
                    world.destroy_all("ada").await;
                })
                .await;
            let why = failure(&response);
            assert_eq!(why, Some(ErrorKind::Gone), "{kind:?}, {what}");
            assert!(no_cookie(&response), "{kind:?}, {what}");
            for jar in [&before, jar] {
                assert!(!world.is_alive(jar).await, "{kind:?}, {what}");
            }
        }
    }
}

/// The second request comes with the cookie from before, which still names the subject.
#[tokio::test]
async fn it_may_leave_its_subject_twice() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = world.logged_in("ada", "laptop").await;
        for _ in 0..2 {
            let leave = async |session: Session| {
                session.load().await.unwrap();
                session.remove_subject().unwrap();
            };
            let (_, response) = world.visit(&mut jar.clone(), leave).await;
            assert_eq!(failure(&response), None, "{kind:?}");
        }
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
    }
}

/// A save in mid-request had prepared a cookie for the response.
#[tokio::test]
async fn no_cookie_of_an_earlier_save_is_sent() {
    for kind in [Kind::Memory, Kind::Remote] {
        for is_new in [false, true] {
            let keys = keys();
            let world = kind.with_keys(keys.clone());
            let jar = &mut Jar::default();
            if !is_new {
                world.log_in(jar, "ada", "laptop").await;
                keys.rotate(Key::generate().unwrap()).unwrap();
            }
            let (_, response) = world
                .visit(jar, async |session| {
                    session.load().await.unwrap();
                    session.insert("user", "ada").unwrap();
                    session.set_subject("ada", "again").unwrap();
                    session.save().await.unwrap();
                    world.destroy_all("ada").await;
                })
                .await;
            // A session that the browser already knows loses nothing.
            let why = is_new.then_some(ErrorKind::Gone);
            assert_eq!(failure(&response), why, "{kind:?}");
            assert!(no_cookie(&response), "{kind:?}, new: {is_new}");
        }
    }
}

/// The browser may have logged in again since.
#[tokio::test]
async fn emptying_an_ended_session_removes_no_cookie() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let empty = async |session: Session| {
            session.load().await.unwrap();
            session.clear().unwrap();
            session.remove_subject().unwrap();
            world.destroy_all("ada").await;
        };
        let (_, response) = world.visit(jar, empty).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
    }
}
