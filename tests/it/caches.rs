//! What a response allows caches to do.

use http::{HeaderName, Response, StatusCode, header::CACHE_CONTROL};
use silverback::{Clock, Session, SessionLayer};

use crate::support::{
    Jar, Kind, START, Site, Stores, keys, no_cookie,
    scripted::{ANY, Before, Fail},
};

const KINDS: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

fn response_with(headers: &[(&str, &str)]) -> Response<String> {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(String::new()).unwrap()
}

fn all(response: &Response<String>, name: HeaderName) -> Vec<&str> {
    let values = response.headers().get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

async fn read(session: Session) {
    session.load().await.unwrap();
    session.get::<u8>("n").unwrap();
}

async fn write(session: Session) {
    session.load().await.unwrap();
    session.update("n", |n: &mut u8| *n += 1).unwrap();
}

#[tokio::test]
async fn a_page_about_a_session_is_private() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        let (_, response) = world.visit(jar, read).await;
        assert!(
            all(&response, CACHE_CONTROL).is_empty(),
            "an anonymous one is not"
        );
        world.put(jar, "n", 1).await;
        let (_, response) = world.visit(jar, read).await;
        assert!(no_cookie(&response));
        assert_eq!(
            all(&response, CACHE_CONTROL),
            ["private, no-cache"],
            "{kind:?}"
        );
        let own = response_with(&[("cache-control", "max-age=60")]);
        let (_, response) = world.respond(jar, read, own).await;
        assert_eq!(all(&response, CACHE_CONTROL), ["max-age=60"], "{kind:?}");
        let load = async |session: Session| session.load().await.unwrap();
        let (_, response) = world.visit(jar, load).await;
        assert!(all(&response, CACHE_CONTROL).is_empty(), "it was not used");
    }
}

#[tokio::test]
async fn a_page_that_changed_a_session_is_private() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.visit(jar, write).await;
        let (_, response) = world.visit(jar, write).await;
        assert!(no_cookie(&response));
        assert_eq!(all(&response, CACHE_CONTROL), ["private, no-cache"]);
    }
}

#[tokio::test]
async fn a_page_that_failed_is_private() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let failed = StatusCode::NOT_IMPLEMENTED;
        let (_, response) = world.answer(jar, failed, write).await;
        assert_eq!(
            all(&response, CACHE_CONTROL),
            ["private, no-cache"],
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_page_about_a_logout_that_failed_is_private() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    world.records().every(Before, ANY, Fail);
    let destroy = async |session: Session| session.destroy().await.unwrap_err();
    let (_, response) = world.visit(jar, destroy).await;
    assert!(no_cookie(&response));
    assert_eq!(all(&response, CACHE_CONTROL), ["private, no-cache"]);
}

#[tokio::test]
async fn no_shared_cache_keeps_a_cookie() {
    for kind in KINDS {
        let world = kind.world();
        for (own, expected) in [
            ("public, max-age=60", "private, no-store"),
            ("max-age=60", "private, no-store"),
            ("private, s-maxage=60", "private, no-store"),
            ("private, max-age=60", "private, max-age=60"),
            ("no-cache", "no-cache"),
        ] {
            let own = response_with(&[
                ("cache-control", own),
                ("cdn-cache-control", "max-age=60"),
                ("surrogate-control", "max-age=60"),
            ]);
            let (_, response) = world.respond(&mut Jar::default(), write, own).await;
            assert!(!no_cookie(&response));
            assert_eq!(all(&response, CACHE_CONTROL), [expected], "{kind:?}");
            assert_eq!(
                all(&response, HeaderName::from_static("cdn-cache-control")),
                [""; 0]
            );
            assert_eq!(
                all(&response, HeaderName::from_static("surrogate-control")),
                [""; 0]
            );
        }
    }
}

#[tokio::test]
async fn no_shared_cache_keeps_a_removal() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let destroy = async |session: Session| session.destroy().await.unwrap();
    let own = response_with(&[("cache-control", "public")]);
    let (_, response) = world.respond(jar, destroy, own).await;
    assert_eq!(all(&response, CACHE_CONTROL), ["private, no-store"]);
}

#[tokio::test]
async fn shared_caching_can_be_allowed() {
    let config = Kind::Cookie.config(&Stores::new(), keys());
    let layer = SessionLayer::new(config).allow_shared_caching();
    let site = Site::at(&Clock::manual(START), layer);
    let own = response_with(&[
        ("cache-control", "public"),
        ("cdn-cache-control", "max-age=60"),
    ]);
    let (_, response) = site.respond(&mut Jar::default(), write, own).await;
    assert_eq!(all(&response, CACHE_CONTROL), ["public"]);
    assert!(response.headers().contains_key("cdn-cache-control"));
    let (_, response) = site.visit(&mut Jar::default(), write).await;
    assert_eq!(all(&response, CACHE_CONTROL), ["no-store"], "as by default");
}
