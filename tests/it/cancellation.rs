//! Operations and requests that are cancelled half-way.

use std::{
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response, StatusCode};
use silverback::Session;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, Site,
    schedule::{cut_off, until_it_hangs},
    scripted::{After, Before, Hang, Load, Update},
};

async fn established(site: &Site) -> Jar {
    let mut jar = Jar::default();
    site.put(&mut jar, "n", 1).await;
    jar
}

async fn add(session: &Session, n: u32) {
    session.load().await.unwrap();
    session.update("n", move |sum: &mut u32| *sum += n).unwrap();
}

#[tokio::test]
async fn a_save_is_not_done_twice_and_not_lost() {
    // After one poll, an operation of this store has begun. After two, it is done.
    for polls in 1..=4 {
        let world = Kind::Remote.world();
        let jar = &mut established(&world).await;
        world
            .visit(jar, async |session| {
                add(&session, 1).await;
                let _ = cut_off(polls, session.save()).await;
                add(&session, 10).await;
            })
            .await;
        assert_eq!(world.get(jar, "n").await, Some(12), "after {polls} polls");
    }
}

#[tokio::test]
async fn a_save_cut_off_twice_counts_once() {
    let world = Kind::Remote.world();
    let jar = &mut established(&world).await;
    world
        .visit(jar, async |session| {
            add(&session, 1).await;
            world.records().at(After, Update, Hang);
            assert_eq!(until_it_hangs(session.save()).await.map(drop), None);
            // The second try meets the record of the first, and is cut off while it reads that.
            world.records().at(Before, Load, Hang);
            assert_eq!(until_it_hangs(session.save()).await.map(drop), None);
            session.save().await.unwrap();
        })
        .await;
    assert_eq!(world.get(jar, "n").await, Some(2));
}

#[tokio::test]
async fn a_renewal_after_a_cut_off_save() {
    let world = Kind::Remote.world();
    let jar = &mut established(&world).await;
    world
        .visit(jar, async |session| {
            add(&session, 1).await;
            world.records().at(After, Update, Hang);
            assert_eq!(until_it_hangs(session.save()).await.map(drop), None);
            session.renew();
        })
        .await;
    assert_eq!(world.get(jar, "n").await, Some(2));
}

#[tokio::test]
async fn a_cut_off_destroy_is_a_logout() {
    let world = Kind::Remote.world();
    let jar = &mut established(&world).await;
    world.records().at(After, Update, Hang);
    let (seen, response) = world
        .visit(jar, async |session| {
            assert_eq!(until_it_hangs(session.destroy()).await.map(drop), None);
            assert_eq!(world.records().sessions().await, 0);
            session.load().await.unwrap();
            session.get::<u32>("n").unwrap()
        })
        .await;
    assert_eq!((seen, response.status()), (None, StatusCode::OK));
}

#[tokio::test]
async fn a_save_that_is_not_polled_blocks_no_load() {
    let world = Kind::Remote.world();
    let jar = &mut established(&world).await;
    world
        .visit(jar, async |session| {
            add(&session, 1).await;
            world.records().at(Before, Update, Hang);
            let mut save = pin!(session.save());
            assert_eq!(until_it_hangs(save.as_mut()).await.map(drop), None);
            let load = until_it_hangs(session.load()).await;
            load.expect("a loaded session has nothing to wait for")
                .unwrap();
        })
        .await;
}

/// How a request ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Cancel,
    Panic,
    Error,
}

/// Polls a call until it returns, panics or hangs, and drops it.
fn run_to_its_end(call: impl Future) {
    let mut call = Box::pin(call);
    for _ in 0..50 {
        let poll = AssertUnwindSafe(|| {
            call.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .map(drop)
        });
        if !matches!(catch_unwind(poll), Ok(Poll::Pending)) {
            break;
        }
    }
}

#[tokio::test]
async fn destroy_has_happened_when_it_returns() {
    for ending in [Ending::Cancel, Ending::Panic, Ending::Error] {
        for kind in [Kind::Memory, Kind::Remote] {
            let world = kind.world();
            let jar = &mut established(&world).await;
            assert_eq!(world.records().sessions().await, 1);
            let service = service_fn(async |request: Request<()>| {
                let session = request.extensions().get::<Session>().unwrap();
                session.destroy().await.unwrap();
                match ending {
                    Ending::Cancel => pending().await,
                    Ending::Panic => panic!("in the handler"),
                    Ending::Error => Err::<Response<String>, _>("failed"),
                }
            });
            run_to_its_end(world.layer.layer(service).oneshot(jar.request()));
            assert_eq!(world.records().sessions().await, 0, "{ending:?}");
            assert_eq!(world.get::<u32>(jar, "n").await, None);
        }
    }
}

#[tokio::test]
async fn a_cancelled_request_saves_nothing() {
    let world = Kind::Memory.world();
    let jar = &mut established(&world).await;
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("n", 2).unwrap();
        pending::<Result<Response<String>, Infallible>>().await
    });
    let call = world.layer.layer(service).oneshot(jar.request());
    assert!(until_it_hangs(call).await.is_none());
    assert_eq!(world.get(jar, "n").await, Some(1));
}
