//! An application on a store, and its visitors.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    http::{Request, Response},
    routing::get,
};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer,
    store::Store,
    testing::{Body, Browser},
};
use tower_service::Service;

/// A busy machine may need longer than the default.
const PATIENCE: Duration = Duration::from_secs(120);

/// A visitor of a [`Site`]. A clone is another tab.
pub type Visitor = Browser<Site>;

/// An application on one server, or on several in turn.
#[derive(Clone, Debug)]
pub struct Site {
    servers: Arc<[Router]>,
    turn: Arc<AtomicUsize>,
}

impl Site {
    /// Makes a site of these servers.
    #[must_use]
    pub fn of(servers: impl IntoIterator<Item = Router>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            turn: Arc::default(),
        }
    }
}

impl Service<Request<Body>> for Site {
    type Response = Response<axum::body::Body>;
    type Error = Infallible;
    type Future = <Router as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.servers[turn % self.servers.len()]
            .clone()
            .call(request)
    }
}

/// Makes a visitor of one server, which waits as long as its store takes.
#[must_use]
pub fn visitor(store: impl Store) -> Visitor {
    visitor_within(store, PATIENCE)
}

/// Makes a visitor of one server, which waits for its store this long.
#[must_use]
pub fn visitor_within(store: impl Store, budget: Duration) -> Visitor {
    visitor_with([store], |config| config.store_timeout(budget))
}

/// Makes a visitor of servers with a store each and these settings. They wait as long as their
/// stores take, unless the settings say otherwise.
#[must_use]
pub fn visitor_with<S: Store>(
    stores: impl IntoIterator<Item = S>,
    settings: impl Fn(SessionConfig) -> SessionConfig,
) -> Visitor {
    let keys = Keys::generate().unwrap();
    let servers = stores.into_iter().map(|store| {
        let config = SessionConfig::new("session", store, keys.clone());
        app(settings(config.store_timeout(PATIENCE)))
    });
    Browser::new(Site::of(servers))
}

fn app(config: SessionConfig) -> Router {
    Router::new()
        .route("/add", get(add))
        .route("/n", get(number))
        .route("/renew", get(renew))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/end-others", get(end_others))
        .route("/everywhere", get(everywhere))
        .route("/free", get(async || "free"))
        .layer(SessionLayer::new(config))
}

/// Adds one, and returns the sum.
pub(super) async fn add(session: Session) -> Result<String, Error> {
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

/// Like a login without a list of the user's sessions.
async fn renew(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.renew();
    session.insert("user", "ada")?;
    Ok("welcome")
}

async fn login(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.set_subject("ada", "a test")?;
    session.insert("user", "ada")?;
    Ok("welcome")
}

async fn logout(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.destroy().await?;
    Ok("good bye")
}

async fn end_others(session: Session) -> Result<String, Error> {
    session.load().await?;
    Ok(session.destroy_others().await?.to_string())
}

async fn everywhere(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.destroy_others().await?;
    session.destroy().await?;
    Ok("good bye, everywhere")
}

/// Visits a page that has to succeed, and returns its text.
pub async fn ok(visitor: &Visitor, path: &str) -> String {
    let page = visitor.get(path).await;
    assert_eq!(page.status(), 200, "{path}: {:?}", page.error());
    page.text().to_owned()
}

/// Returns the session's count.
pub async fn count(visitor: &Visitor) -> u64 {
    ok(visitor, "/n").await.parse().unwrap()
}

/// Returns the session's count, and asks until there is an answer.
pub async fn count_at_last(visitor: &Visitor) -> u64 {
    loop {
        let page = visitor.get("/n").await;
        if page.status() == 200 {
            return page.text().parse().unwrap();
        }
        tokio::task::yield_now().await;
    }
}
