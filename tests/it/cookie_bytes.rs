//! The size limits of cookies and records.

use http::StatusCode;
use silverback::{ErrorKind, Session};

use crate::support::{Jar, Kind, Place, failure, set_cookie};

/// The longest of these lengths whose value stays in a cookie.
async fn border(limit: usize, lens: impl Iterator<Item = usize>) -> usize {
    let world = Kind::Overflow.with_cookies(|cookies| cookies.up_to(limit));
    let mut longest = None;
    let mut has_outgrown = false;
    for len in lens {
        let jar = &mut Jar::default();
        let response = world.set(jar, "k", len).await;
        assert_eq!(response.status(), StatusCode::OK, "{limit}, {len}");
        assert!(set_cookie(&response).len() <= 4_096, "{limit}, {len}");
        assert_eq!(world.lens(jar, ["k"]).await, [Some(len)], "{limit}, {len}");
        if world.place(jar).await == Place::Cookie {
            assert!(!has_outgrown, "{limit}, {len}");
            longest = Some(len);
        } else {
            has_outgrown = true;
        }
    }
    assert!(has_outgrown, "{limit}");
    longest.unwrap()
}

/// The length of the longest value that a session of at most `max_bytes` accepts.
async fn longest(max_bytes: usize) -> usize {
    let world = Kind::Overflow.with(|config| config.max_bytes(max_bytes));
    let insert = async |session: Session| {
        session.load().await.unwrap();
        let accepts = |len: &usize| session.insert("k", "x".repeat(*len)).is_ok();
        (0..max_bytes).take_while(accepts).last().unwrap()
    };
    world.visit(&mut Jar::default(), insert).await.0
}

#[tokio::test]
async fn the_limit_counts_the_same_bytes_as_max_bytes() {
    for limit in [100, 200, 2_000] {
        let lens = limit - 60..limit + 1;
        assert_eq!(border(limit, lens).await, longest(limit).await);
    }
}

#[tokio::test]
async fn the_limit_is_the_length_of_a_cookie() {
    let longest = border(usize::MAX, 2_850..3_100).await;
    let world = Kind::Overflow.with_cookies(|cookies| cookies.up_to(usize::MAX));
    let jar = &mut Jar::default();
    let cookie = set_cookie(&world.set(jar, "k", longest).await);
    // The count leaves room for a longer revision, a renewal, and a persistent cookie.
    let lasts = "; Max-Age=34560000; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    let len = cookie.len() + lasts.len();
    assert!((4_096 - 19..=4_096).contains(&len), "{len}");
}

#[tokio::test]
async fn a_limit_of_zero_keeps_nothing_in_a_cookie() {
    let world = Kind::Overflow.with_cookies(|cookies| cookies.up_to(0));
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    assert_eq!(world.place(jar).await, Place::Record);
}

#[tokio::test]
async fn a_value_that_insert_accepts_is_saved() {
    let mut outcomes = [0; 2];
    for size in 9_900..10_000 {
        let world = Kind::Overflow.with(|config| config.max_bytes(10_000));
        let jar = &mut Jar::default();
        world.set(jar, "small", 1).await;
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("large", "x".repeat(size)).is_ok()
        };
        let (accepted, response) = world.visit(jar, write).await;
        outcomes[usize::from(accepted)] += 1;
        if accepted {
            assert_eq!(failure(&response), None, "{size}");
        }
    }
    assert!(!outcomes.contains(&0), "{outcomes:?}");
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused() {
    let world = Kind::Overflow.with(|config| config.max_bytes(10_000));
    let insert = async |session: Session| {
        session.load().await.unwrap();
        let refused = session.insert("huge", "x".repeat(10_000)).unwrap_err();
        refused.kind()
    };
    let (kind, _) = world.visit(&mut Jar::default(), insert).await;
    let is_limit = matches!(kind, ErrorKind::TooLarge { limit: 10_000, .. });
    assert!(is_limit, "{kind:?}");
}
