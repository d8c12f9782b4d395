//! Stores of servers, and how long a test runs.

use std::{env, time::Duration};

use silverback_redis::RedisStore;

/// Says whether the long form runs.
pub(crate) fn soaks() -> bool {
    env::var_os("SILVERBACK_SOAK").is_some()
}

/// One number for each form.
pub(crate) fn scaled<T>(short: T, long: T) -> T {
    if soaks() { long } else { short }
}

/// A store of this server. A busy machine may need longer than the default.
pub(crate) async fn at(url: &str) -> RedisStore {
    let store = RedisStore::connect(url).await;
    store.unwrap().timeout(Duration::from_secs(30))
}

/// By a port that leads to the server.
pub(crate) async fn through(port: u16) -> RedisStore {
    at(&format!("redis://127.0.0.1:{port}")).await
}
