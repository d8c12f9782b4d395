//! A call to an unreachable store is retried once.

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{
    Jar, Kind, SECOND, World, failure, log_in, one_more,
    scripted::{
        ANY, After, Before, Calls, Create, Cut, Fail, Load, LoadMany, Op, Scripted, Take, Touch,
        Update,
    },
};

#[derive(Clone, Copy, Debug)]
enum Act {
    Load,
    Save,
    Touch,
    Renew,
    LogIn,
    LogOut,
    List,
    EndOthers,
    Empty,
}

impl Act {
    const ALL: [Self; 9] = [
        Self::Load,
        Self::Save,
        Self::Touch,
        Self::Renew,
        Self::LogIn,
        Self::LogOut,
        Self::List,
        Self::EndOthers,
        Self::Empty,
    ];

    async fn run(self, session: Session) {
        session.load().await.unwrap();
        match self {
            Self::Load => {}
            Self::Save => drop(session.update("n", one_more).unwrap()),
            Self::Touch => session.touch().await.unwrap(),
            Self::Renew => {
                session.update("n", one_more).unwrap();
                session.renew();
            }
            Self::LogIn => {
                session.update("n", one_more).unwrap();
                log_in(session, "eve", "laptop").await;
            }
            Self::LogOut => session.destroy().await.unwrap(),
            Self::List => assert_eq!(session.subject_sessions().await.unwrap().len(), 2),
            Self::EndOthers => assert_eq!(session.destroy_others().await.unwrap(), 1),
            Self::Empty => {
                session.remove_subject().unwrap();
                session.clear().unwrap();
            }
        }
    }

    /// What a logged-in browser finds afterwards, and the number of sessions then.
    fn outcome(self) -> (Option<u32>, usize) {
        match self {
            Self::Load | Self::Touch | Self::List => (Some(1), 2),
            Self::Save | Self::Renew | Self::LogIn => (Some(2), 2),
            Self::LogOut | Self::Empty => (None, 1),
            Self::EndOthers => (Some(1), 1),
        }
    }
}

/// A world with two browsers of one user, and the first one's cookies.
async fn two(kind: Kind) -> (World, Jar) {
    let world = kind.in_time();
    world.logged_in("ada", "phone").await;
    let mut jar = world.logged_in("ada", "laptop").await;
    world.put(&mut jar, "n", 1).await;
    (world, jar)
}

/// Cuts the connection at each call of each act, before the call is applied or before its answer
/// arrives.
async fn goes_on(kind: Kind, store: fn(&World) -> &Scripted) {
    for (act, when) in Act::ALL
        .into_iter()
        .flat_map(|act| [(act, Before), (act, After)])
    {
        for n in 1.. {
            let (world, mut jar) = two(kind).await;
            store(&world).take_log();
            store(&world).nth(n, when, ANY, Cut);
            let (_, response) = world.visit(&mut jar, |session| act.run(session)).await;
            let made = store(&world).take_log().len();
            let what = format!("{act:?}, {when:?} call {n}");
            let (failed, status) = (failure(&response), response.status());
            assert_eq!(status, StatusCode::OK, "{what}: {failed:?}");
            let (value, sessions) = act.outcome();
            assert_eq!(world.get(&mut jar, "n").await, value, "{what}");
            if !kind.is_cookie() {
                assert_eq!(world.records().sessions().await, sessions, "{what}");
            }
            if n > made {
                break;
            }
        }
    }
}

/// A connection cut by an idle timeout causes no error, at whichever call it is noticed.
#[tokio::test(start_paused = true)]
async fn one_lost_connection_causes_no_error() {
    goes_on(Kind::Remote, World::records).await;
}

#[tokio::test(start_paused = true)]
async fn one_lost_connection_causes_no_error_for_sessions_in_cookies() {
    goes_on(Kind::RemoteRevocable, World::ends).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_outgrows_its_cookie_despite_one_lost_connection() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        for renews in [false, true] {
            for when in [Before, After] {
                for n in 1..6 {
                    let (world, mut jar) = (kind.in_time(), Jar::default());
                    world.put(&mut jar, "n", 1).await;
                    world.records().nth(n, when, ANY, Cut);
                    world.ends().nth(n, when, ANY, Cut);
                    let grow = async |session: Session| {
                        session.load().await.unwrap();
                        session.update("n", one_more).unwrap();
                        session.insert("large", "x".repeat(1_000)).unwrap();
                        if renews {
                            session.renew();
                        }
                    };
                    let (_, response) = world.visit(&mut jar, grow).await;
                    let what = format!("{kind:?}, {renews}, {when:?} call {n}");
                    assert_eq!(response.status(), StatusCode::OK, "{what}");
                    assert_eq!(world.get(&mut jar, "n").await, Some(2), "{what}");
                    assert_eq!(world.records().sessions().await, 1, "{what}");
                }
            }
        }
    }
}

/// The first record may arrive late, and would bring back a session that has ended since.
#[tokio::test(start_paused = true)]
async fn a_retried_new_session_gets_another_id() {
    for (when, made) in [(Before, 2), (After, 2)] {
        let (world, mut jar) = (Kind::Remote.in_time(), Jar::default());
        world.records().at(when, Create, Cut);
        assert_eq!(world.put(&mut jar, "n", 1).await.status(), StatusCode::OK);
        assert_eq!(world.records().keys().len(), made, "{when:?}");
        assert_eq!(world.records().sessions().await, 1, "{when:?}");
    }
}

/// Ending the user's sessions also ends the late one.
#[tokio::test(start_paused = true)]
async fn both_ids_are_in_the_list() {
    let (world, mut jar) = (Kind::Remote.in_time(), Jar::default());
    world.records().at(After, Create.of_sessions(), Cut);
    // The lost record is not removed.
    world.records().at(Before, Op::Delete, Fail);
    assert_eq!(
        world.log_in(&mut jar, "ada", "laptop").await.status(),
        StatusCode::OK
    );
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert_eq!(world.records().sessions().await, 2);
    assert_eq!(world.destroy_all("ada").await, 1);
    assert_eq!(world.records().sessions().await, 0);
    assert!(!world.is_alive(&jar).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_gets_two_calls() {
    let cases: [(Calls, Op, Act); 4] = [
        (Load.into(), Load, Act::Load),
        (Update.into(), Update, Act::Save),
        (Touch.into(), Touch, Act::Touch),
        (LoadMany.into(), LoadMany, Act::List),
    ];
    for (calls, op, act) in cases {
        let (world, mut jar) = two(Kind::Remote).await;
        world.records().take_log();
        world.records().every(Before, calls, Cut);
        let run = async |session: Session| {
            if session.load().await.is_err() {
                return;
            }
            match act {
                Act::Save => session.insert("n", 2).unwrap(),
                Act::Touch => assert!(session.touch().await.is_err()),
                _ => assert!(session.subject_sessions().await.is_err()),
            }
        };
        world.visit(&mut jar, run).await;
        let log = world.records().take_log();
        let asked = log.iter().filter(|other| **other == op).count();
        // A failed save is followed by a load.
        assert_eq!(asked, 2, "{act:?}: {log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_gets_one_call() {
    let (world, mut jar) = two(Kind::Remote).await;
    world.records().take_log();
    world.records().every(Before, Load, Fail);
    let load = async |session: Session| session.load().await.unwrap_err().kind();
    let (kind, _) = world.visit(&mut jar, load).await;
    assert_eq!(kind, ErrorKind::StoreFailed);
    assert_eq!(world.records().take_log(), [Load]);
}

/// It keeps nobody waiting for another attempt.
#[tokio::test(start_paused = true)]
async fn a_store_that_never_waits_gets_one_call() {
    for (op, act) in [
        (Update, Act::Save),
        (Touch, Act::Touch),
        (Update, Act::Renew),
        (LoadMany, Act::List),
    ] {
        let (world, mut jar) = two(Kind::Memory).await;
        world.records().take_log();
        world.records().every(Before, op, Cut);
        let run = async |session: Session| match act {
            Act::Save => session.insert("n", 2).unwrap(),
            Act::Touch => assert!(session.touch().await.is_err()),
            Act::Renew => session.renew(),
            _ => assert!(session.subject_sessions().await.is_err()),
        };
        world.visit(&mut jar, run).await;
        let log = world.records().take_log();
        let asked = log.iter().filter(|other| **other == op).count();
        assert_eq!(asked, 1, "{act:?}: {log:?}");
    }
}

/// A call that has used more than half of its time is not retried.
#[tokio::test(start_paused = true)]
async fn a_call_is_not_retried_when_time_is_short() {
    for (secs, expected) in [(2, 2), (3, 1)] {
        let (world, mut jar) = two(Kind::Remote).await;
        world.records().take_log();
        world.records().at(Before, Load, Take(secs * SECOND));
        world.records().every(After, Load, Cut);
        let load = async |session: Session| session.load().await.unwrap_err().kind();
        assert_eq!(world.visit(&mut jar, load).await.0, ErrorKind::StoreFailed);
        assert_eq!(world.records().take_log().len(), expected, "{secs} s");
    }
}
