//! Requests that overlap: no lost update, nothing back from the dead.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use silverback::{
    ErrorKind, Session, SessionConfig, SessionLayer,
    store::{Backend, FilesystemStore, MemoryStore},
};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Jar, Site, keys, no_cookie, store::Remote};

const TASKS: u32 = 64;
const ROUNDS: u32 = 200;

fn site(store: impl Into<Backend>) -> Site {
    let clock = silverback::Clock::system();
    Site {
        layer: SessionLayer::new(SessionConfig::new("s", store, keys())),
        clock,
    }
}

async fn established(site: &Site) -> Jar {
    let mut jar = Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 0).unwrap();
    };
    site.visit(&mut jar, write).await;
    jar
}

async fn read<T: serde::de::DeserializeOwned>(site: &Site, jar: &Jar, key: &str) -> Option<T> {
    let read = async |session: Session| {
        session.load().await.unwrap();
        session.get(key).unwrap()
    };
    site.visit(&mut jar.clone(), read).await.0
}

async fn count_up(store: impl Into<Backend>) {
    let site = site(store);
    let jar = established(&site).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (layer, jar) = (site.layer.clone(), jar.clone());
            tokio::spawn(async move {
                let service = layer.layer(service_fn(async |request: Request<()>| {
                    let session = request.extensions().get::<Session>().unwrap().clone();
                    session.load().await.unwrap();
                    session.update("n", |n: &mut u32| *n += 1).unwrap();
                    Ok::<_, Infallible>(Response::new(String::new()))
                }));
                for _ in 0..ROUNDS {
                    let response = service.clone().oneshot(jar.request()).await.unwrap();
                    assert_eq!(
                        response.status(),
                        200,
                        "{:?}",
                        response.extensions().get::<silverback::Error>()
                    );
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(read(&site, &jar, "n").await, Some(TASKS * ROUNDS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_in_memory() {
    count_up(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_in_a_store_that_waits() {
    count_up(Remote::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let options = FilesystemStore::options().lock_timeout(Duration::from_secs(600));
    count_up(options.open(folder.path().join("sessions")).unwrap()).await;
}

#[tokio::test]
async fn different_keys_of_overlapping_requests_all_survive() {
    for store in [Backend::from(MemoryStore::new()), Remote::default().into()] {
        let site = site(store);
        let jar = established(&site).await;
        site.visit(&mut jar.clone(), async |session| {
            session.load().await.unwrap();
            session.insert("a", 1).unwrap();
            site.visit(&mut jar.clone(), async |session| {
                session.load().await.unwrap();
                session.insert("b", 2).unwrap();
                session.remove("n").unwrap();
            })
            .await;
        })
        .await;
        assert_eq!(read(&site, &jar, "a").await, Some(1));
        assert_eq!(read(&site, &jar, "b").await, Some(2));
        assert_eq!(read::<u8>(&site, &jar, "n").await, None);
    }
}

#[tokio::test]
async fn a_slow_request_does_not_bring_a_session_back_after_logout() {
    for remote in [false, true] {
        let records = MemoryStore::new();
        let site = if remote {
            site(Remote::new(records.clone()))
        } else {
            site(records.clone())
        };
        let jar = established(&site).await;
        let (_, response) = site
            .visit(&mut jar.clone(), async |session| {
                session.load().await.unwrap();
                session.insert("slow", 1).unwrap();
                site.visit(&mut jar.clone(), async |session| {
                    session.destroy().await.unwrap()
                })
                .await;
            })
            .await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            response
                .extensions()
                .get::<silverback::Error>()
                .unwrap()
                .kind(),
            ErrorKind::Gone
        );
        assert!(no_cookie(&response) && records.is_empty());
    }
}

#[tokio::test]
async fn a_login_does_not_bring_a_session_back_after_logout() {
    let records = MemoryStore::new();
    let site = site(Remote::new(records.clone()));
    let jar = established(&site).await;
    let (_, response) = site
        .visit(&mut jar.clone(), async |session| {
            session.load().await.unwrap();
            session.renew();
            site.visit(&mut jar.clone(), async |session| {
                session.destroy().await.unwrap()
            })
            .await;
        })
        .await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(no_cookie(&response) && records.is_empty());
}

#[tokio::test]
async fn a_reader_is_not_disturbed_by_a_logout() {
    let site = site(MemoryStore::new());
    let jar = established(&site).await;
    let (_, response) = site
        .visit(&mut jar.clone(), async |session| {
            session.get::<u8>("n").unwrap();
            site.visit(&mut jar.clone(), async |session| {
                session.destroy().await.unwrap()
            })
            .await;
        })
        .await;
    assert_eq!(response.status(), 200);
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn a_renewal_takes_along_what_was_saved_meanwhile() {
    for store in [Backend::from(MemoryStore::new()), Remote::default().into()] {
        let site = site(store);
        let mut jar = established(&site).await;
        let old = jar.clone();
        site.visit(&mut jar, async |session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            session.renew();
            let add = async |session: Session| {
                session.load().await.unwrap();
                session.update("n", |n: &mut u32| *n += 10).unwrap();
            };
            site.visit(&mut old.clone(), add).await;
        })
        .await;
        assert_eq!(read(&site, &jar, "n").await, Some(11));
        assert_eq!(read::<u32>(&site, &old, "n").await, None);
    }
}

#[tokio::test]
async fn a_request_that_overlaps_a_renewal_does_not_save_into_the_old_session() {
    let site = site(MemoryStore::new());
    let jar = established(&site).await;
    let (_, response) = site
        .visit(&mut jar.clone(), async |session| {
            session.insert("late", 1).unwrap();
            site.visit(&mut jar.clone(), async |session| session.renew())
                .await;
        })
        .await;
    assert_eq!(
        response
            .extensions()
            .get::<silverback::Error>()
            .unwrap()
            .kind(),
        ErrorKind::Gone
    );
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn a_save_whose_answer_got_lost_is_not_done_twice() {
    let remote = Remote::default();
    let site = site(remote.clone());
    let jar = established(&site).await;
    let add = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        remote.lose_next_answer();
    };
    let (_, response) = site.visit(&mut jar.clone(), add).await;
    assert_eq!(response.status(), 200);
    assert_eq!(read(&site, &jar, "n").await, Some(1));
}

#[tokio::test]
async fn a_save_that_was_cut_off_is_not_done_twice_and_not_lost() {
    // Polled once, an operation of this store has begun; polled twice, it is done.
    for polls in 1..=4 {
        let site = site(Remote::default());
        let jar = established(&site).await;
        site.visit(&mut jar.clone(), async |session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            {
                let mut save = std::pin::pin!(session.save());
                for _ in 0..polls {
                    let waker = std::task::Waker::noop();
                    if save
                        .as_mut()
                        .poll(&mut std::task::Context::from_waker(waker))
                        .is_ready()
                    {
                        break;
                    }
                }
            }
            session.update("n", |n: &mut u32| *n += 10).unwrap();
        })
        .await;
        assert_eq!(
            read(&site, &jar, "n").await,
            Some(11),
            "after {polls} polls"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logout_wins_over_every_request_in_flight() {
    for _ in 0..200 {
        let records = MemoryStore::new();
        let site = Arc::new(site(Remote::new(records.clone())));
        let jar = established(&site).await;
        let start = Arc::new(Barrier::new(5));
        let writers: Vec<_> = (0..5)
            .map(|n| {
                let (site, jar, start) = (Arc::clone(&site), jar.clone(), Arc::clone(&start));
                tokio::spawn(async move {
                    let service = site.layer.layer(service_fn(async |request: Request<()>| {
                        let session = request.extensions().get::<Session>().unwrap().clone();
                        if n == 0 {
                            start.wait().await;
                            session.destroy().await.unwrap();
                        } else {
                            session.load().await.unwrap();
                            if !session.is_new().unwrap() {
                                session.update("n", |n: &mut u32| *n += 1).unwrap();
                            }
                            start.wait().await;
                        }
                        Ok::<_, Infallible>(Response::new(String::new()))
                    }));
                    let response = service.oneshot(jar.request()).await.unwrap();
                    response.headers().contains_key("set-cookie") == (n == 0)
                })
            })
            .collect();
        for writer in writers {
            assert!(writer.await.unwrap(), "only the logout sets a cookie");
        }
        assert!(records.is_empty());
    }
}

/// A task of the handler's may still be at it when the response is ready.
#[tokio::test]
async fn a_response_waits_for_a_save_under_way() {
    let site = site(Remote::default());
    let jar = &mut Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 7).unwrap();
        let mut save = Box::pin(async move { session.save().await });
        assert!(
            save.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        tokio::spawn(save);
    };
    site.visit(jar, write).await;
    assert_eq!(read(&site, jar, "n").await, Some(7));
}
