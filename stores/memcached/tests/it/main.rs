//! The store on a real memcached.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(unix)]

mod contract;
mod cuts;
mod forgetting;
mod formats;
mod limits;
mod nonsense;
mod outage;

use std::time::Duration;

use silverback::{Timestamp, store::Expiry};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::{Memcached, kit::connected};

/// A day, so that nothing ends during a test.
fn day() -> Expiry {
    seconds(86_400)
}

fn seconds(after: u64) -> Expiry {
    let now = Timestamp::from_secs(1_800_000_000);
    let at = Timestamp::from_secs(now.as_secs().saturating_add(after));
    Expiry::new(at, now)
}

/// Longer than the default, for busy machines.
async fn at(url: &str) -> MemcachedStore {
    let store = connected(|| MemcachedStore::connect(url)).await;
    store.timeout(Duration::from_secs(30))
}

async fn connect(server: &Memcached) -> MemcachedStore {
    at(&server.url()).await
}

/// A store on a port that leads to the server.
async fn through(port: u16) -> MemcachedStore {
    at(&format!("memcached://127.0.0.1:{port}")).await
}
