//! The time at which a visitor last proved who they are.

use http::StatusCode;
use silverback::{Session, Timestamp};

use crate::support::{HOUR, Jar, Kind, MINUTE, START, World};

const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];

async fn authenticated(world: &World, jar: &mut Jar) -> Option<Timestamp> {
    let at = async |session: Session| {
        session.load().await.unwrap();
        session.authenticated_at().unwrap()
    };
    world.visit(jar, at).await.0
}

#[tokio::test]
async fn a_renewal_sets_the_time() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        assert_eq!(authenticated(&world, jar).await, None, "{kind:?}");
        for _ in 0..2 {
            world.clock.advance(HOUR);
            let now = Some(world.clock.now());
            let at_once = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                session.authenticated_at().unwrap()
            };
            assert_eq!(world.visit(jar, at_once).await.0, now, "{kind:?}");
            world.clock.advance(MINUTE);
            world.put(jar, "cart", 4).await;
            assert_eq!(authenticated(&world, jar).await, now, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_renewal_before_the_session_is_loaded_counts() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        let renew = async |session: Session| {
            session.renew();
            session.load().await.unwrap();
            session.authenticated_at().unwrap()
        };
        assert_eq!(world.visit(jar, renew).await.0, Some(START), "{kind:?}");
        world.clock.advance(MINUTE);
        world.renew(jar).await;
        let now = Some(world.clock.now());
        assert_eq!(
            authenticated(&world, jar).await,
            now,
            "{kind:?}, never loaded"
        );
    }
}

/// The values of a failed login are not kept either.
#[tokio::test]
async fn a_login_that_fails_has_authenticated_nobody() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        let log_in = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
        };
        let before = jar.value("s").to_owned();
        world
            .answer(jar, StatusCode::INTERNAL_SERVER_ERROR, log_in)
            .await;
        assert_ne!(jar.value("s"), before, "{kind:?}: a new ID stays new");
        assert_eq!(authenticated(&world, jar).await, None, "{kind:?}");
    }
}

#[tokio::test]
async fn it_moves_with_the_session_between_cookie_and_record() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        world.renew(jar).await;
        world.clock.advance(MINUTE);
        for len in [600, 800, 1] {
            world.set(jar, "long", len).await;
            assert_eq!(authenticated(&world, jar).await, Some(START), "{len}");
        }
        world.renew(jar).await;
        let now = Some(world.clock.now());
        assert_eq!(authenticated(&world, jar).await, now, "in its cookie again");
    }
}

#[tokio::test]
async fn overlapping_requests_keep_it() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        world.renew(jar).await;
        world.clock.advance(MINUTE);
        let slow = async |session: Session| {
            session.load().await.unwrap();
            world.put(&mut jar.clone(), "other", 1).await;
            session.insert("cart", 4).unwrap();
        };
        world.visit(&mut jar.clone(), slow).await;
        assert_eq!(authenticated(&world, jar).await, Some(START), "{kind:?}");
    }
}
