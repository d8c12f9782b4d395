//! Two sessions of one name in one request.

use std::{convert::Infallible, sync::Mutex};

use http::{Request, Response, StatusCode};
use silverback::{
    ErrorKind, Key, Keys, SameSite, Session, SessionConfig, SessionLayer, Sessions,
    gorilla::{Gorilla, KeyPair, SecureCookie},
    store::{CookieStore, MemoryStore},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Jar, Kind, Site, Stores, keys, no_cookie, sessions};

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
            session.touch().await.unwrap_err(),
            session.destroy().await.unwrap_err(),
            sessions(&session).get("s").await.unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.session()),
                (ErrorKind::NameTaken, Some("s"))
            );
            assert!(
                error.to_string().contains("rename one of the two"),
                "{error}"
            );
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

/// Different settings in the layer and in a session opened separately.
#[tokio::test]
async fn different_settings_for_one_are_refused() {
    let other_keys = || Keys::generate().unwrap();
    let signed = CookieStore::new().signed();
    let strict = |c: SessionConfig| c.attributes(|a| a.same_site(SameSite::Strict));
    let pair = KeyPair::signing([7; 32]).unwrap();
    let go = Gorilla::new(SecureCookie::new([pair]).unwrap());
    #[rustfmt::skip]
    let rows = [
        ("the same",  SessionConfig::cookie("s", keys()),                  None),
        ("SameSite",  strict(SessionConfig::cookie("s", keys())),          None),
        ("path",      SessionConfig::cookie("s", keys()).attributes(|a| a.path("/x")), Some(())),
        ("keys",      SessionConfig::cookie("s", other_keys()),            Some(())),
        ("audience",  SessionConfig::cookie("s", keys()).audience("shop"), Some(())),
        ("codec",     SessionConfig::new("s", signed, keys()),             Some(())),
        ("store",     SessionConfig::new("s", MemoryStore::new(), keys()), Some(())),
        ("Go",        SessionConfig::cookie("s", keys()).write_gorilla(go).cookie_name("__Host-s"), Some(())),
    ];
    let refused = Some(ErrorKind::SettingsDiffer);
    for (row, config, expected) in rows {
        let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
        let site = Site::of(layer);
        let opened = async |session: Session| {
            let (config, all) = (config.clone(), sessions(&session));
            let of_layer = all.open(&config).await.err();
            let beside = SessionConfig::cookie("beside", keys());
            all.open(&beside).await.unwrap();
            let of_other = all.open(&config.named("beside")).await.err();
            [of_layer, of_other].map(|error| error.map(|error| error.kind()))
        };
        let (found, _) = site.visit(&mut Jar::default(), opened).await;
        let expected = expected.and(refused);
        assert_eq!(found, [expected; 2], "{row}");
    }
}

/// Rotated keys are still the layer's, and so is another ring of the same keys.
#[tokio::test]
async fn keys_are_compared_by_value() {
    let ring = keys();
    let site = Site::of(SessionLayer::new(SessionConfig::cookie("s", &ring)));
    ring.rotate(Key::generate().unwrap()).unwrap();
    for (other, expected) in [
        (ring.clone(), None),
        (keys(), Some(ErrorKind::SettingsDiffer)),
    ] {
        let config = SessionConfig::cookie("s", other);
        let open = async |session: Session| sessions(&session).open(&config).await.err();
        let (error, _) = site.visit(&mut Jar::default(), open).await;
        assert_eq!(error.map(|error| error.kind()), expected);
    }
}
