//! Operations that the store applied, but whose answer was lost.

use http::StatusCode;
use silverback::{Error, ErrorKind, Session};
use tokio::sync::Barrier;

use crate::support::{
    Jar, Kind, World, failure, keys, no_cookie, one_more,
    schedule::{all, now_and_then, until_it_hangs},
    scripted::{After, Before, Create, Fail, Hang, Load, Lose, Update, Wait},
    watched::kept,
};

#[tokio::test]
async fn a_save_is_not_done_twice() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let add = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        world.records().at(After, Update, Lose);
    };
    let (_, response) = world.visit(jar, add).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(2));
}

#[tokio::test]
async fn a_renewal_is_done() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let old = &mut jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Lose);
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(1));
    assert_eq!(world.get::<u32>(old, "n").await, None);
}

#[tokio::test]
async fn a_session_outgrows_its_cookie_once() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        session.insert("large", "x".repeat(1_000)).unwrap();
        world.records().at(After, Create, Lose);
    };
    let (_, response) = world.visit(jar, grow).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(2));
}

/// The answer of a save is lost, other requests save on top, and the save is retried.
#[tokio::test]
async fn a_save_under_those_of_others_is_not_done_twice() {
    for (others, are_here) in (0..=9).flat_map(|others| [(others, true), (others, false)]) {
        let world = Kind::Remote.world();
        let elsewhere = world.beside(keys());
        let server = if are_here { &world } else { &elsewhere };
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let add = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", one_more).unwrap();
            world.records().at(After, Update, Hang);
            assert!(until_it_hangs(session.save()).await.is_none());
            for n in 0..others {
                server.put(other, "other", n).await;
            }
        };
        let (_, response) = world.visit(jar, add).await;
        // This server knows the writes it has seen. For others, nobody can tell whether the save is
        // among those that the record no longer lists.
        let is_unknown = others > 7 && !are_here;
        let expected = is_unknown.then_some(ErrorKind::StoreFailed);
        assert_eq!(failure(&response), expected, "{others} others");
        let status = if is_unknown { 503 } else { 200 };
        assert_eq!(response.status(), status, "{others} others");
        assert_eq!(world.get(jar, "n").await, Some(2), "{others} others");
    }
}

/// The session ends before the renewal is retried.
#[tokio::test]
async fn a_renewal_that_was_ended_sets_no_cookie() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let before = jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Hang);
        assert!(until_it_hangs(session.save()).await.is_none());
        world.destroy(&mut before.clone()).await;
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
    assert_eq!(world.records().sessions().await, 0);
}

/// The renewal finds its own mark only after a logout has followed it.
#[tokio::test]
async fn a_renewal_that_was_ended_before_it_knew_sets_no_cookie() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let before = jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().at(After, Update, Lose);
        world.records().at(Before, Load, Wait);
    };
    let logout = async {
        world.records().reached().await;
        world.destroy(&mut before.clone()).await;
        world.records().go();
    };
    let ((_, response), ()) = tokio::join!(world.visit(jar, renew), logout);
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
    assert_eq!(world.records().sessions().await, 0);
}

/// A kept handle finds its own save when it is loaded again.
#[tokio::test]
async fn a_save_is_not_done_twice_after_a_load() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let session = kept(&world, jar).await;
    let add = |session: &Session| session.update("n", one_more).unwrap();
    session.load().await.unwrap();
    add(&session);
    world.records().at(After, Update, Fail);
    let failed = session.save().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    session.load().await.unwrap();
    assert_eq!(add(&session), 2);
    session.save().await.unwrap();
    assert_eq!(world.get(jar, "n").await, Some(2));
}

/// So many saves have followed on another server that nobody can tell.
#[tokio::test]
async fn a_load_that_cannot_tell_is_an_error() {
    for (others, are_here) in [(7, false), (8, false), (8, true)] {
        let world = Kind::Remote.world();
        let elsewhere = world.beside(keys());
        let server = if are_here { &world } else { &elsewhere };
        let jar = &mut Jar::default();
        let session = kept(&world, jar).await;
        session.load().await.unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        world.records().at(After, Update, Fail);
        assert!(session.save().await.is_err());
        for n in 0..others {
            server.put(jar, "other", n).await;
        }
        let loaded = session.load().await.map_err(|error| error.kind());
        let expected = if others > 7 && !are_here {
            Err(ErrorKind::StoreFailed)
        } else {
            Ok(())
        };
        assert_eq!(loaded, expected, "{others} others");
        assert_eq!(world.get(jar, "n").await, Some(1), "{others} others");
    }
}

/// Adds one and saves. The save's answer is lost, and `others` comes before it looks whether it was
/// done.
async fn add_before(world: &World, session: &Session, others: impl Future) -> Result<(), Error> {
    session.load().await.unwrap();
    session.update("n", one_more).unwrap();
    world.records().at(After, Update, Lose);
    world.records().at(Before, Load, Wait);
    let beside = async {
        world.records().reached().await;
        drop(others.await);
        world.records().go();
    };
    tokio::join!(session.save(), beside).0
}

/// Like a cancelled save, its answer is lost, and others save before the record is read again.
#[tokio::test]
async fn a_save_that_cannot_tell_is_not_done_twice() {
    for others in 0..=9 {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let add = async |session: Session| {
            let others = async {
                for n in 0..others {
                    world.put(other, "other", n).await;
                }
            };
            add_before(&world, &session, others).await
        };
        let (saved, _) = world.visit(jar, add).await;
        let expected = (others > 7).then_some(ErrorKind::StoreFailed);
        assert_eq!(saved.err().map(|error| error.kind()), expected, "{others}");
        assert_eq!(world.get(jar, "n").await, Some(2), "{others} others");
    }
}

/// The renewal has carried the save along.
#[tokio::test]
async fn a_save_that_was_carried_along_is_done() {
    for is_encrypted in [false, true] {
        let world = Kind::Remote.with(|config| match is_encrypted {
            true => config.encrypt_records(),
            false => config,
        });
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let (other, unsaved) = (&mut jar.clone(), &mut jar.clone());
        let add = async |session: Session| {
            add_before(&world, &session, world.renew(other))
                .await
                .unwrap();
        };
        let (_, response) = world.visit(jar, add).await;
        assert_eq!(failure(&response), None);
        assert!(no_cookie(&response));
        assert_eq!(world.get(other, "n").await, Some(2));
        // A save that the renewal did not see is not done.
        let (saved, _) = world
            .visit(unsaved, async |session| {
                session.load().await.unwrap();
                session.insert("n", 9).unwrap();
                session.save().await
            })
            .await;
        assert_eq!(saved.unwrap_err().kind(), ErrorKind::Gone);
    }
}

/// The renewal has begun before the save, and the request asks for its save when it is done.
#[tokio::test]
async fn a_save_that_a_renewal_under_way_carries_along_is_done() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let other = &mut jar.clone();
    let add = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        world.records().at(Before, Create, Wait);
        tokio::join!(world.renew(other), async {
            world.records().reached().await;
            world.records().at(After, Update, Fail);
            assert!(session.save().await.is_err());
            world.records().go();
        });
        session.save().await.unwrap();
    };
    let (_, response) = world.visit(jar, add).await;
    assert_eq!(failure(&response), None);
    assert!(no_cookie(&response));
    assert_eq!(world.get(other, "n").await, Some(2));
}

/// The session that the renewal left has its values. A login after the save starts another one.
#[tokio::test]
async fn a_login_after_a_save_that_was_carried_along_keeps_its_own_values() {
    let world = Kind::Remote.world();
    let elsewhere = world.beside(keys());
    for server in [&world, &elsewhere] {
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let log_in = async |session: Session| {
            add_before(&world, &session, server.renew(other))
                .await
                .unwrap();
            assert_eq!(session.get::<u32>("n").unwrap(), None);
            session.renew();
            session.insert("user", "ada").unwrap();
        };
        let (_, response) = world.visit(jar, log_in).await;
        assert_eq!(failure(&response), None);
        assert_eq!(world.get(jar, "user").await, Some("ada".to_owned()));
        assert_eq!(world.get::<u32>(jar, "n").await, None);
        assert_eq!(world.get(other, "n").await, Some(2));
    }
}

/// The other session has the value of the save.
#[tokio::test]
async fn a_login_after_an_unheard_save_that_was_carried_along_keeps_the_rest() {
    for has_more in [false, true] {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let log_in = async |session: Session| {
            session.load().await.unwrap();
            session.insert("cart", 2).unwrap();
            world.records().at(After, Update, Fail);
            assert!(session.save().await.is_err());
            world.renew(other).await;
            session.renew();
            if has_more {
                session.insert("user", "ada").unwrap();
            }
        };
        let (_, response) = world.visit(jar, log_in).await;
        assert_eq!(world.get(other, "n").await, Some(1));
        assert_eq!(world.get(other, "cart").await, Some(2));
        if !has_more {
            assert_eq!(failure(&response), Some(ErrorKind::Gone));
            assert!(no_cookie(&response));
            continue;
        }
        assert_eq!(failure(&response), None);
        assert_eq!(world.get(jar, "user").await, Some("ada".to_owned()));
        assert_eq!(world.get::<u32>(jar, "cart").await, None);
    }
}

/// The session lives under an ID that this request does not know.
#[tokio::test]
async fn a_save_that_was_carried_along_ends_no_others() {
    let world = Kind::Remote.world();
    let phone = world.logged_in("ada", "phone").await;
    let jar = &mut world.logged_in("ada", "laptop").await;
    let other = &mut jar.clone();
    let end_others = async |session: Session| {
        add_before(&world, &session, world.renew(other))
            .await
            .unwrap();
        session.destroy_others().await
    };
    let (ended, _) = world.visit(jar, end_others).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Gone);
    assert!(world.is_alive(&phone).await);
    assert!(world.is_alive(other).await);
}

/// When more saves follow than a record lists, a refused one may have been pushed out or never
/// done. Saves that merely overlap are told apart from saves whose answer was lost.
#[tokio::test(start_paused = true)]
async fn savers_that_overlap_are_all_saved() {
    const SAVERS: u32 = 20;
    for (seed, servers) in (0..24).zip([1, 2].into_iter().cycle()) {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 0).await;
        let beside = world.beside(keys());
        let all_loaded = Barrier::new(usize::try_from(SAVERS).unwrap());
        let add = async |number: u32| {
            let site = match number % servers {
                0 => &world,
                _ => &beside,
            };
            let add = async |session: Session| {
                session.load().await.unwrap();
                session.update("n", one_more).unwrap();
                all_loaded.wait().await;
            };
            site.visit(&mut jar.clone(), add).await.1
        };
        let savers =
            (0..SAVERS).map(|number| now_and_then(seed * 1_000 + u64::from(number), add(number)));
        let responses = all(savers.collect()).await;
        let failed: Vec<_> = responses.iter().filter_map(failure).collect();
        assert_eq!(failed, [], "seed {seed}, {servers} servers");
        assert_eq!(world.get(jar, "n").await, Some(SAVERS), "seed {seed}");
    }
}

/// The request reads the session long before many others save, on its server or another, and saves
/// after them. The store answers that it has not applied the save, so there is nothing to find out.
#[tokio::test]
async fn a_slow_request_is_saved_behind_many() {
    for servers in [1, 2] {
        let world = Kind::Remote.world();
        let beside = world.beside(keys());
        let site = [&*world, &*beside][servers - 1];
        let jar = &mut Jar::default();
        world.put(jar, "n", 0).await;
        let other = &mut jar.clone();
        let slow = async |session: Session| {
            session.load().await.unwrap();
            for _ in 0..40 {
                let add = async |session: Session| {
                    session.load().await.unwrap();
                    session.update("n", one_more).unwrap();
                };
                site.visit(other, add).await;
            }
            session.update("n", one_more).unwrap();
            world.records().take_log();
        };
        let (_, response) = world.visit(jar, slow).await;
        assert_eq!(failure(&response), None, "{servers} servers");
        let log = world.records().take_log();
        assert_eq!(log, [Update, Load, Update], "{servers} servers");
        assert_eq!(world.get(jar, "n").await, Some(41), "{servers} servers");
    }
}

/// Another server changes the login's list again and again.
#[tokio::test]
async fn a_slow_login_is_listed_behind_many() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let beside = world.beside(keys());
        world.logged_in("ada", "first").await;
        world.rosters().at(Before, Update.of_rosters(), Wait);
        let others = async {
            world.rosters().reached().await;
            for number in 0..20 {
                beside
                    .logged_in("ada", &format!("device {number:02}"))
                    .await;
            }
            world.rosters().go();
        };
        let slow = &mut Jar::default();
        let (response, ()) = tokio::join!(world.log_in(slow, "ada", "slow"), others);
        assert_eq!(failure(&response), None, "{kind:?}");
        assert_eq!(world.notes("ada").await.len(), 22, "{kind:?}");
    }
}

/// Another server has created the record of the session.
#[tokio::test]
async fn a_slow_request_outgrows_its_cookie_behind_many() {
    let world = Kind::Overflow.world();
    let beside = world.beside(keys());
    let jar = &mut Jar::default();
    world.put(jar, "n", 0).await;
    let other = &mut jar.clone();
    let slow = async |session: Session| {
        session.load().await.unwrap();
        for _ in 0..20 {
            let grow = async |session: Session| {
                session.load().await.unwrap();
                session.update("n", one_more).unwrap();
                session.insert("large", "x".repeat(1_000)).unwrap();
            };
            beside.visit(other, grow).await;
        }
        session.update("n", one_more).unwrap();
        session.insert("other", "x".repeat(1_000)).unwrap();
    };
    let (_, response) = world.visit(jar, slow).await;
    assert_eq!(failure(&response), None);
    assert_eq!(world.get(jar, "n").await, Some(21));
}

/// All logins write the user's list.
#[tokio::test(start_paused = true)]
async fn logins_that_overlap_all_succeed() {
    for kind in Kind::REMOTE_SUBJECTS {
        for (seed, servers) in (0..6).zip([1, 2].into_iter().cycle()) {
            let world = kind.world();
            let beside = world.beside(keys());
            let log_in = async |number: u64| {
                let site = match number % servers {
                    0 => &world,
                    _ => &beside,
                };
                let device = format!("device {number:02}");
                site.log_in(&mut Jar::default(), "ada", &device).await
            };
            let logins = (0..20).map(|number| now_and_then(seed * 1_000 + number, log_in(number)));
            let responses = all(logins.collect()).await;
            let failed: Vec<_> = responses.iter().filter_map(failure).collect();
            assert_eq!(failed, [], "{kind:?}, seed {seed}, {servers} servers");
            assert_eq!(world.notes("ada").await.len(), 20, "{kind:?}, seed {seed}");
        }
    }
}
