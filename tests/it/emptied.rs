//! An empty session ends, with its record and its cookie.

use http::Response;
use silverback::{ErrorKind, Session};
use tokio::{sync::Barrier, time::sleep};

use crate::support::{
    DAY, Jar, Kind, SECOND, World, failure, no_cookie, one_more,
    schedule::until_it_hangs,
    scripted::{After, Before, Delete, Fail, Hang, Update, Wait},
    set_cookie,
};

const ALL: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];
/// Kinds with a record, which other requests may write meanwhile.
const IN_RECORDS: [Kind; 4] = [
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

async fn empty(session: &Session) {
    session.load().await.unwrap();
    assert!(session.remove("cart").unwrap());
}

/// Empties the session and saves it, but gets no answer.
async fn empty_unheard(world: &World, session: &Session) {
    empty(session).await;
    world.records().at(After, Update, Hang);
    assert!(until_it_hangs(session.save()).await.is_none());
}

fn is_removed(response: &Response<String>) -> bool {
    set_cookie(response).starts_with("s=; Max-Age=0;")
}

#[tokio::test]
async fn record_and_cookie_go() {
    for kind in ALL {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let (_, response) = world
            .visit(jar, async |session| empty(&session).await)
            .await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert!(is_removed(&response) && jar.0.is_empty(), "{kind:?}");
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
        assert_eq!(world.ends().keys(), [], "{kind:?}: nobody has logged out");
    }
}

/// A renewal locks out anyone who has an older cookie.
#[tokio::test]
async fn its_old_cookies_are_dead_if_it_was_to_be_renewed() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "other", 1).await;
        let small = jar.clone();
        world.put(jar, "cart", "x".repeat(600)).await;
        let grown = jar.clone();
        let request = async |session: Session| {
            session.load().await.unwrap();
            session.clear().unwrap();
            session.renew();
        };
        let (_, response) = world.visit(jar, request).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert!(is_removed(&response), "{kind:?}");
        for mut old in [small, grown] {
            let other: Option<u32> = world.get(&mut old, "other").await;
            assert_eq!(other, None, "{kind:?}");
        }
    }
}

/// Another request has just moved it into a record.
#[tokio::test]
async fn its_record_goes_if_it_was_to_be_renewed() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut Jar::default();
    world.put(jar, "other", 1).await;
    let mut beside = jar.clone();
    let request = async |session: Session| {
        session.load().await.unwrap();
        world
            .put(&mut beside.clone(), "cart", "x".repeat(600))
            .await;
        session.clear().unwrap();
        session.renew();
    };
    let (_, response) = world.visit(jar, request).await;
    assert_eq!(failure(&response), None);
    assert_eq!(world.get::<u32>(&mut beside, "other").await, None);
    assert_eq!(world.records().sessions().await, 0);
}

#[tokio::test]
async fn one_with_a_subject_or_made_to_last_stays() {
    for kind in ALL {
        for persists in [false, true] {
            let has_subjects = !matches!(kind, Kind::Cookie | Kind::Overflow);
            if !persists && !has_subjects {
                continue;
            }
            let world = kind.world();
            let jar = &mut world.grown().await;
            let request = async |session: Session| {
                empty(&session).await;
                if persists {
                    session.persist_for(2 * DAY);
                } else {
                    session.set_subject("ada", "laptop").unwrap();
                }
            };
            let (_, response) = world.visit(jar, request).await;
            assert_eq!(failure(&response), None, "{kind:?}");
            let is_new = async |session: Session| {
                session.load().await.unwrap();
                session.is_new().unwrap()
            };
            let is_new = world.visit(jar, is_new).await.0;
            assert!(!is_new, "{kind:?}, {persists}");
        }
    }
}

#[tokio::test]
async fn one_that_is_filled_again_stays() {
    for kind in ALL {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let request = async |session: Session| {
            empty(&session).await;
            session.insert("other", 1).unwrap();
        };
        world.visit(jar, request).await;
        assert_eq!(world.get(jar, "other").await, Some(1), "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_is_filled_after_a_save_is_another() {
    for kind in IN_RECORDS {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let old = jar.clone();
        let request = async |session: Session| {
            empty(&session).await;
            session.save().await.unwrap();
            session.insert("other", 1).unwrap();
        };
        let (_, response) = world.visit(jar, request).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert_eq!(world.get(jar, "other").await, Some(1), "{kind:?}");
        assert_eq!(world.get::<u32>(&mut old.clone(), "other").await, None);
    }
}

/// What another request does to the session meanwhile.
async fn meanwhile<F: AsyncFnOnce(&World, &mut Jar)>(
    kind: Kind,
    other: F,
) -> (World, Jar, Response<String>) {
    let world = kind.world();
    let mut jar = world.grown().await;
    let mut copy = jar.clone();
    let request = async |session: Session| {
        empty(&session).await;
        other(&world, &mut copy).await;
    };
    let (_, response) = world.visit(&mut jar, request).await;
    if jar.value("s").is_empty() || response.status().is_success() {
        return (world, jar, response);
    }
    (world, copy, response)
}

#[tokio::test]
async fn values_of_another_request_are_kept() {
    for kind in IN_RECORDS {
        let put = async |world: &World, jar: &mut Jar| {
            assert_eq!(failure(&world.put(jar, "other", 1).await), None);
        };
        let (world, mut jar, response) = meanwhile(kind, put).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
        assert_eq!(world.get(&mut jar, "other").await, Some(1), "{kind:?}");
        assert_eq!(
            world.get::<String>(&mut jar, "cart").await,
            None,
            "{kind:?}"
        );
    }
}

/// Another request changes the last value before it is removed.
#[tokio::test]
async fn its_last_value_may_have_changed() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let other = &mut jar.clone();
        let remove = async |session: Session| {
            session.load().await.unwrap();
            assert!(session.remove("n").unwrap());
            world.put(other, "n", 2).await;
        };
        let (_, response) = world.visit(jar, remove).await;
        assert!(is_removed(&response), "{kind:?}");
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_renewal_meanwhile_has_moved_it() {
    for kind in Kind::ENDED_BY_SERVER {
        let renew = async |world: &World, jar: &mut Jar| drop(world.renew(jar).await);
        let (world, mut jar, response) = meanwhile(kind, renew).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
        let cart: Option<String> = world.get(&mut jar, "cart").await;
        assert!(cart.is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_logout_meanwhile_was_first() {
    for kind in Kind::ENDED_BY_SERVER {
        let destroy = async |world: &World, jar: &mut Jar| drop(world.destroy(jar).await);
        let (_, _, response) = meanwhile(kind, destroy).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
    }
}

#[tokio::test]
async fn two_requests_may_empty_it() {
    for kind in ALL {
        let empty_too = async |world: &World, jar: &mut Jar| {
            let (_, response) = world
                .visit(jar, async |session| empty(&session).await)
                .await;
            assert_eq!(failure(&response), None, "{kind:?}");
        };
        let (world, mut jar, response) = meanwhile(kind, empty_too).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        // If there was a record, only the first response removes the cookie.
        assert_eq!(no_cookie(&response), IN_RECORDS.contains(&kind), "{kind:?}");
        let is_new = async |session: Session| {
            session.load().await.unwrap();
            session.is_new().unwrap()
        };
        assert!(world.visit(&mut jar, is_new).await.0, "{kind:?}");
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
    }
}

/// One write saves both requests. Only the one that has emptied the session removes it.
#[tokio::test(start_paused = true)]
async fn one_that_another_request_empties_is_gone_for_later_writes() {
    let world = Kind::Remote.in_time();
    let jar = &mut Jar::default();
    world.put(jar, "n", 0).await;
    let [mut one, mut other, mut third] = [jar.clone(), jar.clone(), jar.clone()];
    let (loaded, changed) = (Barrier::new(3), Barrier::new(3));
    let counting = world.visit(&mut one, async |session| {
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        loaded.wait().await;
        changed.wait().await;
        session.save().await.unwrap();
        assert!(session.is_empty().unwrap(), "the other request came later");
        // The other request removes the record meanwhile.
        sleep(SECOND).await;
        session.update("n", one_more).unwrap();
    });
    let emptying = world.visit(&mut other, async |session| {
        session.load().await.unwrap();
        assert!(session.remove("n").unwrap());
        loaded.wait().await;
        changed.wait().await;
        session.save().await.unwrap();
    });
    // Both lose their first attempts.
    let between = async {
        loaded.wait().await;
        world.put(&mut third, "n", 5).await;
        changed.wait().await;
    };
    let ((_, counted), (_, emptied), ()) = tokio::join!(counting, emptying, between);
    assert_eq!(failure(&counted), Some(ErrorKind::Gone));
    assert!(no_cookie(&counted), "a newer session may have one");
    assert_eq!(failure(&emptied), None);
    assert!(is_removed(&emptied));
    assert_eq!(world.records().sessions().await, 0);
}

/// One write saves both requests, and both have emptied the session. A second removal of the
/// cookie could hit a newer one.
#[tokio::test(start_paused = true)]
async fn one_that_two_requests_empty_together_is_removed_by_one() {
    let world = Kind::Remote.in_time();
    let jar = &mut Jar::default();
    world.put(jar, "n", 0).await;
    let [mut one, mut other, mut third] = [jar.clone(), jar.clone(), jar.clone()];
    let (loaded, changed) = (Barrier::new(3), Barrier::new(3));
    let (loaded, changed) = (&loaded, &changed);
    let emptying = async |session: Session| {
        session.load().await.unwrap();
        assert!(session.remove("n").unwrap());
        loaded.wait().await;
        changed.wait().await;
    };
    // Both lose their first attempts.
    let between = async {
        loaded.wait().await;
        world.put(&mut third, "n", 5).await;
        changed.wait().await;
    };
    let first = world.visit(&mut one, emptying);
    let second = world.visit(&mut other, emptying);
    let ((_, first), (_, second), ()) = tokio::join!(first, second, between);
    assert_eq!((failure(&first), failure(&second)), (None, None));
    assert_ne!(no_cookie(&first), no_cookie(&second));
    assert_eq!(world.records().sessions().await, 0);
}

/// Both have written the session empty before either removes it.
#[tokio::test]
async fn one_that_two_requests_empty_one_after_the_other_is_removed_by_one() {
    let world = Kind::Remote.world();
    let jar = world.grown().await;
    let (mut one, mut other) = (jar.clone(), jar.clone());
    let (loaded, is_written) = (Barrier::new(2), Barrier::new(2));
    world.records().at(Before, Delete, Wait);
    let first = world.visit(&mut one, async |session| {
        session.load().await.unwrap();
        loaded.wait().await;
        empty(&session).await;
    });
    let second = world.visit(&mut other, async |session| {
        session.load().await.unwrap();
        loaded.wait().await;
        is_written.wait().await;
        empty(&session).await;
    });
    let second = async {
        let (_, response) = second.await;
        world.records().go();
        response
    };
    let order = async {
        world.records().reached().await;
        is_written.wait().await;
    };
    let ((_, first), second, ()) = tokio::join!(first, second, order);
    assert_eq!((failure(&first), failure(&second)), (None, None));
    assert!(is_removed(&first));
    assert!(no_cookie(&second), "a second removal could hit a newer one");
    assert_eq!(world.records().sessions().await, 0);
}

/// Another request fills the session just before its record is removed.
#[tokio::test]
async fn one_that_is_filled_at_the_last_moment_lives() {
    let world = Kind::Remote.world();
    let jar = world.grown().await;
    let (mut one, mut other) = (jar.clone(), jar.clone());
    world.records().at(Before, Delete, Wait);
    let emptying = world.visit(&mut one, async |session| empty(&session).await);
    let filling = async {
        world.records().reached().await;
        let response = world.put(&mut other, "other", 1).await;
        world.records().go();
        response
    };
    let ((_, response), filled) = tokio::join!(emptying, filling);
    assert_eq!((failure(&response), failure(&filled)), (None, None));
    assert!(no_cookie(&response), "it lives");
    assert_eq!(world.get(&mut jar.clone(), "other").await, Some(1));
}

/// The session gets the new ID that the request asked for.
#[tokio::test]
async fn one_that_is_filled_and_renewed_moves() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let old = jar.clone();
    world.records().at(Before, Delete, Wait);
    let emptying = world.visit(jar, async |session| {
        empty(&session).await;
        session.renew();
    });
    let filling = async {
        world.records().reached().await;
        world.put(&mut old.clone(), "other", 1).await;
        world.records().go();
    };
    let ((_, response), ()) = tokio::join!(emptying, filling);
    assert_eq!(failure(&response), None);
    assert_eq!(world.get(jar, "other").await, Some(1));
    assert_eq!(world.get::<u32>(&mut old.clone(), "other").await, None);
}

#[tokio::test]
async fn one_that_is_filled_and_ended_is_gone() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let other = &mut jar.clone();
    world.records().at(Before, Delete, Wait);
    let emptying = world.visit(jar, async |session| empty(&session).await);
    let ending = async {
        world.records().reached().await;
        world.put(other, "other", 1).await;
        world.destroy(other).await;
        world.records().go();
    };
    let ((_, response), ()) = tokio::join!(emptying, ending);
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
}

/// While the record is there, any request may fill it, and the browser has to find that.
#[tokio::test]
async fn one_whose_record_cannot_be_removed_keeps_its_cookie() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let copy = jar.clone();
    let request = async |session: Session| {
        empty(&session).await;
        world.records().at(Before, Delete, Fail);
    };
    let (_, response) = world.visit(jar, request).await;
    assert!(failure(&response).is_none() && no_cookie(&response));
    assert_eq!(world.get::<String>(jar, "cart").await, None);
    world.put(&mut copy.clone(), "other", 1).await;
    assert_eq!(world.get(jar, "other").await, Some(1));
}

#[tokio::test]
async fn one_whose_answer_got_lost_is_emptied_once() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let request = async |session: Session| {
        empty_unheard(&world, &session).await;
    };
    let (_, response) = world.visit(jar, request).await;
    assert!(failure(&response).is_none() && is_removed(&response));
    assert_eq!(world.records().sessions().await, 0);
}

/// The record was left empty by this very request, whose answer got lost.
#[tokio::test]
async fn one_that_is_filled_and_emptied_after_a_lost_answer_goes() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let request = async |session: Session| {
        empty_unheard(&world, &session).await;
        session.insert("other", 1).unwrap();
        assert!(session.remove("other").unwrap());
    };
    let (_, response) = world.visit(jar, request).await;
    assert!(failure(&response).is_none() && is_removed(&response));
    assert_eq!(world.records().sessions().await, 0);
}
