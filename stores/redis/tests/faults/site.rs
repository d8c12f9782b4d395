//! Stores for servers, and the length of a test.

use std::{env, time::Duration};

use silverback_redis::RedisStore;

/// Returns whether the long form runs.
pub(crate) fn soaks() -> bool {
    env::var_os("SILVERBACK_SOAK").is_some()
}

/// Selects a number by the form.
pub(crate) fn scaled<T>(short: T, long: T) -> T {
    if soaks() { long } else { short }
}

/// A store on this server. Its timeout is longer than the default, for busy machines.
pub(crate) async fn at(url: &str) -> RedisStore {
    let store = RedisStore::connect(url).await;
    store.unwrap().timeout(Duration::from_secs(30))
}

/// A store on a port that leads to the server.
pub(crate) async fn through(port: u16) -> RedisStore {
    at(&format!("redis://127.0.0.1:{port}")).await
}
