//! The extractors, in a router.

use axum::{
    Router,
    body::{Body, to_bytes},
    response::Redirect,
    routing::{get, post},
};
use http::{Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use silverback::{
    Error, ErrorKind, FlashMessage, Flashes, Session, SessionConfig, SessionData, SessionLayer,
    SessionName, SessionOf, Sessions, Typed, store::MemoryStore,
};
use tower::ServiceExt;

use crate::support::{
    keys,
    scripted::{Before, Fail, Load, Scripted, Update},
    set_cookies,
};

#[derive(Default, Deserialize, Serialize)]
struct Cart {
    items: Vec<u32>,
}

impl SessionData for Cart {
    const KEY: &'static str = "cart";
}

/// The session that holds the cart.
#[derive(Clone, Copy)]
struct Shopping;

impl SessionName for Shopping {
    const NAME: &'static str = "cart";
}

#[derive(Default, Deserialize, Serialize)]
struct Visits(u32);

impl SessionData for Visits {
    const KEY: &'static str = "visits";
}

fn app(remote: &Scripted) -> Router {
    let layer = SessionLayer::new(SessionConfig::cookie("account", keys()))
        .with(SessionConfig::new(Shopping, remote.clone(), keys()));
    Router::new()
        .route(
            "/visit",
            get(async |visits: Typed<Visits>| {
                visits.update(|n| n.0 += 1)?;
                Ok::<_, Error>(visits.read()?.0.to_string())
            }),
        )
        .route(
            "/add",
            post(async |cart: Typed<Cart, Shopping>| {
                cart.update(|cart| cart.items.push(7))?;
                cart.update(|cart| {
                    cart.items.push(8);
                    format!("{:?}", cart.items)
                })
            }),
        )
        .route("/check-out", post(check_out))
        .route(
            "/flashes",
            get(async |flashes: Flashes| Ok::<_, Error>(flashes.take::<String>()?.join(","))),
        )
        .route(
            "/who",
            get(async |session: Option<Session>| if session.is_some() { "known" } else { "new" }),
        )
        .route(
            "/has-cart",
            get(
                async |cart: Option<Typed<Cart, Shopping>>| {
                    if cart.is_some() { "yes" } else { "no" }
                },
            ),
        )
        .route(
            "/error",
            get(async |session: Session| session.insert("n", f64::NAN).map(|()| "never")),
        )
        .layer(layer)
        .route("/outside", get(async |_: Session| "never"))
        .route("/outside-option", get(async |_: Option<Session>| "never"))
        .route("/outside-all", get(async |_: Sessions| "never"))
        .route(
            "/outside-typed",
            get(async |_: Typed<Cart, Shopping>| "never"),
        )
        .route(
            "/outside-option-typed",
            get(async |_: Option<Typed<Cart, Shopping>>| "never"),
        )
}

async fn check_out(sessions: Sessions) -> Result<Redirect, Error> {
    let account = sessions.get("account").await?;
    let cart = sessions.get("cart").await?;
    account.flash("Thank you")?;
    cart.destroy().await?;
    Ok(Redirect::to("/"))
}

/// Sends a request with the cookies so far, and returns the status and the text.
async fn send(
    app: &Router,
    cookies: &mut Vec<String>,
    method: &str,
    path: &str,
) -> (Response<()>, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookies.join("; "));
    let response = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    for cookie in set_cookies(response.headers()) {
        let (name, _) = cookie.split_once('=').unwrap();
        cookies.retain(|old| !old.starts_with(&format!("{name}=")));
        if !cookie.contains("Max-Age=0") {
            cookies.push(cookie.split(';').next().unwrap().to_owned());
        }
    }
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap();
    (Response::from_parts(parts, ()), text)
}

#[tokio::test]
async fn extractors_load_their_sessions() {
    let (app, jar) = (app(&Scripted::default()), &mut Vec::new());
    assert_eq!(send(&app, jar, "GET", "/who").await.1, "new");
    assert_eq!(send(&app, jar, "GET", "/visit").await.1, "1");
    assert_eq!(send(&app, jar, "GET", "/visit").await.1, "2");
    assert_eq!(send(&app, jar, "GET", "/who").await.1, "known");
    assert_eq!(send(&app, jar, "GET", "/has-cart").await.1, "no");
    assert_eq!(send(&app, jar, "POST", "/add").await.1, "[7, 8]");
    assert_eq!(send(&app, jar, "GET", "/has-cart").await.1, "yes");
    assert_eq!(send(&app, jar, "POST", "/add").await.1, "[7, 8, 7, 8]");
    assert_eq!(jar.len(), 2);
    assert_eq!(
        send(&app, jar, "POST", "/check-out").await.0.status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(jar.len(), 1);
    assert_eq!(send(&app, jar, "GET", "/flashes").await.1, "Thank you");
    assert_eq!(send(&app, jar, "GET", "/flashes").await.1, "");
}

#[tokio::test]
async fn an_error_becomes_a_status() {
    let remote = Scripted::default();
    let (app, jar) = (app(&remote), &mut Vec::new());
    let (response, text) = send(&app, jar, "GET", "/error").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.starts_with("session error"), "{text}");
    assert_eq!(
        response.extensions().get::<Error>().unwrap().kind(),
        ErrorKind::SerializeFailed
    );
    send(&app, jar, "POST", "/add").await;
    remote.at(Before, Update, Fail);
    let (response, text) = send(&app, jar, "POST", "/add").await;
    assert_eq!(
        (response.status(), &*text),
        (StatusCode::SERVICE_UNAVAILABLE, "")
    );
    assert!(!response.headers().contains_key(header::RETRY_AFTER));
    remote.every(Before, Load, Fail);
    let (response, text) = send(&app, jar, "POST", "/add").await;
    assert_eq!(
        (response.status(), &*text),
        (StatusCode::SERVICE_UNAVAILABLE, "session error")
    );
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert_eq!(
        response.extensions().get::<Error>().unwrap().kind(),
        ErrorKind::StoreFailed
    );
    assert_eq!(
        send(&app, jar, "GET", "/visit").await.1,
        "1",
        "the other session still works"
    );
}

#[tokio::test]
async fn without_the_layer_the_rejection_names_it() {
    let app = app(&Scripted::default());
    for path in [
        "/outside",
        "/outside-option",
        "/outside-all",
        "/outside-typed",
        "/outside-option-typed",
    ] {
        let (response, _) = send(&app, &mut Vec::new(), "GET", path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::MissingLayer);
        assert!(error.to_string().contains("SessionLayer"), "{error}");
    }
}

#[tokio::test]
async fn a_layer_can_be_put_around_any_router() {
    let inner = Router::new()
        .route(
            "/",
            get(async |sessions: Sessions| {
                let outer = sessions.get("outer").await?;
                let inner = sessions.get("inner").await?;
                outer.insert("n", 1)?;
                inner.insert("n", 2)?;
                Ok::<_, Error>("both")
            }),
        )
        .layer(SessionLayer::new(SessionConfig::new(
            "inner",
            MemoryStore::new(),
            keys(),
        )));
    let app = Router::new()
        .nest("/in", inner)
        .layer(SessionLayer::new(SessionConfig::cookie("outer", keys())));
    let jar = &mut Vec::new();
    assert_eq!(send(&app, jar, "GET", "/in").await.1, "both");
    assert_eq!(jar.len(), 2);
}

#[derive(Clone, Copy)]
struct Account;

impl SessionName for Account {
    const NAME: &'static str = "account";
}

/// A session that no layer configures.
#[derive(Clone, Copy)]
struct Unknown;

impl SessionName for Unknown {
    const NAME: &'static str = "unknown";
}

/// An outer layer for the account, and an inner layer for the cart.
fn nested() -> Router {
    let log_in = async |account: SessionOf<Account>, flashes: Flashes<Account>| {
        account.insert("user", "ada")?;
        flashes.success("Welcome")
    };
    let greet = async |account: SessionOf<Account>, flashes: Flashes<Account>| {
        let user: Option<String> = account.get("user")?;
        let welcome: Vec<FlashMessage> = flashes.take()?;
        let welcome: String = welcome.iter().map(ToString::to_string).collect();
        Ok::<_, Error>(format!(
            "{} {}",
            account.name(),
            user.unwrap_or_default() + &welcome
        ))
    };
    let plain = async |session: Session| session.name().to_owned();
    let add = async |cart: Typed<Cart, Shopping>| {
        let count = cart.update(|cart| {
            cart.items.push(7);
            cart.items.len()
        })?;
        Ok::<_, Error>(count.to_string())
    };
    let visitor = async |account: Option<SessionOf<Account>>| account.is_some().to_string();
    let unknown = async |session: SessionOf<Unknown>| session.name().to_owned();
    Router::new()
        .route("/log-in", post(log_in))
        .route("/greet", get(greet))
        .route("/plain", get(plain))
        .route("/add", post(add))
        .route("/visitor", get(visitor))
        .route("/unknown", get(unknown))
        .layer(SessionLayer::new(SessionConfig::cookie(Shopping, keys())))
        .layer(SessionLayer::new(SessionConfig::cookie(Account, keys())))
}

#[tokio::test]
async fn a_name_finds_its_session_through_nested_layers() {
    let (app, jar) = (nested(), &mut Vec::new());
    for (method, path, body) in [
        ("GET", "/visitor", "false"),
        ("POST", "/log-in", ""),
        ("GET", "/visitor", "true"),
        ("GET", "/greet", "account adaWelcome"),
        ("POST", "/add", "1"),
        ("GET", "/plain", "cart"),
    ] {
        assert_eq!(send(&app, jar, method, path).await.1, body, "{path}");
    }
    let unknown = send(&app, jar, "GET", "/unknown").await.0.status();
    assert_eq!(unknown, StatusCode::INTERNAL_SERVER_ERROR);
}
