//! No lock is held while the application's code runs: closures, values and subscribers may use the
//! session.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use silverback::{Error, ErrorKind, Session};

use crate::support::{
    Jar, Kind,
    watched::{KINDS, MERGED, block_in_time, kept, update, world},
};

#[test]
fn a_load_runs_updates_again_without_a_lock() {
    for kind in MERGED {
        block_in_time(kind, async move || {
            let site = world(kind);
            let session = kept(&site, &mut Jar::default()).await;
            session.load().await.unwrap();
            assert_eq!(update(&session).unwrap(), 1);
            session.load().await.unwrap();
            assert_eq!(session.get("n").unwrap(), Some(1));
            session.save().await.unwrap();
        });
    }
}

/// A save meets a conflict, and an update runs while it merges.
#[test]
fn a_save_runs_updates_again_without_a_lock() {
    block_in_time("merge", async || {
        let site = world(Kind::Remote);
        let jar = &mut Jar::default();
        let session = kept(&site, jar).await;
        session.load().await.unwrap();
        session.insert("y", 1).unwrap();
        let other = async |session: Session| {
            session.load().await.unwrap();
            session.insert("z", 1).unwrap();
        };
        site.visit(jar, other).await;
        let mut save = pin!(session.save());
        let mut is_updated = false;
        poll_fn(|cx| {
            let poll = save.as_mut().poll(cx);
            if !std::mem::replace(&mut is_updated, true) {
                assert_eq!(update(&session).unwrap(), 1);
            }
            poll
        })
        .await
        .unwrap();
        assert_eq!(session.get("z").unwrap(), Some(1));
        assert_eq!(session.get("n").unwrap(), Some(1));
        session.save().await.unwrap();
        session.load().await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(1));
    });
}

#[test]
fn an_update_of_its_own_key_ends_with_an_error() {
    for kind in KINDS {
        block_in_time(kind, async move || {
            let site = world(kind);
            let runs = Arc::new(AtomicUsize::new(0));
            let handler = async |session: Session| {
                session.load().await.unwrap();
                let (same, runs) = (session.clone(), Arc::clone(&runs));
                session.update("n", move |n: &mut u32| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    same.update("n", |n: &mut u32| *n += 1).unwrap();
                    *n += 1;
                })
            };
            let (result, _) = site.visit(&mut Jar::default(), handler).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
            assert_eq!(runs.load(Ordering::SeqCst), 8);
        });
    }
}

/// A closure that adds itself each time it runs again must not run forever.
#[test]
fn an_update_that_updates_when_it_runs_again_ends() {
    for kind in MERGED {
        block_in_time(kind, async move || {
            let site = world(kind);
            let session = kept(&site, &mut Jar::default()).await;
            session.load().await.unwrap();
            fn again(session: &Session) -> Result<(), Error> {
                let (same, mut has_run) = (session.clone(), false);
                session.update("n", move |n: &mut u32| {
                    if std::mem::replace(&mut has_run, true) {
                        again(&same).unwrap();
                    }
                    *n += 1;
                })
            }
            again(&session).unwrap();
            assert_eq!(
                session.load().await.unwrap_err().kind(),
                ErrorKind::Conflict
            );
        });
    }
}

/// The application calls `block_on` in a closure that a save runs again.
#[test]
fn a_save_within_a_save_is_an_error() {
    for kind in MERGED {
        block_in_time(kind, async move || {
            let site = world(kind);
            let jar = &mut Jar::default();
            let session = kept(&site, jar).await;
            session.load().await.unwrap();
            let (same, seen) = (session.clone(), Arc::new(Mutex::new(None)));
            let last = Arc::clone(&seen);
            let save = move |_: &mut u32| {
                let cx = &mut Context::from_waker(Waker::noop());
                if let Poll::Ready(result) = pin!(same.save()).poll(cx) {
                    *last.lock().unwrap() = Some(result);
                }
            };
            session.update("n", save).unwrap();
            session.insert("y", 1).unwrap();
            site.visit(jar, async |other: Session| {
                other.load().await.unwrap();
                other.insert("z", 1).unwrap();
            })
            .await;
            session.save().await.unwrap();
            let nested = seen.lock().unwrap().take().unwrap();
            assert_eq!(nested.unwrap_err().kind(), ErrorKind::Conflict);
        });
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Session>> = const { RefCell::new(None) };
}

fn use_current() {
    if let Some(session) = CURRENT.with_borrow(Clone::clone) {
        session.contains_key("x").unwrap();
        session.insert("y", 1).unwrap();
    }
}

/// A value whose deserialization uses its own session.
#[derive(Debug)]
struct Curious;

impl<'de> Deserialize<'de> for Curious {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer)?;
        use_current();
        Ok(Self)
    }
}

#[test]
fn values_may_use_the_session_they_are_in() {
    for kind in KINDS {
        block_in_time(kind, async move || {
            let site = world(kind);
            let handler = async |session: Session| {
                session.load().await.unwrap();
                session.insert("x", 1).unwrap();
                session.flash(1).unwrap();
                CURRENT.set(Some(session.clone()));
                session.get::<Curious>("x").unwrap();
                assert_eq!(session.flashes::<Curious>().unwrap().len(), 1);
                CURRENT.set(None);
            };
            site.visit(&mut Jar::default(), handler).await;
        });
    }
}

/// The captures of an update's closure are dropped when its changes are discarded.
#[test]
fn closures_may_use_the_session_when_dropped() {
    struct Last(Session);
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.contains_key("x");
            let _ = self.0.insert("y", 1);
        }
    }
    for kind in KINDS {
        block_in_time(kind, async move || {
            let site = world(kind);
            for (status, too_large) in [(200, false), (500, false), (200, true)] {
                let status = StatusCode::from_u16(status).unwrap();
                let handler = async |session: Session| {
                    session.load().await.unwrap();
                    let last = Last(session.clone());
                    let grow = move |text: &mut String| {
                        let _ = &last;
                        text.push_str(&"y".repeat(if too_large { 2 << 20 } else { 1 }));
                    };
                    let _ = session.update("n", grow);
                };
                site.answer(&mut Jar::default(), status, handler).await;
            }
            let session = kept(&site, &mut Jar::default()).await;
            let last = Last(session.clone());
            let _ = session.update("n", move |n: &mut u32| {
                let _ = &last;
                *n += 1;
            });
            let _ = session.load().await;
            let _ = session.destroy().await;
        });
    }
}

#[test]
fn subscribers_may_use_the_session() {
    use tracing::{Event, Metadata, Subscriber, span};

    struct Curious;
    impl Subscriber for Curious {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            if let Some(session) = CURRENT.with_borrow(Clone::clone) {
                let _ = (session.record_key(), session.rejection());
                session.renew();
            }
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    for kind in KINDS {
        block_in_time(kind, async move || {
            let _subscriber = tracing::subscriber::set_default(Curious);
            let site = world(kind);
            let handler = async |session: Session| {
                CURRENT.set(Some(session.clone()));
                session.load().await.unwrap();
                let _ = session.get::<u32>("x");
                session
            };
            let session = site.visit(&mut Jar::with("s", "rubbish"), handler).await.0;
            session.renew();
            let _ = session.load().await;
            CURRENT.set(None);
        });
    }
}
