//! One server of the shop.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use silverback::{
    Keys, Session, SessionConfig, SessionLayer,
    store::{Browse, DynStore},
};
use silverback_redis::RedisStore;
use silverback_sqlx::{Dialect, SqlStore};
use sqlx::{mysql::MySqlPoolOptions, pool::PoolOptions, postgres::PgPoolOptions};
use tokio::net::TcpListener;

/// Serves the shop on this loopback port, with its sessions in the store at this address.
pub(crate) async fn serve(port: u16, store: &str) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let metrics = example_prometheus::install()?;
    let keys = Keys::from_env("SESSION_KEY")?;
    let config = SessionConfig::new("account", open(store).await?, keys).insecure_local_http();
    let app = Router::new()
        .route("/", get(page))
        .route("/login/{user}", post(log_in))
        .route("/add", post(add))
        .route("/logout", post(log_out))
        .layer(SessionLayer::try_new(config)?)
        .route("/metrics", get(async move || metrics.render()))
        .route("/health", get(async || "well"));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn open(url: &str) -> Result<DynStore, Box<dyn Error>> {
    if url.starts_with("redis") && !url.contains(',') {
        return Ok(counted(RedisStore::connect(url).await?));
    }
    if url.starts_with("redis") {
        let store = RedisStore::connect_cluster(url.split(',')).await?;
        return Ok(counted(store.wait_replicas(1, Duration::from_secs(1))));
    }
    if url.starts_with("mysql") {
        return table(MySqlPoolOptions::new(), url).await;
    }
    table(PgPoolOptions::new(), url).await
}

async fn table<DB: Dialect>(
    options: PoolOptions<DB>,
    url: &str,
) -> Result<DynStore, Box<dyn Error>> {
    let pool = options
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .connect(url)
        .await?;
    let store = SqlStore::new(pool);
    store.create_table().await?;
    Ok(counted(store))
}

/// Makes a dynamic store, whose sessions are counted for the metrics.
fn counted(store: impl Browse + Clone) -> DynStore {
    let pause = Duration::from_secs(5);
    tokio::spawn(example_prometheus::count_sessions(
        store.clone(),
        "account",
        pause,
    ));
    DynStore::new(store)
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<(), silverback::Error> {
    session.set_subject(&user, "a browser")?;
    session.insert("user", &user)
}

async fn add(session: Session) -> Result<(), silverback::Error> {
    session.update("items", |items: &mut u64| *items += 1)
}

async fn page(session: Session) -> Result<String, silverback::Error> {
    let user = session.get::<String>("user")?.unwrap_or_default();
    let items = session.get::<u64>("items")?.unwrap_or_default();
    Ok(format!("{user} {items}"))
}

async fn log_out(session: Session) -> Result<(), silverback::Error> {
    session.destroy().await
}
