//! Stores that fail or hang while a subject's sessions are listed or ended.

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, World, failure, no_cookie,
    schedule::until_it_hangs,
    scripted::{Before, Create, DeleteMany, Fail, Hang, Load, Op, Update},
    user,
};

const FAILED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

#[tokio::test]
async fn reads_go_on_and_changes_fail() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(2 * HOUR); // it is time to list it again
        world.rosters().every(Before, Update, Fail);
        let (user, response) = world.visit(jar, user).await;
        assert_eq!(user.as_deref(), Some("ada"));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(no_cookie(&response));
        assert_eq!(world.put(jar, "more", 1).await.status(), FAILED);
        world.rosters().calm();
        assert_eq!(
            world.get::<u8>(jar, "more").await,
            None,
            "and the change was not half done"
        );
        assert_eq!(world.put(jar, "more", 1).await.status(), StatusCode::OK);
        assert_eq!(world.get(jar, "more").await, Some(1));
    }
}

/// Logs in as another browser, if the session can be loaded.
async fn try_to_log_in(world: &World) -> StatusCode {
    let login = async |session: Session| {
        if session.load().await.is_ok() {
            session.insert("user", "ada").unwrap();
            session.set_subject("ada", "phone").unwrap();
        }
    };
    world.visit(&mut Jar::default(), login).await.1.status()
}

async fn assert_nothing_succeeds_silently(world: &World, jar: &Jar, op: Op) {
    world.rosters().every(Before, op, Fail);
    let ended = world.subjects().destroy_all("ada").await;
    let listed = world.subjects().list("ada").await;
    try_to_log_in(world).await;
    world.rosters().calm();
    match ended {
        Ok(_) => assert!(!world.is_alive(jar).await, "{op:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::StoreFailed, "{op:?}"),
    }
    assert_eq!(listed.is_err(), op == Load, "{op:?}");
    world.destroy_all("ada").await;
    assert!(!world.is_alive(jar).await, "{op:?}: the second time");
    assert_eq!(world.notes("ada").await, [""; 0]);
}

#[tokio::test]
async fn an_end_that_failed_is_no_success() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        for op in [Load, Update, DeleteMany, Create] {
            let jar = world.logged_in("ada", "laptop").await;
            assert_nothing_succeeds_silently(&world, &jar, op).await;
        }
    }
}

#[tokio::test]
async fn one_not_listed_gets_no_subject() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "anonymous", 1).await;
    world
        .records()
        .every(Before, (Create | Update).of_rosters(), Fail);
    let become_ada = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ada", "laptop").unwrap();
    };
    let (_, response) = world.visit(jar, become_ada).await;
    assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
    world.records().calm();
    let subject = async |session: Session| {
        session.load().await.unwrap();
        session.subject().unwrap()
    };
    assert_eq!(world.visit(jar, subject).await.0, None);
}

#[tokio::test]
async fn a_login_that_is_not_saved_is_not_listed() {
    let world = Kind::Remote.world();
    world.logged_in("ada", "laptop").await;
    world.records().every(Before, Create.of_sessions(), Fail);
    assert_eq!(try_to_log_in(&world).await, FAILED);
    world.records().calm();
    assert_eq!(world.destroy_all("ada").await, 1);
}

#[tokio::test]
async fn a_login_that_failed_is_not_listed() {
    let world = Kind::RemoteRevocable.world();
    let jar = &mut Jar::default();
    world.put(jar, "anonymous", 1).await;
    // The end of the old ID fails.
    world.ends().every(Before, Create.of_sessions(), Fail);
    assert_eq!(world.log_in(jar, "ada", "laptop").await.status(), FAILED);
    world.ends().calm();
    assert_eq!(world.notes("ada").await, [""; 0]);
}

#[tokio::test]
async fn one_failure_hides_no_session() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.clock.advance(HOUR);
    world.records().every(Before, Update.of_rosters(), Fail);
    assert!(world.is_alive(jar).await);
    world.records().calm();
    world.clock.advance(59 * MINUTE);
    world.put(jar, "more", "x").await;
    world.clock.advance(DAY - 10 * MINUTE); // alive for ten minutes more
    world.destroy_all("ada").await;
    assert!(!world.is_alive(jar).await);
}

/// A thief may hang up in each request that would be listed, once the record is written.
#[tokio::test]
async fn a_session_cut_off_each_time_stays_listed() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world
        .records()
        .every(Before, (Create | Update).of_rosters(), Hang);
    for _ in 0..27 {
        world.clock.advance(HOUR);
        let _ = until_it_hangs(world.visit(&mut jar.clone(), user)).await;
    }
    world.records().calm();
    world.destroy_all("ada").await;
    assert!(!world.is_alive(jar).await);
}

/// A session marked as ended in the roster, because its end was cut off before the deletion.
async fn half_ended() -> (World, Jar) {
    let world = Kind::Remote.world();
    let jar = world.logged_in("ada", "laptop").await;
    world.records().every(Before, DeleteMany, Hang);
    let ended = until_it_hangs(world.subjects().destroy_all("ada")).await;
    assert!(ended.is_none());
    world.records().calm();
    (world, jar)
}

#[tokio::test]
async fn a_leftover_mark_is_completed() {
    let (world, mut jar) = half_ended().await;
    assert_eq!(world.notes("ada").await, [""; 0]);
    world.clock.advance(HOUR);
    world.visit(&mut jar, user).await;
    world.logged_in("ada", "phone").await;
    assert!(!world.is_alive(&jar).await);
}

/// A store may let nobody delete. Whoever wanted the end has learnt of the failure.
#[tokio::test]
async fn a_leftover_mark_that_stays_holds_nobody_up() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let old = world.logged_in("ada", "phone").await;
    let key = world.key(&old).await;
    world.records().every(Before, DeleteMany, Fail);
    let ended = world.subjects().destroy("ada", &key).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::StoreFailed);
    assert_eq!(try_to_log_in(&world).await, StatusCode::OK);
    world.clock.advance(2 * HOUR); // it is time to list it again
    assert_eq!(world.put(jar, "more", 1).await.status(), StatusCode::OK);
    assert_eq!(world.notes("ada").await, ["laptop", "phone"]);
    world.records().calm();
    world.logged_in("ada", "tablet").await;
    assert!(!world.is_alive(&old).await);
}

#[tokio::test]
async fn a_mark_ends_a_session_in_a_cookie() {
    let world = Kind::RemoteRevocable.world();
    let jar = world.logged_in("ada", "laptop").await;
    let subjects = world.subjects();
    let id = subjects.list("ada").await.unwrap()[0].record_key();
    world.ends().every(Before, Create.of_sessions(), Hang);
    let ended = until_it_hangs(subjects.destroy("ada", &id)).await;
    assert!(ended.is_none());
    world.ends().calm();
    assert!(!world.is_alive(&jar).await);
}

#[tokio::test]
async fn a_mark_outlives_a_subject_set_again() {
    let (world, mut jar) = half_ended().await;
    let again = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ada", "again").unwrap();
    };
    world.visit(&mut jar, again).await;
    world.logged_in("ada", "phone").await;
    assert!(!world.is_alive(&jar).await);
}

/// A session is marked as ended, but its end cannot be remembered, so the next login fails.
#[tokio::test]
async fn a_login_that_failed_on_an_end_is_unlisted() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.with(|config| config.sessions_per_subject(1));
        let jar = world.logged_in("ada", "laptop").await;
        world.rosters().every(Before, Create.of_sessions(), Fail);
        world.rosters().every(Before, DeleteMany, Fail);
        assert_eq!(try_to_log_in(&world).await, FAILED);
        world.rosters().calm();
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
        assert_eq!(world.destroy_all("ada").await, 0);
        assert!(!world.is_alive(&jar).await);
    }
}

/// The next save lists what a failed one could not.
#[tokio::test]
async fn a_save_that_failed_is_listed_by_the_next() {
    let world = Kind::Remote.world();
    for fails_before in [Load, Update] {
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(2 * HOUR); // it is time to list it again
        let handler = async |session: Session| {
            session.load().await.unwrap();
            session.insert("more", 1).unwrap();
            world.records().every(Before, fails_before, Fail);
            assert_eq!(
                session.save().await.unwrap_err().kind(),
                ErrorKind::StoreFailed
            );
            world.records().calm();
        };
        assert_eq!(world.visit(jar, handler).await.1.status(), StatusCode::OK);
        let listed = world.subjects().list("ada").await.unwrap();
        assert_eq!(listed[0].last_used(), world.clock.now(), "{fails_before:?}");
        world.clock.advance(DAY - MINUTE);
        assert_eq!(world.destroy_all("ada").await, 1);
        assert!(!world.is_alive(jar).await);
    }
}

/// A read that could not be noted in the roster leaves nothing to save later.
#[tokio::test]
async fn a_read_that_is_not_listed_leaves_nothing_to_save() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.clock.advance(2 * HOUR); // it is time to list it again
    world.rosters().every(Before, Update, Fail);
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    let session = world.visit(jar, keep).await.0;
    world.rosters().calm();
    session.save().await.unwrap();
}
