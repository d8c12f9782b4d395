//! tower-sessions-cookie-store: tower-sessions with the values in the cookie.

use axum::{Router, body::Body, response::Response, routing::get};
use kit::{for_action, scenario::Action};
use tower_sessions_cookie_store::{CookieController, CookieSessionManagerLayer, Key, Session};

use super::{Sessions, handlers, tower_sessions::define_handle};
pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(CookieSessionManagerLayer::private(Key::generate()))
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(CookieSessionManagerLayer::signed(Key::generate()))
}

impl<C: CookieController + Sync> Sessions for CookieSessionManagerLayer<C> {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| {
            for_action!(action, ACTION => get(async move |session: Session| {
                handle(&session, ACTION).await;
                Response::new(Body::empty())
            }))
        };
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

define_handle!(Session);
