//! The service, which adds the sessions to a request on its way in.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header};
use tower_service::Service;

use crate::{
    future::{Closing, ResponseFuture},
    head::Head,
    request::{Registry, Shared},
    responder::Responder,
    session::Session,
};

/// The service that [`SessionLayer`](crate::SessionLayer) makes.
///
/// The inner service only has to take and return `http` messages: it needs no `Clone`, `Send` or
/// `'static`. Its errors pass unchanged.
#[derive(Clone)]
pub struct SessionService<S, R> {
    inner: S,
    shared: Arc<Shared>,
    responder: R,
}

impl<S, R> SessionService<S, R> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>, responder: R) -> Self {
        Self {
            inner,
            shared,
            responder,
        }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Responder<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let cookies = request.headers().get_all(header::COOKIE);
        let head = Head::of(&request, cookies.iter().next().is_some());
        let registry = Registry::new(Arc::clone(&self.shared), cookies, head.origin());
        let outer = request
            .extensions_mut()
            .insert(Session::from(registry.first()));
        registry.set_outer(outer.map(|session| Arc::clone(session.registry())));
        let responder = self.responder.clone();
        // Before the call, which may panic.
        let registry = Closing::new(registry);
        ResponseFuture::new(self.inner.call(request), registry, responder, head)
    }
}

impl<S: fmt::Debug, R> fmt::Debug for SessionService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::ready, pin::pin};

    use http::HeaderValue;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::{
        Error, Keys, SessionConfig, SessionLayer, crypto,
        store::{CookieStore, IntoBackend, MemoryStore, poll_once},
    };

    type Action = fn(&Session) -> Result<(), Error>;

    /// Returns how often a request draws random bytes, and the cookie that it sets.
    fn draws(
        layer: &SessionLayer,
        cookie: Option<&HeaderValue>,
        act: Action,
    ) -> (usize, Option<HeaderValue>) {
        let service = layer.layer(service_fn(|request: Request<()>| {
            let session = request.extensions().get::<Session>();
            act(session.expect("the layer is around")).expect("nothing here fails");
            ready(Ok::<_, Infallible>(Response::new(())))
        }));
        let mut request = Request::new(());
        let cookie = cookie.map(|cookie| (header::COOKIE, cookie.clone()));
        request.headers_mut().extend(cookie);
        let before = crypto::draws();
        let answer = poll_once(pin!(service.oneshot(request))).expect("nothing here waits");
        let Ok(response) = answer;
        let cookie = response.headers().get(header::SET_COOKIE).cloned();
        (crypto::draws() - before, cookie)
    }

    #[test]
    fn a_request_draws_random_bytes_at_most_once() {
        let keys = Keys::generate().expect("random bytes");
        for (backend, of_change) in [
            // Each message is sealed under its own key.
            (CookieStore::new().into_backend(), 1),
            (CookieStore::new().signed().into_backend(), 0),
            (MemoryStore::new().into_backend(), 0),
        ] {
            let layer = SessionLayer::new(SessionConfig::new("s", backend, keys.clone()));
            let (of_new, cookie) = draws(&layer, None, |session| session.insert("n", 1));
            assert_eq!(of_new, 1, "{layer:?}");
            let (of_read, _) = draws(&layer, cookie.as_ref(), |session| {
                session
                    .get::<u8>("n")
                    .map(|found| assert_eq!(found, Some(1)))
            });
            assert_eq!(of_read, 0, "{layer:?}");
            let (drawn, _) = draws(&layer, cookie.as_ref(), |session| session.insert("n", 2));
            assert_eq!(drawn, of_change, "{layer:?}");
        }
    }
}
