//! tower-sessions-cookie-store: tower-sessions with the values in the cookie.

use tower::Layer;
use tower_sessions_cookie_store::{CookieController, CookieSessionManagerLayer, Key, Session};

use super::{Sessions, tower_sessions::service};
use crate::{
    endpoint::{Endpoint, Tower},
    scenarios::Action,
};

pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(CookieSessionManagerLayer::private(Key::generate()))
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(CookieSessionManagerLayer::signed(Key::generate()))
}

impl<C: CookieController> Sessions for CookieSessionManagerLayer<C> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Tower(self.layer(service!(Session, action)))))
    }
}
