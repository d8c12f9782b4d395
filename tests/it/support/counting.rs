//! A browser with a counter in its session, for services that the test assembles.

use silverback::{Session, SessionConfig, store::MemoryStore, testing::Browser};

use super::keys;

pub(crate) fn config() -> SessionConfig {
    SessionConfig::new("s", MemoryStore::new(), keys())
}

/// A visitor whose session has a 1 in it.
pub(crate) async fn visitor<S>(service: S, config: &SessionConfig) -> Browser<S> {
    let browser = Browser::new(service);
    let fill = |session: &Session| session.insert("n", 1);
    browser.seed(config, fill).await.unwrap();
    browser
}

pub(crate) async fn n<S>(browser: &Browser<S>, config: &SessionConfig) -> Option<u32> {
    let session = browser.session(config).await.unwrap();
    session.get("n").unwrap()
}
