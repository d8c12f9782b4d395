//! Handles that outlive their response, as in a WebSocket or a task.

use std::{
    convert::Infallible,
    future::Ready,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use silverback::{ErrorKind, FailedCommit, ResponseFuture, Session};
use tokio::{join, sync::oneshot};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, Site, failure, log_in, no_cookie,
    schedule::until_it_hangs,
    scripted::{ANY, Before, Hang, Update, Wait},
    streams::Late,
};

/// The handle of a request that has used its session.
async fn kept(site: &Site, jar: &mut Jar) -> Session {
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    site.visit(jar, keep).await.0
}

/// The handle of a request that wrote, and whose service then failed.
async fn kept_by_a_failed_request(site: &Site, jar: &Jar) -> Session {
    let kept = Mutex::new(None);
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        session.insert("n", 666).unwrap();
        *kept.lock().unwrap() = Some(session);
        Err::<Response<String>, _>("failed")
    });
    let call = site.layer.layer(service).oneshot(jar.request());
    call.await.unwrap_err();
    kept.into_inner().unwrap().unwrap()
}

/// A server may keep the future of a response while it sends the body.
#[tokio::test]
async fn it_sees_a_logout_while_its_future_is_kept() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let kept = Mutex::new(None);
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            session.load().await.unwrap();
            *kept.lock().unwrap() = Some(session);
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let mut call = pin!(world.layer.layer(service).call(jar.request()));
        call.as_mut().await.unwrap();
        let session = kept.lock().unwrap().take().unwrap();
        world.destroy(jar).await;
        session.load().await.unwrap();
        assert!(session.is_new().unwrap(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_body_can_be_saved_while_its_future_is_kept() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let late = session.clone();
            let row = async move {
                late.load().await.unwrap();
                late.insert("n", 2).unwrap();
            };
            let body = Late::new(Full::new(Bytes::from("row")), row);
            Ok::<_, Infallible>(Response::new(session.save_at_end(body).unwrap()))
        });
        let layer = world.layer.clone().on_failure(FailedCommit::into_response);
        let mut call = pin!(layer.layer(service).call(jar.request()));
        let response = call.as_mut().await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(world.get(jar, "n").await, Some(2), "{kind:?}");
    }
}

/// A task cannot know how far the response is.
#[tokio::test]
async fn a_task_can_save_while_the_request_is_being_saved() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let (sender, receiver) = oneshot::channel();
    let handler = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 2).unwrap();
        sender.send(session).ok().unwrap();
    };
    let task = async {
        let session = receiver.await.unwrap();
        world.records().reached().await;
        let go = async { world.records().go() };
        join!(session.load(), go).0.unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        session.save().await.unwrap();
    };
    world.records().at(Before, Update, Wait);
    join!(world.visit(jar, handler), task);
    assert_eq!(world.get(jar, "n").await, Some(3));
}

/// The request can save it no more, and without a load the task cannot either.
#[tokio::test]
async fn a_change_while_the_request_is_being_saved_is_an_error() {
    for kind in [Kind::Remote, Kind::RemoteRevocable, Kind::RevocableOverflow] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let (sender, receiver) = oneshot::channel();
        let saves = match kind {
            Kind::Remote => world.records(),
            _ => world.ends(),
        };
        let handler = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            saves.at(Before, ANY, Wait);
            sender.send(session).ok().unwrap();
        };
        let task = async {
            let session = receiver.await.unwrap();
            saves.reached().await;
            let error = session.insert("n", 3).unwrap_err();
            saves.go();
            error.kind()
        };
        let (_, error) = join!(world.visit(jar, handler), task);
        assert_eq!(error, ErrorKind::AlreadyCommitted, "{kind:?}");
        assert_eq!(world.get(jar, "n").await, Some(2), "{kind:?}");
    }
}

/// A service may panic before it has returned a future.
#[tokio::test]
async fn a_panic_in_call_is_the_end_of_the_request() {
    for kind in Kind::SIMPLE {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let kept = Mutex::new(None);
        let service = service_fn(|request: Request<()>| -> Ready<Result<_, Infallible>> {
            *kept.lock().unwrap() = request.extensions().get::<Session>().cloned();
            resume_unwind(Box::new("without a line on the terminal"))
        });
        let mut service = world.layer.layer(service);
        let call =
            AssertUnwindSafe(|| drop::<ResponseFuture<_, String, _>>(service.call(jar.request())));
        assert!(catch_unwind(call).is_err());
        let session = kept.lock().unwrap().take().unwrap();
        let error = session.insert("n", 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");
        if kind == Kind::Memory {
            world.destroy(jar).await;
            session.load().await.unwrap();
            assert!(session.is_new().unwrap());
        }
    }
}

#[tokio::test]
async fn writes_are_errors() {
    for kind in Kind::SIMPLE {
        let world = kind.world();
        let jar = &mut Jar::default();
        let (late, _) = world
            .visit(jar, async |session| {
                session.insert("n", 1).unwrap();
                session
            })
            .await;
        assert_eq!(late.get("n").unwrap(), Some(1), "reads still work");
        for refused in [
            late.insert("n", 2),
            late.clear(),
            late.flash("x"),
            late.set_attributes(|cookie| cookie.path("/x")),
            late.update("n", |n: &mut u8| *n += 1).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::AlreadyCommitted);
        }
        late.renew();
        late.persist_for(HOUR);
        let error = late.save().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
        let read = async |session: Session| session.get("n").unwrap();
        let (read, response) = world.visit(jar, read).await;
        assert_eq!(read, Some(1));
        assert!(no_cookie(&response));
    }
}

/// The closures of saved changes are dropped with the commit.
#[tokio::test]
async fn saved_closures_are_dropped() {
    for kind in Kind::SIMPLE {
        let world = kind.world();
        let held = Arc::new(());
        let of_update = Arc::clone(&held);
        let (late, _) = world
            .visit(&mut Jar::default(), async |session| {
                let held = Arc::clone(&of_update);
                let count = move |n: &mut usize| *n += Arc::strong_count(&held);
                session.update("n", count).unwrap();
                session
            })
            .await;
        drop(of_update);
        assert_eq!(Arc::strong_count(&held), 1);
        drop(late);
    }
}

#[tokio::test]
async fn a_handle_not_used_in_time_cannot_write() {
    let (late, _) = Kind::Cookie
        .world()
        .visit(&mut Jar::default(), async |session| session)
        .await;
    let error = late.insert("n", 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
}

#[tokio::test]
async fn it_loads_and_saves_by_itself() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let socket = kept(&world, jar).await;
    world.put(jar, "other", true).await;

    socket.load().await.unwrap();
    assert_eq!(
        socket.get("other").unwrap(),
        Some(true),
        "it sees the changes of other requests"
    );
    socket.update("n", |n: &mut u8| *n += 1).unwrap();
    socket.save().await.unwrap();
    assert_eq!(world.get(jar, "n").await, Some(2));
}

#[tokio::test]
async fn it_sees_a_logout() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let socket = kept(&world, jar).await;
    world.destroy(jar).await;
    socket.load().await.unwrap();
    assert!(socket.is_new().unwrap());
    socket.insert("n", 3).unwrap();
    let error = socket.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert_eq!(world.records().sessions().await, 0);
}

#[tokio::test]
async fn it_can_log_out() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let socket = kept(&world, jar).await;
    socket.destroy().await.unwrap();
    assert_eq!(world.records().sessions().await, 0);
}

/// Nobody knows whether the session lives under another ID: to load it again changes nothing.
#[tokio::test]
async fn a_logout_that_comes_too_late_is_an_error() {
    for kind in Kind::ENDED_BY_SERVER {
        for (status, loads) in [
            (StatusCode::OK, true),
            (StatusCode::INTERNAL_SERVER_ERROR, false),
        ] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let keep = async |session: Session| {
                session.load().await.unwrap();
                session.insert("n", 1).unwrap();
                session
            };
            let late = world.answer(jar, status, keep).await.0;
            world.renew(jar).await;
            world.clock.advance(MINUTE);
            if loads {
                late.load().await.unwrap();
                assert!(late.is_new().unwrap(), "{kind:?}");
            }
            for _ in 0..2 {
                let error = late.destroy().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Gone, "{kind:?}, {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_renewal_is_refused_by_save() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let late = kept(&world, jar).await;
    late.load().await.unwrap();
    late.persist_for(DAY);
    late.renew();
    let error = late.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
    let (unused, _) = world.visit(jar, async |session| session).await;
    unused.renew();
    let error = unused.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
}

#[tokio::test]
async fn a_note_is_changed_but_no_subject() {
    let world = Kind::Memory.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let late = kept(&world, jar).await;
    late.load().await.unwrap();
    let error = late.set_subject("bob", "laptop").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
    late.set_subject("ada", "phone").unwrap();
    late.save().await.unwrap();
    assert_eq!(world.notes("ada").await, ["phone"]);
}

#[tokio::test]
async fn attributes_are_refused_after_a_load() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let late = kept(&world, jar).await;
    late.load().await.unwrap();
    let error = late
        .set_attributes(|cookie| cookie.path("/admin"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
    late.save().await.unwrap();
}

#[tokio::test]
async fn a_failed_request_leaves_no_changes() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let late = kept_by_a_failed_request(&world, jar).await;
    late.load().await.unwrap();
    late.insert("seen", 1).unwrap();
    late.save().await.unwrap();
    assert_eq!(world.get(jar, "n").await, Some(1));
    assert_eq!(world.get(jar, "seen").await, Some(1));
}

#[tokio::test]
async fn a_session_in_a_cookie_cannot_be_saved() {
    let world = Kind::Cookie.world();
    let late = kept_by_a_failed_request(&world, &Jar::default()).await;
    let error = late.save().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
}

/// Only the response could have ended a session that is only in its cookie.
#[tokio::test]
async fn a_session_in_a_cookie_cannot_be_ended() {
    let world = Kind::Cookie.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let used = kept(&world, jar).await;
    let (unused, _) = world.visit(jar, async |session| session).await;
    for late in [used, unused] {
        for _ in 0..2 {
            let error = late.destroy().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
        }
    }
    assert_eq!(world.get(jar, "n").await, Some(1));
}

#[tokio::test]
async fn a_session_that_has_outgrown_its_cookie_ends() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.put(jar, "large", "x".repeat(1_000)).await;
    let late = kept(&world, jar).await;
    late.destroy().await.unwrap();
    assert_eq!(world.records().sessions().await, 0);
    assert_eq!(world.get::<String>(jar, "large").await, None);
}

/// The browser still has the old cookie, without the failed change.
#[tokio::test]
async fn a_failed_change_is_not_in_the_cookie() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let log_in = async |session: Session| {
            log_in(session.clone(), "ada", "again").await;
            world.fail(ANY);
            session
        };
        let session = world.visit(jar, log_in).await.0;
        world.calm();
        world.destroy_all("ada").await;
        session.load().await.unwrap();
        assert!(session.is_new().unwrap(), "{kind:?}");
    }
}

/// The browser's cookie still has the subject, so it ends with the subject's other sessions.
#[tokio::test]
async fn a_subject_that_could_not_be_removed_ends_it() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let remove = async |session: Session| {
            session.load().await.unwrap();
            session.remove_subject().unwrap();
            world.destroy_all("ada").await;
            session
        };
        let (session, response) = world.visit(jar, remove).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        session.load().await.unwrap();
        assert!(session.is_new().unwrap(), "{kind:?}");
    }
}

/// The end is remembered before the record is removed.
#[tokio::test]
async fn it_sees_a_logout_that_was_cut_off() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut Jar::default();
    let grow = async |session: Session| {
        session.load().await.unwrap();
        session.insert("cart", "x".repeat(600)).unwrap();
        session
    };
    let session = world.visit(jar, grow).await.0;
    world.records().at(Before, Update, Hang);
    let log_out = world.destroy(jar);
    assert!(until_it_hangs(log_out).await.is_none());
    world.calm();
    session.load().await.unwrap();
    assert!(session.is_new().unwrap());
}
