//! An outer layer that cannot save its sessions replaces the response, but keeps the cookies that
//! inner layers have committed.

use std::convert::Infallible;

use http::{Request, Response, StatusCode, header};
use silverback::{FailedCommit, Session, SessionConfig, SessionLayer, store::MemoryStore};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, keys,
    scripted::{Before, Create, Fail, Scripted},
    sessions, set_cookies,
};

/// Renews the inner session and changes the outer one, whose store is down.
async fn log_in(request: Request<()>) -> Result<Response<String>, Infallible> {
    let inner = request.extensions().get::<Session>().unwrap();
    inner.load().await.unwrap();
    inner.renew();
    inner.insert("user", 7).unwrap();
    let outer = sessions(inner).get("outer").await.unwrap();
    outer.insert("n", 1).unwrap();
    let response = Response::builder().header(header::SET_COOKIE, "own=1");
    Ok(response.body("ok".to_owned()).unwrap())
}

fn inner_layers() -> [SessionLayer; 2] {
    let inner = |config| SessionLayer::new(config);
    [
        inner(SessionConfig::cookie("inner", keys())),
        inner(SessionConfig::new("inner", MemoryStore::new(), keys())),
    ]
}

fn broken() -> SessionConfig {
    let store = Scripted::default();
    store.every(Before, Create, Fail);
    SessionConfig::new("outer", store, keys())
}

async fn user(inner: &SessionLayer, response: &Response<String>) -> Option<u8> {
    let read = async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        let user: Option<u8> = session.get("user").unwrap();
        Ok::<_, Infallible>(Response::new(user))
    };
    let cookie = set_cookies(response.headers()).remove(0);
    let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    let request = Jar::with(name, value).request();
    let service = inner.layer(service_fn(read));
    service.oneshot(request).await.unwrap().into_body()
}

#[tokio::test]
async fn the_cookie_of_an_inner_layer_is_carried_over() {
    for inner in inner_layers() {
        let service = SessionLayer::new(broken()).layer(inner.layer(service_fn(log_in)));
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let cookies = set_cookies(response.headers());
        assert!(
            cookies.len() == 1 && cookies[0].starts_with("__Host-inner="),
            "{cookies:?}"
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[header::VARY], "Cookie");
        assert_eq!(user(&inner, &response).await, Some(7));
    }
}

#[tokio::test]
async fn it_passes_through_layers_in_between() {
    for middle in [
        SessionConfig::cookie("middle", keys()),
        broken().named("middle"),
    ] {
        for inner in inner_layers() {
            let write_middle = async |request: Request<()>| {
                let session = request.extensions().get::<Session>().unwrap();
                let middle = sessions(session).get("middle").await.unwrap();
                middle.insert("n", 1).unwrap();
                log_in(request).await
            };
            let service = inner.layer(service_fn(write_middle));
            let service = SessionLayer::new(middle.clone()).layer(service);
            let service = SessionLayer::new(broken()).layer(service);
            let response = service.oneshot(Request::new(())).await.unwrap();
            let cookies = set_cookies(response.headers());
            let names = cookies
                .iter()
                .map(|cookie| cookie.split('=').next().unwrap());
            let names: Vec<_> = names.collect();
            assert!(
                names == ["__Host-inner", "__Host-middle"] || names == ["__Host-inner"],
                "{names:?}"
            );
            assert_eq!(user(&inner, &response).await, Some(7));
        }
    }
}

#[tokio::test]
async fn an_unchanged_response_sets_it_once() {
    for inner in inner_layers() {
        let pass = |failed: FailedCommit<String>| failed.into_response();
        let outer = SessionLayer::new(broken()).on_failure(pass);
        let service = outer.layer(inner.layer(service_fn(log_in)));
        let response = service.oneshot(Request::new(())).await.unwrap();
        let cookies = set_cookies(response.headers());
        let names: Vec<_> = cookies
            .iter()
            .map(|cookie| cookie.split('=').next())
            .collect();
        assert_eq!(names, [Some("own"), Some("__Host-inner")]);
    }
}

#[tokio::test]
async fn the_cookie_of_an_outer_layer_is_not_stored_although_an_inner_one_read_its_session() {
    for inner in inner_layers() {
        let handle = async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            if request.uri().path() == "/write" {
                session.insert("user", 7).unwrap();
            } else {
                session.get::<u8>("user").unwrap();
                let outer = sessions(session).get("outer").await.unwrap();
                outer.insert("n", 1).unwrap();
            }
            let mut response = Response::new(String::new());
            if let Some(own) = request.headers().get("x-own") {
                response
                    .headers_mut()
                    .insert(header::CACHE_CONTROL, own.clone());
            }
            Ok::<_, Infallible>(response)
        };
        let outer = SessionLayer::new(SessionConfig::cookie("outer", keys()));
        let service = outer.layer(inner.layer(service_fn(handle)));
        let write = Request::builder().uri("/write").body(()).unwrap();
        let response = service.clone().oneshot(write).await.unwrap();
        let cookie = set_cookies(response.headers()).remove(0).to_owned();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        for (own, expected) in [
            (None, "no-store"),
            (Some("private, max-age=5"), "private, max-age=5"),
        ] {
            let mut request = Request::builder().header(header::COOKIE, &cookie);
            if let Some(own) = own {
                request = request.header("x-own", own);
            }
            let request = request.body(()).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            let cookies = set_cookies(response.headers());
            assert_eq!(cookies.len(), 1);
            assert!(cookies[0].starts_with("__Host-outer="));
            assert_eq!(response.headers()[header::CACHE_CONTROL], expected);
        }
    }
}
