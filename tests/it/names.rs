//! Two sessions of one name, in one request.

use std::{convert::Infallible, sync::Mutex};

use http::{Request, Response, StatusCode};
use silverback::{
    ErrorKind, Keys, Session, SessionConfig, SessionLayer, Sessions, store::CookieStore,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Jar, Kind, Stores, keys, no_cookie, sessions};

/// Serves one request, with the cookies in a jar, by a layer within the same layer.
async fn nested(
    layer: &SessionLayer,
    jar: &Jar,
    handler: impl AsyncFn(Session),
) -> Response<String> {
    let service = service_fn(async |request: Request<()>| {
        handler(request.extensions().get::<Session>().unwrap().clone()).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = layer.layer(layer.layer(service));
    service.oneshot(jar.request()).await.unwrap()
}

#[tokio::test]
async fn one_in_two_layers_is_an_error() {
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
    let handler = async |session: Session| {
        for error in [
            session.load().await.unwrap_err(),
            session.get::<u8>("n").unwrap_err(),
            session.insert("n", 1).unwrap_err(),
            session.destroy().await.unwrap_err(),
            sessions(&session).get("s").await.unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.session()),
                (ErrorKind::NameTaken, Some("s"))
            );
            assert!(error.to_string().contains("already used"), "{error}");
        }
    };
    let response = nested(&layer, &Jar::default(), handler).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn an_unused_session_of_one_is_no_failure() {
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
    let handler = async |session: Session| sessions(&session).save_all().await.unwrap();
    nested(&layer, &Jar::default(), handler).await;
}

#[tokio::test]
async fn renewing_under_a_taken_one_does_nothing() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let response = nested(&world.layer, jar, async |session| session.renew()).await;
    assert!(no_cookie(&response), "{}", response.status());
}

#[tokio::test]
async fn one_opened_outside_is_taken_inside() {
    let config = Kind::Memory.config(&Stores::new(), keys()).named("cart");
    let outer = SessionLayer::new(SessionConfig::cookie("outer", keys()));
    let inner = SessionLayer::new(SessionConfig::cookie("cart", keys()));
    let inserted = Mutex::new(None);
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        *inserted.lock().unwrap() = Some(session.insert("n", 1));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = inner.layer(service);
    let between = service_fn(async |request: Request<()>| {
        let all = Sessions::from_extensions(request.extensions()).unwrap();
        let cart = all.open(&config).await.unwrap();
        cart.insert("n", 1).unwrap();
        service.clone().oneshot(request).await
    });
    let service = outer.layer(between);
    service.oneshot(Request::new(())).await.unwrap();
    let error = inserted.into_inner().unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTaken);
}

/// Other keys, another store, and another path.
#[tokio::test]
async fn another_config_of_one_is_refused() {
    let keys = Keys::generate().unwrap();
    let signed = SessionConfig::new("s", CookieStore::new().signed(), keys).path("/x");
    let world = Kind::Cookie.world();
    let open = async |session: Session| sessions(&session).open(&signed).await.map(drop);
    let (opened, _) = world.visit(&mut Jar::default(), open).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::NameTaken);
}
