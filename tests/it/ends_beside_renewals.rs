//! A session that another request ends or spares while it is renewed.

use std::sync::Mutex;

use http::{Response, StatusCode};
use silverback::{
    Session,
    store::{RecordKey, RecordKind},
};

use crate::support::{
    Jar, Kind, World, failure, log_in,
    scripted::{ANY, After, Before, Fail, When},
    steps::in_between,
};

const WHENS: [When; 2] = [Before, After];

async fn id(world: &World, jar: &Jar) -> RecordKey {
    let id = async |session: Session| {
        session.load().await.unwrap();
        session.record_key().unwrap()
    };
    world.visit(&mut jar.clone(), id).await.0
}

/// Returns whether it ended another session.
async fn destroy_others(world: &World, jar: &Jar) -> bool {
    let destroy = async |session: Session| {
        session.load().await.unwrap();
        session.destroy_others().await.unwrap_or(0) > 0
    };
    let (done, response) = world.visit(&mut jar.clone(), destroy).await;
    done && failure(&response).is_none()
}

fn is_done(response: &Response<String>) -> bool {
    response.status() == StatusCode::OK
}

#[tokio::test]
async fn it_is_ended_under_its_former_name() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let old = id(&world, jar).await;
        world.renew(jar).await;
        let ended = world.subjects().destroy("ada", &old).await.unwrap();
        assert!(ended && !world.is_alive(jar).await, "{kind:?}");
    }
}

#[tokio::test]
async fn it_is_ended_at_any_call_of_its_renewal() {
    for kind in Kind::REMOTE_SUBJECTS {
        for when in WHENS {
            for n in 1.. {
                let world = kind.world();
                let mut jar = world.logged_in("ada", "laptop").await;
                let (before, old) = (jar.clone(), id(&world, &jar).await);
                let subjects = world.subjects();
                let destroy = subjects.destroy("ada", &old);
                let hook = (world.rosters(), n, when);
                let (_, ended) = in_between(hook, world.renew(&mut jar), destroy).await;
                let Some(ended) = ended else {
                    assert!(n > 3, "{kind:?}");
                    break;
                };
                let what = format!("{kind:?}, {when:?} call {n}");
                assert!(ended.unwrap(), "{what}");
                assert!(!world.is_alive(&jar).await, "{what}");
                assert!(!world.is_alive(&before).await, "{what}");
                assert_eq!(world.notes("ada").await, [""; 0], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn it_is_spared_under_its_former_name() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let other = world.logged_in("ada", "phone").await;
        let old = id(&world, jar).await;
        world.renew(jar).await;
        let ended = world.subjects().destroy_all_but("ada", &old).await;
        assert_eq!(ended.unwrap(), 1, "{kind:?}");
        assert!(world.is_alive(jar).await, "{kind:?}");
        assert!(!world.is_alive(&other).await, "{kind:?}");
    }
}

#[tokio::test]
async fn it_is_spared_at_any_call_of_its_renewal() {
    for kind in Kind::REMOTE_SUBJECTS {
        for (when, first_renews) in WHENS
            .into_iter()
            .flat_map(|when| [(when, true), (when, false)])
        {
            for n in 1.. {
                let world = kind.world();
                let mut jar = world.logged_in("ada", "laptop").await;
                let other = world.logged_in("ada", "phone").await;
                let before = jar.clone();
                let hook = (world.rosters(), n, when);
                let renew = world.renew(&mut jar);
                let end = destroy_others(&world, &before);
                let (renewed, ended, is_over) = if first_renews {
                    let (response, ended) = in_between(hook, renew, end).await;
                    (is_done(&response), ended == Some(true), ended.is_none())
                } else {
                    let (ended, response) = in_between(hook, end, renew).await;
                    let renewed = response.as_ref().is_some_and(is_done);
                    (renewed, ended, response.is_none())
                };
                if is_over {
                    assert!(n > 3, "{kind:?}");
                    break;
                }
                let what = format!("{kind:?}, {when:?} call {n}, renews first: {first_renews}");
                let lives = world.is_alive(&jar).await;
                assert!(lives, "{what}: renewed {renewed}, others ended {ended}");
                assert!(renewed, "{what}");
                assert!(!ended || !world.is_alive(&other).await, "{what}");
                assert_eq!(world.notes("ada").await.len(), if ended { 1 } else { 2 });
            }
        }
    }
}

/// A task of a login's handler ends the others while the login is saved.
#[tokio::test]
async fn a_login_is_spared_by_its_own_request() {
    for kind in Kind::REMOTE_SUBJECTS {
        for when in WHENS {
            for n in 1.. {
                let world = kind.world();
                let other = world.logged_in("ada", "phone").await;
                let (jar, kept) = (&mut Jar::default(), Mutex::new(None));
                let handler = async |session: Session| {
                    log_in(session.clone(), "ada", "laptop").await;
                    *kept.lock().unwrap() = Some(session);
                };
                let end = async {
                    let session = kept.lock().unwrap().clone().unwrap();
                    session.destroy_others().await
                };
                let hook = (world.rosters(), n, when);
                let (done, ended) = in_between(hook, world.visit(jar, handler), end).await;
                let Some(ended) = ended else {
                    assert!(n > 3, "{kind:?}");
                    break;
                };
                let what = format!("{kind:?}, {when:?} call {n}");
                assert_eq!(ended.unwrap(), 1, "{what}");
                assert!(is_done(&done.1) && world.is_alive(jar).await, "{what}");
                assert!(!world.is_alive(&other).await, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn the_session_itself_is_not_another() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let old = id(&world, jar).await;
        world.renew(jar).await;
        let destroy = async |session: Session| {
            session.load().await.unwrap();
            session.destroy_other(&old).await.unwrap()
        };
        let (ended, _) = world.visit(jar, destroy).await;
        assert!(!ended && world.is_alive(jar).await, "{kind:?}");
    }
}

/// The loser becomes a separate session, whichever call fails meanwhile.
#[tokio::test]
async fn two_logins_at_the_same_time_are_told_apart() {
    for kind in Kind::REMOTE_SUBJECTS {
        let mut both = 0;
        for n in 1..20 {
            let world = kind.world();
            let mut first = world.logged_in("ada", "laptop").await;
            let mut second = first.clone();
            let log_in_late = async |session: Session| {
                session.load().await.unwrap();
                world.log_in(&mut first, "ada", "laptop").await;
                log_in(session, "ada", "laptop").await;
                world.rosters().nth(n, Before, ANY, Fail);
            };
            let (_, response) = world.visit(&mut second, log_in_late).await;
            world.calm();
            if !is_done(&response) || !world.is_alive(&second).await {
                continue;
            }
            both += 1;
            let spared = id(&world, &second).await;
            let ended = world.subjects().destroy_all_but("ada", &spared).await;
            assert_eq!(ended.unwrap(), 1, "{kind:?}, call {n}");
            assert!(world.is_alive(&second).await, "{kind:?}, call {n}");
            assert!(!world.is_alive(&first).await, "{kind:?}, call {n}");
        }
        assert!(both > 5, "{kind:?}: {both}");
    }
}

async fn listed(world: &World) -> Vec<RecordKey> {
    let sessions = world.subjects().list("ada").await.unwrap();
    sessions
        .iter()
        .map(|session| session.record_key())
        .collect()
}

#[tokio::test]
async fn it_is_listed_under_its_living_name() {
    for when in WHENS {
        for n in 1.. {
            let world = Kind::Remote.world();
            let mut jar = world.logged_in("ada", "laptop").await;
            let records = || world.records().keys_of(RecordKind::Session);
            let look = async { (listed(&world).await, records().await) };
            let hook = (world.rosters(), n, when);
            let (_, seen) = in_between(hook, world.renew(&mut jar), look).await;
            let Some((listed, living)) = seen else {
                assert!(n > 3);
                break;
            };
            assert_eq!(listed.len(), 1, "{when:?} call {n}");
            assert!(living.contains(&listed[0]), "{when:?} call {n}");
        }
    }
}

/// The loser of two renewals begins a session without a subject.
#[tokio::test]
async fn a_loser_without_a_subject_is_not_listed() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let mut winner = world.logged_in("ada", "laptop").await;
        let mut loser = winner.clone();
        let renew_late = async |session: Session| {
            session.load().await.unwrap();
            world.renew(&mut winner).await;
            session.insert("x", 1).unwrap();
            session.renew();
        };
        let (_, response) = world.visit(&mut loser, renew_late).await;
        assert!(is_done(&response), "{kind:?}");
        assert_eq!(
            listed(&world).await,
            [id(&world, &winner).await],
            "{kind:?}"
        );
        let (lost, subjects) = (id(&world, &loser).await, world.subjects());
        assert!(!subjects.destroy("ada", &lost).await.unwrap(), "{kind:?}");
        assert_eq!(world.get(&mut loser, "x").await, Some(1), "{kind:?}");
    }
}
