//! An application on a store, and its visitors.

use std::time::Duration;

use axum::{Router, routing::get};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer, store::Store, testing::Browser,
};

pub(crate) type Visitor = Browser<Router>;

pub(crate) fn visitor(store: impl Store) -> Visitor {
    // A busy machine may need longer than the default.
    visitor_within(store, Duration::from_secs(60))
}

pub(crate) fn visitor_within(store: impl Store, budget: Duration) -> Visitor {
    let config = SessionConfig::new("session", store, Keys::generate().unwrap());
    Browser::new(app(config.store_timeout(budget)))
}

pub(crate) fn app(config: SessionConfig) -> Router {
    Router::new()
        .route("/add", get(add))
        .route("/n", get(number))
        .route("/renew", get(renew))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/free", get(|| async { "free" }))
        .layer(SessionLayer::new(config))
}

/// Adds one, and says what it came to.
pub(crate) async fn add(session: Session) -> Result<String, Error> {
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

/// As a login without a list of the user's sessions does.
async fn renew(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.renew();
    session.insert("user", "ada")?;
    Ok("welcome")
}

async fn login(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.set_subject("ada", "a test")?;
    Ok("welcome")
}

async fn logout(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.destroy().await?;
    Ok("good bye")
}

pub(crate) async fn ok(visitor: &Visitor, path: &str) {
    let page = visitor.get(path).await;
    assert_eq!(page.status(), 200, "{path}: {:?}", page.error());
}

pub(crate) async fn count(visitor: &Visitor) -> u64 {
    let page = visitor.get("/n").await;
    assert_eq!(page.status(), 200, "{:?}", page.error());
    page.text().parse().unwrap()
}
