//! No thread waits for itself, and no response waits for an idle operation.

use std::{
    future::poll_fn,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    thread,
};

use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
use http::{Response, StatusCode};
use silverback::{
    Error, ErrorKind, Session, SessionConfig, SessionLayer, Sessions, store::MemoryStore,
};
use tokio::{net::TcpListener, runtime};

use crate::support::{
    HOUR, Jar, Kind, keys, one_more,
    scripted::Scripted,
    watched::{KINDS, LONG, block_in_time, in_time, kept, update, world},
};

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
            // The client sends a frame once it has the response, so this runs after the commit.
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
            get(async |session: Session| session.update("n", one_more).map(|n| n.to_string())),
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

/// An operation that is kept without being polled.
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
            // The operation finds its work done.
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
fn a_runtime_without_a_timer_is_an_error() {
    in_time("no timer", || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let site = world(Kind::Remote);
        let (result, response): (Result<(), Error>, Response<String>) =
            runtime.block_on(site.visit(&mut Jar::default(), async |session: Session| {
                session.load().await
            }));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailed);
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
