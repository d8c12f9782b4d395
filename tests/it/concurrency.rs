//! Overlapping requests: no update is lost, and no session comes back from the dead.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, StatusCode};
use silverback::{ErrorKind, Session, SessionConfig, SessionLayer, store::IntoBackend};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{HOUR, Jar, Kind, Site, Stores, World, failure, keys, no_cookie};

const TASKS: u32 = 64;
const ROUNDS: u32 = 200;
const IN_STORES: [Kind; 2] = [Kind::Memory, Kind::Remote];

async fn established(site: &Site) -> Jar {
    let mut jar = Jar::default();
    site.put(&mut jar, "n", 0).await;
    jar
}

async fn add(session: Session, n: u32) {
    session.load().await.unwrap();
    session.update("n", move |sum: &mut u32| *sum += n).unwrap();
}

pub(crate) async fn count_up(stores: &Stores, store: impl IntoBackend) {
    // Long enough for any machine, however busy.
    let config = SessionConfig::new("s", store, keys()).store_timeout(HOUR);
    let site = Arc::new(Site::at(&stores.clock, SessionLayer::new(config)));
    let jar = established(&site).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (site, mut jar) = (Arc::clone(&site), jar.clone());
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let (_, response) = site.visit(&mut jar, |session| add(session, 1)).await;
                    assert_eq!(failure(&response), None);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(site.get(&mut jar.clone(), "n").await, Some(TASKS * ROUNDS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_in_memory() {
    let stores = Stores::new();
    count_up(&stores, stores.records.memory.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_behind_a_wait() {
    let stores = Stores::new();
    count_up(&stores, stores.records.clone()).await;
}

#[tokio::test]
async fn changes_of_different_keys_all_survive() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let other = &mut jar.clone();
        world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("a", 1).unwrap();
                world
                    .visit(other, async |session| {
                        session.load().await.unwrap();
                        session.insert("b", 2).unwrap();
                        session.remove("n").unwrap();
                    })
                    .await;
            })
            .await;
        assert_eq!(world.get(jar, "a").await, Some(1));
        assert_eq!(world.get(jar, "b").await, Some(2));
        assert_eq!(world.get::<u8>(jar, "n").await, None);
    }
}

#[tokio::test]
async fn a_slow_request_undoes_no_logout() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let other = &mut jar.clone();
        let (_, response) = world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.insert("slow", 1).unwrap();
                world.destroy(other).await;
            })
            .await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(failure(&response), Some(ErrorKind::Gone));
        assert!(no_cookie(&response) && world.records().sessions().await == 0);
    }
}

#[tokio::test]
async fn a_login_does_not_undo_a_logout() {
    let world = Kind::Remote.world();
    let jar = &mut established(&world).await;
    let other = &mut jar.clone();
    let (_, response) = world
        .visit(jar, async |session| {
            session.load().await.unwrap();
            session.renew();
            world.destroy(other).await;
        })
        .await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(no_cookie(&response) && world.records().sessions().await == 0);
}

#[tokio::test]
async fn a_reader_is_not_disturbed_by_a_logout() {
    let world = Kind::Memory.world();
    let jar = &mut established(&world).await;
    let other = &mut jar.clone();
    let (_, response) = world
        .visit(jar, async |session| {
            session.get::<u8>("n").unwrap();
            world.destroy(other).await;
        })
        .await;
    assert_eq!(response.status(), 200);
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn a_renewal_includes_later_saves() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut established(&world).await;
        let old = &mut jar.clone();
        world
            .visit(jar, async |session| {
                add(session.clone(), 1).await;
                session.renew();
                world.visit(old, |session| add(session, 10)).await;
            })
            .await;
        assert_eq!(world.get(jar, "n").await, Some(11));
        assert_eq!(world.get::<u32>(old, "n").await, None);
    }
}

#[tokio::test]
async fn nothing_is_saved_under_a_renewed_id() {
    let world = Kind::Memory.world();
    let jar = &mut established(&world).await;
    let other = &mut jar.clone();
    let (_, response) = world
        .visit(jar, async |session| {
            session.insert("late", 1).unwrap();
            world.renew(other).await;
        })
        .await;
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(no_cookie(&response));
}

/// Logs out or writes once all requests are at the barrier. Returns whether a cookie was set.
async fn race(world: Arc<World>, jar: Jar, logs_out: bool, start: Arc<Barrier>) -> bool {
    let service = world.layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        if logs_out {
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
    !no_cookie(&service.oneshot(jar.request()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logout_wins_over_every_request_in_flight() {
    for _ in 0..200 {
        let world = Arc::new(Kind::Remote.world());
        let jar = established(&world).await;
        let start = Arc::new(Barrier::new(5));
        let racers: Vec<_> = (0..5)
            .map(|n| race(Arc::clone(&world), jar.clone(), n == 0, Arc::clone(&start)))
            .map(tokio::spawn)
            .collect();
        for (n, racer) in racers.into_iter().enumerate() {
            assert_eq!(
                racer.await.unwrap(),
                n == 0,
                "only the logout sets a cookie"
            );
        }
        assert_eq!(world.records().sessions().await, 0);
    }
}
