//! tower-sessions 0.15.

use silverback_tower_sessions::{Former, TowerSessionLayer};
use tower_sessions_0_15 as tower_sessions;

#[path = "each/former.rs"]
mod former;
#[path = "each/over_layer.rs"]
mod over_layer;
#[path = "each/over_stores.rs"]
mod over_stores;
#[path = "each/site.rs"]
mod site;

const fn layer() -> TowerSessionLayer {
    TowerSessionLayer::v0_15()
}

fn former(store: impl tower_sessions::SessionStore) -> Former {
    Former::v0_15(store)
}
