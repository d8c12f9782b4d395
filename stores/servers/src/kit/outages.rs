//! A server that is down, does not answer, or forgets.

use std::{fmt::Debug, time::Duration};

use axum::{Router, routing::get};
use silverback::{
    Keys, Session, SessionConfig, SessionLayer,
    store::{Read, Record, Store, StoreError},
    testing::Browser,
};

use super::{
    records::{key, load},
    site::{add, visitor_within},
};
use crate::{Proxy, Server};

/// Requires a result to say that the server is unavailable.
#[track_caller]
pub fn is_unavailable<T: Debug>(result: &Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Unavailable(_))),
        "{result:?}"
    );
}

/// Connects a store, however long a busy machine takes for the first answers. A store itself waits a
/// few seconds.
pub async fn connected<S, F>(connect: impl Fn() -> F) -> S
where
    F: Future<Output = Result<S, StoreError>>,
{
    loop {
        match connect().await {
            Err(StoreError::Unavailable(_)) => {}
            connected => break connected.unwrap(),
        }
    }
}

/// During a silence, a store that goes through the proxy and does not wait long reports an error,
/// never a missing record. The application answers 503 on these pages, and serves all others.
pub async fn silence_is_an_error(proxy: &Proxy, hasty: impl Store + Clone, paths: &[&str]) {
    let visitor = visitor_within(hasty.clone(), Duration::from_secs(1));
    proxy.silence();
    is_unavailable(&hasty.load(&key(1), Read::Current).await);
    let many = hasty.load_many(&[key(1), key(2)], Read::Current).await;
    assert_eq!(many.len(), 2, "{many:?}");
    many.iter().for_each(is_unavailable);
    for path in paths {
        assert_eq!(visitor.get(path).await.status(), 503, "{path}");
    }
    assert_eq!(visitor.get("/free").await.text(), "free");
    proxy.speak();
}

/// An impatient store reports that the server is down. A patient one waits until the server is
/// back. Returns record 1 as found then.
pub async fn a_server_that_is_away_is_waited_for<S: Store>(
    server: &Server,
    hasty: S,
    patient: S,
) -> Option<Record> {
    server.kill();
    is_unavailable(&hasty.load(&key(1), Read::Current).await);
    let waiting = tokio::spawn(async move { load(&patient, 1).await });
    server.restart();
    waiting.await.unwrap()
}

/// A session whose record is forgotten between load and save is not saved in part.
pub async fn a_flush_between_load_and_save_is_a_conflict(
    store: impl Store,
    flush: impl Fn() + Clone + Send + Sync + 'static,
) {
    let flushed = async move |session: Session| {
        session.load().await?;
        flush();
        add(session).await
    };
    let config = SessionConfig::new("session", store, Keys::generate().unwrap());
    let config = config.store_timeout(Duration::from_secs(120));
    let app = Router::new()
        .route("/add", get(add))
        .route("/flushed", get(flushed))
        .layer(SessionLayer::new(config));
    let visitor = Browser::new(app);
    for (path, text) in [("/add", "1"), ("/add", "2")] {
        assert_eq!(visitor.get(path).await.text(), text);
    }
    assert_eq!(visitor.get("/flushed").await.status(), 409);
    for (path, text) in [("/add", "1"), ("/add", "2")] {
        assert_eq!(visitor.get(path).await.text(), text);
    }
}
