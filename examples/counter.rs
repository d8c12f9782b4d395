//! The smallest program: counts a visitor's visits in an encrypted cookie.
//!
//! ```text
//! SESSION_KEY=$(openssl rand -base64 32) cargo run --example counter --features axum
//! curl -b jar -c jar http://localhost:8080/
//! ```

use axum::{Router, routing::get};
use silverback::{Keys, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = Keys::from_env("SESSION_KEY")?;
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(SessionConfig::cookie("session", keys)));
    axum::serve(TcpListener::bind("127.0.0.1:8080").await?, app).await?;
    Ok(())
}

async fn visit(session: Session) -> Result<String, silverback::Error> {
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}"))
}
