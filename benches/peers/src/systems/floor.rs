//! The least code that does what silverback does, with the same tokens: a layer around the
//! handlers, which get their session from an extractor.
//!
//! The layer's future is an `async` block, so only axum boxes, as for any layer.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
    routing::{Route, get},
};
use bytes::Bytes;
use kit::{
    browser::Browser,
    endpoint::{poll_once, request, set_cookies},
    floor::{Floor, Slot},
    for_action,
    scenario::{Action, Content},
    sessions::Kind,
};
use tower::{Service, layer::layer_fn, service_fn};

use super::{Sessions, handlers, silverback};

pub(super) fn encrypted() -> Box<dyn Sessions> {
    floor(Kind::Encrypted)
}

pub(super) fn signed() -> Box<dyn Sessions> {
    floor(Kind::Signed)
}

pub(super) fn memory() -> Box<dyn Sessions> {
    floor(Kind::Memory)
}

/// Leaks a floor, which in a server lives as long as the process.
fn floor(kind: Kind) -> Box<dyn Sessions> {
    let floor = Box::leak(Box::new(Floor::with_cache_headers(kind)));
    Box::new(&*floor)
}

impl Sessions for &'static Floor {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let floor = *self;
        let handler = |action| {
            for_action!(action, ACTION => get(async move |session: Session| {
                session.act(ACTION);
                Response::new(Body::empty())
            }))
        };
        Some(handlers(routes, handler).layer(layer_fn(move |inner| around(floor, inner))))
    }
}

/// The layer's handle in the request's extensions.
#[derive(Clone)]
struct Handle {
    floor: &'static Floor,
    slot: Slot,
}

/// The session that a handler gets from the extractor.
struct Session {
    handle: Handle,
    field: Option<HeaderValue>,
}

impl Session {
    fn act(&self, action: Action) {
        let Handle { floor, slot } = &self.handle;
        floor
            .act(|| Some(slot), || self.field.as_ref(), action)
            .expect("the cookie is valid");
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let handle = parts.extensions.get::<Handle>().cloned();
        Ok(Self {
            handle: handle.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?,
            field: parts.headers.get(header::COOKIE).cloned(),
        })
    }
}

/// The layer's service around `inner`.
fn around(
    floor: &'static Floor,
    mut inner: Route,
) -> impl Service<
    Request,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send,
> + Clone
+ Send
+ Sync {
    service_fn(move |mut request: Request| {
        let slot = Slot::default();
        request.extensions_mut().insert(Handle {
            floor,
            slot: Arc::clone(&slot),
        });
        let response = inner.call(request);
        async move {
            let mut response = response.await?;
            floor.finish(&slot, response.headers_mut());
            Ok(response)
        }
    })
}

/// Checks that the floor does silverback's job, and that the responses of both have the same header
/// fields.
///
/// # Panics
///
/// If they differ.
pub(crate) fn check() {
    for kind in Kind::ALL {
        let (ours, theirs) = (silverback::layer(kind), floor(kind));
        let endpoint = |sessions: &dyn Sessions, action| {
            let endpoint = sessions.endpoint(action);
            endpoint.expect("either has a layer")
        };
        kit::floor::check(kind, &|action| endpoint(&*ours, action), &|action| {
            endpoint(&*theirs, action)
        });
        assert_eq!(fields(&*ours), fields(&*theirs));
    }
}

/// The header fields of the responses to a browser that makes a session and uses it.
fn fields(sessions: &dyn Sessions) -> [HeaderMap; 4] {
    let mut browser = Browser::default();
    let prepare = Action::Prepare(Content::profiles(1));
    [prepare, Action::Nothing, Action::Read, Action::Count].map(|action| {
        let router = sessions.router(&[("/", action)]);
        let mut router = router.expect("either has a layer").with_state::<()>(());
        let field = (!browser.is_empty()).then(|| Bytes::from(browser.field()));
        let request = request(field.as_ref()).map(|()| Body::empty());
        let response = poll_once(router.call(request)).unwrap_or_else(|never| match never {});
        let (mut parts, _) = response.into_parts();
        browser.keep(set_cookies(&parts.headers));
        if let Some(cookie) = parts.headers.get_mut(header::SET_COOKIE) {
            *cookie = without_value(cookie);
        }
        parts.headers
    })
}

/// A cookie of the same length with the same attributes.
fn without_value(cookie: &HeaderValue) -> HeaderValue {
    let text = cookie.to_str().expect("cookies are visible ASCII");
    let (pair, attributes) = text.split_once(';').expect("it has attributes");
    let text = format!("{};{attributes}", "x".repeat(pair.len()));
    text.try_into().expect("it is visible ASCII")
}
