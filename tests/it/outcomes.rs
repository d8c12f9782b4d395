//! What is kept when the handler fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Response, StatusCode};
use silverback::{Clock, ErrorKind, Session, SessionLayer, Sessions};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, START, Site, Stores, failure, keys, no_cookie,
    scripted::{Before, Fail, Update},
    set_cookie, set_cookies,
};

const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

async fn established(site: &Site) -> Jar {
    let mut jar = Jar::default();
    site.put(&mut jar, "n", 1).await;
    jar
}

#[tokio::test]
async fn a_failed_handler_saves_no_values() {
    for kind in Kind::PLAIN {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        for status in [408, 500, 503, 599] {
            let status = StatusCode::from_u16(status).unwrap();
            let (_, response) = world.answer(jar, status, write).await;
            assert!(no_cookie(&response));
            assert_eq!(world.get(jar, "n").await, Some(1));
        }
        world.answer(jar, StatusCode::NOT_FOUND, write).await;
        assert_eq!(
            world.get(jar, "n").await,
            Some(2),
            "a status below 500 saves"
        );
    }
}

#[tokio::test]
async fn a_failed_handler_still_renews() {
    for kind in Kind::PLAIN {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let old = jar.clone();
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            session.renew();
        };
        let (_, response) = world.answer(jar, FAILED, renew).await;
        set_cookie(&response);
        assert_ne!(old.value("s"), jar.value("s"));
        assert_eq!(
            world.get(jar, "n").await,
            Some(1),
            "with the values from before"
        );
    }
}

#[tokio::test]
async fn a_failed_handler_still_destroys() {
    for kind in Kind::PLAIN {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let destroy = async |session: Session| session.destroy().await.unwrap();
        let (_, response) = world.answer(jar, FAILED, destroy).await;
        assert!(set_cookie(&response).contains("Max-Age=0"));
        assert!(jar.0.is_empty());
    }
}

#[tokio::test]
async fn a_failed_handler_logs_nobody_in() {
    for kind in Kind::WITH_SUBJECTS {
        for destroys in [false, true] {
            let world = kind.world();
            let jar = &mut established(&world).await;
            let login = async |session: Session| {
                session.load().await.unwrap();
                if destroys {
                    session.destroy().await.unwrap();
                } else {
                    session.renew();
                }
                session.insert("user", "ada").unwrap();
                session.set_subject("ada", "laptop").unwrap();
            };
            world.answer(jar, FAILED, login).await;
            let subject = async |session: Session| {
                session.load().await.unwrap();
                session.subject().unwrap()
            };
            assert_eq!(world.visit(jar, subject).await.0, None);
            assert_eq!(world.notes("ada").await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_explicit_save_survives_a_failure() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    let (_, response) = world
        .answer(jar, FAILED, async |session| {
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            session.insert("n", 2).unwrap();
        })
        .await;
    set_cookie(&response);
    assert_eq!(world.records().memory.len(), 1);
    assert_eq!(world.get(jar, "n").await, Some(1));
}

#[tokio::test]
async fn an_error_of_the_service_saves_nothing() {
    let world = Kind::Memory.world();
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("n", 2).unwrap();
        Err::<Response<String>, _>(std::io::Error::other("mine"))
    });
    let error = world
        .layer
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "mine");
    assert!(world.records().memory.is_empty());
}

/// The response brings the cookie of the save, so it tries no second renewal.
#[tokio::test]
async fn a_renewal_that_failed_after_an_explicit_save_is_given_up() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        session.renew();
        world.records().at(Before, Update, Fail);
        session.record_key()
    };
    let (saved, response) = world.visit(jar, renew).await;
    assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
    assert_eq!(Some(world.key(jar).await), saved);
}

/// A layer that keeps nothing for a status from 400 on, or when the response asks for it.
fn picky(kind: Kind) -> Site {
    let config = kind.config(&Stores::new(), keys());
    let keep_if = |status: StatusCode, headers: &http::HeaderMap| {
        !status.is_client_error() && !headers.contains_key("x-rolled-back")
    };
    Site::at(
        &Clock::manual(START),
        SessionLayer::new(config).keep_if(keep_if),
    )
}

fn rolled_back(status: StatusCode) -> Response<String> {
    let response = Response::builder().header("x-rolled-back", "1");
    response.status(status).body(String::new()).unwrap()
}

#[tokio::test]
async fn keep_if_narrows_what_is_kept() {
    for kind in Kind::PLAIN {
        let site = picky(kind);
        let jar = &mut established(&site).await;
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        for response in [rolled_back(StatusCode::OK), {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::FORBIDDEN;
            response
        }] {
            let (_, response) = site.respond(jar, write, response).await;
            assert!(no_cookie(&response));
            assert_eq!(site.get(jar, "n").await, Some(1));
        }
        site.answer(jar, StatusCode::SEE_OTHER, write).await;
        assert_eq!(site.get(jar, "n").await, Some(2));
    }
}

#[tokio::test]
async fn keep_if_is_asked_once_for_all_sessions() {
    let stores = Stores::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let [first, second, third] = [Kind::Cookie, Kind::Memory, Kind::Remote]
        .map(|kind| kind.config(&stores, keys()).named(format!("{kind:?}")));
    let layer = SessionLayer::new(first)
        .with(second)
        .with(third)
        .keep_if(move |_, _| counted.fetch_add(1, Ordering::SeqCst) == 0);
    let site = Site::at(&Clock::manual(START), layer);
    let write = async |session: Session| {
        for session in Sessions::from(session).iter() {
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
        }
    };
    let (_, response) = site.visit(&mut Jar::default(), write).await;
    assert_eq!(
        (
            set_cookies(response.headers()).len(),
            asked.load(Ordering::SeqCst)
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn keep_if_cannot_widen_it() {
    for kind in Kind::PLAIN {
        let config = kind.config(&Stores::new(), keys());
        let layer = SessionLayer::new(config).keep_if(|_, _| true);
        let site = Site::at(&Clock::manual(START), layer);
        let jar = &mut established(&site).await;
        let write = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        site.answer(jar, FAILED, write).await;
        assert_eq!(site.get(jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn keep_if_takes_back_neither_a_renewal_nor_an_end() {
    for kind in Kind::PLAIN {
        let site = picky(kind);
        let jar = &mut established(&site).await;
        let old = jar.clone();
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            session.renew();
        };
        let (_, response) = site.respond(jar, renew, rolled_back(StatusCode::OK)).await;
        set_cookie(&response);
        assert_ne!(old.value("s"), jar.value("s"));
        assert_eq!(site.get(jar, "n").await, Some(1));
        let destroy = async |session: Session| session.destroy().await.unwrap();
        let (_, response) = site
            .respond(jar, destroy, rolled_back(StatusCode::OK))
            .await;
        assert!(set_cookie(&response).contains("Max-Age=0"));
    }
}
