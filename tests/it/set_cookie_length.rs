//! A `Set-Cookie` header is never longer than 4,096 bytes, attributes included.

use std::time::Duration;

use http::StatusCode;
use silverback::{CookieAttributes, ErrorKind, Session};

use crate::support::{DAY, Jar, Kind, set_cookie};

const LIMIT: usize = 4_096;

type Attributes = fn(CookieAttributes) -> CookieAttributes;

fn same(attributes: CookieAttributes) -> CookieAttributes {
    attributes
}

fn long(attributes: CookieAttributes) -> CookieAttributes {
    attributes
        .path(format!("/{}", "a".repeat(1_000)))
        .domain("a.very.long.name.example.com")
}

/// Inserts the largest value that is accepted.
fn fill(session: &Session) -> usize {
    let fits = |len: &usize| session.insert("x", "x".repeat(*len)).is_ok();
    (1_000..4_000).take_while(fits).last().unwrap()
}

#[tokio::test]
async fn an_accepted_value_is_sent() {
    for (kind, attributes) in [
        (Kind::Cookie, same as Attributes),
        (Kind::Cookie, long),
        (Kind::Revocable, same),
    ] {
        let world = kind.world();
        let jar = &mut Jar::default();
        let write = async |session: Session| {
            session.set_attributes(attributes).unwrap();
            session.persist_for(400 * DAY);
            fill(&session)
        };
        let (len, response) = world.visit(jar, write).await;
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = set_cookie(&response);
        assert!(
            (LIMIT - 12..=LIMIT).contains(&cookie.len()),
            "{}",
            cookie.len()
        );
        let read = async |session: Session| session.get::<String>("x").unwrap().map(|x| x.len());
        assert_eq!(world.visit(jar, read).await.0, Some(len));
    }
}

#[tokio::test]
async fn a_full_session_can_still_be_kept_for_long() {
    let world = Kind::Cookie.world();
    let jar = &mut Jar::default();
    world.visit(jar, async |session| fill(&session)).await;
    let (_, response) = world
        .visit(jar, async |session| session.persist_for(400 * DAY))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(set_cookie(&response).len() <= LIMIT);
}

#[tokio::test]
async fn attributes_that_leave_no_room_are_refused() {
    let world = Kind::Cookie.world();
    let jar = &mut Jar::default();
    world.visit(jar, async |session| fill(&session)).await;
    let (kind, response) = world
        .visit(jar, async |session| {
            session.update("n", |n: &mut u8| *n += 1).unwrap_err();
            session.remove("x").unwrap();
            session.insert("x", "x".repeat(2_000)).unwrap();
            session.set_attributes(long).unwrap_err().kind()
        })
        .await;
    assert!(
        matches!(kind, ErrorKind::TooLarge { limit: LIMIT, .. }),
        "{kind:?}"
    );
    assert!(set_cookie(&response).ends_with("; Path=/"));
}

#[tokio::test]
async fn a_session_with_long_attributes_overflows_earlier() {
    let world = Kind::Overflow.with_cookies(|cookies| cookies.up_to(usize::MAX));
    for (attributes, overflows) in [(same as Attributes, false), (long, true)] {
        let jar = &mut Jar::default();
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.set_attributes(attributes).unwrap();
            session.insert("x", "x".repeat(2_500)).unwrap();
        };
        let (_, response) = world.visit(jar, write).await;
        let is_short = set_cookie(&response).len() < 2_000;
        assert_eq!(is_short, overflows);
    }
}

/// Java's `CookieManager` quotes a cookie that has `Max-Age` without `Expires`.
#[tokio::test]
async fn expires_agrees_with_max_age() {
    for kind in Kind::PLAIN {
        let lasts = [20, 30, 60].map(|days| days * DAY);
        let world = kind.with(|config| {
            let config = config.idle_timeout(lasts[0]).max_age(lasts[1]);
            config.absolute_timeout(lasts[2])
        });
        let jar = &mut Jar::default();
        let count = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u8| *n += 1).unwrap();
        };
        let (_, response) = world.visit(jar, count).await;
        // START is Fri, 15 Jan 2027 08:00:00 GMT.
        let expected = "; Max-Age=2592000; Expires=Sun, 14 Feb 2027 08:00:00 GMT; ";
        assert!(
            set_cookie(&response).contains(expected),
            "{}",
            set_cookie(&response)
        );
        world.clock.advance(10 * DAY + Duration::from_secs(61));
        let (_, response) = world.visit(jar, count).await;
        let expected = "; Max-Age=2592000; Expires=Wed, 24 Feb 2027 08:01:01 GMT; ";
        assert!(
            set_cookie(&response).contains(expected),
            "{}",
            set_cookie(&response)
        );
        let (_, response) = world
            .visit(jar, async |session| session.persist_for(DAY))
            .await;
        let expected = "; Max-Age=86400; Expires=Tue, 26 Jan 2027 08:01:01 GMT; ";
        assert!(
            set_cookie(&response).contains(expected),
            "{}",
            set_cookie(&response)
        );
        let session_only = async |session: Session| session.until_browser_closes();
        let (_, response) = world.visit(jar, session_only).await;
        assert!(!set_cookie(&response).contains("Expires"));
    }
}
