//! A layer on the store.

use std::time::Duration;

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, testing::Browser};
use silverback_redb::RedbStore;
use tempfile::TempDir;

use crate::path;

async fn add(session: Session) -> Result<String, Error> {
    let n = session.update("n", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(n.to_string())
}

async fn log_in(session: Session) -> Result<(), Error> {
    session.load().await?;
    session.renew();
    session.set_subject("ada", "a browser")
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}

fn app(store: RedbStore, keys: Keys) -> Router {
    let config = SessionConfig::new("session", store, keys);
    Router::new()
        .route(
            "/add",
            get(async |session: Session| {
                session.load().await?;
                add(session).await
            }),
        )
        .route("/login", get(log_in))
        .route("/logout", get(log_out))
        // Longer than the default, for busy machines.
        .layer(SessionLayer::new(
            config.store_timeout(Duration::from_secs(120)),
        ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_refused() {
    let dir = TempDir::new().unwrap();
    let keys = Keys::generate().unwrap();
    let store = RedbStore::open(path(&dir)).await.unwrap();
    let nodes = [0; 2].map(|_| app(store.clone(), keys.clone()));
    let visitor = Browser::new(nodes[0].clone());
    assert_eq!(visitor.get("/add").await.status(), 200);
    assert_eq!(visitor.get("/login").await.status(), 200);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let page = visitor.get("/add").await;
                    assert_eq!(page.status(), 200, "{:?}", page.error());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(visitor.get("/add").await.text(), "162");
    assert_eq!(visitor.get("/logout").await.status(), 200);
    assert_eq!(visitor.get("/add").await.text(), "1");
    store.close().await;
    // A restart logs nobody out.
    let again = Browser::new(app(RedbStore::open(path(&dir)).await.unwrap(), keys));
    again.jar(|jar| *jar = visitor.jar(|jar| jar.clone()));
    assert_eq!(again.get("/add").await.text(), "2");
}
