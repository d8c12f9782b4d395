//! Sessions in a cookie that can be ended, because a store remembers the ends.

use http::StatusCode;
use silverback::{ErrorKind, Rejection, Session, store::RecordKind};

use crate::support::{
    Jar, Kind, MINUTE, SECOND, Site, World, failure, no_cookie,
    scripted::{Before, Create, Fail, Load},
    set_cookie,
};

const KINDS: [Kind; 2] = [Kind::Revocable, Kind::RemoteRevocable];

async fn logged_in(site: &Site) -> Jar {
    let mut jar = Jar::default();
    site.put(&mut jar, "user", 7).await;
    jar
}

async fn look(world: &World, jar: &Jar) -> (Option<u8>, Option<Rejection>) {
    let look = async |session: Session| {
        session.load().await.unwrap();
        (session.get("user").unwrap(), session.rejection())
    };
    world.visit(&mut jar.clone(), look).await.0
}

/// Checks that a cookie is dead, and is rejected for this reason for a minute.
async fn assert_dead(world: &World, jar: &Jar, reason: Rejection) {
    assert_eq!(look(world, jar).await, (None, Some(reason)));
    world.clock.advance(MINUTE);
    assert_eq!(look(world, jar).await, (None, Some(Rejection::Revoked)));
}

#[tokio::test]
async fn a_copy_is_worthless_after_logout() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut logged_in(&world).await;
        let stolen = jar.clone();
        assert_eq!(look(&world, &stolen).await, (Some(7), None));
        let response = world.destroy(jar).await;
        assert!(set_cookie(&response).contains("Max-Age=0"));
        assert_dead(&world, &stolen, Rejection::Ended).await;
        let ends = world.ends().count(RecordKind::End).await;
        assert_eq!(ends, 1, "one hash is remembered");
    }
}

#[tokio::test]
async fn every_cookie_of_the_session_ends_with_it() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut logged_in(&world).await;
        let older = jar.clone();
        world.put(jar, "more", 1).await;
        assert_ne!(older.value("s"), jar.value("s"));
        world.destroy(jar).await;
        assert_dead(&world, &older, Rejection::Ended).await;
    }
}

/// The newer cookie is from an overlapping request, whose response has not arrived yet.
#[tokio::test]
async fn a_logout_with_an_expired_cookie_ends_its_newer_one() {
    for kind in KINDS {
        let world = kind.with(|config| config.idle_timeout(5 * MINUTE));
        let jar = &mut logged_in(&world).await;
        let newer = &mut jar.clone();
        world.clock.advance(5 * MINUTE - SECOND);
        world.put(newer, "more", 1).await;
        world.clock.advance(2 * SECOND);
        world.destroy(jar).await;
        assert_dead(&world, newer, Rejection::Ended).await;
    }
}

#[tokio::test]
async fn no_request_in_flight_brings_it_back() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut logged_in(&world).await;
        let other = &mut jar.clone();
        let (_, response) = world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("slow", 1).unwrap();
                world.destroy(other).await;
            })
            .await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone));
        assert!(no_cookie(&response));
        assert_dead(&world, jar, Rejection::Ended).await;
    }
}

#[tokio::test]
async fn a_renewal_ends_the_old_cookie() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut logged_in(&world).await;
        let old = jar.clone();
        world.renew(jar).await;
        assert_dead(&world, &old, Rejection::Renewed).await;
        assert_eq!(look(&world, jar).await, (Some(7), None));
    }
}

#[tokio::test]
async fn without_it_only_the_browser_forgets() {
    let world = Kind::Cookie.world();
    let jar = &mut logged_in(&world).await;
    let copy = jar.clone();
    world.destroy(jar).await;
    assert_eq!(look(&world, &copy).await, (Some(7), None));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_an_error() {
    let world = Kind::RemoteRevocable.world();
    let jar = &mut logged_in(&world).await;
    world.ends().at(Before, Load, Fail);
    let (error, _) = world
        .visit(jar, async |session| session.load().await.unwrap_err())
        .await;
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
}

#[tokio::test]
async fn an_end_that_cannot_be_remembered_is_no_logout() {
    let world = Kind::RemoteRevocable.world();
    let jar = &mut logged_in(&world).await;
    world.ends().every(Before, Create, Fail);
    let logout = async |session: Session| session.destroy().await.unwrap_err();
    let (error, response) = world.visit(jar, logout).await;
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    assert!(no_cookie(&response));
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    world.ends().calm();
    assert_eq!(look(&world, jar).await, (Some(7), None));
}

#[tokio::test]
async fn a_store_that_never_waits_needs_no_load() {
    let world = Kind::Revocable.world();
    let jar = &mut Jar::default();
    world
        .visit(jar, async |session| session.insert("user", 7).unwrap())
        .await;
    let copy = &mut jar.clone();
    world.destroy(jar).await;
    let user = async |session: Session| session.get::<u8>("user").unwrap();
    assert_eq!(world.visit(copy, user).await.0, None);
}

#[tokio::test]
async fn a_long_lived_handler_can_log_out() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut logged_in(&world).await;
        let keep = async |session: Session| {
            session.load().await.unwrap();
            session
        };
        let (socket, _) = world.visit(jar, keep).await;
        socket.destroy().await.unwrap();
        assert_dead(&world, jar, Rejection::Ended).await;
    }
}
