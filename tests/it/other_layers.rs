//! Third-party layers around the session layer and inside it: each row of the table in
//! docs/guides/layers.md.

use std::{future::pending, time::Duration};

use axum::{
    Router,
    body::Body,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use silverback::{
    Error, Session, SessionConfig, SessionLayer,
    store::MemoryStore,
    testing::{Browser, Calls, FlakyStore},
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, csrf::CsrfLayer,
    timeout::TimeoutLayer,
};

use crate::support::{
    counting::{config, n, visitor},
    keys,
    scripted::{After, Hang, Scripted, Update},
    streams::Late,
};

const SECOND: Duration = Duration::from_secs(1);
const COOKIE: &str = "__Host-s";

fn cookie<S>(browser: &Browser<S>) -> Option<String> {
    browser.jar(|jar| jar.get(COOKIE).map(str::to_owned))
}

/// Changes and renews the session. The response is not ready yet.
async fn change(session: &Session) -> Result<(), Error> {
    session.load().await?;
    session.update("n", |n: &mut u32| *n += 1)?;
    session.renew();
    Ok(())
}

async fn hang(session: Session) -> Result<String, Error> {
    change(&session).await?;
    pending().await
}

/// What is left of a change and a renewal.
#[derive(Debug, PartialEq)]
struct Left {
    status: u16,
    is_saved: bool,
    is_renewed: bool,
}

async fn left(router: Router, config: &SessionConfig) -> Left {
    let browser = visitor(router, config).await;
    let before = cookie(&browser);
    let page = browser.get("/").await;
    Left {
        status: page.status().as_u16(),
        is_saved: n(&browser, config).await == Some(2),
        is_renewed: cookie(&browser) != before,
    }
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_saves_no_values_and_renews() {
    let config = config();
    let router = Router::new().route("/", get(hang)).layer(timeout());
    let router = router.layer(SessionLayer::new(config.clone()));
    let expected = Left {
        status: 408,
        is_saved: false,
        is_renewed: true,
    };
    assert_eq!(left(router, &config).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_drops_the_whole_request() {
    let config = config();
    let router = Router::new().route("/", get(hang));
    let router = router.layer(SessionLayer::new(config.clone()));
    let expected = Left {
        status: 408,
        is_saved: false,
        is_renewed: false,
    };
    assert_eq!(left(router.layer(timeout()), &config).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_may_cut_off_a_save_that_is_done() {
    let store = Scripted::default();
    let config = SessionConfig::new("s", store.clone(), keys());
    let write = async |session: Session| session.insert("n", 2);
    let router = Router::new().route("/", get(write));
    let router = router.layer(SessionLayer::new(config.clone()));
    store.at(After, Update, Hang);
    let expected = Left {
        status: 408,
        is_saved: true,
        is_renewed: false,
    };
    assert_eq!(left(router.layer(timeout()), &config).await, expected);
}

async fn panic(session: Session) -> Result<String, Error> {
    change(&session).await?;
    std::panic::resume_unwind(Box::new("without a line on the terminal"))
}

#[tokio::test]
async fn a_panic_caught_inside_saves_no_values_and_renews() {
    let config = config();
    let router = Router::new().route("/", get(panic));
    let router = router.layer(CatchPanicLayer::new());
    let router = router.layer(SessionLayer::new(config.clone()));
    let expected = Left {
        status: 500,
        is_saved: false,
        is_renewed: true,
    };
    assert_eq!(left(router, &config).await, expected);
}

#[tokio::test]
async fn a_panic_caught_outside_does_neither() {
    let config = config();
    let router = Router::new().route("/", get(panic));
    let router = router.layer(SessionLayer::new(config.clone()));
    let expected = Left {
        status: 500,
        is_saved: false,
        is_renewed: false,
    };
    let router = router.layer(CatchPanicLayer::new());
    assert_eq!(left(router, &config).await, expected);
}

/// Answers with another status than the handler.
async fn swap_status(mut response: Response) -> Response {
    *response.status_mut() = match response.status() {
        StatusCode::OK => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    };
    response
}

#[tokio::test]
async fn the_status_that_counts_is_the_one_that_reaches_the_layer() {
    for (handlers, inside, is_saved) in [
        (StatusCode::OK, false, true),
        (StatusCode::OK, true, false),
        (StatusCode::BAD_GATEWAY, false, false),
        (StatusCode::BAD_GATEWAY, true, true),
    ] {
        let config = config();
        let write = async move |session: Session| {
            session.insert("n", 2)?;
            Ok::<_, Error>(handlers)
        };
        let sessions = SessionLayer::new(config.clone());
        let swap = middleware::map_response(swap_status);
        let router = Router::new().route("/", get(write));
        let router = match inside {
            true => router.layer(swap).layer(sessions),
            false => router.layer(sessions).layer(swap),
        };
        let left = left(router, &config).await;
        assert_eq!(left.is_saved, is_saved, "{handlers}, inside: {inside}");
    }
}

async fn not_modified(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

#[tokio::test]
async fn a_304_of_an_inner_layer_puts_messages_back() {
    for (inside, left) in [(true, 1), (false, 0)] {
        let config = config();
        let read = async |session: Session| Ok::<_, Error>(session.flashes::<String>()?.concat());
        let sessions = SessionLayer::new(config.clone());
        let tag = middleware::map_response(not_modified);
        let router = Router::new().route("/", get(read));
        let router = match inside {
            true => router.layer(tag).layer(sessions),
            false => router.layer(sessions).layer(tag),
        };
        let browser = Browser::new(router);
        let fill = |session: &Session| session.flash("saved");
        browser.seed(&config, fill).await.unwrap();
        browser.get("/").await;
        let session = browser.session(&config).await.unwrap();
        let messages = session.flashes::<String>().unwrap();
        assert_eq!(messages.len(), left, "inside: {inside}");
    }
}

/// A page whose stream changes the session after the response.
async fn stream(session: Session) -> Result<Body, Error> {
    let rows = http_body_util::Full::new(bytes::Bytes::from("row ".repeat(100)));
    let late = session.clone();
    let rows = Late::new(rows, async move {
        late.load().await.unwrap();
        late.insert("n", 2).unwrap();
    });
    Ok(Body::new(session.save_at_end(rows)?))
}

#[tokio::test]
async fn compression_does_no_harm() {
    for inside in [true, false] {
        let config = config();
        let (sessions, gzip) = (SessionLayer::new(config.clone()), CompressionLayer::new());
        let router = Router::new().route("/", get(stream));
        let router = match inside {
            true => router.layer(gzip).layer(sessions),
            false => router.layer(sessions).layer(gzip),
        };
        let browser = visitor(router, &config).await;
        let request = Request::builder().header(header::ACCEPT_ENCODING, "gzip");
        let page = browser.visit(request.body(Body::empty()).unwrap()).await;
        assert_eq!(page.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(n(&browser, &config).await, Some(2), "inside: {inside}");
    }
}

#[tokio::test]
async fn a_request_that_csrf_refuses_outside_asks_no_store() {
    let store = FlakyStore::new(MemoryStore::new());
    let config = SessionConfig::new("s", store.clone(), keys());
    let router = Router::new().route("/", get(hang).post(hang));
    let router = router.layer(SessionLayer::new(config.clone()));
    let browser = visitor(router.layer(CsrfLayer::new()), &config).await;
    store.take_count();
    store.fail_all(Calls::All);
    let request = Request::post("/").header("sec-fetch-site", "cross-site");
    let page = browser.visit(request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert_eq!(store.take_count(), 0);
}

/// Allows every cache to keep the page.
async fn allow_caches(mut response: Response) -> Response {
    let value = HeaderValue::from_static("public, max-age=60");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

#[tokio::test]
async fn cache_headers_of_an_outer_layer_are_not_checked() {
    for (inside, said) in [(true, "private, no-store"), (false, "public, max-age=60")] {
        let write = async |session: Session| session.insert("n", 1);
        let (sessions, caches) = (
            SessionLayer::new(config()),
            middleware::map_response(allow_caches),
        );
        let router = Router::new().route("/", get(write));
        let router = match inside {
            true => router.layer(caches).layer(sessions),
            false => router.layer(sessions).layer(caches),
        };
        let page = Browser::new(router).get("/").await;
        assert!(page.headers().contains_key(header::SET_COOKIE));
        assert_eq!(page.headers()[header::CACHE_CONTROL], said);
    }
}

/// Reports the status it saw in a header.
async fn seen(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status().as_u16().into();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.append("seen", status);
    response
}

#[tokio::test]
async fn a_failed_save_is_visible_only_outside() {
    let store = FlakyStore::new(MemoryStore::new());
    let config = SessionConfig::new("s", store.clone(), keys());
    let write = async |session: Session| {
        session.insert("n", 2)?;
        Ok::<_, Error>("saved".into_response())
    };
    for inside in [true, false] {
        let (sessions, log) = (SessionLayer::new(config.clone()), middleware::from_fn(seen));
        let router = Router::new().route("/", get(write));
        let router = match inside {
            true => router.layer(log).layer(sessions),
            false => router.layer(sessions).layer(log),
        };
        store.fail_next(Calls::Writes);
        let page = Browser::new(router).get("/").await;
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.error().is_some());
        let seen = page.headers().get("seen").map(HeaderValue::as_bytes);
        assert_eq!(seen, (!inside).then_some(b"503".as_slice()));
    }
}

/// Notes the visit in the session.
async fn count_visits(session: Session, request: axum::extract::Request, next: Next) -> Response {
    match session.update("n", |n: &mut u32| *n += 1) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[tokio::test]
async fn middleware_that_uses_a_session_is_inside() {
    for (inside, status, count) in [(true, 200, Some(2)), (false, 500, Some(1))] {
        let config = config();
        let (sessions, visits) = (
            SessionLayer::new(config.clone()),
            middleware::from_fn(count_visits),
        );
        let router = Router::new().route("/", get(async || "a page"));
        let router = match inside {
            true => router.layer(visits).layer(sessions),
            false => router.layer(sessions).layer(visits),
        };
        let browser = visitor(router, &config).await;
        assert_eq!(browser.get("/").await.status(), status);
        assert_eq!(n(&browser, &config).await, count);
    }
}
