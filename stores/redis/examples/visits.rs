//! Counts visits in Redis. Start it twice, on two ports: the visits are one count.
//!
//! ```text
//! cargo run -p silverback-redis --example visits -- redis://127.0.0.1:6379 127.0.0.1:8080
//! curl -b jar -c jar http://127.0.0.1:8080/
//! ```
//!
//! Several addresses apart by commas are those of a cluster, with the feature `cluster`.

use std::env;

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, store::StoreError};
use silverback_redis::RedisStore;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (redis, address) = (
        argument("redis://127.0.0.1:6379"),
        argument("127.0.0.1:8080"),
    );
    let store = connect(&redis).await?.prefix("visits:");
    // Both servers need the same key: from `openssl rand -base64 32`.
    let keys = match env::var_os("SESSION_KEY") {
        Some(_) => Keys::from_env("SESSION_KEY")?,
        None => Keys::generate()?,
    };
    let sessions = SessionConfig::new("session", store, keys).insecure_local_http();
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(sessions));
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn connect(redis: &str) -> Result<RedisStore, StoreError> {
    #[cfg(feature = "cluster")]
    if redis.contains(',') {
        return RedisStore::connect_cluster(redis.split(',')).await;
    }
    RedisStore::connect(redis).await
}

async fn visit(session: Session) -> Result<String, Error> {
    session.load().await?;
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}
