//! The `Browser` of `testing`, in front of services.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode, Uri, header};
use silverback::{
    Clock, Error, ErrorKind, Session, SessionConfig, SessionLayer,
    testing::{Body, Browser, commit},
};
use tower::{Layer, Service, service_fn};

use crate::support::{
    HOUR, Kind, START, Stores, keys,
    scripted::{Before, Fail, Update},
    set_cookies,
};

/// Counts visits at `/`, renews at `/renew`, logs out at `/out`, and redirects other paths to `/`.
async fn serve<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap();
    session.load().await.unwrap();
    let mut response = Response::new(String::new());
    match request.uri().path() {
        "/" => {
            let n = session
                .update("n", |n: &mut u32| {
                    *n += 1;
                    *n
                })
                .unwrap();
            *response.body_mut() = n.to_string();
        }
        "/renew" => session.renew(),
        "/out" => session.destroy().await.unwrap(),
        _ => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            let headers = response.headers_mut();
            headers.insert(header::LOCATION, "/".parse().unwrap());
        }
    }
    Ok(response)
}

fn layer(config: &SessionConfig, clock: &Clock) -> SessionLayer {
    SessionLayer::new(config.clone()).clock(clock.clone())
}

/// A browser of a site of this kind, with the site's settings and stores.
macro_rules! site {
    ($kind:expr) => {{
        let stores = Stores::new();
        let config = $kind.config(&stores, keys());
        let service = layer(&config, &stores.clock).layer(service_fn(serve));
        let browser = Browser::new(service).clock(stores.clock.clone());
        (browser, config, stores)
    }};
}

const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];

#[tokio::test]
async fn the_jar_identifies_a_visitor() {
    for kind in KINDS {
        let (ada, _, _) = site!(kind);
        let (tab, bob) = (ada.clone(), ada.another());
        assert_eq!(ada.get("/").await.text(), "1", "{kind:?}");
        assert_eq!(tab.get("/").await.text(), "2", "{kind:?}: another tab");
        assert_eq!(bob.get("/").await.text(), "1", "{kind:?}: another visitor");
        let stolen = ada.jar(|jar| jar.clone());
        ada.get("/renew").await;
        assert_eq!(ada.get("/").await.text(), "3", "{kind:?}");
        ada.get("/out").await;
        assert!(ada.jar(|jar| jar.is_empty()), "{kind:?}");
        assert_eq!(ada.get("/").await.text(), "1", "{kind:?}");
        assert!(!stolen.is_empty());
        ada.jar(|jar| jar.close());
        assert_eq!(ada.get("/").await.text(), "1", "{kind:?}: closed");
    }
}

#[tokio::test]
async fn redirects_are_followed_on_request() {
    let (ada, _, _) = site!(Kind::Cookie);
    let answer = ada.post("/login", "text/plain", "secret").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), Some(Uri::from_static("/")));
    assert_eq!(ada.follow(&answer).await.text(), "1");
}

#[tokio::test]
async fn only_an_absolute_path_or_url_is_a_location() {
    for (location, is_one) in [
        ("/x?y", true),
        ("https://example.com/x", true),
        ("https://example.com", true),
        ("x", false),
        ("", false),
    ] {
        let service = service_fn(async |_: Request<Body>| {
            let response = Response::builder().header(header::LOCATION, location);
            Ok::<_, Infallible>(response.body(String::new()).unwrap())
        });
        let page = Browser::new(service).get("/").await;
        assert_eq!(page.location().is_some(), is_one, "{location:?}");
    }
}

/// Where a redirect to what a visitor has sent would lead.
#[tokio::test]
async fn a_location_with_two_slashes_names_a_host() {
    for (location, expected) in [
        ("//evil.example/x?y", "https://evil.example/x?y"),
        ("//evil.example", "https://evil.example/"),
        ("/\\evil.example", "https://evil.example/"),
        ("\\\\evil.example", "https://evil.example/"),
        ("/x//y", "/x//y"),
        ("/?//y", "/?//y"),
    ] {
        let service = service_fn(async |_: Request<Body>| {
            let response = Response::builder().header(header::LOCATION, location);
            Ok::<_, Infallible>(response.body(String::new()).unwrap())
        });
        let page = Browser::new(service).get("/").await;
        let found = page.location().map(|uri| uri.to_string());
        assert_eq!(found.as_deref(), Some(expected), "{location:?}");
    }
}

#[tokio::test]
async fn a_seeded_session_exists_and_can_be_inspected_later() {
    for kind in KINDS {
        let (ada, config, _) = site!(kind);
        let seed = |session: &Session| session.insert("n", 40);
        let seeded = ada.seed(&config, seed).await.unwrap();
        assert!(seeded.record_key().is_some(), "{kind:?}");
        assert_eq!(ada.get("/").await.text(), "41", "{kind:?}");
        let again = |session: &Session| session.insert("other", 1);
        ada.seed(&config, again).await.unwrap();
        assert_eq!(
            ada.get("/").await.text(),
            "42",
            "{kind:?}: it stays the same"
        );
        let session = ada.session(&config).await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(42), "{kind:?}");
        assert_eq!(session.get("other").unwrap(), Some(1), "{kind:?}");
        if !kind.is_cookie() {
            seeded.load().await.unwrap();
            assert_eq!(seeded.get("n").unwrap(), Some(42), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_seed_does_all_that_the_server_would() {
    for kind in Kind::WITH_SUBJECTS {
        let (ada, config, stores) = site!(kind);
        let log_in = |session: &Session| session.set_subject("ada", "laptop");
        ada.seed(&config, log_in).await.unwrap();
        assert_eq!(ada.get("/").await.text(), "1", "{kind:?}");
        let subjects = silverback::Subjects::new(&config).unwrap();
        let subjects = subjects.clock(stores.clock.clone());
        assert_eq!(subjects.destroy_all("ada").await.unwrap(), 1, "{kind:?}");
        let session = ada.session(&config).await.unwrap();
        assert_eq!(session.subject().unwrap(), None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_failed_seed_leaves_nothing() {
    let (ada, config, stores) = site!(Kind::Remote);
    let too_large = |session: &Session| session.insert("n", "x".repeat(2 << 20));
    let refused = ada.seed(&config, too_large).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::TooLarge { .. }));
    ada.get("/").await;
    stores.records.at(Before, Update, Fail);
    let seed = |session: &Session| session.insert("n", 40);
    let failed = ada.seed(&config, seed).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    assert_eq!(ada.get("/").await.text(), "2");
    let invalid = SessionConfig::cookie("a b", keys());
    let refused = ada.session(&invalid).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidSettings);
}

#[tokio::test]
async fn cookies_and_sessions_share_one_clock() {
    let clock = Clock::manual(START);
    let config = SessionConfig::cookie("s", keys()).max_age(HOUR);
    let service = layer(&config, &clock).layer(service_fn(serve));
    let ada = Browser::new(service).clock(clock.clone());
    assert_eq!(ada.get("/").await.text(), "1");
    ada.jar(|jar| jar.close());
    clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(ada.get("/").await.text(), "2", "it outlasts the browser");
    let bob = ada.another();
    bob.jar(|jar| *jar = ada.jar(|jar| jar.clone()));
    clock.advance(HOUR);
    assert!(ada.jar(|jar| jar.is_empty()) && bob.jar(|jar| jar.is_empty()));
    assert_eq!(ada.get("/").await.text(), "1");
}

#[tokio::test]
async fn paths_hosts_and_schemes_count() {
    let clock = Clock::manual(START);
    let shop = SessionConfig::cookie("s", keys()).attributes(|cookie| cookie.path("/shop"));
    let service = service_fn(async |request: Request<Body>| {
        let cookie = request.headers().get(header::COOKIE).is_some();
        let host = request.headers()[header::HOST].to_str().unwrap();
        let line = format!("{} {host} {cookie}", request.uri());
        Ok::<_, Infallible>(Response::new(line))
    });
    let ada = Browser::new(service)
        .clock(clock)
        .at("https://example.com:8443");
    let seed = |session: &Session| session.insert("n", 1);
    ada.seed(&shop, seed).await.unwrap();
    for (path, expected) in [
        ("/shop/x?y=1", "/shop/x?y=1 example.com:8443 true"),
        ("/", "/ example.com:8443 false"),
        (
            "https://other.com/shop",
            "https://other.com/shop other.com false",
        ),
        (
            "http://example.com/shop",
            "http://example.com/shop example.com false",
        ),
    ] {
        assert_eq!(ada.get(path).await.text(), expected);
    }
    let session = ada.session(&shop).await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(1));
}

#[tokio::test]
async fn it_is_a_service_itself() {
    let (ada, _, _) = site!(Kind::Cookie);
    let mut service = ada.clone();
    for n in ["1", "2"] {
        let response = service.call(Request::new(())).await.unwrap();
        assert_eq!(response.body(), n);
    }
}

#[tokio::test]
async fn a_request_may_have_its_own_cookies() {
    let echo = service_fn(async |request: Request<()>| {
        let cookies = request.headers().get_all(header::COOKIE).iter();
        let cookies: Vec<_> = cookies.map(|field| field.to_str().unwrap()).collect();
        Ok::<_, Infallible>(Response::new(cookies.join(", ")))
    });
    let ada = Browser::new(echo);
    let home = Uri::from_static("https://localhost/");
    assert!(ada.jar(|jar| jar.set(&home, "kept=1")));
    let request = Request::builder().header(header::COOKIE, "own=2");
    let page = ada.visit(request.body(()).unwrap()).await;
    assert_eq!(page.text(), "own=2, kept=1");
}

#[tokio::test]
async fn a_page_tells_why_a_session_was_not_saved() {
    let (ada, _, stores) = site!(Kind::Remote);
    ada.get("/").await;
    stores.records.at(Before, Update, Fail);
    let page = ada.get("/").await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.error().map(Error::kind), Some(ErrorKind::StoreFailed));
}

#[tokio::test]
async fn a_commit_is_what_a_response_does() {
    for kind in KINDS {
        let stores = Stores::new();
        let layer = layer(&kind.config(&stores, keys()), &stores.clock)
            .with(SessionConfig::cookie("cart", keys()));
        let sessions = layer.detached();
        let session = sessions.get("s").await.unwrap();
        assert!(commit(&session).await.unwrap().is_empty(), "{kind:?}");

        let sessions = layer.detached();
        let session = sessions.get("s").await.unwrap();
        session.insert("n", 40).unwrap();
        let cart = sessions.get("cart").await.unwrap();
        cart.insert("n", 1).unwrap();
        let headers = commit(&session).await.unwrap();
        let cookies = set_cookies(&headers);
        assert_eq!(cookies.len(), 2, "{kind:?}: {cookies:?}");
        let late = cart.insert("n", 2).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");

        let ada = Browser::new(layer.layer(service_fn(serve))).clock(stores.clock.clone());
        ada.jar(|jar| jar.keep(&Uri::from_static("https://localhost"), &headers));
        assert_eq!(ada.get("/").await.text(), "41", "{kind:?}");
    }
}

#[tokio::test]
async fn a_redirect_leads_to_the_host_that_sent_it() {
    let says_where = service_fn(async |request: Request<Body>| {
        let mut response = Response::new(String::new());
        match request.uri().path() {
            "/to" => {
                let target = request.uri().query().unwrap().parse().unwrap();
                response.headers_mut().insert(header::LOCATION, target);
            }
            _ => {
                let host = request.headers()[header::HOST].to_str().unwrap();
                *response.body_mut() = format!("{host} {}", request.uri());
            }
        }
        Ok::<_, Infallible>(response)
    });
    let ada = Browser::new(says_where);
    for (page, expected) in [
        ("/to?/x", "localhost /x"),
        ("/to?//b.example/x", "b.example https://b.example/x"),
        ("https://a.example/to?/x", "a.example https://a.example/x"),
        (
            "https://a.example/to?https://b.example/x",
            "b.example https://b.example/x",
        ),
        ("/to?https://b.example/x", "b.example https://b.example/x"),
    ] {
        let page = ada.get(page).await;
        assert_eq!(ada.follow(&page).await.text(), expected);
    }
}
