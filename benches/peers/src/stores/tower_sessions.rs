//! tower-sessions, in the version that its published stores support.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_sessions_0_14::{Session, SessionManagerLayer, SessionStore, session::Error};
use tower_sessions_redis_store::{RedisStore, fred};
use tower_sessions_sqlx_store::{PostgresStore, sqlx};

use super::{
    Result,
    cost::text,
    servers::PoolSettings,
    site::{COUNT, Gate, PROFILE, Profile, Site, TEXT, USER, path},
};

/// The number of connections in the example of its documentation.
const REDIS_CONNECTIONS: usize = 6;

pub(super) async fn redis(url: &str) -> Result<Site> {
    use fred::prelude::{ClientLike, Config, Pool};

    let pool = Pool::new(Config::from_url(url)?, None, None, None, REDIS_CONNECTIONS)?;
    pool.init().await?;
    Ok(site(RedisStore::new(pool), || true))
}

pub(super) async fn postgres(url: &str, settings: PoolSettings) -> Result<Site> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(settings.connections)
        .test_before_acquire(settings.asks)
        .connect(url)
        .await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    Ok(site(store, move || pool.num_idle() == pool.size() as usize))
}

fn site(
    store: impl SessionStore + Clone,
    is_idle: impl Fn() -> bool + Send + Sync + 'static,
) -> Site {
    let gate = Arc::new(Gate::default());
    let router = Router::new()
        .route(path::START, get(start))
        .route(path::START_WITH, get(start_with))
        .route(path::COUNT_ALONE, get(count_alone))
        .route(path::READ, get(read))
        .route(path::COUNT, get(count))
        .route(path::INSERT, get(count))
        .route(path::SLOW, get(slow))
        .route(path::PUT, get(put))
        .route(path::KEPT, get(kept))
        .route(path::LOG_IN, get(log_in))
        .route(path::LOG_OUT, get(log_out))
        .layer(SessionManagerLayer::new(store))
        .with_state(Arc::clone(&gate));
    Site {
        router,
        gate,
        is_idle: Arc::new(is_idle),
    }
}

struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

async fn start(session: Session) -> Result<(), Failure> {
    session.insert(PROFILE, Profile::ada()).await?;
    Ok(session.insert(COUNT, 0).await?)
}

async fn start_with(Path(bytes): Path<usize>, session: Session) -> Result<(), Failure> {
    session.insert(TEXT, text(bytes)).await?;
    Ok(session.insert(COUNT, 0).await?)
}

async fn count_alone(session: Session) -> Result<(), Failure> {
    let count: u64 = session.get(COUNT).await?.unwrap_or_default();
    Ok(session.insert(COUNT, count + 1).await?)
}

async fn read(session: Session) -> Result<Response, Failure> {
    let count: Option<u64> = session.get(COUNT).await?;
    let profile: Option<Profile> = session.get(PROFILE).await?;
    Ok(match count.zip(profile) {
        Some((count, _)) => count.to_string().into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    })
}

async fn count(session: Session) -> Result<Response, Failure> {
    let count: Option<u64> = session.get(COUNT).await?;
    let profile: Option<Profile> = session.get(PROFILE).await?;
    let Some((count, _)) = count.zip(profile) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    session.insert(COUNT, count + 1).await?;
    Ok((count + 1).to_string().into_response())
}

async fn slow(State(gate): State<Arc<Gate>>, session: Session) -> Result<(), Failure> {
    let count: u64 = session.get(COUNT).await?.unwrap_or_default();
    gate.pass().await;
    Ok(session.insert(COUNT, count + 1).await?)
}

async fn put(Path(number): Path<u64>, session: Session) -> Result<(), Failure> {
    Ok(session.insert(&format!("key{number}"), number).await?)
}

async fn kept(session: Session) -> Result<String, Failure> {
    let mut kept = 0;
    for number in 0..super::keep::CROWD {
        let value: Option<u64> = session.get(&format!("key{number}")).await?;
        kept += u64::from(value.is_some());
    }
    Ok(kept.to_string())
}

async fn log_in(session: Session) -> Result<(), Failure> {
    session.cycle_id().await?;
    Ok(session.insert(USER, 17).await?)
}

async fn log_out(session: Session) -> Result<(), Failure> {
    Ok(session.flush().await?)
}
