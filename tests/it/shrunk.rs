//! Sessions in a record that would fit into a cookie again, and the renewal that moves them back.

use http::StatusCode;
use silverback::Session;

use crate::support::{
    HOUR, Jar, Kind, Place, World, failure, no_cookie,
    scripted::{ANY, After, Before, Create, Fail, When},
};

/// The cookies of a session that has grown and shrunk, and its earlier cookies.
async fn shrunk(world: &World) -> (Jar, Vec<Jar>) {
    let mut jar = Jar::default();
    let mut earlier = Vec::new();
    world.set(&mut jar, "small", 10).await;
    earlier.push(jar.clone());
    world.set(&mut jar, "small", 20).await;
    earlier.push(jar.clone());
    world.set(&mut jar, "large", 1_000).await;
    earlier.push(jar.clone());
    world.remove(&mut jar, "large").await;
    earlier.push(jar.clone());
    (jar, earlier)
}

/// Checks that the old ID is dead: in its record and, if ends are remembered, in each cookie.
async fn assert_dead(world: &World, earlier: &[Jar], what: &str) {
    for (at, jar) in earlier.iter().enumerate() {
        let was_cookie = at < 2 && world.kind == Kind::Overflow;
        let expected = if was_cookie {
            Place::Cookie
        } else {
            Place::Nowhere
        };
        assert_eq!(world.place(jar).await, expected, "{what}: cookie {at}");
    }
}

#[tokio::test]
async fn it_stays_in_its_record() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let (mut jar, _) = shrunk(&world).await;
        for hours in (0..48).step_by(8) {
            world.clock.advance(8 * HOUR);
            assert_eq!(world.lens(&mut jar, ["small"]).await, [Some(20)]);
            assert_eq!(world.place(&jar).await, Place::Record, "{hours} hours");
            world.put(&mut jar, "hours", hours).await;
            assert_eq!(world.place(&jar).await, Place::Record, "{hours} hours");
        }
    }
}

#[tokio::test]
async fn a_renewal_brings_it_back() {
    for kind in Kind::OVERFLOWING {
        for world in [kind.world(), kind.signed()] {
            let (mut jar, earlier) = shrunk(&world).await;
            world.renew(&mut jar).await;
            assert_eq!(world.place(&jar).await, Place::Cookie);
            assert_eq!(
                world.lens(&mut jar, ["small", "large"]).await,
                [Some(20), None]
            );
            assert_eq!(world.records().sessions().await, 0);
            assert_dead(&world, &earlier, "renewed").await;
            // It can grow again.
            world.set(&mut jar, "large", 1_000).await;
            assert_eq!(world.place(&jar).await, Place::Record);
            let lens = world.lens(&mut jar, ["small", "large"]).await;
            assert_eq!(lens, [Some(20), Some(1_000)]);
        }
    }
}

/// Another request writes while the renewal is under way. Its write decides where the session fits.
#[tokio::test]
async fn a_renewal_includes_what_others_write() {
    for kind in Kind::OVERFLOWING {
        for (len, place) in [(30, Place::Cookie), (1_000, Place::Record)] {
            let world = kind.world();
            let (mut jar, earlier) = shrunk(&world).await;
            let mut other = jar.clone();
            let renew = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                world.set(&mut other, "other", len).await;
            };
            let (_, response) = world.visit(&mut jar, renew).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(world.place(&jar).await, place);
            let lens = world.lens(&mut jar, ["small", "other"]).await;
            assert_eq!(lens, [Some(20), Some(len)]);
            let records = usize::from(place == Place::Record);
            assert_eq!(world.records().sessions().await, records);
            assert_dead(&world, &earlier, "conflict").await;
        }
    }
}

/// A save in mid-request cannot wait for the response, so it creates a record. The response saves
/// into that record.
#[tokio::test]
async fn a_renewal_saved_at_once_is_a_record() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let (mut jar, earlier) = shrunk(&world).await;
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.save().await.unwrap();
            assert_eq!(world.records().sessions().await, 1);
            session.insert("late", "x".repeat(5)).unwrap();
        };
        world.visit(&mut jar, renew).await;
        assert_eq!(world.place(&jar).await, Place::Record);
        assert_eq!(
            world.lens(&mut jar, ["small", "late"]).await,
            [Some(20), Some(5)]
        );
        assert_dead(&world, &earlier, "saved").await;
    }
}

#[tokio::test]
async fn a_renewal_after_a_save_is_a_cookie() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let (mut jar, earlier) = shrunk(&world).await;
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("early", "x".repeat(5)).unwrap();
            session.save().await.unwrap();
            session.renew();
        };
        world.visit(&mut jar, renew).await;
        assert_eq!(world.place(&jar).await, Place::Cookie);
        assert_eq!(
            world.lens(&mut jar, ["small", "early"]).await,
            [Some(20), Some(5)]
        );
        assert_dead(&world, &earlier, "saved before").await;
    }
}

/// Fails each call of the renewal in turn, in either store, and checks that there is one session or
/// none.
async fn fail_each(kind: Kind, size: usize, when: When) {
    for in_ends in [false, true] {
        for n in 1..20 {
            let world = kind.world();
            let (mut jar, earlier) = shrunk(&world).await;
            let what = format!("{kind:?}, {size} bytes, {when:?}, call {n}, {in_ends}");
            let store = if in_ends {
                world.ends()
            } else {
                world.records()
            };
            let renew = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                session.insert("value", "x".repeat(size)).unwrap();
                store.take_log();
                store.nth(n, when, ANY, Fail);
            };
            let before = jar.clone();
            let (_, response) = world.visit(&mut jar, renew).await;
            let calls = store.take_log().len();
            store.calm();
            // If only the last step failed, the response tries it again.
            if response.status().is_success() || !no_cookie(&response) {
                let lens = world.lens(&mut jar, ["small", "value"]).await;
                assert_eq!(lens, [Some(20), Some(size)], "{what}");
                // The removal of a mark may fail.
                assert_dead(&world, &earlier, &what).await;
            } else {
                assert!(failure(&response).is_some(), "{what}");
                let is_alive = world.place(&before).await != Place::Nowhere;
                let lens = world.lens(&mut jar, ["small", "value"]).await;
                assert_eq!(lens, [is_alive.then_some(20), None], "{what}");
                // A new record whose answer was lost has an ID that nobody knows.
                let unheard = usize::from(when == After && size > 500 && n == 1 && !in_ends);
                let left = usize::from(is_alive) + unheard;
                assert_eq!(world.records().sessions().await, left, "{what}");
            }
            if n > calls {
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                break;
            }
            assert!(n < 19, "{what}");
        }
    }
}

#[tokio::test]
async fn a_failing_store_leaves_one_or_none() {
    for kind in Kind::OVERFLOWING {
        for size in [30, 1_000] {
            for when in [Before, After] {
                fail_each(kind, size, when).await;
            }
        }
    }
}

#[tokio::test]
async fn a_failed_renewal_leaves_it_as_it_was() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.set(jar, "large", 1_000).await;
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.records().every(Before, Create, Fail);
    };
    let (_, response) = world.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    world.records().calm();
    assert!(world.is_alive(jar).await);
    world.set(jar, "answered", 10).await;
    world.remove(jar, "large").await;
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert_eq!(
        world.lens(jar, ["answered", "large"]).await,
        [Some(10), None]
    );
    assert!(world.is_alive(jar).await);
}

#[tokio::test]
async fn a_logout_after_the_renewal_ends_it() {
    let world = Kind::RevocableOverflow.world();
    let (mut jar, mut earlier) = shrunk(&world).await;
    world.renew(&mut jar).await;
    earlier.push(jar.clone());
    world.destroy(&mut jar).await;
    assert_dead(&world, &earlier, "destroyed").await;
}

#[tokio::test]
async fn it_is_listed_after_the_renewal() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.set(jar, "large", 1_000).await;
    world.remove(jar, "large").await;
    let ids = async || -> Vec<_> {
        let listed = world.subjects().list("ada").await.unwrap();
        listed.iter().map(|session| session.record_key()).collect()
    };
    let before = ids().await;
    world.renew(jar).await;
    assert_eq!(world.place(jar).await, Place::Cookie);
    let after = ids().await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert!(world.subjects().destroy("ada", &after[0]).await.unwrap());
    assert!(!world.is_alive(jar).await);
    assert!(world.notes("ada").await.is_empty());
}

#[tokio::test]
async fn all_are_ended_after_the_renewal() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.set(jar, "large", 1_000).await;
    world.remove(jar, "large").await;
    world.renew(jar).await;
    assert_eq!(world.destroy_all("ada").await, 1);
    assert!(!world.is_alive(jar).await);
}
