//! A hyper server on loopback, without a framework.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use silverback::{Error, SavingBody, Session, SessionConfig, SessionLayer};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    keys,
    scripted::{Before, Fail, Load, Scripted, Update},
    streams::{Late, Pieces},
};

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(count(request).await.unwrap_or_else(|error| {
        let answer = error.answer();
        let mut response = Response::new(Full::default());
        *response.status_mut() = answer.status();
        if let Some(delay) = answer.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, delay.as_secs().into());
        }
        response
    }))
}

async fn count(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let session = request
        .extensions()
        .get::<Session>()
        .expect("the layer inserts it");
    session.load().await?;
    let n = session.update("n", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(Response::new(Full::from(n.to_string())))
}

#[tokio::test]
async fn a_hyper_service_has_sessions() {
    let remote = Scripted::default();
    let layer = SessionLayer::new(SessionConfig::new("s", remote.clone(), keys()));
    let service = layer.layer(service_fn(serve));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        server::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .await
    });

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut cookie = String::new();
    for n in 1..=3 {
        let request = Request::builder()
            .header(header::HOST, "x")
            .header(header::COOKIE, &cookie);
        let response = sender
            .send_request(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .unwrap();
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            n.to_string()
        );
    }
    for (calls, method, retries) in [
        (Load, Method::POST, true),
        (Update, Method::GET, true),
        (Update, Method::POST, false),
    ] {
        remote.at(Before, calls, Fail);
        let request = Request::builder()
            .method(method)
            .header(header::HOST, "x")
            .header(header::COOKIE, &cookie);
        let response = sender
            .send_request(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = response.headers().get(header::RETRY_AFTER);
        assert_eq!(
            retry_after.map(|value| value == "1"),
            retries.then_some(true)
        );
    }
}

/// A proxy passes on the upstream's body, which has no `Default`.
#[tokio::test]
async fn a_proxy_can_pass_incoming_bodies_through() {
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()))
        .on_failure(|failed: silverback::FailedCommit<Incoming>| failed.into_response());
    let _service = layer.layer(service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
}

/// Counts the visit while the body streams.
async fn stream(
    request: Request<Incoming>,
    pieces: Pieces,
) -> Result<Response<SavingBody<Late<Pieces>>>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap().clone();
    session.load().await.unwrap();
    if session.is_new().unwrap() {
        session.insert("n", 0).unwrap();
    }
    let streaming = session.clone();
    let count = async move {
        streaming.load().await.unwrap();
        streaming.update("n", |n: &mut u64| *n += 1).unwrap();
    };
    let body = session.save_at_end(Late::new(pieces, count)).unwrap();
    Ok(Response::new(body))
}

/// The value of `n` in the session of this cookie.
async fn counted(layer: &SessionLayer, cookie: &str) -> Option<u64> {
    let read = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        let n = session.get::<u64>("n").unwrap();
        Ok::<_, Infallible>(Response::new(n.map_or_else(String::new, |n| n.to_string())))
    });
    let request = Request::builder().header(header::COOKIE, cookie);
    let response = layer.layer(read).oneshot(request.body(()).unwrap()).await;
    response.unwrap().into_body().parse().ok()
}

/// A client that has received the whole body knows that the session is saved. If the save fails, it
/// does not receive the whole body.
#[tokio::test]
async fn a_body_ends_with_its_session_s_save() {
    for (pieces, length, before) in [
        (Pieces::of(["one", "two"]), None, "onetwo"),
        (
            Pieces::of(["one", "two"]).of_known_length(),
            Some("6"),
            "one",
        ),
    ] {
        let remote = Scripted::default();
        let layer = SessionLayer::new(SessionConfig::new("s", remote.clone(), keys()));
        let respond = {
            let pieces = pieces.clone();
            move |request| stream(request, pieces.clone())
        };
        let layered = layer
            .clone()
            .on_failure(|_| panic!("the response is saved"));
        let service = layered.layer(service_fn(respond));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(
                    server::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        let mut cookie = String::new();
        // The third save fails.
        for (n, fails) in [(1, false), (2, false), (2, true), (3, false)] {
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            let (mut sender, connection) = client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            if fails {
                remote.at(Before, Update, Fail);
            }
            let request = Request::builder()
                .header(header::HOST, "x")
                .header(header::COOKIE, &cookie);
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "it was sent before");
            let length_header = response.headers().get(header::CONTENT_LENGTH);
            assert_eq!(length_header.map(|value| value.to_str().unwrap()), length);
            if let Some(set) = response.headers().get(header::SET_COOKIE) {
                cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            }
            let (mut body, mut got) = (response.into_body(), Vec::new());
            let is_whole = loop {
                match body.frame().await {
                    None => break true,
                    Some(Ok(frame)) => got.extend_from_slice(frame.data_ref().unwrap()),
                    Some(Err(_)) => break false,
                }
            };
            assert_eq!(is_whole, !fails, "{pieces:?}");
            let expected = if fails { before } else { "onetwo" };
            assert_eq!(got, expected.as_bytes(), "{pieces:?}");
            assert_eq!(counted(&layer, &cookie).await, Some(n), "{pieces:?}");
        }
    }
}
