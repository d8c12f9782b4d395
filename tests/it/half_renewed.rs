//! A renewal whose last step fails is finished by the request's next save, or by its response.

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{
    Jar, Kind, MINUTE, World,
    scripted::{After, Before, Create, Cut, Fail, Load, Op, Scripted, Update, When},
    set_cookies,
};

/// Renews a session in a record. The store of ends fails once the mark is set.
async fn half_renew(world: &World, session: &Session) {
    session.load().await.unwrap();
    half_renew_loaded(world, session).await;
}

async fn half_renew_loaded(world: &World, session: &Session) {
    session.renew();
    session.insert("n", 1).unwrap();
    world.ends().at(Before, Create.of_sessions(), Fail);
    let error = session.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
}

/// A session that has outgrown its cookie, and the cookies that it has had.
async fn outgrown(world: &World) -> [Jar; 2] {
    let small = world.logged_in("ada", "laptop").await;
    let mut large = small.clone();
    world.set(&mut large, "cart", 600).await;
    [small, large]
}

/// Checks that the session lives under its new name alone.
async fn assert_renewed(world: &World, before: &[Jar], jar: &Jar) {
    assert_eq!(
        world.lens(&mut jar.clone(), ["cart"]).await,
        [Some(600)],
        "its values are there"
    );
    assert_eq!(world.get(&mut jar.clone(), "n").await, Some(1));
    assert_eq!(world.records().sessions().await, 1);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    world.clock.advance(2 * MINUTE);
    for before in before {
        assert!(!world.is_alive(before).await);
    }
    assert_eq!(world.destroy_all("ada").await, 1);
    assert!(!world.is_alive(jar).await);
}

#[tokio::test]
async fn the_next_save_finishes_it() {
    let world = Kind::RevocableOverflow.world();
    let before = outgrown(&world).await;
    let jar = &mut before[1].clone();
    let save_again = async |session: Session| {
        half_renew(&world, &session).await;
        session.save().await.unwrap();
    };
    let (_, response) = world.visit(jar, save_again).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_renewed(&world, &before, jar).await;
}

#[tokio::test]
async fn the_response_finishes_it() {
    for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
        let world = Kind::RevocableOverflow.world();
        let before = outgrown(&world).await;
        let jar = &mut before[1].clone();
        let fail = async |session: Session| {
            half_renew(&world, &session).await;
            session.insert("later", 2).unwrap();
        };
        let (_, response) = world.answer(jar, status, fail).await;
        assert_eq!(response.status(), status);
        let later = (status == StatusCode::OK).then_some(2);
        assert_eq!(world.get(jar, "later").await, later);
        assert_renewed(&world, &before, jar).await;
    }
}

/// The old cookies name a session that nobody can end, so the new one is not sent.
#[tokio::test]
async fn a_response_that_cannot_finish_it_sends_no_cookie() {
    let world = Kind::RevocableOverflow.world();
    let [_, mut jar] = outgrown(&world).await;
    let fail = async |session: Session| {
        half_renew(&world, &session).await;
        world.ends().every(Before, Create.of_sessions(), Fail);
    };
    let (_, response) = world.visit(&mut jar, fail).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(set_cookies(response.headers()), [""; 0]);
}

#[tokio::test]
async fn a_logout_meanwhile_ends_it() {
    for device in 0..2 {
        let world = Kind::RevocableOverflow.world();
        let before = outgrown(&world).await;
        let (jar, other) = (&mut before[1].clone(), &mut before[device].clone());
        let save_again = async |session: Session| {
            half_renew(&world, &session).await;
            world.destroy(other).await;
            session.save().await.unwrap_err().kind()
        };
        let (error, response) = world.visit(jar, save_again).await;
        assert_eq!(error, ErrorKind::Gone);
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(set_cookies(response.headers()), [""; 0]);
        assert_eq!(world.records().sessions().await, 0);
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn what_others_have_saved_meanwhile_stays() {
    let world = Kind::RevocableOverflow.world();
    let before = outgrown(&world).await;
    let jar = &mut before[1].clone();
    let other = &mut jar.clone();
    let save_again = async |session: Session| {
        session.load().await.unwrap();
        world.put(other, "other", 2).await;
        half_renew_loaded(&world, &session).await;
        session.insert("later", 3).unwrap();
    };
    let (_, response) = world.visit(jar, save_again).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "other").await, Some(2));
    assert_eq!(world.get(jar, "later").await, Some(3));
    assert_renewed(&world, &before, jar).await;
}

const WITH_ROSTERS: [(Kind, usize); 5] = [
    (Kind::Memory, 10),
    (Kind::Remote, 10),
    (Kind::RemoteRevocable, 10),
    (Kind::RevocableOverflow, 10),
    (Kind::RevocableOverflow, 600),
];

/// A session that leaves its subject is renewed, and its roster fails. `grows`: it also outgrows its
/// cookie.
#[tokio::test]
async fn a_session_that_leaves_its_subject_is_kept() {
    for (kind, len) in WITH_ROSTERS {
        for (saves, grows, other) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
            let what = format!("{kind:?}, {len}, saves {saves}, grows {grows}, other {other}");
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            world.set(jar, "cart", len).await;
            let before = jar.clone();
            let rosters = match kind {
                Kind::Memory | Kind::Remote => world.records(),
                _ => world.ends(),
            };
            let leave = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                if grows {
                    session.insert("more", "x".repeat(600)).unwrap();
                }
                match other {
                    true => session.set_subject("bob", "phone").unwrap(),
                    false => drop(session.remove_subject().unwrap()),
                }
                rosters.at(Before, Update.of_rosters(), Fail);
                if saves {
                    drop(session.save().await);
                    session.insert("later", 2).unwrap();
                }
            };
            let (_, response) = world.visit(jar, leave).await;
            let status = response.status();
            rosters.calm();
            assert_eq!(
                world.lens(jar, ["cart"]).await,
                [Some(len)],
                "{what}, {status}"
            );
            if saves {
                assert_eq!(world.get(jar, "later").await, Some(2), "{what}, {status}");
            }
            assert!(!world.is_alive(&before).await, "{what}");
            assert_eq!(world.notes("ada").await, [""; 0], "{what}");
            assert_eq!(world.destroy_all("ada").await, 0, "{what}");
            assert_eq!(world.lens(jar, ["cart"]).await, [Some(len)], "{what}");
            let bobs = usize::from(other);
            assert_eq!(world.destroy_all("bob").await, bobs, "{what}");
            assert_eq!(world.is_alive(jar).await, !other, "{what}");
        }
    }
}

/// The old cookie has ended before the last look at the roster.
#[tokio::test]
async fn a_failed_last_look_loses_nothing() {
    let world = Kind::RemoteRevocable.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let before = jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        session.insert("n", 1).unwrap();
        world.ends().nth(2, Before, Load.of_rosters(), Fail);
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get(jar, "n").await, Some(1));
    assert!(!world.is_alive(&before).await);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert_eq!(world.destroy_all("ada").await, 1);
    assert!(!world.is_alive(jar).await);
}

/// Fails a save while it takes the session's old name. The call is lost before or after it has an
/// effect, and a look at it gets no answer.
async fn save_unseen(store: &Scripted, lost: When, taking: Op, session: &Session) {
    store.every(lost, taking.of_sessions(), Cut);
    store.every(Before, Load.of_sessions(), Cut);
    let error = session.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    store.calm();
}

/// A session in a record.
async fn large(kind: Kind) -> (World, Jar) {
    let (world, mut jar) = (kind.world(), Jar::default());
    world.set(&mut jar, "cart", 600).await;
    (world, jar)
}

async fn renew(session: &Session) {
    session.load().await.unwrap();
    session.renew();
    session.insert("n", 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mark_without_an_answer_loses_no_values() {
    for (kind, lost) in [Kind::Remote, Kind::Overflow, Kind::RevocableOverflow]
        .into_iter()
        .flat_map(|kind| [(kind, Before), (kind, After)])
    {
        let what = format!("{kind:?} {lost:?}");
        let (world, before) = large(kind).await;
        let jar = &mut before.clone();
        let half = async |session: Session| {
            renew(&session).await;
            save_unseen(world.records(), lost, Update, &session).await;
            session.insert("later", 2).unwrap();
        };
        let (_, response) = world.visit(jar, half).await;
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        assert_eq!(world.lens(jar, ["cart"]).await, [Some(600)], "{what}");
        assert_eq!(world.get(jar, "n").await, Some(1), "{what}");
        assert_eq!(world.get(jar, "later").await, Some(2), "{what}");
        assert!(!world.is_alive(&before).await, "{what}");
        assert_eq!(world.records().sessions().await, 1, "{what}");
        world.destroy(&mut before.clone()).await;
        assert!(!world.is_alive(jar).await, "{what}");
    }
}

/// The first mark meets another request's save, which goes into the new record.
#[tokio::test(start_paused = true)]
async fn a_mark_without_an_answer_loses_no_others_values() {
    let (world, jar) = large(Kind::Remote).await;
    let (jar, other) = (&mut jar.clone(), &mut jar.clone());
    let half = async |session: Session| {
        renew(&session).await;
        world.put(other, "other", 2).await;
        for call in [3, 4] {
            let records = world.records();
            records.nth(call, After, Update.of_sessions(), Cut);
            records.nth(call - 1, Before, Load.of_sessions(), Cut);
        }
        let error = session.save().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailed);
        world.records().calm();
    };
    let (_, response) = world.visit(jar, half).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(1));
    assert_eq!(world.get(jar, "other").await, Some(2));
}

/// Another request comes between the two attempts, and finds the old name taken or not.
#[tokio::test(start_paused = true)]
async fn who_comes_between_two_attempts_keeps_what_it_was_told() {
    for (lost, logs_out) in [
        (Before, false),
        (Before, true),
        (After, false),
        (After, true),
    ] {
        let what = format!("{lost:?} {logs_out}");
        let (world, before) = large(Kind::Remote).await;
        let (jar, other) = (&mut before.clone(), &mut before.clone());
        let half = async |session: Session| {
            renew(&session).await;
            save_unseen(world.records(), lost, Update, &session).await;
            match logs_out {
                true => drop(world.destroy(other).await),
                false => drop(world.put(other, "other", 2).await),
            }
        };
        let (_, response) = world.visit(jar, half).await;
        let saves = !logs_out && lost == Before;
        assert_eq!(
            world.get(other, "other").await,
            saves.then_some(2),
            "{what}"
        );
        let status = match (logs_out, lost) {
            (false, After) => StatusCode::OK,
            _ => StatusCode::CONFLICT,
        };
        assert_eq!(response.status(), status, "{what}");
        if logs_out {
            assert!(
                !world.is_alive(&before).await && !world.is_alive(jar).await,
                "{what}"
            );
            assert_eq!(world.records().sessions().await, 0, "{what}");
        }
    }
}

/// The cookie has ended, and nobody can tell which request ended it.
#[tokio::test(start_paused = true)]
async fn an_end_without_an_answer_is_an_error() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut Jar::default();
    world.set(jar, "cart", 10).await;
    let half = async |session: Session| {
        renew(&session).await;
        session.insert("more", "x".repeat(600)).unwrap();
        save_unseen(world.ends(), After, Create, &session).await;
    };
    let (_, response) = world.visit(jar, half).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
}
