//! The differences for gRPC, without a server. `tonic.rs` has one.

use std::convert::Infallible;

use http::{Request, Response, StatusCode, header};
use silverback::Session;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind,
    scripted::{Before, Create, Fail},
};

#[tokio::test]
async fn its_statuses_count_like_those_of_http() {
    for (status, saved) in [
        ("0", true),
        ("16", true),
        ("5", true),
        ("7", true),
        ("8", true),
        ("10", true),
        ("1", false),
        ("4", false),
        ("12", false),
        ("13", false),
        ("15", false),
        ("2", false),
        ("14", false),
    ] {
        let world = Kind::Memory.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let mut response = Response::new(String::new());
        let value = status.parse().unwrap();
        response.headers_mut().insert("grpc-status", value);
        let write = async |session: Session| session.insert("n", 2).unwrap();
        world.respond(jar, write, response).await;
        let expected = if saved { 2 } else { 1 };
        assert_eq!(
            world.get(jar, "n").await,
            Some(expected),
            "grpc-status {status}"
        );
    }
}

#[tokio::test]
async fn http_500_counts_beside_a_good_status() {
    let world = Kind::Memory.world();
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let value = "0".parse().unwrap();
    response.headers_mut().insert("grpc-status", value);
    let write = async |session: Session| session.insert("n", 1).unwrap();
    world.respond(&mut Jar::default(), write, response).await;
    assert!(world.records().memory.is_empty());
}

/// The response to a call of this content type whose commit fails.
async fn failed_commit(content_type: &str) -> Response<String> {
    let world = Kind::Remote.world();
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        Ok::<_, Infallible>(Response::new(String::from("message")))
    });
    world.records().at(Before, Create, Fail);
    let mut request = Request::post("/").body(()).unwrap();
    let value = content_type.parse().unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    world.layer.layer(service).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_failed_commit_has_its_own_status() {
    for kind in ["application/grpc", "application/grpc+proto"] {
        let response = failed_commit(kind).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "13");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
    }
}

#[tokio::test]
async fn grpc_web_is_another_protocol() {
    let response = failed_commit("application/grpc-web-text").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key("grpc-status"));
    assert!(!response.headers().contains_key(header::CONTENT_TYPE));
}
