//! tower-sessions 0.14.

use ::tower_sessions;
use silverback_tower_sessions::{Former, TowerSessionLayer};

#[path = "each/former.rs"]
mod former;
#[path = "each/over_layer.rs"]
mod over_layer;
#[path = "each/over_stores.rs"]
mod over_stores;
#[path = "each/site.rs"]
mod site;

const fn layer() -> TowerSessionLayer {
    TowerSessionLayer::v0_14()
}

fn former(store: impl tower_sessions::SessionStore) -> Former {
    Former::v0_14(store)
}
