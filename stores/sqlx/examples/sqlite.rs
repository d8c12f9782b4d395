//! An axum application whose sessions are in a file, `sessions.db`.
//!
//! ```text
//! cargo run -p silverback-sqlx --example sqlite --features sqlite
//! curl -b jar -c jar http://localhost:8080/
//! ```

use std::time::Duration;

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, store::Sweeper};
use silverback_sqlx::SqliteStore;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An application with a pool of its own gives that to `SqlStore::new`.
    let store = SqliteStore::open("sessions.db").await?;
    let _sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;

    // Without `insecure_local_http`, browsers keep the cookie on https alone.
    let config = SessionConfig::new("session", store, Keys::generate()?).insecure_local_http();
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(config));
    let listener = TcpListener::bind("localhost:8080").await?;
    println!("http://localhost:8080/");
    axum::serve(listener, app).await?;
    Ok(())
}

async fn visit(session: Session) -> Result<String, Error> {
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}
