//! The smallest program: counts a visitor's visits in an encrypted cookie.
//!
//! ```text
//! SESSION_KEY=$(openssl rand -base64 32) cargo run -p example-counter
//! curl -b jar -c jar http://localhost:8080/
//! ```

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = Keys::from_env("SESSION_KEY")?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(keys)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(SessionConfig::cookie("session", keys)))
}

async fn visit(session: Session) -> Result<String, Error> {
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    #[tokio::test]
    async fn visits_are_counted_for_each_visitor() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
        assert_eq!(ada.another().get("/").await.text(), "visit 1\n");
    }
}
