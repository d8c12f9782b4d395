//! A cached store keeps the whole contract.

use std::time::Duration;

use silverback::{MemoryStore, store_conformance};
use silverback_cached::CachedStore;

store_conformance!(|clock| {
    let store = MemoryStore::new().clock(clock.clone());
    CachedStore::new(store, Duration::from_secs(3_600)).clock(clock)
});
