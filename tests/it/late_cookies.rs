//! Session cookies older than the session's record, and records that no browser has heard of.

use std::time::Duration;

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{HOUR, Jar, Kind, MINUTE, Place, SECOND, START, World, failure, no_cookie};

/// A session in a cookie, of which another request still has a copy.
async fn started(world: &World) -> (Jar, Jar) {
    let mut jar = Jar::default();
    world.set(&mut jar, "small", 10).await;
    (jar.clone(), jar)
}

#[tokio::test]
async fn a_record_that_nobody_used_gives_way() {
    // How far ahead the clock of the server that made the first cookie is.
    for skew in [Duration::ZERO, 30 * SECOND] {
        let world = Kind::Overflow.world();
        let jar = &mut Jar::default();
        world.clock.set(START.saturating_add(skew));
        world.set(jar, "small", 10).await;
        world.set_lost(jar, "lost", 1_000).await;
        world.clock.set(START); // the next server
        if !skew.is_zero() {
            world.clock.advance(20 * SECOND);
        }
        // A new cookie, which reaches the browser.
        world.set(jar, "answered", 20).await;
        let response = world.set(jar, "large", 2_000).await;
        assert_eq!(response.status(), StatusCode::OK);
        let lens = world.lens(jar, ["answered", "large", "lost"]).await;
        assert_eq!(lens, [Some(20), Some(2_000), None], "{skew:?}");
    }
}

#[tokio::test]
async fn one_that_gave_way_gives_way_again() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    for len in 10..15 {
        world.set(jar, "answered", len).await;
        world.set_lost(jar, "lost", 1_000 + len).await;
    }
    world.set(jar, "answered", 20).await;
    world.set(jar, "large", 2_000).await;
    let lens = world.lens(jar, ["answered", "large", "lost"]).await;
    assert_eq!(lens, [Some(20), Some(2_000), None]);
}

#[tokio::test]
async fn a_record_in_use_does_not_give_way() {
    let world = Kind::Overflow.world();
    let (mut first, mut late) = started(&world).await;
    world.set(&mut first, "large", 1_000).await;
    world.set(&mut first, "answered", 20).await;
    // Two cookies later, in the browser that never heard of the record.
    for len in [11, 12] {
        world.set(&mut late, "small", len).await;
    }
    world.set(&mut late, "larger", 2_000).await;
    for jar in [&mut first, &mut late] {
        let lens = world.lens(jar, ["answered", "large", "larger"]).await;
        assert_eq!(lens, [Some(20), Some(1_000), Some(2_000)]);
    }
}

/// A request is slow, and its response is lost. Meanwhile another request with an older cookie
/// creates the record.
#[tokio::test]
async fn a_record_in_use_is_not_replaced() {
    let world = Kind::Overflow.world();
    let (mut first, mut jar) = started(&world).await;
    world.clock.advance(MINUTE);
    world.set(&mut jar, "tiny", 5).await;
    let slow = &mut jar.clone();
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.insert("slow", "x".repeat(900)).unwrap();
        world.set(&mut first, "large", 1_000).await;
        jar = first.clone();
        world.set(&mut jar, "answered", 20).await;
        assert_eq!(world.lens(&mut jar, ["answered"]).await, [Some(20)]);
    };
    world.visit(slow, grow).await;
    let lens = world.lens(&mut jar, ["large", "answered", "slow"]).await;
    assert_eq!(lens, [Some(1_000), Some(20), Some(900)]);
}

#[tokio::test]
async fn the_last_response_wins() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let (mut jar, mut late) = started(&world).await;
        let slow = async |session: Session| {
            session.load().await.unwrap();
            session.insert("late", "x".repeat(20)).unwrap();
            world.set(&mut jar, "large", 1_000).await;
            world.set(&mut jar, "own", 30).await;
        };
        world.visit(&mut late, slow).await;
        assert_eq!(world.place(&late).await, Place::Cookie, "{kind:?}");
        let all = ["small", "late", "own", "large"];
        let lens = world.lens(&mut late, all).await;
        assert_eq!(lens, [Some(10), Some(20), None, None]);
        // After outgrowing its cookie again, the session is the record's, with this change.
        world.set(&mut late, "larger", 2_000).await;
        assert_eq!(world.place(&late).await, Place::Record, "{kind:?}");
        let lens = world.lens(&mut late, ["own", "large", "larger"]).await;
        assert_eq!(lens, [Some(30), Some(1_000), Some(2_000)]);
    }
}

/// A read refreshes the cookie in the second half of the idle timeout.
#[tokio::test]
async fn a_refreshed_cookie_is_not_a_later_one() {
    let world = Kind::Overflow.world();
    let (mut jar, lost) = started(&world).await;
    world.set_lost(&lost, "lost", 1_000).await;
    let before = jar.value("s").to_owned();
    world.clock.advance(13 * HOUR);
    world.lens(&mut jar, ["small"]).await;
    assert_ne!(jar.value("s"), before);
    // It holds the values that the record was made from.
    world.set(&mut jar, "large", 2_000).await;
    let lens = world.lens(&mut jar, ["small", "large", "lost"]).await;
    assert_eq!(lens, [Some(10), Some(2_000), Some(1_000)]);
}

#[tokio::test]
async fn a_late_cookie_is_dead_after_a_logout() {
    let world = Kind::RevocableOverflow.world();
    let (mut jar, mut late) = started(&world).await;
    world.set(&mut jar, "large", 1_000).await;
    let slow = async |session: Session| {
        session.load().await.unwrap();
        session.insert("late", "x".repeat(1_000)).unwrap();
        world.destroy(&mut jar).await;
    };
    let (_, response) = world.visit(&mut late, slow).await;
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
    assert_eq!(world.place(&late).await, Place::Nowhere);
    assert_eq!(world.records().sessions().await, 0);
}

/// The session grew in mid-request, and so did that of another request.
#[tokio::test]
async fn a_record_of_two_lost_answers_gives_way() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.set(jar, "small", 10).await;
    let two = &mut jar.clone();
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.insert("one", "x".repeat(700)).unwrap();
        session.save().await.unwrap();
        world.set(two, "two", 800).await;
        session.insert("more", "x".repeat(10)).unwrap();
    };
    world.visit(&mut jar.clone(), grow).await; // both responses get lost
    world.set(jar, "answered", 20).await;
    world.set(jar, "large", 1_000).await;
    let lens = world.lens(jar, ["answered", "large"]).await;
    assert_eq!(lens, [Some(20), Some(1_000)]);
}
