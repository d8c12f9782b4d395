//! Values that exactly one request takes.

use http::StatusCode;
use silverback::{Error, ErrorKind, Session};

use crate::support::{
    Jar, Kind, World, failure,
    schedule::{all, cut_off, now_and_then, rounds},
    scripted::{After, Before, Delete, Fail, Load, Lose, Update, Wait},
    steps::in_between,
};

/// Kinds whose sessions are always in a record.
const IN_RECORDS: [Kind; 2] = [Kind::Memory, Kind::Remote];

/// A visitor with a token. If it is alone in the session, taking it empties the session.
async fn with_token(world: &World, is_alone: bool) -> Jar {
    let mut jar = if is_alone {
        Jar::default()
    } else {
        world.grown().await
    };
    world.put(&mut jar, "token", "abc").await;
    jar
}

async fn take(session: Session) -> Result<Option<String>, Error> {
    session.load().await?;
    session.take("token").await
}

/// The value that a request took, if its response succeeded.
async fn visit(world: &World, jar: &Jar) -> Result<Option<String>, ErrorKind> {
    let (taken, response) = world.visit(&mut jar.clone(), take).await;
    match (taken, failure(&response)) {
        (Ok(taken), None) => Ok(taken),
        (Err(error), _) => Err(error.kind()),
        (Ok(_), Some(kind)) => Err(kind),
    }
}

fn got(taken: &[Result<Option<String>, ErrorKind>]) -> usize {
    taken
        .iter()
        .filter(|taken| matches!(taken, Ok(Some(_))))
        .count()
}

#[tokio::test]
async fn one_of_many_requests_gets_it() {
    for (round, kind) in rounds(40).flat_map(|round| IN_RECORDS.map(|kind| (round, kind))) {
        let world = kind.world();
        let jar = with_token(&world, round % 2 == 0).await;
        let at_once = |n| now_and_then(round * 100 + n, visit(&world, &jar));
        let taken = all((0..12).map(at_once).collect()).await;
        assert_eq!(got(&taken), 1, "{kind:?}, {round}: {taken:?}");
        let is_fine = |taken: &_| matches!(taken, Ok(_) | Err(ErrorKind::Gone));
        assert!(taken.iter().all(is_fine), "{kind:?}, {round}: {taken:?}");
        assert_eq!(visit(&world, &jar).await, Ok(None), "{kind:?}, {round}");
    }
}

/// Another request takes it, or stores a newer one, at each call to the store.
#[tokio::test]
async fn one_of_two_gets_it_wherever_they_meet() {
    for is_alone in [false, true] {
        for when in [Before, After] {
            let mut met = 0;
            for n in 1..20 {
                let world = Kind::Remote.world();
                let jar = with_token(&world, is_alone).await;
                let (first, second) = (visit(&world, &jar), visit(&world, &jar));
                let at = (world.records(), n, when);
                let (first, second) = in_between(at, first, second).await;
                let Some(second) = second else { break };
                met += 1;
                let taken = [first, second];
                assert_eq!(got(&taken), 1, "{when:?} {n}: {taken:?}");
                assert_eq!(visit(&world, &jar).await, Ok(None));
            }
            assert!(met >= 2, "only {met}");
        }
    }
}

#[tokio::test]
async fn a_value_stored_meanwhile_is_the_one_taken() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut with_token(&world, false).await;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            world.put(&mut jar.clone(), "token", "newer").await;
            session.take::<String>("token").await.unwrap()
        };
        let (taken, _) = world.visit(&mut jar.clone(), handler).await;
        assert_eq!(taken.as_deref(), Some("newer"));
        assert_eq!(visit(&world, jar).await, Ok(None));
    }
}

#[tokio::test]
async fn a_concurrent_renewal_gives_it_to_nobody_else() {
    for when in [Before, After] {
        for n in 1..20 {
            let world = Kind::Remote.world();
            let jar = with_token(&world, false).await;
            let mut renewed = jar.clone();
            let at = (world.records(), n, when);
            let renew = world.renew(&mut renewed);
            let (taken, response) = in_between(at, visit(&world, &jar), renew).await;
            if response.is_none() {
                break;
            }
            let later = visit(&world, &renewed).await;
            assert_eq!(got(&[taken, later]), 1, "{when:?} {n}");
        }
    }
}

/// If a save fails, the handler gets nothing and the next request gets the value. If the save's
/// answer is lost, perhaps nobody gets it.
#[tokio::test]
async fn a_failing_store_gives_it_to_one_at_most() {
    for (when, act) in [(Before, Fail), (After, Fail), (After, Lose)] {
        let world = Kind::Remote.world();
        let jar = with_token(&world, false).await;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            world.records().at(when, Update | Delete, act);
            let first = session.take::<String>("token").await;
            let again = session.take::<String>("token").await;
            [first, again].map(|taken| taken.map_err(|error| error.kind()))
        };
        let ([first, again], _) = world.visit(&mut jar.clone(), handler).await;
        assert_eq!(first.is_err(), act == Fail);
        let later = visit(&world, &jar).await;
        let taken = got(&[first, again, later]);
        let least = usize::from((when, act) != (After, Fail));
        assert!((least..=1).contains(&taken), "{when:?} {taken}");
    }
}

#[tokio::test]
async fn the_next_request_gets_an_unsaved_take() {
    let world = Kind::Remote.world();
    let jar = with_token(&world, false).await;
    let handler = async |session: Session| {
        session.load().await.unwrap();
        world.records().every(Before, Update | Delete, Fail);
        let taken = session.take::<String>("token").await;
        world.records().calm();
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::StoreFailed);
        assert_eq!(session.get::<String>("token").unwrap().unwrap(), "abc");
    };
    world.visit(&mut jar.clone(), handler).await;
    assert_eq!(visit(&world, &jar).await, Ok(Some("abc".to_owned())));
}

/// The take was saved before the handler failed.
#[tokio::test]
async fn it_stays_taken_if_the_handler_fails() {
    for world in IN_RECORDS.map(Kind::world) {
        let jar = with_token(&world, false).await;
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let (taken, _) = world.answer(&mut jar.clone(), status, take).await;
        assert_eq!(taken.unwrap().as_deref(), Some("abc"));
        assert_eq!(visit(&world, &jar).await, Ok(None));
    }
}

#[tokio::test]
async fn one_in_a_session_that_may_be_in_a_cookie_is_refused_and_stays() {
    for kind in [
        Kind::Cookie,
        Kind::Revocable,
        Kind::RemoteRevocable,
        Kind::Overflow,
        Kind::RevocableOverflow,
    ] {
        let world = kind.world();
        for jar in [&mut Jar::default(), &mut world.grown().await] {
            world.put(jar, "token", "abc").await;
            let refused = Err(ErrorKind::NeedsStore);
            assert_eq!(visit(&world, jar).await, refused, "{kind:?}");
            assert_eq!(world.get::<String>(jar, "token").await.unwrap(), "abc");
        }
        let nothing = visit(&world, &Jar::default()).await;
        assert_eq!(nothing, Err(ErrorKind::NeedsStore), "{kind:?}");
    }
}

#[tokio::test]
async fn one_of_another_type_stays() {
    let world = Kind::Memory.world();
    let jar = &mut with_token(&world, false).await;
    let wrong = async |session: Session| {
        let wrong = session.take::<u8>("token").await.unwrap_err();
        let bytes = session.take_bytes("token").await.unwrap_err();
        [wrong, bytes].map(|error| (error.kind(), error.session().map(str::to_owned)))
    };
    let (errors, _) = world.visit(jar, wrong).await;
    let expected = (ErrorKind::DeserializeFailed, Some("s".to_owned()));
    assert_eq!(errors, [expected.clone(), expected]);
    assert_eq!(visit(&world, jar).await, Ok(Some("abc".to_owned())));
}

#[tokio::test]
async fn bytes_are_taken_too() {
    let world = Kind::Memory.world();
    let jar = &mut with_token(&world, false).await;
    let put = async |session: Session| session.insert_bytes("token", [0, 1]).unwrap();
    world.visit(jar, put).await;
    let take = async |session: Session| session.take_bytes("token").await.unwrap();
    assert_eq!(world.visit(jar, take).await.0, Some(vec![0, 1]));
    assert_eq!(world.visit(jar, take).await.0, None);
}

/// If the response cancels the save of a take, nobody gets the value.
#[tokio::test]
async fn a_take_that_the_response_cancels_gets_nothing() {
    for polls in 1..10 {
        let world = Kind::Remote.world();
        let jar = with_token(&world, false).await;
        let start = async |session: Session| {
            session.load().await.unwrap();
            let mut take = Box::pin(async move { session.take::<String>("token").await });
            match cut_off(polls, take.as_mut()).await {
                Some(taken) => (Some(taken), None),
                None => (None, Some(take)),
            }
        };
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let ((taken, rest), _) = world.answer(&mut jar.clone(), status, start).await;
        let taken = match rest {
            Some(take) => take.await,
            None => taken.unwrap(),
        };
        let later = visit(&world, &jar).await;
        let taken = [taken.map_err(|error| error.kind()), later];
        assert_eq!(got(&taken), 1, "{polls}: {taken:?}");
    }
}

#[tokio::test]
async fn one_of_another_type_that_was_stored_meanwhile_stays() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut with_token(&world, false).await;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            world.put(&mut jar.clone(), "token", 7).await;
            session.take::<String>("token").await
        };
        let (taken, _) = world.visit(&mut jar.clone(), handler).await;
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::DeserializeFailed);
        assert_eq!(world.get(jar, "token").await, Some(7), "{kind:?}");
    }
}

/// A handler removes the value while its take is under way, and the take fails.
#[tokio::test]
async fn one_removed_while_a_take_fails_stays_removed() {
    let removals: [fn(&Session); 3] = [
        |session| session.clear().unwrap(),
        |session| assert!(!session.remove("token").unwrap()),
        |session| {
            session.insert("token", 7).unwrap();
            assert!(session.remove("token").unwrap());
        },
    ];
    for remove in removals {
        let world = Kind::Remote.world();
        let jar = with_token(&world, false).await;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            world.records().at(Before, Update, Wait);
            let remove = async {
                world.records().reached().await;
                world.put(&mut jar.clone(), "other", 1).await;
                remove(&session);
                world.records().at(Before, Load, Fail);
                world.records().go();
            };
            let (taken, ()) = tokio::join!(session.take::<String>("token"), remove);
            assert_eq!(taken.unwrap_err().kind(), ErrorKind::StoreFailed);
            assert_eq!(session.get::<String>("token").unwrap(), None);
        };
        world.visit(&mut jar.clone(), handler).await;
    }
}
