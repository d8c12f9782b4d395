//! Operations that another caller drives to their end, as a response does those of a task.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use http::StatusCode;
use silverback::{Error, Session};

use crate::support::{
    Jar, Kind, World,
    scripted::{Before, Load, Update, Wait},
};

async fn put(session: &Session, key: &str) {
    session.load().await.unwrap();
    session.insert(key, 1).unwrap();
}

async fn has(world: &World, jar: &mut Jar, key: &str) -> bool {
    world.get::<u32>(jar, key).await.is_some()
}

/// A kept handle of a session that has `x`, with unsaved changes.
async fn changed(world: &World, jar: &mut Jar, key: &str) -> Session {
    world
        .visit(jar, async |session: Session| put(&session, "x").await)
        .await;
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    let session = world.visit(jar, keep).await.0;
    put(&session, key).await;
    session
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_with(Waker::noop(), future)
}

fn poll_with<F: Future>(waker: &Waker, future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Panics on its second run.
fn update_once(session: &Session) {
    let mut runs = 0;
    let update = move |n: &mut u32| {
        runs += 1;
        assert_ne!(runs, 2, "on purpose");
        *n += 1;
    };
    session.update("n", update).unwrap();
}

/// Requests of a busy session queue, and one of them may keep its save without polling it.
#[tokio::test(start_paused = true)]
async fn an_idle_save_holds_no_other_request_up() {
    let world = Kind::Remote.world();
    for polls in 1..12 {
        let jar = &mut Jar::default();
        let session = changed(&world, jar, "idle").await;
        world
            .visit(jar, async |other: Session| put(&other, "faster").await)
            .await;
        let mut save = Box::pin(async move { session.save().await });
        let is_done = (0..polls).any(|_| poll(&mut save).is_ready());
        let lose = async |session: Session| {
            put(&session, "slow").await;
            let faster = async |other: Session| put(&other, "fast").await;
            let fast = world.visit(&mut jar.clone(), faster).await.1;
            assert_eq!(fast.status(), StatusCode::OK);
        };
        let response = world.visit(&mut jar.clone(), lose).await.1;
        assert_eq!(response.status(), StatusCode::OK, "after {polls} polls");
        if is_done {
            return;
        }
        save.await.unwrap();
        for key in ["idle", "faster", "slow", "fast"] {
            assert!(has(&world, jar, key).await, "{key} after {polls} polls");
        }
    }
    panic!("the save is never done");
}

#[tokio::test]
#[expect(
    clippy::async_yields_async,
    reason = "the task is looked at after the response"
)]
async fn a_tasks_panic_is_not_the_responses() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world
        .visit(jar, async |session: Session| put(&session, "x").await)
        .await;
    let handler = async |session: Session| {
        session.load().await.unwrap();
        update_once(&session);
        let faster = async |other: Session| put(&other, "faster").await;
        world.visit(&mut jar.clone(), faster).await;
        let save = tokio::spawn(async move { session.save().await });
        tokio::task::yield_now().await;
        save
    };
    let (save, response) = world.visit(&mut jar.clone(), handler).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(save.await.unwrap_err().is_panic());
    for key in ["x", "faster", "n"] {
        assert!(has(&world, jar, key).await, "{key}");
    }
}

#[tokio::test]
async fn a_panic_in_an_update_loses_nothing_else() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        let session = changed(&world, jar, "before").await;
        update_once(&session);
        session.insert("after", 1).unwrap();
        let again = session.clone();
        let load = tokio::spawn(async move { again.load().await });
        assert!(load.await.unwrap_err().is_panic());
        assert_eq!(session.get("after").unwrap(), Some(1));
        assert_eq!(session.get("before").unwrap(), Some(1));
        session.save().await.unwrap();
        for key in ["x", "before", "after"] {
            assert!(has(&world, jar, key).await, "{key}");
        }
    }
}

/// The client has gone, so nobody gets the new ID.
#[tokio::test]
async fn a_dropped_commit_is_not_driven_on() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let session = changed(&world, jar, "y").await;
    drop(session);
    world.records().at(Before, Update, Wait);
    let handler = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        session
    };
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&kept);
    let mut visit = Box::pin(async {
        let renew = async |session: Session| {
            *keep.lock().unwrap() = Some(handler(session).await);
        };
        world.visit(&mut jar.clone(), renew).await;
    });
    while !poll(&mut visit).is_ready() && kept.lock().unwrap().is_none() {}
    let session = kept.lock().unwrap().take().unwrap();
    let mut save = Box::pin(async move { session.save().await });
    for _ in 0..8 {
        assert!(poll(&mut visit).is_pending());
        assert!(poll(&mut save).is_pending());
    }
    drop(visit);
    world.records().calm();
    let saved: Result<(), Error> = save.await;
    assert!(saved.is_err(), "no response can carry the new ID");
    assert!(has(&world, &mut jar.clone(), "x").await);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Two callers wait for one load. The one that was polled last may be dropped.
#[tokio::test]
async fn both_waiters_are_woken() {
    for drops in [false, true] {
        let world = Kind::Remote.world();
        let jar = &mut Jar::default();
        world
            .visit(jar, async |session: Session| put(&session, "x").await)
            .await;
        world.records().at(Before, Load, Wait);
        let handler = async |session: Session| {
            let counts = [Arc::<Count>::default(), Arc::<Count>::default()];
            let wakers = counts.clone().map(Waker::from);
            let load = || {
                let session = session.clone();
                Box::pin(async move { session.load().await })
            };
            let (mut first, mut second) = (load(), Some(load()));
            assert!(poll_with(&wakers[0], &mut first).is_pending());
            assert!(
                second
                    .as_mut()
                    .is_some_and(|load| poll_with(&wakers[1], load).is_pending())
            );
            counts
                .iter()
                .for_each(|count| count.0.store(0, Ordering::SeqCst));
            if drops {
                second = None;
            }
            world.records().go();
            for _ in 0..100 {
                tokio::task::yield_now().await;
                for (load, at) in [(Some(&mut first), 0), (second.as_mut(), 1)] {
                    let is_woken = counts[at].0.swap(0, Ordering::SeqCst) > 0;
                    if let Some(load) = load.filter(|_| is_woken)
                        && poll_with(&wakers[at], load).is_ready()
                        && at == 0
                    {
                        return true;
                    }
                }
            }
            false
        };
        assert!(
            world.visit(&mut jar.clone(), handler).await.0,
            "drops: {drops}"
        );
    }
}
