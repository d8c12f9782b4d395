//! The page as administrators see it, and as others do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod browser;
mod pages;
#[path = "../../src/site.rs"]
mod site;

use std::sync::LazyLock;

use argon2::{Argon2, password_hash::PasswordHasher as _};
use axum::Router;
use example_admin::{Refusals, Settings, Site, router};
use silverback::{Clock, Key, Keys, MemoryStore, SessionConfig, SessionLayer, Timestamp};

const PASSWORD: &str = "correct horse";
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Hashed once, since it keeps a core busy for a while.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(PASSWORD.as_bytes());
    hash.unwrap().to_string()
});

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.enabled = true;
    settings.password_hash = Some(HASH.clone());
    settings.insecure_local_http = true;
    settings
}

/// A site with the page, and the parts that the tests use directly.
struct Stage {
    app: Router,
    config: SessionConfig,
    keys: Keys,
    refusals: Refusals,
    clock: Clock,
}

impl Stage {
    fn new(clock: Clock) -> Self {
        Self::with(&settings(), clock)
    }

    fn with(settings: &Settings, clock: Clock) -> Self {
        let keys = Keys::new(Key::generate().unwrap());
        let store = MemoryStore::new().clock(clock.clone());
        let config = SessionConfig::new("account", store, keys.clone()).insecure_local_http();
        let refusals = Refusals::new(clock.clone());
        let site = Site::new(&config, keys.clone(), refusals.clone()).unwrap();
        let admin = router(settings, site.clock(clock.clone())).unwrap();
        Self {
            app: site::app(
                SessionLayer::new(config.clone()).clock(clock.clone()),
                admin,
            ),
            config,
            keys,
            refusals,
            clock,
        }
    }
}
