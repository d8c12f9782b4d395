//! Every living session is listed, and every listed session lives.

use std::pin::pin;

use silverback::{ErrorKind, Session, Subjects, store::RecordKey};

use crate::support::{
    HOUR, Jar, Kind, MINUTE, START, failure, keys, log_in, notes,
    schedule::cut_off,
    scripted::{ANY, Calls, Create, Delete, Load, Touch, Update},
    steps::at_every_step,
};

/// Kinds with stores that wait.
const KINDS: [Kind; 3] = [Kind::Remote, Kind::RemoteRevocable, Kind::RevocableOverflow];

/// A login is listed before its record is created. All sessions may be ended in between.
#[tokio::test]
async fn no_login_slips_past_the_end_of_all() {
    for kind in KINDS {
        for (size, came_before) in [(0, false), (0, true), (1_000, false), (1_000, true)] {
            at_every_step(2, async |step| {
                let world = kind.world();
                let jar = &mut Jar::default();
                if came_before {
                    world.put(jar, "cart", "x".repeat(size)).await;
                }
                let login = async |session: Session| {
                    log_in(session.clone(), "ada", "laptop").await;
                    session.insert("cart", "y".repeat(size)).unwrap();
                };
                {
                    let mut login = pin!(world.visit(jar, login));
                    if cut_off(step, login.as_mut()).await.is_some() {
                        return false;
                    }
                    world.destroy_all("ada").await;
                    login.await;
                }
                let what = format!("{kind:?}, {size} bytes, step {step}");
                let (alive, listed) = (world.is_alive(jar).await, world.notes("ada").await);
                assert!(!alive || listed == ["laptop"], "{what}: {listed:?}");
                world.destroy_all("ada").await;
                assert!(!world.is_alive(jar).await, "{what}");
                true
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_failed_end_is_not_a_success() {
    let calls: [Calls; 6] = [
        Load.into(),
        Create.into(),
        Update.into(),
        Delete.into(),
        Touch.into(),
        ANY,
    ];
    for kind in KINDS {
        for calls in calls {
            let world = kind.world();
            let jar = world.logged_in("ada", "laptop").await;
            world.fail(calls);
            let ended = world.subjects().destroy_all("ada").await;
            world.calm();
            match ended {
                Ok(_) => assert!(!world.is_alive(&jar).await, "{kind:?}, {calls:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StoreFailed, "{kind:?}, {calls:?}")
                }
            }
            world.destroy_all("ada").await;
            assert!(!world.is_alive(&jar).await, "{kind:?}, {calls:?}: again");
        }
    }
}

/// A logout that is cut off may have ended the session and left it in the list.
#[tokio::test]
async fn a_session_that_is_gone_is_not_shown() {
    for kind in KINDS {
        at_every_step(2, async |step| {
            let world = kind.world();
            let jar = world.logged_in("ada", "laptop").await;
            world.logged_in("ada", "phone").await;
            let own = &mut jar.clone();
            if cut_off(step, world.destroy(own)).await.is_some() {
                return false;
            }
            let mut listed = world.notes("ada").await;
            listed.sort();
            let there: &[&str] = if world.is_alive(&jar).await {
                &["laptop", "phone"]
            } else {
                &["phone"]
            };
            assert_eq!(listed, there, "{kind:?}, step {step}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn one_other_session_of_the_subject_is_ended() {
    for kind in KINDS {
        let world = kind.world();
        let laptop = world.logged_in("ada", "laptop").await;
        let phone = world.logged_in("ada", "phone").await;
        let desk = world.logged_in("bob", "desk").await;
        let id_of = async |user: &str, note: &str| {
            let sessions = world.subjects().list(user).await.unwrap();
            let found = sessions.iter().find(|session| session.note() == note);
            found.unwrap().record_key()
        };
        let end = async |jar: &Jar, id: RecordKey| {
            let end = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_other(&id).await.unwrap()
            };
            world.visit(&mut jar.clone(), end).await.0
        };
        let (own, other) = (id_of("ada", "laptop").await, id_of("ada", "phone").await);
        let foreign = id_of("bob", "desk").await;

        assert!(!end(&laptop, foreign).await, "{kind:?}: another's");
        assert!(!end(&laptop, own).await, "{kind:?}: its own");
        assert!(!end(&Jar::default(), other).await, "{kind:?}: nobody's");
        for jar in [&laptop, &phone, &desk] {
            assert!(world.is_alive(jar).await, "{kind:?}");
        }
        let failed = async |session: Session| {
            session.load().await.unwrap();
            world.fail(ANY);
            let ended = session.destroy_other(&other).await;
            world.calm();
            ended.unwrap_err().kind()
        };
        let (failed, _) = world.visit(&mut laptop.clone(), failed).await;
        assert_eq!(failed, ErrorKind::StoreFailed);
        assert!(world.is_alive(&phone).await, "{kind:?}");

        assert!(end(&laptop, other).await, "{kind:?}");
        assert!(!world.is_alive(&phone).await, "{kind:?}");
        assert!(!end(&laptop, other).await, "{kind:?}: twice");
        assert!(world.is_alive(&laptop).await && world.is_alive(&desk).await);
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
    }
}

/// For a minute after a login, the session can also be ended under its former name.
#[tokio::test]
async fn one_that_logs_in_again_is_ended_under_its_former_name() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let former = world.subjects().list("ada").await.unwrap()[0].record_key();
        let late = &mut jar.clone();
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
            world.log_in(jar, "ada", "again").await;
        };
        // A request that comes too late leaves the list alone.
        let (_, response) = world.visit(late, write).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        assert_eq!(world.notes("ada").await, ["again"], "{kind:?}");
        let is_ended = world.subjects().destroy("ada", &former).await.unwrap();
        assert!(is_ended, "{kind:?}");
        assert!(!world.is_alive(jar).await, "{kind:?}");
    }
}

/// Later, nobody knows it by that name.
#[tokio::test]
async fn one_that_logged_in_again_long_ago_has_lost_its_former_name() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let former = world.subjects().list("ada").await.unwrap()[0].record_key();
        world.log_in(jar, "ada", "again").await;
        world.clock.advance(2 * HOUR); // it is time to list it again
        world.put(jar, "n", 1).await;
        let is_ended = world.subjects().destroy("ada", &former).await.unwrap();
        assert!(!is_ended, "{kind:?}");
        assert!(world.is_alive(jar).await, "{kind:?}");
    }
}

/// A late request lists the session under its old name again.
#[tokio::test]
async fn it_is_listed_under_its_living_name() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let late = &mut jar.clone();
        world.clock.advance(2 * HOUR); // it is time to list it again
        let read = async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap();
            world.renew(jar).await;
        };
        world.visit(late, read).await;
        let id = async |session: Session| {
            session.load().await.unwrap();
            session.record_key()
        };
        let id = world.visit(&mut jar.clone(), id).await.0;
        let listed = world.subjects().list("ada").await.unwrap();
        let listed: Vec<_> = listed
            .iter()
            .map(|session| Some(session.record_key()))
            .collect();
        assert_eq!(listed, [id], "{kind:?}");
    }
}

/// Two requests from before a login are late: one lists the old name again, and one renews it.
#[tokio::test]
async fn no_late_request_takes_a_login_off_the_list() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let (reader, late) = (&mut jar.clone(), &mut jar.clone());
        world.clock.advance(2 * HOUR); // it is time to list it again
        let read = async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap();
            world.log_in(jar, "ada", "again").await;
        };
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            world.visit(reader, read).await;
            world.clock.advance(2 * MINUTE);
        };
        world.visit(late, renew).await;
        assert!(world.is_alive(jar).await, "{kind:?}");
        assert_eq!(world.notes("ada").await, ["again"], "{kind:?}");
        world.destroy_all("ada").await;
        assert!(!world.is_alive(jar).await, "{kind:?}");
    }
}

/// The session was emptied before it got its subject.
#[tokio::test]
async fn one_that_ends_before_it_has_its_subject_is_not_listed() {
    let world = Kind::RevocableOverflow.world();
    let mut jar = world.grown().await;
    let mut late = jar.clone();
    let set_subject = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ada", "laptop").unwrap();
        world.remove(&mut jar, "cart").await;
    };
    let response = world.visit(&mut late, set_subject).await.1;
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert_eq!(world.notes("ada").await, [""; 0]);
}

/// As after a backup is restored.
#[tokio::test]
async fn a_session_that_is_refused_as_too_old_is_not_shown() {
    for kind in KINDS {
        let world = kind.world();
        world.logged_in("ada", "laptop").await;
        world.clock.advance(HOUR);
        world.logged_in("ada", "phone").await;
        let restored = START.saturating_add(HOUR);
        let config = kind.config(&world.stores, keys()).not_before(restored);
        let subjects = Subjects::new(&config).unwrap().clock(world.clock.clone());
        let listed = subjects.list("ada").await.unwrap();
        assert_eq!(notes(&listed), ["phone"], "{kind:?}");
        assert_eq!(world.notes("ada").await.len(), 2, "{kind:?}");
    }
}
