//! silverback: the values are in the cookie, or in memory under a sealed ID.

use axum::Router;
use kit::{
    scenario::{Action, Used},
    sessions::{self, Kind},
};
use silverback::SessionLayer;

use super::Sessions;

pub(super) fn encrypted() -> Box<dyn Sessions> {
    layer(Kind::Encrypted)
}

pub(super) fn signed() -> Box<dyn Sessions> {
    layer(Kind::Signed)
}

pub(super) fn memory() -> Box<dyn Sessions> {
    layer(Kind::Memory)
}

pub(super) fn layer(kind: Kind) -> Box<dyn Sessions> {
    Box::new(sessions::layer(kind.backend(), 1))
}

impl Sessions for SessionLayer {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        Some(sessions::router(self, Used::First, routes))
    }
}
