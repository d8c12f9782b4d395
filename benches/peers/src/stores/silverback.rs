//! silverback: its layer, handlers and stores.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, store::IntoBackend};
use silverback_redis::RedisStore;
use silverback_sqlx::PostgresStore;
use sqlx::postgres::PgPoolOptions;

use super::{
    Result,
    cost::text,
    servers::PoolSettings,
    site::{COUNT, Gate, PROFILE, Profile, Site, TEXT, USER, path},
};

pub(super) async fn redis(url: &str) -> Result<Site> {
    site(RedisStore::connect(url).await?, || true)
}

pub(super) async fn postgres(url: &str, settings: PoolSettings) -> Result<Site> {
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections)
        .test_before_acquire(settings.asks)
        .connect(url)
        .await?;
    let store = PostgresStore::new(pool.clone());
    store.create_table().await?;
    site(store, move || pool.num_idle() == pool.size() as usize)
}

fn site(
    store: impl IntoBackend,
    is_idle: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Site> {
    let gate = Arc::new(Gate::default());
    let config = SessionConfig::new("session", store, Keys::generate()?);
    let router = Router::new()
        .route(path::START, get(start))
        .route(path::START_WITH, get(start_with))
        .route(path::COUNT_ALONE, get(count_alone))
        .route(path::READ, get(read))
        .route(path::COUNT, get(count))
        .route(path::INSERT, get(insert))
        .route(path::SLOW, get(slow))
        .route(path::PUT, get(put))
        .route(path::KEPT, get(kept))
        .route(path::LOG_IN, get(log_in))
        .route(path::LOG_IN_LISTED, get(log_in_listed))
        .route(path::LOG_OUT, get(log_out))
        .layer(SessionLayer::new(config))
        .with_state(Arc::clone(&gate));
    Ok(Site {
        router,
        gate,
        is_idle: Arc::new(is_idle),
    })
}

async fn start(session: Session) -> Result<(), Error> {
    session.insert(PROFILE, Profile::ada())?;
    session.insert(COUNT, 0)
}

async fn start_with(Path(bytes): Path<usize>, session: Session) -> Result<(), Error> {
    session.insert(TEXT, text(bytes))?;
    session.insert(COUNT, 0)
}

async fn count_alone(session: Session) -> Result<(), Error> {
    session.update(COUNT, |count: &mut u64| *count += 1)
}

async fn read(session: Session) -> Result<Response, Error> {
    let count: Option<u64> = session.get(COUNT)?;
    let profile: Option<Profile> = session.get(PROFILE)?;
    Ok(match count.zip(profile) {
        Some((count, _)) => count.to_string().into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    })
}

async fn count(session: Session) -> Result<Response, Error> {
    if session.get::<Profile>(PROFILE)?.is_none() {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    }
    let count = session.update(COUNT, |count: &mut u64| {
        *count += 1;
        *count
    })?;
    Ok(count.to_string().into_response())
}

async fn insert(session: Session) -> Result<Response, Error> {
    let count: Option<u64> = session.get(COUNT)?;
    let profile: Option<Profile> = session.get(PROFILE)?;
    let Some((count, _)) = count.zip(profile) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    session.insert(COUNT, count + 1)?;
    Ok((count + 1).to_string().into_response())
}

async fn slow(State(gate): State<Arc<Gate>>, session: Session) -> Result<(), Error> {
    let count: u64 = session.get(COUNT)?.unwrap_or_default();
    gate.pass().await;
    session.insert(COUNT, count + 1)
}

async fn put(Path(number): Path<u64>, session: Session) -> Result<(), Error> {
    session.insert(&format!("key{number}"), number)
}

async fn kept(session: Session) -> Result<String, Error> {
    let mut kept = 0;
    for number in 0..super::keep::CROWD {
        kept += u64::from(session.get::<u64>(&format!("key{number}"))?.is_some());
    }
    Ok(kept.to_string())
}

async fn log_in(session: Session) -> Result<(), Error> {
    session.renew();
    session.insert(USER, 17)
}

async fn log_in_listed(session: Session) -> Result<(), Error> {
    session.renew();
    session.insert(USER, 17)?;
    session.set_subject("17", "a browser")
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}
