//! An application on this store, and its visitors.

use std::time::Duration;

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, testing::Browser};
use silverback_firestore::FirestoreStore;

pub(crate) type Visitor = Browser<Router>;

/// A busy machine may need longer than the default.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn visitor(store: FirestoreStore) -> Visitor {
    visitor_with(store, Keys::generate().unwrap(), PATIENCE)
}

pub(crate) fn visitor_within(store: FirestoreStore, budget: Duration) -> Visitor {
    visitor_with(store, Keys::generate().unwrap(), budget)
}

/// Visitors of several servers of one application.
pub(crate) fn visitors<const N: usize>(stores: [FirestoreStore; N]) -> [Visitor; N] {
    let keys = Keys::generate().unwrap();
    stores.map(|store| visitor_with(store, keys.clone(), PATIENCE))
}

fn visitor_with(store: FirestoreStore, keys: Keys, budget: Duration) -> Visitor {
    let config = SessionConfig::new("session", store, keys).store_timeout(budget);
    let app = Router::new()
        .route("/add", get(add))
        .route("/n", get(number))
        .route("/login", get(login))
        .route("/end-others", get(end_others))
        .route("/logout", get(logout))
        .route("/free", get(|| async { "free" }))
        .layer(SessionLayer::new(config));
    Browser::new(app)
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
    Ok("welcome")
}

async fn end_others(session: Session) -> Result<String, Error> {
    session.load().await?;
    Ok(session.destroy_others().await?.to_string())
}

async fn logout(session: Session) -> Result<&'static str, Error> {
    session.load().await?;
    session.destroy().await?;
    Ok("good bye")
}

pub(crate) async fn ok(visitor: &Visitor, path: &str) -> String {
    let page = visitor.get(path).await;
    assert_eq!(page.status(), 200, "{path}: {:?}", page.error());
    page.text().to_owned()
}

pub(crate) async fn count(visitor: &Visitor) -> u64 {
    ok(visitor, "/n").await.parse().unwrap()
}
