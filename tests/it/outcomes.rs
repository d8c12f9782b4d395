//! What lasts when the handler fails, and what happens when the store does.

use std::{convert::Infallible, error::Error as _, pin::pin, task::Poll};

use http::{Request, Response, StatusCode, header};
use silverback::{
    ErrorKind, FailedCommit, Session, SessionConfig, SessionLayer, store::MemoryStore,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Jar, Site, keys, no_cookie, set_cookie, store::Remote};

async fn established(site: &Site) -> Jar {
    let mut jar = Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
    };
    site.visit(&mut jar, write).await;
    jar
}

async fn read(site: &Site, jar: &mut Jar) -> Option<u8> {
    let read = async |session: Session| {
        session.load().await.unwrap();
        session.get("n").unwrap()
    };
    site.visit(jar, read).await.0
}

fn remote() -> (Site, Remote) {
    let clock = silverback::Clock::manual(crate::support::START);
    let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
    let layer =
        SessionLayer::new(SessionConfig::new("s", remote.clone(), keys())).clock(clock.clone());
    (Site { layer, clock }, remote)
}

#[tokio::test]
async fn a_failed_handler_saves_no_values() {
    for site in [Site::cookie(), Site::memory().0, remote().0] {
        let jar = &mut established(&site).await;
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        for status in [500, 503, 599] {
            let (_, response) = site
                .answer(jar, StatusCode::from_u16(status).unwrap(), write)
                .await;
            assert!(no_cookie(&response));
            assert_eq!(read(&site, jar).await, Some(1));
        }
        site.answer(jar, StatusCode::NOT_FOUND, write).await;
        assert_eq!(read(&site, jar).await, Some(2), "below 500 it is saved");
    }
}

#[tokio::test]
async fn a_failed_handler_still_renews_and_destroys() {
    for site in [Site::cookie(), Site::memory().0, remote().0] {
        let jar = &mut established(&site).await;
        let old = jar.clone();
        let (_, response) = site
            .answer(jar, StatusCode::INTERNAL_SERVER_ERROR, async |session| {
                session.load().await.unwrap();
                session.insert("n", 2).unwrap();
                session.renew();
            })
            .await;
        set_cookie(&response);
        assert_ne!(old.value("s"), jar.value("s"));
        assert_eq!(
            read(&site, jar).await,
            Some(1),
            "with the values from before"
        );

        let gone = async |session: Session| session.destroy().await.unwrap();
        let (_, response) = site
            .answer(jar, StatusCode::INTERNAL_SERVER_ERROR, gone)
            .await;
        assert!(set_cookie(&response).contains("Max-Age=0"));
        assert!(jar.0.is_empty());
    }
}

#[tokio::test]
async fn an_explicit_save_survives_a_failed_handler() {
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    let (_, response) = site
        .answer(jar, StatusCode::INTERNAL_SERVER_ERROR, async |session| {
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            session.insert("n", 2).unwrap();
        })
        .await;
    set_cookie(&response);
    assert_eq!(store.len(), 1);
    assert_eq!(read(&site, jar).await, Some(1));
}

#[tokio::test]
async fn grpc_statuses_count_like_http_ones() {
    for (status, saved) in [
        ("0", true),
        ("16", true),
        ("5", true),
        ("13", false),
        ("2", false),
        ("14", false),
    ] {
        let site = Site::memory().0;
        let jar = &mut established(&site).await;
        let response = Response::builder()
            .header("grpc-status", status)
            .body(String::new())
            .unwrap();
        let write = async |session: Session| session.insert("n", 2).unwrap();
        site.respond(jar, write, response).await;
        assert_eq!(
            read(&site, jar).await,
            Some(if saved { 2 } else { 1 }),
            "grpc-status {status}"
        );
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_passed_on_and_saves_nothing() {
    let (site, store) = Site::memory();
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("n", 2).unwrap();
        Err::<Response<String>, _>(std::io::Error::other("mine"))
    });
    let error = site
        .layer
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "mine");
    assert!(store.is_empty());
}

#[tokio::test]
async fn destroy_has_happened_even_if_the_request_is_cancelled_panics_or_fails() {
    for ending in ["cancel", "panic", "error"] {
        for (site, store) in [Site::memory(), {
            let (site, remote) = remote();
            (site, remote.records)
        }] {
            let jar = established(&site).await;
            assert_eq!(store.len(), 1);
            let service = service_fn(async |request: Request<()>| {
                let session = request.extensions().get::<Session>().unwrap();
                session.destroy().await.unwrap();
                match ending {
                    "cancel" => std::future::pending().await,
                    "panic" => panic!("in the handler"),
                    _ => Err::<Response<String>, _>("failed"),
                }
            });
            let mut call = Box::pin(site.layer.layer(service).oneshot(jar.request()));
            for _ in 0..50 {
                let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let waker = std::task::Waker::noop();
                    call.as_mut()
                        .poll(&mut std::task::Context::from_waker(waker))
                        .map(drop)
                }));
                if !matches!(step, Ok(Poll::Pending)) {
                    break;
                }
            }
            drop(call);
            assert!(store.is_empty(), "{ending}");
            assert_eq!(read(&site, &mut jar.clone()).await, None);
        }
    }
}

#[tokio::test]
async fn a_cancelled_or_panicking_handler_saves_nothing_and_breaks_nothing() {
    let (site, _) = Site::memory();
    let jar = established(&site).await;
    {
        let service = service_fn(async |request: Request<()>| {
            request
                .extensions()
                .get::<Session>()
                .unwrap()
                .insert("n", 2)
                .unwrap();
            std::future::pending::<Result<Response<String>, Infallible>>().await
        });
        let mut call = pin!(site.layer.layer(service).oneshot(jar.request()));
        assert!(matches!(futures_poll(&mut call), Poll::Pending));
    }
    assert_eq!(read(&site, &mut jar.clone()).await, Some(1));
}

fn futures_poll<F: Future>(future: &mut std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_store_that_cannot_load_is_an_error_and_not_an_empty_session() {
    let (site, remote) = remote();
    let jar = &mut established(&site).await;
    remote.fail("load");
    let (error, response) = site
        .visit(jar, async |session| {
            let error = session.load().await.unwrap_err();
            assert_eq!(
                session.get::<u8>("n").unwrap_err().kind(),
                ErrorKind::NotLoaded
            );
            assert_eq!(
                session.insert("n", 2).unwrap_err().kind(),
                ErrorKind::NotLoaded
            );
            error
        })
        .await;
    assert_eq!(
        (error.kind(), error.session()),
        (ErrorKind::Store, Some("s"))
    );
    assert_eq!(
        error.source().unwrap().source().unwrap().to_string(),
        "down"
    );
    assert!(no_cookie(&response));
    let (_, response) = site.visit(jar, async |_| ()).await;
    assert_eq!(
        response.status(),
        200,
        "who does not use the session is not affected"
    );
    remote.fail("");
    assert_eq!(read(&site, jar).await, Some(1));
}

#[tokio::test]
async fn an_accessor_before_load_says_what_to_do() {
    let (site, _) = remote();
    let jar = &mut established(&site).await;
    let (error, _) = site
        .visit(jar, async |session| session.get::<u8>("n").unwrap_err())
        .await;
    assert_eq!(
        error.to_string(),
        "session \"s\": used before it was loaded: call `session.load().await` first"
    );
}

#[tokio::test]
async fn a_failed_save_is_500_without_a_cookie() {
    for operation in ["create", "update", "all"] {
        let (site, remote) = remote();
        let jar = &mut if operation == "create" {
            Jar::default()
        } else {
            established(&site).await
        };
        let before = jar.clone();
        let (_, response) = site
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("n", 2).unwrap();
                remote.fail(operation);
            })
            .await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(no_cookie(&response) && response.body().is_empty());
        let error = response.extensions().get::<silverback::Error>().unwrap();
        assert_eq!(
            (error.kind(), error.session()),
            (ErrorKind::Store, Some("s"))
        );
        remote.fail("");
        assert_eq!(
            read(&site, &mut before.clone()).await,
            (operation != "create").then_some(1)
        );
    }
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_one_session_or_says_so() {
    for operation in ["create", "update", "delete"] {
        let (site, remote) = remote();
        let jar = &mut established(&site).await;
        let old = jar.clone();
        let (_, response) = site
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.renew();
                remote.fail(operation);
            })
            .await;
        remote.fail("");
        let (old, new) = (read(&site, &mut old.clone()).await, read(&site, jar).await);
        if operation == "delete" {
            assert_eq!(
                (response.status(), old, new),
                (StatusCode::OK, None, Some(1)),
                "marked as moved"
            );
        } else {
            assert_eq!(
                (response.status(), old, new),
                (StatusCode::INTERNAL_SERVER_ERROR, Some(1), Some(1))
            );
        }
    }
}

#[tokio::test]
async fn a_destroy_that_fails_is_an_error_and_leaves_the_session() {
    let (site, remote) = remote();
    let jar = &mut established(&site).await;
    let (_, response) = site
        .visit(jar, async |session| {
            remote.fail("delete");
            assert_eq!(
                session.destroy().await.unwrap_err().kind(),
                ErrorKind::Store
            );
        })
        .await;
    assert!(no_cookie(&response));
    remote.fail("");
    assert_eq!(read(&site, jar).await, Some(1));
}

#[tokio::test]
async fn a_failed_refresh_does_not_spoil_a_response_that_only_read() {
    let (site, remote) = remote();
    let jar = &mut established(&site).await;
    site.clock.advance(12 * crate::support::HOUR);
    let (_, response) = site
        .visit(jar, async |session| {
            session.load().await.unwrap();
            remote.fail("touch");
        })
        .await;
    assert_eq!(response.status(), 200);
    assert!(remote.take_log().contains(&"touch"));
}

#[tokio::test]
async fn a_grpc_call_gets_a_grpc_status() {
    let (site, remote) = remote();
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        Ok::<_, Infallible>(Response::new(String::from("message")))
    });
    remote.fail("create");
    for kind in ["application/grpc", "application/grpc+proto"] {
        let request = Request::builder()
            .header(header::CONTENT_TYPE, kind)
            .body(())
            .unwrap();
        let response = site.layer.layer(service).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
    }
}

/// A body without a default, as `hyper::body::Incoming` is.
struct Incoming(&'static str);

#[tokio::test]
async fn an_own_responder_works_with_any_body_and_can_let_the_response_pass() {
    let (_, remote) = remote();
    let layer = SessionLayer::new(SessionConfig::new("s", remote.clone(), keys())).on_failure(
        |failed: FailedCommit<Incoming>| {
            assert_eq!(failed.error().kind(), ErrorKind::Store);
            let mut response = failed.into_response();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        },
    );
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        Ok::<_, Infallible>(Response::new(Incoming("handler")))
    });
    remote.fail("create");
    let response = layer
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .unwrap();
    assert_eq!(
        (response.status(), response.body().0),
        (StatusCode::SERVICE_UNAVAILABLE, "handler")
    );
}
