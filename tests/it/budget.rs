//! The time for which a request waits for its stores.

use std::{error::Error as _, time::Duration};

use http::StatusCode;
use silverback::{ErrorKind, Session, SessionConfig, SessionLayer};
use tokio::time::{Instant, sleep};

use crate::support::{
    HOUR, Jar, Kind, SECOND, Site, Stores, World, failure, keys, no_cookie, one_more,
    schedule::all,
    scripted::{ANY, After, Before, Hang, Load, Op, Take, Touch, Update},
    sessions,
    watched::kept,
};

const LIMIT: Duration = Duration::from_secs(5);

async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let output = future.await;
    (start.elapsed(), output)
}

/// A visitor whose session is in a store, or needs a call to one.
async fn established(kind: Kind) -> (World, Jar) {
    let (world, mut jar) = (kind.in_time(), Jar::default());
    match kind {
        Kind::Overflow => jar = world.grown().await,
        _ => drop(world.put(&mut jar, "n", 1).await),
    }
    (world, jar)
}

const WAITING: [Kind; 3] = [Kind::Remote, Kind::RemoteRevocable, Kind::Overflow];

#[tokio::test(start_paused = true)]
async fn a_load_of_a_silent_store_fails_when_the_time_is_over() {
    for kind in WAITING {
        let (world, mut jar) = established(kind).await;
        world.records().every(Before, ANY, Hang);
        world.ends().every(Before, ANY, Hang);
        let load = async |session: Session| session.load().await.unwrap_err();
        let (took, (error, response)) = timed(world.visit(&mut jar, load)).await;
        assert_eq!(took, LIMIT, "{kind:?}");
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{kind:?}");
        let cause = error.source().unwrap().source().unwrap();
        let expected = "the store did not answer within 5 s";
        assert_eq!(cause.to_string(), expected, "{kind:?}");
        assert_eq!(error.answer().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(error.answer().grpc_code(), 14, "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
        let (took, _) = timed(world.visit(&mut jar, async |_| ())).await;
        assert_eq!(took, Duration::ZERO, "{kind:?}: untouched");
    }
}

/// Leaves each call of a request unanswered in turn.
#[tokio::test(start_paused = true)]
async fn so_does_every_other_call_of_a_silent_store() {
    let acts = [
        (Act::Save, 2),
        (Act::Touch, 2),
        (Act::LogIn, 6),
        (Act::LogOut, 2),
    ];
    for (act, least) in acts {
        for when in [Before, After] {
            for n in 1..20 {
                let (world, mut jar) = established(Kind::Remote).await;
                world.records().take_log();
                world.records().nth(n, when, ANY, Hang);
                world
                    .records()
                    .every(Before, ANY, Take(Duration::from_millis(10)));
                let (took, (_, response)) =
                    timed(world.visit(&mut jar, |session| act.run(session))).await;
                if took < LIMIT {
                    assert!(n > least, "{act:?}: {n} calls");
                    assert_eq!(response.status(), StatusCode::OK);
                    break;
                }
                assert_eq!(took, LIMIT, "{act:?} {n}");
                // A call that the handler did not ask for is left to the next request.
                let failed = failure(&response).is_none_or(|kind| kind == ErrorKind::StoreFailed);
                assert!(failed, "{act:?} {n}");
            }
        }
    }
}

/// What the handler does to a session, if it can be loaded.
#[derive(Clone, Copy, Debug)]
enum Act {
    Save,
    Touch,
    LogIn,
    LogOut,
}

impl Act {
    async fn run(self, session: Session) {
        if session.load().await.is_err() {
            return;
        }
        match self {
            Self::Save => session.insert("n", 2).unwrap(),
            Self::Touch => drop(session.touch().await),
            Self::LogIn => {
                session.renew();
                session.set_subject("ada", "laptop").unwrap();
            }
            Self::LogOut => drop(session.destroy().await),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_calls_of_a_request_count_and_the_handler_does_not() {
    let (world, mut jar) = established(Kind::Remote).await;
    world.records().every(Before, ANY, Take(2 * SECOND));
    let two_saves = async |session: Session| {
        session.load().await.unwrap();
        sleep(HOUR).await;
        session.update("n", one_more).unwrap();
        let first = session.save().await;
        sleep(HOUR).await;
        session.update("n", one_more).unwrap();
        (first.is_ok(), timed(session.save()).await)
    };
    let ((first, (took, second)), response) = world.visit(&mut jar, two_saves).await;
    assert!(first);
    assert_eq!(took, SECOND, "the rest of the time");
    assert_eq!(second.unwrap_err().kind(), ErrorKind::StoreFailed);
    // No time is left for the response.
    assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
    world.records().calm();
    assert_eq!(world.get(&mut jar, "n").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_sessions_of_a_request_share_it() {
    let Stores {
        clock,
        records,
        ends: others,
    } = Stores::new();
    let cart = SessionConfig::new("cart", others.clone(), keys()).store_timeout(7 * SECOND);
    let layer =
        SessionLayer::new(SessionConfig::new("account", records.clone(), keys())).with(cart);
    let site = Site::at(&clock, layer);
    let mut jar = Jar::default();
    let come = async |session: Session| {
        for name in ["account", "cart"] {
            let session = sessions(&session).get(name).await.unwrap();
            session.insert("n", 1).unwrap();
        }
    };
    site.visit(&mut jar, come).await;
    records.every(Before, Load, Take(4 * SECOND));
    others.every(Before, Load, Take(4 * SECOND));
    let one_after_the_other = async |session: Session| {
        let sessions = sessions(&session);
        sessions.get("account").await.unwrap();
        timed(sessions.get("cart")).await
    };
    let (took, loaded) = site.visit(&mut jar, one_after_the_other).await.0;
    assert_eq!(took, 3 * SECOND, "the rest of its own limit");
    let error = loaded.unwrap_err();
    assert_eq!(
        (error.kind(), error.session()),
        (ErrorKind::StoreFailed, Some("cart"))
    );
    // Waiting for both at the same time counts once.
    let at_once = async |session: Session| {
        let sessions = sessions(&session);
        let gets = ["account", "cart"].map(|name| sessions.get(name)).into();
        all(gets).await.iter().all(Result::is_ok)
    };
    assert!(site.visit(&mut jar, at_once).await.0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_of_a_kept_handle_has_its_own_time() {
    let (world, mut jar) = established(Kind::Remote).await;
    let session = kept(&world, &mut jar).await;
    world.records().every(Before, ANY, Take(3 * SECOND));
    for n in 0..5 {
        session.load().await.unwrap();
        session.insert("n", n).unwrap();
        session.save().await.unwrap();
    }
    // The time starts with the operation.
    world.records().calm();
    world.records().every(Before, ANY, Hang);
    let loads = (0..20).map(|_| timed(session.load())).collect();
    for (took, loaded) in all(loads).await {
        assert_eq!(took, LIMIT);
        assert_eq!(loaded.unwrap_err().kind(), ErrorKind::StoreFailed);
    }
}

#[tokio::test(start_paused = true)]
async fn so_has_an_operation_without_a_request() {
    let world = Kind::Remote.in_time();
    let jar = world.logged_in("ada", "laptop").await;
    let key = world.key(&jar).await;
    let (subjects, records) = (world.subjects(), world.session_records());
    let detached = world.layer.detached().get("s").await.unwrap();
    world.records().every(Before, ANY, Take(2 * SECOND));
    for n in 0..5 {
        assert_eq!(subjects.list("ada").await.unwrap().len(), 1);
        assert!(records.load(&key).await.unwrap().is_some());
        detached.insert("n", n).unwrap();
        detached.save().await.unwrap();
    }
    world.records().calm();
    world.records().every(Before, ANY, Hang);
    detached.insert("n", 9).unwrap();
    let (took, error) = timed(async { subjects.destroy_all("ada").await.unwrap_err() }).await;
    assert_eq!((took, error.kind()), (LIMIT, ErrorKind::StoreFailed));
    let (took, error) = timed(async { subjects.list("ada").await.unwrap_err() }).await;
    assert_eq!((took, error.kind()), (LIMIT, ErrorKind::StoreFailed));
    let (took, error) = timed(async { records.destroy(&key).await.unwrap_err() }).await;
    assert_eq!((took, error.kind()), (LIMIT, ErrorKind::StoreFailed));
    let (took, error) = timed(async { records.load(&key).await.unwrap_err() }).await;
    assert_eq!((took, error.kind()), (LIMIT, ErrorKind::StoreFailed));
    let (took, error) = timed(async { detached.save().await.unwrap_err() }).await;
    assert_eq!((took, error.kind()), (LIMIT, ErrorKind::StoreFailed));
}

#[tokio::test(start_paused = true)]
async fn a_configured_limit_is_kept() {
    let world = Kind::Remote.with(|config| config.store_timeout(2 * SECOND));
    let mut jar = Jar::default();
    world.put(&mut jar, "n", 1).await;
    world.records().every(Before, Touch | Update, Hang);
    let act = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 2).unwrap();
        session.save().await.unwrap_err()
    };
    let (took, (error, response)) = timed(world.visit(&mut jar, act)).await;
    assert_eq!(
        (took, response.status()),
        (2 * SECOND, StatusCode::SERVICE_UNAVAILABLE)
    );
    let cause = error.source().unwrap().source().unwrap();
    assert_eq!(cause.to_string(), "the store did not answer within 2 s");
}

/// The store had done the save, but nobody knows: it is not done again.
#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_dropped_save_is_unknown() {
    let (world, mut jar) = established(Kind::Remote).await;
    let session = kept(&world, &mut jar).await;
    session.load().await.unwrap();
    session.update("n", one_more).unwrap();
    world.records().at(After, Update, Hang);
    assert_eq!(
        session.save().await.unwrap_err().kind(),
        ErrorKind::StoreFailed
    );
    assert_eq!(world.get(&mut jar, "n").await, Some(2));
    session.save().await.unwrap();
    assert_eq!(world.get(&mut jar, "n").await, Some(2));
    assert_eq!(world.records().take_log().last(), Some(&Op::Load));
}
