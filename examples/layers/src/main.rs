//! Several layers: a session for the whole site, another for a part of it, and other middleware
//! around and inside.
//!
//! ```text
//! cargo run -p example-layers
//! curl -b jar -c jar http://localhost:8080/
//! curl -b jar -c jar http://localhost:8080/admin
//! ```

use std::{error::Error as StdError, future, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use silverback::{
    Error, Keys, MemoryStore, SameSite, Session, SessionConfig, SessionLayer, SessionName,
    SessionOf,
};
use tokio::net::TcpListener;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

/// Every visitor's session, for the whole site.
#[derive(Clone, Copy)]
struct Visitor;

impl SessionName for Visitor {
    const NAME: &'static str = "visitor";
}

/// An administrator's session. Browsers send its cookie only to `/admin`.
#[derive(Clone, Copy)]
struct Admin;

impl SessionName for Admin {
    const NAME: &'static str = "admin";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(&Keys::generate()?)).await?;
    Ok(())
}

/// A layer that is added later is further outside, and sees the request first.
///
/// - A timeout and a `CatchPanicLayer` *inside* answer 408 or 500 themselves. The session layer
///   sees that answer, and discards what the handler had changed by then.
/// - *Outside*, a timeout drops the session layer in mid-request. Changes are discarded too, but
///   what was saved is saved. Put a timeout there only if it must include the time that saving
///   takes.
fn app(keys: &Keys) -> Router {
    let visitor = SessionConfig::cookie(Visitor, keys.clone()).insecure_local_http();
    let admin = SessionConfig::new(Admin, MemoryStore::new(), keys.clone())
        .insecure_local_http()
        .attributes(|cookie| cookie.path("/admin").same_site(SameSite::Strict))
        .idle_timeout(Duration::from_secs(15 * 60));
    let administration = Router::new()
        .route("/admin", get(administer))
        .layer(SessionLayer::new(admin));
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10));
    Router::new()
        .route("/", get(visit))
        .route("/stuck", get(stuck))
        .route("/panic", get(panic))
        .merge(administration)
        .layer(late)
        .layer(CatchPanicLayer::new())
        .layer(SessionLayer::new(visitor))
}

fn count(session: &Session) -> Result<u32, Error> {
    session.update("visits", |n: &mut u32| {
        *n += 1;
        *n
    })
}

/// Behind one layer, `Session` is that layer's session.
async fn visit(visitor: Session) -> Result<String, Error> {
    Ok(format!("visit {}\n", count(&visitor)?))
}

/// Behind two, `Session` would be the inner layer's. The types select the session.
async fn administer(visitor: SessionOf<Visitor>, admin: SessionOf<Admin>) -> Result<String, Error> {
    Ok(format!(
        "visit {}, {} here\n",
        count(&visitor)?,
        count(&admin)?
    ))
}

async fn stuck(visitor: Session) -> Result<(), Error> {
    count(&visitor)?;
    future::pending().await
}

#[allow(clippy::panic, reason = "it shows what a panic does")]
async fn panic(visitor: Session) -> Result<(), Error> {
    count(&visitor)?;
    panic!("a bug");
}

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    #[tokio::test]
    async fn each_part_of_the_site_has_its_sessions() {
        let ada = Browser::new(app(&Keys::generate().unwrap()));
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        assert_eq!(ada.get("/admin").await.text(), "visit 2, 1 here\n");
        assert_eq!(ada.get("/").await.text(), "visit 3\n");
        assert_eq!(ada.get("/admin").await.text(), "visit 4, 2 here\n");
    }

    /// tokio's clock is paused, and jumps to the timeout once every task waits for it.
    #[tokio::test(start_paused = true)]
    async fn a_handler_that_times_out_or_panics_changes_nothing() {
        let ada = Browser::new(app(&Keys::generate().unwrap()));
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        assert_eq!(
            ada.get("/stuck").await.status(),
            StatusCode::REQUEST_TIMEOUT
        );
        let answer = ada.get("/panic").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
    }
}
