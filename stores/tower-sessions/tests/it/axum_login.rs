//! axum-login 0.18, unchanged, on silverback's stores and over silverback's layer: what its own
//! examples and tests do.

use std::{collections::HashSet, convert::Infallible, fmt::Debug};

use axum::{
    Form, Router,
    extract::Query,
    http::{Request, Uri},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use axum_login::{
    AuthManager, AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, AuthzBackend,
    login_required, permission_required,
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use silverback::{
    FilesystemStore, Keys, MemoryStore, SessionConfig, SessionLayer,
    store::Store,
    testing::{Body, Browser, Page},
};
use silverback_redis::RedisStore;
use silverback_test_servers::Redis;
use silverback_tower_sessions::{TowerSessionLayer, TowerSessionStore};
use tokio::net::TcpListener;
use tower::{Service, layer::layer_fn, service_fn};
use tower_sessions::{Expiry, SessionManagerLayer};

#[derive(Clone, Debug)]
struct User {
    id: i64,
    name: &'static str,
    password: &'static str,
}

const USERS: [User; 2] = [
    User {
        id: 1,
        name: "ferris",
        password: "hunter42",
    },
    User {
        id: 2,
        name: "admin",
        password: "hunter42",
    },
];

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

#[derive(Clone, Deserialize)]
struct Credentials {
    username: String,
    password: String,
    next: Option<String>,
}

#[derive(Clone)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, Infallible> {
        let is_it = |user: &User| user.name == given.username && user.password == given.password;
        Ok(USERS.into_iter().find(is_it))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(USERS.into_iter().find(|user| user.id == *id))
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Permission(&'static str);

impl From<&'static str> for Permission {
    fn from(name: &'static str) -> Self {
        Self(name)
    }
}

impl AuthzBackend for Backend {
    type Permission = Permission;

    async fn get_group_permissions(&self, user: &User) -> Result<HashSet<Permission>, Infallible> {
        let may = (user.name == "admin").then_some(Permission("restricted.read"));
        Ok(may.into_iter().collect())
    }
}

type Auth = AuthSession<Backend>;

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

async fn form(Query(Next { next }): Query<Next>) -> Html<String> {
    Html(format!(
        "<form method=post><input name=next value={next:?}></form>"
    ))
}

async fn log_in(mut auth: Auth, Form(given): Form<Credentials>) -> Response {
    let next = given.next.clone();
    let Some(user) = auth.authenticate(given).await.unwrap() else {
        auth.session
            .insert("message", "Invalid credentials")
            .await
            .unwrap();
        return Redirect::to("/login").into_response();
    };
    auth.login(&user).await.unwrap();
    Redirect::to(next.as_deref().unwrap_or("/")).into_response()
}

async fn log_out(mut auth: Auth) -> Response {
    auth.logout().await.unwrap();
    Redirect::to("/login").into_response()
}

async fn hello(auth: Auth) -> String {
    format!("Hello, {}", auth.user.unwrap().name)
}

/// The pages of the examples, without the session layer.
fn pages() -> Router {
    Router::new()
        .route("/restricted", get(|| async { "restricted" }))
        .route_layer(permission_required!(
            Backend,
            login_url = "/login",
            Permission("restricted.read")
        ))
        .route("/", get(hello))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/login", get(form).post(log_in))
        .route("/logout", get(log_out))
}

/// As in the examples, with another store as the only change.
pub(crate) fn on(store: impl Store + Clone) -> Router {
    let sessions = SessionManagerLayer::new(TowerSessionStore::new(store))
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(1)));
    pages().layer(AuthManagerLayerBuilder::new(Backend, sessions).build())
}

/// Over silverback's layer.
pub(crate) fn over(config: SessionConfig) -> Router {
    let auth = layer_fn(|inner| AuthManager::new(inner, Backend, "axum-login.data"));
    pages().layer((
        SessionLayer::new(config.insecure_local_http()),
        TowerSessionLayer::v0_14(),
        auth,
    ))
}

async fn log_in_as<S, R>(browser: &Browser<S>, name: &str, password: &str, next: &str) -> Page
where
    S: Service<Request<Body>, Response = axum::http::Response<R>> + Clone,
    S::Error: Debug,
    R: axum::body::HttpBody,
    R::Error: Debug,
{
    let fields = [("username", name), ("password", password), ("next", next)];
    browser.submit("/login", &fields).await
}

fn leads_to(page: &Page, path: &str) {
    assert_eq!(
        page.location().map(|uri| uri.to_string()).as_deref(),
        Some(path)
    );
}

/// The checks of axum-login's own tests of its examples.
async fn logs_in_and_out<S, R>(browser: &Browser<S>, cookie: &str)
where
    S: Service<Request<Body>, Response = axum::http::Response<R>> + Clone,
    S::Error: Debug,
    R: axum::body::HttpBody,
    R::Error: Debug,
{
    leads_to(&browser.get("/").await, "/login?next=%2F");
    assert!(browser.jar(|jar| jar.is_empty()));
    leads_to(&log_in_as(browser, "ferris", "bogus", "/").await, "/login");
    let planted = browser.jar(|jar| jar.clone());
    assert!(planted.get(cookie).is_some());
    leads_to(&log_in_as(browser, "ferris", "hunter42", "/").await, "/");
    assert_eq!(browser.get("/").await.text(), "Hello, ferris");
    // An attacker who planted the cookie before the login is not logged in.
    let logged_in = browser.jar(|jar| std::mem::replace(jar, planted));
    leads_to(&browser.get("/").await, "/login?next=%2F");
    browser.jar(|jar| *jar = logged_in.clone());
    let next = "/login?next=%2Frestricted";
    leads_to(&browser.get("/restricted").await, next);
    leads_to(
        &log_in_as(browser, "admin", "hunter42", "/restricted").await,
        "/restricted",
    );
    assert_eq!(browser.get("/restricted").await.text(), "restricted");
    let last = browser.jar(|jar| jar.clone());
    leads_to(&browser.get("/logout").await, "/login");
    assert!(browser.jar(|jar| jar.get(cookie).is_none()));
    browser.jar(|jar| *jar = last);
    leads_to(&browser.get("/").await, "/login?next=%2F");
}

#[tokio::test]
async fn it_runs_on_the_stores_of_silverback() {
    logs_in_and_out(&Browser::new(on(MemoryStore::new())), "id").await;
    let folder = tempfile::tempdir().unwrap();
    let files = FilesystemStore::open(folder.path()).unwrap();
    logs_in_and_out(&Browser::new(on(files)), "id").await;
}

#[tokio::test]
async fn it_runs_over_the_layer_of_silverback() {
    let keys = Keys::generate().unwrap();
    let memory = SessionConfig::new("account", MemoryStore::new(), keys.clone());
    logs_in_and_out(
        &Browser::new(over(memory)).at("http://localhost"),
        "account",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let files = SessionConfig::new(
        "account",
        FilesystemStore::open(folder.path()).unwrap(),
        keys,
    );
    logs_in_and_out(&Browser::new(over(files)).at("http://localhost"), "account").await;
}

/// A separate server, and a browser that reaches it over HTTP.
async fn over_http(app: Router, cookie: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http();
    let base = origin.clone();
    let service = service_fn(move |mut request: Request<Body>| {
        let uri: Uri = format!("{base}{}", request.uri()).parse().unwrap();
        *request.uri_mut() = uri;
        client.request(request)
    });
    logs_in_and_out(&Browser::new(service).at(&origin), cookie).await;
    server.abort();
}

#[tokio::test]
async fn a_login_over_http_with_its_sessions_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    over_http(on(store.clone()), "id").await;
    let config = SessionConfig::new("account", store, Keys::generate().unwrap());
    over_http(over(config), "account").await;
}
