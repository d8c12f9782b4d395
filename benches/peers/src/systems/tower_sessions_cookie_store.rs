//! tower-sessions-cookie-store: tower-sessions with the values in the cookie.

use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::{Layer, service_fn};
use tower_sessions_cookie_store::{CookieController, CookieSessionManagerLayer, Key, Session};

use super::{Sessions, handlers, tower_sessions::define_answer};
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

impl<C: CookieController + Sync> Sessions for CookieSessionManagerLayer<C> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Tower(self.layer(service_fn(
            move |request: Request<()>| answer(request, action),
        )))))
    }

    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| get(move |request: Request<Body>| answer(request, action));
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

define_answer!(Session);
