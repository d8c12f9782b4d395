//! An axum application whose sessions are in PostgreSQL.
//!
//! ```text
//! DATABASE_URL=postgres://postgres@localhost/postgres \
//!     cargo run -p silverback-sqlx --example postgres --features postgres
//! curl -b jar -c jar http://localhost:8080/
//! ```
//!
//! For MySQL and MariaDB, take `sqlx::mysql::MySqlPoolOptions`, the feature `mysql`, and an address
//! as `mysql://root@localhost/shop`. The rest is the same.

use std::{env, time::Duration};

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, store::Sweeper};
use silverback_sqlx::SqlStore;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your own tables are reached through the same pool.
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .connect(&env::var("DATABASE_URL")?)
        .await?;
    let store = SqlStore::new(pool);
    store.create_table().await?;
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
