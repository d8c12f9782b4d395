//! The status of the response to an error.

use http::{Method, Request, Response, StatusCode, header};
use silverback::{Session, SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, World,
    scripted::{Before, Create, Fail, Load, Update},
};

/// The response to a request with this method and content type, whose handler changes the session.
async fn add(
    world: &World,
    jar: &Jar,
    (method, kind): (Method, &'static str),
    meanwhile: impl AsyncFnOnce(),
) -> Response<String> {
    let mut request = jar.request();
    *request.method_mut() = method;
    let kind = header::HeaderValue::from_static(kind);
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 2).unwrap();
        meanwhile().await;
    };
    let jar = &mut jar.clone();
    world
        .serve(jar, request, write, Response::default())
        .await
        .1
}

fn summary(response: &Response<String>) -> (u16, Option<&str>, Option<&str>) {
    let field = |name: &str| response.headers().get(name)?.to_str().ok();
    (
        response.status().as_u16(),
        field("retry-after"),
        field("grpc-status"),
    )
}

const HTML: &str = "text/html";
const GRPC: &str = "application/grpc+proto";

#[tokio::test]
async fn a_failed_save_invites_no_second_order() {
    let world = Kind::Remote.world();
    let mut jar = Jar::default();
    world.put(&mut jar, "n", 1).await;
    let is_safe = |method: &Method| ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method.as_str());
    for (calls, jar) in [(Update, &jar), (Create, &Jar::default())] {
        for method in [
            "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "DELETE", "PATCH", "BUY",
        ] {
            let method: Method = method.parse().unwrap();
            let retry = is_safe(&method).then_some("1");
            let fail = async || world.records().at(Before, calls, Fail);
            let response = add(&world, jar, (method.clone(), HTML), fail).await;
            assert_eq!(summary(&response), (503, retry, None), "{method}");
        }
        let fail = async || world.records().at(Before, calls, Fail);
        let response = add(&world, jar, (Method::POST, GRPC), fail).await;
        assert_eq!(summary(&response), (200, None, Some("13")));
    }
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_is_a_conflict() {
    for (kind, expected) in [(HTML, (409, None, None)), (GRPC, (200, None, Some("10")))] {
        let world = Kind::Remote.world();
        let mut jar = Jar::default();
        world.put(&mut jar, "n", 1).await;
        let end = async || drop(world.destroy(&mut jar.clone()).await);
        let response = add(&world, &jar, (Method::POST, kind), end).await;
        assert_eq!(summary(&response), expected);
    }
}

#[tokio::test]
async fn a_change_that_can_never_be_saved_is_a_server_error() {
    let world = Kind::Cookie.world();
    for (kind, expected) in [(HTML, (500, None, None)), (GRPC, (200, None, Some("13")))] {
        let mut request = Request::post("/").body(()).unwrap();
        let kind = header::HeaderValue::from_static(kind);
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        // An outer layer has a session of this name.
        let inner = SessionLayer::new(Kind::Cookie.config(&world.stores, crate::support::keys()));
        let service = inner.layer(service_fn(async |request: Request<()>| {
            request.extensions().get::<Session>().unwrap().renew();
            Ok::<_, std::convert::Infallible>(Response::<String>::default())
        }));
        let response = world.layer.layer(service).oneshot(request).await.unwrap();
        assert_eq!(summary(&response), expected);
    }
}

#[tokio::test]
async fn a_failed_load_may_be_tried_again() {
    for kind in [
        Kind::Memory,
        Kind::Remote,
        Kind::RemoteRevocable,
        Kind::Overflow,
    ] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", "x".repeat(600)).await;
        world.records().every(Before, Load, Fail);
        world.ends().every(Before, Load, Fail);
        let load = async |session: Session| session.load().await.unwrap_err().answer();
        let (answer, _) = world.visit(jar, load).await;
        let delay = answer.retry_after().map(|delay| delay.as_secs());
        let summary = (answer.status(), delay, answer.grpc_code());
        assert_eq!(summary, (StatusCode::SERVICE_UNAVAILABLE, Some(1), 14));
    }
}

#[tokio::test]
async fn a_failed_save_in_a_handler_may_not() {
    let world = Kind::Remote.world();
    let save = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        world.records().at(Before, Create, Fail);
        let answer = session.save().await.unwrap_err().answer();
        session.destroy().await.unwrap();
        answer
    };
    let (answer, _) = world.visit(&mut Jar::default(), save).await;
    let summary = (answer.status(), answer.retry_after(), answer.grpc_code());
    assert_eq!(summary, (StatusCode::SERVICE_UNAVAILABLE, None, 13));
}
