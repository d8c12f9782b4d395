//! How a wrongly assembled program reports its mistake.

use std::{env, process::Command};

use axum::{
    Router,
    body::{Body, to_bytes},
    routing::get,
};
use http::{Request, Response, StatusCode};
use silverback::{
    Error, ErrorKind, Flashes, Session, SessionConfig, SessionLayer, Sessions, store::MemoryStore,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, Site, keys,
    log::recorded,
    scripted::{Before, Fail, Load, Scripted},
    sessions,
};

/// A router with one handler for each mistake.
fn app(remote: &Scripted) -> Router {
    let layer = SessionLayer::new(SessionConfig::cookie("account", keys()))
        .with(SessionConfig::new("cart", remote.clone(), keys()));
    let unloaded = async |all: Sessions| {
        let cart = all.iter().find(|session| session.name() == "cart").unwrap();
        cart.insert("n", 1).map(|()| "never")
    };
    let misspelt = async |all: Sessions| all.get("carts").await.map(|_| "never");
    let cart = async |all: Sessions| all.get("cart").await.map(|_| "never");
    let invalid = async |all: Sessions| {
        let config = SessionConfig::cookie("x", keys())
            .cookie_name("__Host-x")
            .attributes(|a| a.path("/shop"));
        all.open(&config).await.map(|_| "never")
    };
    let differs = async |all: Sessions| {
        let config = SessionConfig::new("account", MemoryStore::new(), keys());
        all.open(&config).await.map(|_| "never")
    };
    let mistyped = async |session: Session| {
        session.insert("n", "a secret value")?;
        Ok::<_, Error>(session.get::<u64>("n")?.unwrap_or_default().to_string())
    };
    let same_name = SessionLayer::new(SessionConfig::cookie("account", keys()));
    Router::new()
        .route("/twice", get(async |_: Session| "never"))
        .layer(same_name)
        .route("/unloaded", get(unloaded))
        .route("/misspelt", get(misspelt))
        .route("/cart", get(cart))
        .route("/invalid", get(invalid))
        .route("/differs", get(differs))
        .route("/mistyped", get(mistyped))
        .layer(layer)
        .route("/outside", get(async |_: Session| "never"))
        .route("/outside-flashes", get(async |_: Flashes| "never"))
}

/// Status, body and log of a request.
async fn ask(app: &Router, path: &str) -> (StatusCode, String, String) {
    let mut answer = None;
    let log = recorded(async || {
        let request = Request::builder()
            .uri(path)
            .header("cookie", "__Host-cart=x");
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        answer = Some((status, String::from_utf8(body.to_vec()).unwrap()));
    })
    .await;
    let (status, body) = answer.unwrap();
    (status, body, log)
}

/// The log always has the sentence, the body only in a debug build.
#[tokio::test]
async fn one_is_a_sentence_in_the_log_and_in_debug_builds_in_the_body() {
    let app = app(&Scripted::default());
    #[rustfmt::skip]
    let rows = [
        ("/outside",         "add `.layer(SessionLayer::new(..))` after"),
        ("/outside-flashes", "add `.layer(SessionLayer::new(..))` after"),
        ("/twice",           "\"account\": another session has this name, or a cookie of the same name"),
        ("/unloaded",        "\"cart\": used before it was loaded: call `session.load().await?`"),
        ("/misspelt",        "\"carts\": no `SessionLayer` around this handler has a session of this name"),
        ("/misspelt",        "known names: account, cart"),
        ("/invalid",         "\"x\": the settings cannot work: the prefix"),
        ("/differs",         "\"account\": a session of this name exists with another store"),
        ("/mistyped",        "\"account\": value \"n\": the stored value is not of the requested type: its JSON is not a `u64`"),
    ];
    for (path, sentence) in rows {
        let (status, body, log) = ask(&app, path).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        let errors: Vec<_> = log
            .lines()
            .filter(|line| line.starts_with("ERROR"))
            .collect();
        assert_eq!(errors.len(), 1, "{path}: {log}");
        assert!(errors[0].contains(sentence), "{path}: {log}");
        assert!(!log.contains("a secret value"), "{path}: {log}");
        assert!(!body.contains("a secret value"), "{path}: {body}");
        if cfg!(debug_assertions) {
            assert!(body.contains(sentence), "{path}: {body}");
        } else {
            assert_eq!(body, "session error", "{path}");
        }
    }
}

#[tokio::test]
async fn other_errors_tell_the_client_nothing() {
    let remote = Scripted::default();
    let app = app(&remote);
    let valid = {
        let config = SessionConfig::new("cart", remote.clone(), keys());
        let site = Site::of(SessionLayer::new(config));
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        jar.value("__Host-cart").to_owned()
    };
    remote.every(Before, Load, Fail);
    let request = Request::builder()
        .uri("/cart")
        .header("cookie", format!("__Host-cart={valid}"));
    let request = request.body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    assert_eq!(&*body, b"session error");
}

/// A handler without axum may respond that something failed and drop the error.
#[tokio::test]
async fn one_without_axum_is_logged_when_it_occurs() {
    let world = Kind::Remote.world();
    let log = recorded(async || {
        let forgot = async |session: Session| {
            assert!(session.record_key().is_none() && session.rejection().is_none());
            assert!(session.get::<u8>("n").is_err());
        };
        world.visit(&mut Jar::default(), forgot).await;
    })
    .await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("ERROR") && log.contains("used before"),
        "{log}"
    );

    let log = recorded(async || {
        let misspelt = async |session: Session| sessions(&session).get("S").await.unwrap_err();
        let (error, _) = world.visit(&mut Jar::default(), misspelt).await;
        assert_eq!(error.kind(), ErrorKind::UnknownName);
    })
    .await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("known names: s"), "{log}");
}

const CHILD: &str = "SILVERBACK_TEST_WITHOUT_LOG";

/// Without a subscriber, in a separate process, as other tests here install one.
#[tokio::test]
async fn without_a_log_it_appears_on_the_terminal() {
    if env::var_os(CHILD).is_some() {
        let layer = Kind::Remote.world().layer.clone();
        let service = layer.layer(service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            let _ = session.insert("n", "a secret value");
            Ok::<_, Error>(Response::new(String::new()))
        }));
        service.oneshot(Request::new(())).await.unwrap();
        return;
    }
    let name = "mistakes::without_a_log_it_appears_on_the_terminal";
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    assert!(output.status.success());
    let terminal = String::from_utf8(output.stderr).unwrap();
    let sentence = "silverback: session \"s\": used before it was loaded";
    let found = terminal.matches(sentence).count();
    assert_eq!(found, usize::from(cfg!(debug_assertions)), "{terminal}");
    assert!(!terminal.contains("a secret value"), "{terminal}");
}
