//! Bodies that save their session at their end. `hyper.rs` and `tonic.rs` send them over a
//! connection.

use std::{convert::Infallible, pin::pin};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use silverback::{Error, ErrorKind, SavingBody, Session};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, World,
    scripted::{Before, Fail, Load, Update, Wait},
    streams::{Late, Pieces, trailers},
};

/// Kinds whose grown session is in a store.
const IN_STORES: [Kind; 4] = [
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

/// The body of a response whose handler has opened the session.
async fn stream<B: Body>(
    world: &World,
    jar: &Jar,
    make: impl AsyncFn(Session) -> B,
) -> SavingBody<B> {
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        session.load().await.unwrap();
        let body = make(session.clone()).await;
        Ok::<_, Infallible>(Response::new(session.save_at_end(body).unwrap()))
    });
    let layer = world.layer.clone().on_failure(|_| panic!("not saved"));
    layer
        .layer(service)
        .oneshot(jar.request())
        .await
        .unwrap()
        .into_body()
}

/// The work of a stream: counts its progress.
async fn note(session: Session) {
    session.load().await.unwrap();
    session.insert("row", 7).unwrap();
}

/// The frames of a body, and its error, if any.
async fn collect<B>(body: B) -> (Vec<Frame<Bytes>>, Option<ErrorKind>)
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut body, mut frames) = (pin!(body), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(error) => {
                assert!(body.is_end_stream() && body.frame().await.is_none());
                let error = error
                    .downcast_ref::<Error>()
                    .expect("an error of this crate");
                return (frames, Some(error.kind()));
            }
        }
    }
    assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
    (frames, None)
}

/// The data, one text per frame.
fn data(frames: &[Frame<Bytes>]) -> Vec<&str> {
    let data = frames.iter().filter_map(Frame::data_ref);
    data.map(|bytes| std::str::from_utf8(bytes).unwrap())
        .collect()
}

#[tokio::test]
async fn what_a_stream_changes_is_saved_before_its_end() {
    for kind in IN_STORES {
        for pieces in [
            Pieces::of(["a", "b"]),
            Pieces::of(["a", "b"]).of_known_length(),
        ] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let make = async |session: Session| Late::new(pieces.clone(), note(session));
            let body = stream(&world, jar, make).await;
            let (frames, error) = collect(body).await;
            assert_eq!((data(&frames), error), (vec!["a", "b"], None), "{kind:?}");
            assert_eq!(world.get(jar, "row").await, Some(7), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_save_that_fails_ends_the_body_with_an_error() {
    for kind in IN_STORES {
        //  the pieces, and those that come before the error
        for (pieces, before) in [
            (Pieces::of(["a", "b"]), &["a", "b"][..]),
            (Pieces::of(["a", "b"]).of_known_length(), &["a"]),
            (
                Pieces::of(["a", "b"]).with_trailers(trailers("0")),
                &["a", "b"],
            ),
            (Pieces::of([]), &[]),
        ] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let make = async |session: Session| Late::new(pieces.clone(), note(session));
            let body = stream(&world, jar, make).await;
            world.records().at(Before, Update, Fail);
            let (frames, error) = collect(body).await;
            assert_eq!(data(&frames), before, "{kind:?} {pieces:?}");
            assert!(!frames.iter().any(Frame::is_trailers), "{kind:?}");
            assert_eq!(error, Some(ErrorKind::StoreFailed), "{kind:?} {pieces:?}");
            assert_eq!(world.get::<u32>(jar, "row").await, None, "{kind:?}");
        }
    }
}

/// The last piece and the trailers come only after the store has answered.
#[tokio::test]
async fn the_end_waits_for_the_store() {
    for (pieces, before) in [
        (Pieces::of(["a"]), 1),
        (Pieces::of(["a"]).of_known_length(), 0),
        (Pieces::of(["a"]).with_trailers(trailers("0")), 1),
    ] {
        let world = Kind::Remote.world();
        let jar = &mut world.grown().await;
        let make = async |session: Session| Late::new(pieces.clone(), note(session));
        let mut body = stream(&world, jar, make).await;
        world.records().at(Before, Update, Wait);
        let hint = body.size_hint().exact();
        let mut frames = Vec::new();
        for _ in 0..before {
            frames.push(body.frame().await.unwrap().unwrap());
        }
        {
            let mut next = pin!(body.frame());
            tokio::select! {
                biased;
                _ = &mut next => panic!("before the store has answered"),
                () = world.records().reached() => {}
            }
        }
        assert!(!body.is_end_stream());
        if before == 0 {
            assert_eq!(body.size_hint().exact(), hint, "the piece is still to come");
        }
        world.records().go();
        let (rest, error) = collect(body).await;
        frames.extend(rest);
        assert_eq!((data(&frames), error), (vec!["a"], None));
    }
}

#[tokio::test]
async fn trailers_come_after_the_save() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let pieces = Pieces::of(["a"]).with_trailers(trailers("0"));
        let make = async |session: Session| Late::new(pieces.clone(), note(session));
        let mut body = stream(&world, jar, make).await;
        loop {
            let frame = body.frame().await.unwrap().unwrap();
            if frame.is_trailers() {
                break;
            }
        }
        assert_eq!(world.get(jar, "row").await, Some(7), "{kind:?}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_saves_nothing() {
    for kind in IN_STORES {
        for status in ["1", "2", "4", "12", "13", "14", "15"] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let pieces = Pieces::of(["a"]).with_trailers(trailers(status));
            let make = async |session: Session| Late::new(pieces.clone(), note(session));
            let (frames, error) = collect(stream(&world, jar, make).await).await;
            assert_eq!((frames.len(), error), (2, None), "{kind:?} {status}");
            assert_eq!(
                world.get::<u32>(jar, "row").await,
                None,
                "{kind:?} {status}"
            );
        }
        let world = kind.world();
        let jar = &mut world.grown().await;
        let pieces = Pieces::of(["a"]).that_fail();
        let make = async |session: Session| Late::new(pieces.clone(), note(session));
        let mut body = stream(&world, jar, make).await;
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.downcast_ref::<Error>().is_none(), "its own");
        assert!(body.frame().await.is_none());
        assert_eq!(world.get::<u32>(jar, "row").await, None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_status_that_is_no_failure_saves() {
    for status in ["0", "5", "16"] {
        let world = Kind::Remote.world();
        let jar = &mut world.grown().await;
        let pieces = Pieces::of(["a"]).with_trailers(trailers(status));
        let make = async |session: Session| Late::new(pieces.clone(), note(session));
        collect(stream(&world, jar, make).await).await;
        assert_eq!(world.get(jar, "row").await, Some(7), "{status}");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_saves_nothing() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let make = async |session: Session| Late::new(Pieces::of(["a", "b"]), note(session));
    let mut body = stream(&world, jar, make).await;
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    assert_eq!(world.get::<u32>(jar, "row").await, None);
}

#[tokio::test]
async fn an_unchanged_session_causes_no_store_call() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let make = async |_: Session| Pieces::of(["a"]).with_trailers(trailers("0"));
        let body = stream(&world, jar, make).await;
        world.records().take_log();
        let (frames, error) = collect(body).await;
        assert_eq!((frames.len(), error), (2, None));
        assert_eq!(world.records().take_log(), [], "{kind:?}");
        let make = async |session: Session| {
            Late::new(
                Pieces::of(["a"]),
                async move { session.load().await.unwrap() },
            )
        };
        let body = stream(&world, jar, make).await;
        world.records().take_log();
        collect(body).await;
        assert_eq!(world.records().take_log(), [Load], "{kind:?}");
    }
}

/// The response saves the handler's own changes, as always.
#[tokio::test]
async fn the_handler_s_changes_are_saved_with_the_response() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let make = async |session: Session| {
            session.insert("handler", 1).unwrap();
            Late::new(Pieces::of(["a"]), note(session))
        };
        let body = stream(&world, jar, make).await;
        assert_eq!(world.get(jar, "handler").await, Some(1), "{kind:?}");
        assert_eq!(world.get::<u32>(jar, "row").await, None, "{kind:?}");
        assert_eq!(collect(body).await.1, None);
        assert_eq!(world.get(jar, "row").await, Some(7), "{kind:?}");
    }
}

#[tokio::test]
async fn it_has_the_size_hint_of_the_inner_body() {
    let world = Kind::Memory.world();
    let jar = &world.grown().await;
    for (pieces, lengths) in [
        (Pieces::of(["abc", "de"]), [(0, None), (0, None)]),
        (
            Pieces::of(["abc", "de"]).of_known_length(),
            [(5, Some(5)), (2, Some(2))],
        ),
    ] {
        let make = async |_: Session| pieces.clone();
        let mut body = stream(&world, jar, make).await;
        for (lower, upper) in lengths {
            let hint = body.size_hint();
            assert_eq!((hint.lower(), hint.upper()), (lower, upper), "{pieces:?}");
            assert!(!body.is_end_stream());
            body.frame().await.unwrap().unwrap();
        }
        if lengths[0].1.is_some() {
            assert!(body.is_end_stream(), "nothing is left to send or save");
        }
    }
    let make = async |_: Session| Pieces::of([]).of_known_length();
    let body = stream(&world, jar, make).await;
    assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
}

/// Another task may have changed the session. A server would never poll a body that it knows to be
/// empty.
#[tokio::test]
async fn an_empty_body_is_not_over_before_the_session_is_saved() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let kept = std::sync::Mutex::new(None);
        let make = async |session: Session| {
            *kept.lock().unwrap() = Some(session);
            Pieces::of([]).of_known_length()
        };
        let body = stream(&world, jar, make).await;
        let session = kept.lock().unwrap().take().unwrap();
        note(session).await;
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
        assert_eq!(collect(body).await.1, None, "{kind:?}");
        assert_eq!(world.get(jar, "row").await, Some(7), "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_in_its_cookie_is_refused_at_once() {
    for kind in Kind::ALL {
        let world = kind.world();
        let refused = async |session: Session| {
            let body = session.save_at_end(Pieces::of(["a"]));
            body.map(drop).map_err(|error| error.kind())
        };
        let (body, response) = world.visit(&mut Jar::default(), refused).await;
        let expected = match kind {
            Kind::Cookie | Kind::Revocable | Kind::RemoteRevocable => Err(ErrorKind::NeedsStore),
            _ => Ok(()),
        };
        assert_eq!(body, expected, "{kind:?}");
        assert!(response.headers().is_empty(), "the refusal is not use");
    }
}

/// The session may outgrow its cookie, but has not.
#[tokio::test]
async fn a_session_that_is_still_in_its_cookie_takes_no_change() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let make = async |session: Session| {
            let note = async move {
                session.load().await.unwrap();
                let error = session.insert("row", 7).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
            };
            Late::new(Pieces::of(["a"]), note)
        };
        let body = stream(&world, jar, make).await;
        assert_eq!(collect(body).await.1, None, "{kind:?}");
    }
}

/// Only the response could have carried the new ID.
#[tokio::test]
async fn a_wish_that_comes_too_late_ends_the_body_with_an_error() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let make =
            async |session: Session| Late::new(Pieces::of(["a"]), async move { session.renew() });
        let (frames, error) = collect(stream(&world, jar, make).await).await;
        assert_eq!(data(&frames), ["a"]);
        assert_eq!(error, Some(ErrorKind::AlreadyCommitted), "{kind:?}");
    }
}

/// The visitor logs out while the stream runs.
#[tokio::test]
async fn a_session_that_has_ended_ends_the_body_with_an_error() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let other = jar.clone();
        let world = &world;
        let make = async |session: Session| Late::new(Pieces::of(["a"]), note(session));
        let mut body = stream(world, jar, make).await;
        assert!(body.frame().await.unwrap().is_ok());
        world.destroy(&mut other.clone()).await;
        let (_, error) = collect(body).await;
        assert_eq!(error, Some(ErrorKind::Gone), "{kind:?}");
    }
}

#[test]
fn it_has_the_auto_traits_of_the_inner_body() {
    fn is_sent<T: Send + Unpin + 'static>() {}
    is_sent::<SavingBody<Pieces>>();
    let _: HeaderMap = trailers("0");
}
