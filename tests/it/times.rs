//! When a session was created and last used, and when it ends.

use std::time::Duration;

use silverback::{Session, SessionConfig, Timestamp};

use crate::support::{Jar, Kind, SECOND, START, World, keys, no_cookie};

const IDLE: u64 = 1_000;
const ABSOLUTE: u64 = 5_000;

fn world(kind: Kind) -> World {
    kind.with(|config| {
        let config = config.idle_timeout(secs(IDLE));
        config.absolute_timeout(secs(ABSOLUTE))
    })
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

/// Seconds after the start: creation, last use and end.
type Times = (Option<u64>, Option<u64>, Option<u64>);

fn times(session: &Session) -> Times {
    let after = |time: Option<Timestamp>| time.map(|time| time.as_secs() - START.as_secs());
    (
        after(session.created_at().unwrap()),
        after(session.last_used().unwrap()),
        after(session.expires_at().unwrap()),
    )
}

async fn loaded(session: Session) -> Times {
    session.load().await.unwrap();
    times(&session)
}

#[tokio::test]
async fn a_new_session_has_times_as_soon_as_something_is_in_it() {
    for kind in Kind::ALL {
        let world = world(kind);
        let begin = async |session: Session| {
            let before = loaded(session.clone()).await;
            session.insert("n", 1).unwrap();
            (before, times(&session))
        };
        let ((before, after), _) = world.visit(&mut Jar::default(), begin).await;
        assert_eq!(before, (None, None, None), "{kind:?}");
        assert_eq!(after, (Some(0), None, Some(IDLE)), "{kind:?}");
    }
}

/// The reported end is exact to the second, at every point of a session's life.
#[tokio::test]
async fn it_ends_when_it_says() {
    for kind in Kind::ALL {
        for grown in [false, true] {
            let world = world(kind);
            let mut jar = Jar::default();
            let len = if grown { 600 } else { 1 };
            world.put(&mut jar, "cart", "x".repeat(len)).await;
            let mut now = 0;
            for step in [1, 99, 100, 101, 500, 500, 900, 900, 900, 900, 90, 8] {
                now += step;
                world.clock.set(at(now));
                let (_, used, end) = world.visit(&mut jar, loaded).await.0;
                let (used, end) = (used.unwrap(), end.unwrap());
                assert!(used < now || step == 1, "{kind:?} {now}");
                assert!(end <= ABSOLUTE && end > now, "{kind:?} {now} {end}");
                assert!(
                    world.lives_at(&jar, at(end - 1)).await,
                    "{kind:?} {now} {end}"
                );
                assert!(!world.lives_at(&jar, at(end)).await, "{kind:?} {now} {end}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_and_a_touch_move_the_end_at_once() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut world.grown().await;
        world.clock.advance(secs(50));
        let change = async |session: Session| {
            let before = loaded(session.clone()).await;
            session.insert("n", 1).unwrap();
            (before, times(&session))
        };
        let ((before, after), _) = world.visit(jar, change).await;
        assert_eq!(before, (Some(0), Some(0), Some(IDLE)), "{kind:?}");
        assert_eq!(after, (Some(0), Some(0), Some(IDLE + 50)), "{kind:?}");
        world.clock.advance(secs(10));
        let touch = async |session: Session| {
            let before = loaded(session.clone()).await;
            session.touch().await.unwrap();
            (before, times(&session))
        };
        let ((before, after), _) = world.visit(jar, touch).await;
        assert_eq!(before, (Some(0), Some(50), Some(IDLE + 50)), "{kind:?}");
        let in_cookie = matches!(kind, Kind::Cookie | Kind::Revocable | Kind::RemoteRevocable);
        let touched = match in_cookie {
            // The response moves the end.
            true => (Some(0), Some(50), Some(IDLE + 60)),
            false => (Some(0), Some(60), Some(IDLE + 60)),
        };
        assert_eq!(after, touched, "{kind:?}");
    }
}

/// Its cookie still comes, until the response of the renewal has arrived.
#[tokio::test]
async fn a_renewed_session_has_times_if_it_begins_anew() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = world(kind);
        let jar = world.grown().await;
        world.renew(&mut jar.clone()).await;
        world.clock.advance(secs(10));
        let begin = async |session: Session| {
            let marked = loaded(session.clone()).await;
            session.renew();
            let renewing = times(&session);
            session.insert("n", 1).unwrap();
            (marked, renewing, times(&session))
        };
        let ((marked, renewing, anew), _) = world.visit(&mut jar.clone(), begin).await;
        assert_eq!([marked, renewing], [(None, None, None); 2], "{kind:?}");
        assert_eq!(anew, (Some(10), None, Some(IDLE + 10)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_that_has_ended_has_no_times() {
    for kind in Kind::ALL {
        let world = world(kind);
        let old = world.grown().await;
        let jar = &mut old.clone();
        world.clock.advance(secs(10));
        let destroy = async |session: Session| {
            session.load().await.unwrap();
            session.destroy().await.unwrap();
            let ended = times(&session);
            session.insert("n", 1).unwrap();
            (ended, times(&session))
        };
        let ((ended, anew), _) = world.visit(jar, destroy).await;
        assert_eq!(ended, (None, None, None), "{kind:?}");
        assert_eq!(anew, (Some(10), None, Some(IDLE + 10)), "{kind:?}");
        let remove = async |session: Session| {
            session.load().await.unwrap();
            session.remove("n").unwrap();
            times(&session)
        };
        let (emptied, _) = world.visit(jar, remove).await;
        assert_eq!(emptied, (None, None, None), "{kind:?}");
        if Kind::ENDED_BY_SERVER.contains(&kind) {
            // Its mark is still there.
            let write = async |session: Session| {
                session.load().await.unwrap();
                session.insert("n", 1).unwrap();
                times(&session)
            };
            let (marked, _) = world.visit(&mut old.clone(), write).await;
            assert_eq!(marked, (None, None, None), "{kind:?}");
        }
        world.clock.advance(secs(ABSOLUTE));
        let (expired, _) = world.visit(&mut old.clone(), loaded).await;
        assert_eq!(expired, (None, None, None), "{kind:?}");
    }
}

#[tokio::test]
async fn a_renewal_keeps_when_it_was_made() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut world.grown().await;
        world.clock.advance(secs(70));
        world.renew(jar).await;
        world.clock.advance(secs(10));
        let (times, _) = world.visit(jar, loaded).await;
        assert_eq!(times, (Some(0), Some(70), Some(IDLE + 70)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_of_fixed_length_ends_then() {
    for kind in Kind::ALL {
        let world = world(kind);
        let jar = &mut world.grown().await;
        world.clock.advance(secs(70));
        let persist = async |session: Session| {
            session.load().await.unwrap();
            session.persist_for(secs(9_000));
            times(&session)
        };
        let (reported, _) = world.visit(jar, persist).await;
        assert_eq!(reported, (Some(0), Some(0), Some(9_070)), "{kind:?}");
        world.clock.advance(secs(500));
        let (reported, _) = world.visit(jar, loaded).await;
        assert_eq!(reported, (Some(0), Some(70), Some(9_070)), "{kind:?}");
        assert!(world.lives_at(jar, at(9_069)).await, "{kind:?}");
        assert!(!world.lives_at(jar, at(9_070)).await, "{kind:?}");
    }
}

/// A read of such a session writes nothing else.
#[tokio::test]
async fn the_list_of_a_subject_shows_use() {
    for kind in Kind::WITH_SUBJECTS {
        let world = world(kind);
        let jar = &mut world.logged_in("ada", "laptop").await;
        let persist = async |session: Session| {
            session.load().await.unwrap();
            session.persist_for(secs(10_000));
        };
        world.visit(jar, persist).await;
        for (now, used) in [
            (500, 0),
            (1_000, 0),
            (1_200, 1_000),
            (2_100, 1_000),
            (2_200, 2_100),
        ] {
            world.clock.set(at(now));
            let (reported, _) = world.visit(jar, loaded).await;
            assert_eq!(reported.1, Some(used), "{kind:?} {now}");
        }
    }
}

/// The browser drops a cookie that is not reissued, although the record still exists.
#[tokio::test]
async fn a_cookie_that_goes_first_is_the_end() {
    let world = Kind::Remote.with(|config| config.max_age(secs(IDLE)));
    let jar = &mut Jar::default();
    world.put(jar, "n", 0).await;
    world.clock.advance(secs(50));
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        times(&session).2
    };
    let (end, response) = world.visit(jar, write).await;
    assert!(no_cookie(&response));
    assert_eq!(end, Some(IDLE), "the browser's");
    world.clock.advance(secs(50));
    let (end, response) = world.visit(jar, write).await;
    assert!(!no_cookie(&response));
    assert_eq!(end, Some(IDLE + 100));
}

/// A cookie keeps its own end, even if the timeout has been raised since.
#[tokio::test]
async fn an_older_cookie_keeps_its_end() {
    let site = |idle: u64| {
        let config = SessionConfig::cookie("s", keys()).idle_timeout(secs(idle));
        crate::support::Site::of(silverback::SessionLayer::new(config))
    };
    let jar = &mut Jar::default();
    site(500).put(jar, "n", 1).await;
    let (end, _) = site(IDLE).visit(jar, loaded).await;
    assert_eq!(end.2, Some(500));
    let (end, _) = site(200).visit(jar, loaded).await;
    assert_eq!(end.2, Some(200));
}

#[tokio::test]
async fn a_handle_that_outlives_its_request_reports_the_stored_times() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = world(kind);
        let jar = &mut world.grown().await;
        let keep = async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap();
            session
        };
        let (socket, _) = world.visit(jar, keep).await;
        world.clock.advance(secs(600));
        assert_eq!(times(&socket), (Some(0), Some(0), Some(IDLE)), "{kind:?}");
        socket.touch().await.unwrap();
        let touched = (Some(0), Some(600), Some(IDLE + 600));
        assert_eq!(times(&socket), touched, "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_knows_whether_it_outlasts_the_browser() {
    for kind in Kind::ALL {
        for max_age in [false, true] {
            let world = kind.with(|config| match max_age {
                true => config.max_age(secs(IDLE)),
                false => config,
            });
            let is_persistent = async |session: Session| {
                session.load().await.unwrap();
                session.is_persistent().unwrap()
            };
            let jar = &mut Jar::default();
            assert_eq!(world.visit(jar, is_persistent).await.0, max_age, "{kind:?}");
            for (persists, expected) in [(true, true), (false, false)] {
                let set = async |session: Session| {
                    session.load().await.unwrap();
                    session.insert("n", 1).unwrap();
                    if persists {
                        session.persist_for(60 * SECOND);
                    } else {
                        session.until_browser_closes();
                    }
                    session.is_persistent().unwrap()
                };
                assert_eq!(world.visit(jar, set).await.0, expected, "{kind:?}");
                let (later, _) = world.visit(jar, is_persistent).await;
                assert_eq!(later, expected, "{kind:?}");
            }
            let destroy = async |session: Session| {
                session.destroy().await.unwrap();
                session.is_persistent().unwrap()
            };
            assert_eq!(world.visit(jar, destroy).await.0, max_age, "{kind:?}");
        }
    }
}
