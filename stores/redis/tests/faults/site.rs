//! An application on two servers, and its visitors.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::Request,
    response::{IntoResponse, Response},
    routing::get,
};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer,
    testing::{Body, Browser},
};
use silverback_redis::RedisStore;
use silverback_test_servers::Proxy;
use tower::{Service, util::BoxCloneSyncService};

pub(crate) type Visitor =
    Browser<BoxCloneSyncService<Request<Body>, Response, std::convert::Infallible>>;

/// Says whether the long form runs.
pub(crate) fn soaks() -> bool {
    env::var_os("SILVERBACK_SOAK").is_some()
}

/// One number for each form.
pub(crate) fn scaled<T>(short: T, long: T) -> T {
    if soaks() { long } else { short }
}

/// A store of this server. A busy machine may need longer than the default.
pub(crate) async fn at(url: &str) -> RedisStore {
    let store = RedisStore::connect(url).await;
    store.unwrap().timeout(Duration::from_secs(30))
}

pub(crate) async fn through(proxy: &Proxy) -> RedisStore {
    at(&format!("redis://127.0.0.1:{}", proxy.port())).await
}

/// A visitor of servers on these stores, whose requests go to one after the other.
pub(crate) fn visitor(stores: impl IntoIterator<Item = RedisStore>) -> Visitor {
    // A busy machine may need longer than the default.
    visitor_with(stores, |config| {
        config.store_timeout(Duration::from_secs(60))
    })
}

pub(crate) fn visitor_with(
    stores: impl IntoIterator<Item = RedisStore>,
    settings: impl Fn(SessionConfig) -> SessionConfig,
) -> Visitor {
    let keys = Keys::generate().unwrap();
    let servers: Vec<_> = stores
        .into_iter()
        .map(|store| server(settings(SessionConfig::new("session", store, keys.clone()))))
        .collect();
    let next = Arc::new(AtomicUsize::new(0));
    let balanced = tower::service_fn(move |request: Request<Body>| {
        let turn = next.fetch_add(1, Ordering::Relaxed) % servers.len();
        let mut server = servers[turn].clone();
        async move { Service::<Request<Body>>::call(&mut server, request).await }
    });
    Browser::new(BoxCloneSyncService::new(balanced))
}

fn server(config: SessionConfig) -> Router {
    Router::new()
        .route("/add", get(add))
        .route("/n", get(number))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/free", get(|| async { "free" }))
        .layer(SessionLayer::new(config))
}

/// Adds one, and says what it came to.
async fn add(session: Session) -> Result<String, Error> {
    session.load().await?;
    let n = session.update("n", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(n.to_string())
}

async fn number(session: Session) -> Result<String, Error> {
    session.load().await?;
    Ok(session.get::<u64>("n")?.unwrap_or_default().to_string())
}

async fn login(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.set_subject("ada", "a test")?;
    session.insert("user", "ada")?;
    Ok("welcome")
}

async fn logout(session: Session) -> Result<Response, Error> {
    session.load().await?;
    session.destroy().await?;
    Ok("good bye".into_response())
}

/// Adds one, and says whether that was answered so.
pub(crate) async fn added(visitor: &Visitor) -> u16 {
    visitor.get("/add").await.status().as_u16()
}

/// What the session has; asked until there is an answer.
pub(crate) async fn count(visitor: &Visitor) -> u64 {
    loop {
        let page = visitor.get("/n").await;
        if page.status() == 200 {
            return page.text().parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
