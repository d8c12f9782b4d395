//! No thread waits for itself, and no response for somebody who does nothing.

use std::{
    cell::RefCell,
    fmt::Debug,
    future::poll_fn,
    io::{Read, Write},
    net::TcpStream,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
use http::{Response, StatusCode};
use serde::{Deserialize, Deserializer};
use silverback::{
    Error, ErrorKind, Session, SessionConfig, SessionLayer, Sessions, store::MemoryStore,
};
use tokio::{net::TcpListener, runtime};

use crate::support::{HOUR, Jar, Kind, Site, World, keys, scripted::Scripted};

/// Only a hang takes this long.
const LONG: Duration = Duration::from_secs(120);

/// Runs it on a thread of its own, so that a thread that waits for itself is a failure.
#[track_caller]
fn in_time<T: Send + 'static>(name: impl Debug, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    result
        .recv_timeout(LONG)
        .unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

#[track_caller]
fn block_in_time<T: Send + 'static, F: Future<Output = T>>(
    name: impl Debug,
    run: impl FnOnce() -> F + Send + 'static,
) -> T {
    let on_runtime = move || {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(run())
    };
    in_time(name, on_runtime)
}

const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];
/// Those whose changes are merged into what other requests have saved.
const MERGED: [Kind; 2] = [Kind::Memory, Kind::Remote];

/// A world whose sessions soon outgrow their cookie, if they can.
fn world(kind: Kind) -> World {
    kind.with(|config| config.cookie_bytes(40))
}

/// The handle of a session that outlives its request, of a visitor who has one with `x` in it.
async fn kept(site: &Site, jar: &mut Jar) -> Session {
    let start = async |session: Session| {
        session.load().await.unwrap();
        session.insert("x", 1).unwrap();
    };
    site.visit(jar, start).await;
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    site.visit(jar, keep).await.0
}

/// An update whose closure reads the session.
fn update(session: &Session) -> Result<u32, Error> {
    let same = session.clone();
    session.update("n", move |n: &mut u32| {
        *n += same.get("x").unwrap().unwrap_or(0)
    })
}

#[test]
fn anonymous_web_sockets_stop_no_server() {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let loads = Arc::new(AtomicUsize::new(0));
    let loaded = Arc::clone(&loads);
    let upgrade = async move |upgrade: WebSocketUpgrade, session: Session| {
        upgrade.on_upgrade(async move |mut socket| {
            // The client says when the response has come, so that this is after the commit.
            while let Some(Ok(_)) = socket.recv().await {
                session.load().await.unwrap();
                loaded.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let store = Scripted::new(MemoryStore::new());
    let app = Router::new()
        .route(
            "/",
            get(async |session: Session| {
                session
                    .update("n", |n: &mut u32| *n += 1)
                    .map(|n| n.to_string())
            }),
        )
        .route("/ws", get(upgrade))
        .layer(SessionLayer::new(SessionConfig::new("s", store, keys())));
    runtime.spawn(async move { axum::serve(listener, app).await });

    let ask = move |request: &str| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        (socket, String::from_utf8(head).unwrap())
    };
    let plain = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let upgrade = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    in_time("a hundred sockets", move || {
        let mut sockets = Vec::new();
        for _ in 0..100 {
            let (mut socket, head) = ask(upgrade);
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            // An empty text frame, masked with zeros.
            socket.write_all(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
            sockets.push(socket);
            assert!(ask(plain).1.starts_with("HTTP/1.1 200"));
        }
        while loads.load(Ordering::SeqCst) < 100 {
            thread::yield_now();
        }
        assert!(ask(plain).1.starts_with("HTTP/1.1 200"));
    });
    runtime.shutdown_background();
}

async fn operate(session: &Session, name: &str) {
    let _ = match name {
        "load" => session.load().await,
        "save" => session.save().await,
        "get" => session.get::<u32>("n").map(drop),
        "insert" => session.insert("n", 5),
        "update" => update(session).map(drop),
        "remove" => session.remove("n").map(drop),
        "clear" => session.clear(),
        "flash" => session.flash("hi"),
        "flashes" => session.flashes::<String>().map(drop),
        "claim" => session.claim_flashes::<String>().await.map(drop),
        "attributes" => session.set_attributes(|cookie| cookie.path("/x")),
        "destroy" => session.destroy().await,
        "subject" => session.set_subject("ada", "x"),
        "no subject" => session.remove_subject().map(drop),
        "list" => session.subject_sessions().await.map(drop),
        "others" => session.destroy_others().await.map(drop),
        "save all" => Sessions::from(session.clone()).save_all().await,
        _ => {
            session.renew();
            session.persist_for(HOUR);
            Ok(())
        }
    };
}

#[test]
fn no_two_operations_after_the_response_hang() {
    const OPERATIONS: [&str; 18] = [
        "load",
        "save",
        "get",
        "insert",
        "update",
        "remove",
        "clear",
        "flash",
        "flashes",
        "claim",
        "attributes",
        "destroy",
        "subject",
        "no subject",
        "list",
        "others",
        "save all",
        "renew",
    ];
    for kind in KINDS {
        for before in [
            "untouched",
            "read",
            "saved",
            "large",
            "destroyed",
            "renewed",
            "failed",
        ] {
            let pairs = move || async move {
                for first in OPERATIONS {
                    for second in OPERATIONS {
                        let status =
                            StatusCode::from_u16(if before == "failed" { 500 } else { 200 });
                        let handler = async |session: Session| {
                            if before != "untouched" {
                                session.load().await.unwrap();
                            }
                            if !["untouched", "read"].contains(&before) {
                                session.insert("n", 1).unwrap();
                            }
                            match before {
                                "large" => session.insert("y", "y".repeat(500)).unwrap(),
                                "destroyed" => {
                                    let _ = session.save().await;
                                    let _ = session.destroy().await;
                                }
                                "renewed" => session.renew(),
                                _ => {}
                            }
                            session
                        };
                        let site = world(kind);
                        let jar = &mut Jar::default();
                        let (session, _) = site.answer(jar, status.unwrap(), handler).await;
                        for operation in [first, second, "save"] {
                            operate(&session, operation).await;
                        }
                    }
                }
            };
            block_in_time((kind, before), pairs);
        }
    }
}

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

/// A save meets a conflict, and an update is made while it merges.
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

/// What a closure does when it is run again must not bring itself back for ever.
#[test]
fn an_update_that_updates_when_it_runs_again_ends() {
    for kind in MERGED {
        block_in_time(kind, async move || {
            let site = world(kind);
            let session = kept(&site, &mut Jar::default()).await;
            session.load().await.unwrap();
            fn again(session: &Session) -> Result<u32, Error> {
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

/// An application's `block_on` in a closure that a save runs again.
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

/// A value whose deserialization uses the session it is in.
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

/// What a closure of an update owns is dropped when its changes are given up.
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
#[cfg(feature = "tracing")]
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
                let _ = (session.id(), session.rejection());
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

/// An operation that is kept and not polled.
struct Idle<F>(std::pin::Pin<Box<F>>);

#[test]
fn a_response_waits_for_no_idle_save() {
    for operation in ["save", "load", "destroy"] {
        block_in_time(operation, async move || {
            let site = world(Kind::Remote);
            let jar = &mut Jar::default();
            kept(&site, jar).await;
            let handler = async |session: Session| {
                let mut idle = Box::pin(async move {
                    if operation == "load" {
                        return session.load().await;
                    }
                    session.load().await.unwrap();
                    session.insert("y", 1).unwrap();
                    if operation == "save" {
                        session.save().await
                    } else {
                        session.destroy().await
                    }
                });
                for _ in 0..if operation == "load" { 1 } else { 2 } {
                    let cx = &mut Context::from_waker(Waker::noop());
                    assert!(idle.as_mut().poll(cx).is_pending());
                }
                Idle(idle)
            };
            let (Idle(mut idle), response) = site.visit(jar, handler).await;
            assert_eq!(response.status(), StatusCode::OK);
            // It finds done what it was to do.
            poll_fn(|cx| idle.as_mut().poll(cx)).await.unwrap();
            let look = async |session: Session| {
                session.load().await.unwrap();
                (
                    session.contains_key("x").unwrap(),
                    session.contains_key("y").unwrap(),
                )
            };
            let expected = match operation {
                "save" => (true, true),
                "load" => (true, false),
                _ => (false, false),
            };
            assert_eq!(site.visit(jar, look).await.0, expected);
        });
    }
}

#[test]
fn a_runtime_without_a_timer_is_told_so() {
    in_time("no timer", || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let site = world(Kind::Remote);
        let (result, response): (Result<(), Error>, Response<String>) =
            runtime.block_on(site.visit(&mut Jar::default(), async |session: Session| {
                session.load().await
            }));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        let source = std::error::Error::source(&error)
            .and_then(std::error::Error::source)
            .unwrap();
        assert!(source.to_string().contains("enable_time"), "{source}");
        assert_eq!(response.status(), StatusCode::OK);
        for kind in Kind::SIMPLE {
            let site = world(kind);
            let insert = async |session: Session| session.insert("x", 1);
            runtime
                .block_on(site.visit(&mut Jar::default(), insert))
                .0
                .unwrap();
        }
    });
}
