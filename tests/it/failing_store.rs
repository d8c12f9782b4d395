//! A failing store never makes an empty session or a silent success.

use std::{convert::Infallible, error::Error as _, sync::Arc};

use http::{Request, Response, StatusCode};
use silverback::{Error, ErrorKind, FailedCommit, Responder, Session, SessionConfig, SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    HOUR, Jar, Kind, World, failure, keys, no_cookie,
    scripted::{ANY, Before, Create, Fail, Load, Scripted, Touch, Update},
};

async fn established() -> (World, Jar) {
    let (world, mut jar) = (Kind::Remote.world(), Jar::default());
    world.put(&mut jar, "n", 1).await;
    (world, jar)
}

#[tokio::test]
async fn a_failed_load_is_an_error() {
    let (world, mut jar) = established().await;
    let jar = &mut jar;
    world.records().every(Before, Load, Fail);
    let (error, response) = world
        .visit(jar, async |session| {
            let error = session.load().await.unwrap_err();
            for refused in [
                session.get::<u8>("n").unwrap_err(),
                session.insert("n", 2).unwrap_err(),
            ] {
                assert_eq!(refused.kind(), ErrorKind::NotLoaded);
            }
            error
        })
        .await;
    assert_eq!(
        (error.kind(), error.session()),
        (ErrorKind::StoreFailed, Some("s"))
    );
    assert_eq!(
        error.source().unwrap().source().unwrap().to_string(),
        "down"
    );
    assert!(no_cookie(&response));
    let (_, response) = world.visit(jar, async |_| ()).await;
    assert_eq!(
        response.status(),
        200,
        "a request that does not use the session is not affected"
    );
    world.records().calm();
    assert_eq!(world.get(jar, "n").await, Some(1));
}

#[tokio::test]
async fn an_accessor_before_load_is_an_error_with_advice() {
    let (world, mut jar) = established().await;
    let (error, _) = world
        .visit(&mut jar, async |session| {
            session.get::<u8>("n").unwrap_err()
        })
        .await;
    assert_eq!(
        error.to_string(),
        "session \"s\": used before it was loaded: call `session.load().await?` first, or use an \
         extractor"
    );
}

#[tokio::test]
async fn a_failed_save_is_503_without_a_cookie() {
    for (calls, is_new) in [(Create.into(), true), (Update.into(), false), (ANY, false)] {
        let (world, old) = established().await;
        let jar = &mut if is_new { Jar::default() } else { old };
        let before = &mut jar.clone();
        let (_, response) = world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("n", 2).unwrap();
                world.records().every(Before, calls, Fail);
            })
            .await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(no_cookie(&response) && response.body().is_empty());
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(
            (error.kind(), error.session()),
            (ErrorKind::StoreFailed, Some("s"))
        );
        world.records().calm();
        assert_eq!(world.get(before, "n").await, (!is_new).then_some(1));
    }
}

#[tokio::test]
async fn a_failed_renewal_leaves_one_session() {
    for operation in [Create, Update] {
        let (world, mut jar) = established().await;
        let (jar, old) = (&mut jar.clone(), &mut jar);
        let (_, response) = world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.renew();
                world.records().every(Before, operation, Fail);
            })
            .await;
        world.records().calm();
        let (old, new) = (world.get(old, "n").await, world.get(jar, "n").await);
        assert_eq!(
            failure(&response),
            Some(ErrorKind::StoreFailed),
            "{operation:?}"
        );
        assert_eq!((old, new), (Some(1), Some(1)), "{operation:?}");
        let records = world.records().sessions().await;
        assert_eq!(records, 1, "{operation:?}: nobody knows another");
    }
}

#[tokio::test]
async fn a_failed_destroy_leaves_the_session() {
    let (world, mut jar) = established().await;
    let (_, response) = world
        .visit(&mut jar, async |session| {
            world.records().every(Before, Update, Fail);
            let error = session.destroy().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreFailed);
        })
        .await;
    assert!(no_cookie(&response));
    world.records().calm();
    assert_eq!(world.get(&mut jar, "n").await, Some(1));
}

/// Another task of the request may go on meanwhile.
#[tokio::test]
async fn a_failed_destroy_keeps_changes_made_meanwhile() {
    let kinds = Kind::REMOTE_SUBJECTS.into_iter();
    for (kind, is_changed) in kinds.flat_map(|kind| [(kind, true), (kind, false)]) {
        let (world, jar) = (kind.world(), &mut Jar::default());
        world.put(jar, "n", 1).await;
        world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                if is_changed {
                    session.insert("before", 2).unwrap();
                }
                world.rosters().every(Before, Update | Create, Fail);
                let changing = async {
                    assert!(
                        session.is_empty().unwrap(),
                        "{kind:?}: the end is under way"
                    );
                    session.insert("meanwhile", 3).unwrap();
                    session.update("n", |n: &mut u32| *n += 10).unwrap();
                    session.flash("kept").unwrap();
                };
                let (destroyed, ()) = tokio::join!(session.destroy(), changing);
                world.rosters().calm();
                assert_eq!(destroyed.unwrap_err().kind(), ErrorKind::StoreFailed);
                assert_eq!(session.get("n").unwrap(), Some(11));
            })
            .await;
        world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                let found = ["n", "before", "meanwhile"].map(|key| session.get(key).unwrap());
                let expected = [Some(11), is_changed.then_some(2), Some(3)];
                assert_eq!(found, expected, "{kind:?}");
                assert_eq!(session.flashes::<String>().unwrap(), ["kept"], "{kind:?}");
            })
            .await;
    }
}

#[tokio::test]
async fn a_failed_refresh_does_not_spoil_a_read() {
    let (world, mut jar) = established().await;
    world.clock.advance(12 * HOUR);
    let (_, response) = world
        .visit(&mut jar, async |session| {
            session.load().await.unwrap();
            session.len().unwrap();
            world.records().every(Before, Touch, Fail);
        })
        .await;
    assert_eq!(response.status(), 200);
    assert!(world.records().take_log().contains(&Touch));
}

/// A body without a `Default`, like `hyper::body::Incoming`.
struct Incoming(&'static str);

#[tokio::test]
async fn a_responder_can_let_the_response_pass() {
    let store = Scripted::default();
    let layer = SessionLayer::new(SessionConfig::new("s", store.clone(), keys())).on_failure(
        |failed: FailedCommit<Incoming>| {
            assert_eq!(failed.error().kind(), ErrorKind::StoreFailed);
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
    store.every(Before, Create, Fail);
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

#[derive(Clone)]
struct Apology(&'static str);

impl Responder<String> for Apology {
    fn respond(&self, failed: FailedCommit<String>) -> Response<String> {
        failed
            .into_response()
            .map(|body| format!("{body}: {}", self.0))
    }
}

/// The response when the session is not saved, from clones of the layer and the service.
async fn answer(responder: impl Responder<String> + Clone) -> String {
    let store = Scripted::default();
    store.every(Before, Create, Fail);
    let config = SessionConfig::new("s", store, keys());
    let layer = SessionLayer::new(config).on_failure(responder).clone();
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        Ok::<_, Infallible>(Response::new("handler".to_owned()))
    }));
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    response.into_body()
}

#[tokio::test]
async fn a_responder_is_cloned_or_shared() {
    let apology = Apology("not saved");
    assert_eq!(answer(apology.clone()).await, "handler: not saved");
    assert_eq!(answer(Arc::new(apology)).await, "handler: not saved");
}

/// The new ID is in the store, and only this response can tell the browser.
#[tokio::test]
async fn what_was_saved_before_a_failed_commit_is_found() {
    for kind in [Kind::Overflow, Kind::Memory, Kind::Remote] {
        for renews_again in [false, true] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let handler = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                session.insert("n", 1).unwrap();
                session.save().await.unwrap();
                session.insert("n", 2).unwrap();
                if renews_again {
                    session.renew();
                }
                world.records().at(Before, Create | Update, Fail);
            };
            let (_, response) = world.visit(jar, handler).await;
            let what = format!("{kind:?}, renews again: {renews_again}");
            assert_eq!(failure(&response), Some(ErrorKind::StoreFailed), "{what}");
            assert_eq!(world.get(jar, "n").await, Some(1), "{what}");
        }
    }
}

/// One that has ended since is not brought back.
#[tokio::test]
async fn what_has_ended_before_a_failed_commit_gets_no_cookie() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.save().await.unwrap();
            session.insert("n", 2).unwrap();
            world.destroy_all("ada").await;
        };
        let (_, response) = world.visit(jar, handler).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
    }
}

/// A session in a cookie alone ends only with its cookie.
#[tokio::test]
async fn a_logout_removes_the_cookie_though_the_commit_fails() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.put(jar, "user", "ada").await;
    let handler = async |session: Session| {
        session.load().await.unwrap();
        session.destroy().await.unwrap();
        session.insert("cart", "x".repeat(600)).unwrap();
        world.records().at(Before, Create, Fail);
    };
    let (_, response) = world.visit(jar, handler).await;
    assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
    assert!(jar.0.is_empty());
}
