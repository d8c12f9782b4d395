//! A service that is called directly, whatever its framework's types are.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tower::Service;

/// What answers requests, of any framework.
pub trait Endpoint {
    /// Answers one request and gives its `Set-Cookie` fields.
    fn visit(&mut self, field: Option<&Bytes>) -> Vec<String>;

    /// Answers so many requests.
    fn warm_up(&mut self, field: Option<&Bytes>, calls: u32);

    /// Answers so many requests, and calls what is given before and after each. The request is made
    /// before, and the response dropped within.
    fn answer(&mut self, field: Option<&Bytes>, calls: u32, mark: &dyn Fn());

    /// Nanoseconds of this thread for each of so many requests, made before.
    fn time(&mut self, field: Option<&Bytes>, calls: u32) -> f64;
}

/// A framework's way to ask a service.
pub trait Exchange {
    type Request;
    type Response;

    fn request(field: Option<&Bytes>) -> Self::Request;
    fn call(&mut self, request: Self::Request) -> Self::Response;
    fn set_cookies(response: &Self::Response) -> Vec<String>;
}

impl<E: Exchange> Endpoint for E {
    fn visit(&mut self, field: Option<&Bytes>) -> Vec<String> {
        E::set_cookies(&self.call(E::request(field)))
    }

    fn warm_up(&mut self, field: Option<&Bytes>, calls: u32) {
        for _ in 0..calls {
            drop(black_box(self.call(E::request(field))));
        }
    }

    fn answer(&mut self, field: Option<&Bytes>, calls: u32, mark: &dyn Fn()) {
        for _ in 0..calls {
            let request = E::request(field);
            mark();
            measured_call(self, request);
            mark();
        }
    }

    fn time(&mut self, field: Option<&Bytes>, calls: u32) -> f64 {
        let requests: Vec<_> = (0..calls).map(|_| E::request(field)).collect();
        crate::time::each(calls, || {
            for request in requests {
                drop(black_box(self.call(request)));
            }
        })
    }
}

/// Callgrind collects in it, by its name.
#[inline(never)]
fn measured_call<E: Exchange>(endpoint: &mut E, request: E::Request) {
    drop(black_box(endpoint.call(request)));
}

/// A Tower service without bodies.
pub struct Plain<S>(pub S);

impl<S> Exchange for Plain<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    type Request = Request<()>;
    type Response = Response<()>;

    fn request(field: Option<&Bytes>) -> Request<()> {
        request(field)
    }

    fn call(&mut self, request: Request<()>) -> Response<()> {
        now(self.0.call(request)).unwrap_or_else(|never| match never {})
    }

    fn set_cookies(response: &Response<()>) -> Vec<String> {
        set_cookies(response.headers())
    }
}

/// A service of axum, as its router is one.
pub struct Web<S>(pub S);

impl Web<Router> {
    /// As axum's server does it: handlers and layers are put together once, and not by each request.
    pub fn serve(router: Router) -> Self {
        Self(router.with_state(()))
    }
}

impl<S> Exchange for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Request = Request<Body>;
    type Response = Response<Body>;

    /// With the fields that every client sends.
    fn request(field: Option<&Bytes>) -> Request<Body> {
        let mut request = request(field).map(|()| Body::empty());
        let headers = request.headers_mut();
        for (name, value) in [
            (header::HOST, "www.example.com"),
            (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)"),
            (header::ACCEPT, "text/html"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        request
    }

    fn call(&mut self, request: Request<Body>) -> Response<Body> {
        now(self.0.call(request)).unwrap_or_else(|never| match never {})
    }

    fn set_cookies(response: &Response<Body>) -> Vec<String> {
        set_cookies(response.headers())
    }
}

/// A request as a server makes it: with extensions, and a header value that is a slice of a shared
/// buffer.
pub fn request(field: Option<&Bytes>) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert("as every real request has");
    if let Some(field) = field {
        let value =
            HeaderValue::from_maybe_shared(field.clone()).expect("cookies are visible ASCII");
        request.headers_mut().append(header::COOKIE, value);
    }
    request
}

pub fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    let text = |field: &HeaderValue| {
        field
            .to_str()
            .expect("cookies are visible ASCII")
            .to_owned()
    };
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(text)
        .collect()
}

/// # Panics
///
/// If the future waits: sessions in cookies and in memory do not, and no store does outside of a
/// runtime.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
