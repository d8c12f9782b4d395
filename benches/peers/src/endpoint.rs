//! A service that is called directly, whatever its framework's types are.

use std::{
    convert::Infallible,
    future::{Future, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use tower::{Service, service_fn};

use crate::count::mark;

/// What answers requests, of any framework.
pub(crate) trait Endpoint {
    /// Answers one request and gives its `Set-Cookie` fields.
    fn visit(&mut self, field: Option<&Bytes>) -> Vec<String>;

    /// How long so many requests take. They are made before and their responses dropped within.
    fn time(&mut self, field: Option<&Bytes>, calls: u32) -> Duration;

    /// Answers so many requests, each between two marks.
    fn count(&mut self, field: Option<&Bytes>, calls: u32);
}

/// A framework's way to ask a service.
pub(crate) trait Exchange {
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

    fn time(&mut self, field: Option<&Bytes>, calls: u32) -> Duration {
        let requests: Vec<_> = (0..calls).map(|_| E::request(field)).collect();
        let start = Instant::now();
        for request in requests {
            drop(black_box(self.call(request)));
        }
        start.elapsed()
    }

    fn count(&mut self, field: Option<&Bytes>, calls: u32) {
        for _ in 0..calls {
            let request = E::request(field);
            mark();
            drop(black_box(self.call(request)));
            mark();
        }
    }
}

/// A Tower service.
pub(crate) struct Tower<S>(pub(crate) S);

impl<S: Service<Request<()>, Response = Response<Body>, Error = Infallible>> Exchange for Tower<S> {
    type Request = Request<()>;
    type Response = Response<Body>;

    /// As a server makes it: with extensions, and a header value that is a slice of a shared
    /// buffer.
    fn request(field: Option<&Bytes>) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert("as every real request has");
        if let Some(field) = field {
            let value =
                HeaderValue::from_maybe_shared(field.clone()).expect("cookies are visible ASCII");
            request.headers_mut().append(header::COOKIE, value);
        }
        request
    }

    fn call(&mut self, request: Request<()>) -> Response<Body> {
        now(self.0.call(request)).unwrap_or_else(|never| match never {})
    }

    fn set_cookies(response: &Response<Body>) -> Vec<String> {
        let fields = response.headers().get_all(header::SET_COOKIE).iter();
        fields
            .map(|field| {
                field
                    .to_str()
                    .expect("cookies are visible ASCII")
                    .to_owned()
            })
            .collect()
    }
}

/// What costs of Tower services are above of.
pub(crate) fn bare() -> Box<dyn Endpoint> {
    Box::new(Tower(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    })))
}

pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("sessions in cookies and in memory do not wait"),
    }
}
