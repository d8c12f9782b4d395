//! A service of any framework, called directly.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::runtime::Runtime;
use tower::Service;

use crate::time::{process_time, thread_time};

/// A service of any framework that answers requests with this `Cookie` field.
pub trait Endpoint {
    /// Answers one request and returns the response's `Set-Cookie` fields.
    fn visit(&mut self, field: Option<&Bytes>) -> Vec<String>;

    /// Answers `calls` requests.
    fn warm_up(&mut self, field: Option<&Bytes>, calls: u32);

    /// Answers `calls` requests and calls `mark` before and after each. The request is made before
    /// the first mark; the response is dropped before the second.
    fn answer(&mut self, field: Option<&Bytes>, calls: u32, mark: &dyn Fn());

    /// Nanoseconds of CPU time for each of `calls` requests, which are made beforehand. The time is
    /// that of this thread, or of the whole process if other threads may work for it.
    fn time(&mut self, field: Option<&Bytes>, calls: u32) -> f64;
}

/// How a framework calls a service.
pub trait Exchange {
    type Request;
    type Response;

    fn request(field: Option<&Bytes>) -> Self::Request;
    fn call(&mut self, request: Self::Request) -> Self::Response;
    fn set_cookies(response: &Self::Response) -> Vec<String>;

    /// The CPU time so far of all threads that work for a request.
    fn clock(&self) -> Duration {
        thread_time()
    }
}

/// A driver of a service's future.
pub trait Drive {
    fn drive<F: Future>(&self, future: F) -> F::Output;
    fn clock(&self) -> Duration;
}

/// Drives futures that never wait, without a runtime.
#[derive(Clone, Copy, Debug)]
pub struct NoRuntime;

impl Drive for NoRuntime {
    fn drive<F: Future>(&self, future: F) -> F::Output {
        poll_once(future)
    }

    fn clock(&self) -> Duration {
        thread_time()
    }
}

/// Drives futures that hand work to other threads.
impl Drive for Arc<Runtime> {
    fn drive<F: Future>(&self, future: F) -> F::Output {
        self.block_on(future)
    }

    fn clock(&self) -> Duration {
        process_time()
    }
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
        let start = self.clock();
        for request in requests {
            drop(black_box(self.call(request)));
        }
        (self.clock() - start).as_nanos() as f64 / f64::from(calls)
    }
}

/// Callgrind finds this function by name and collects inside it.
#[inline(never)]
fn measured_call<E: Exchange>(endpoint: &mut E, request: E::Request) {
    drop(black_box(endpoint.call(request)));
}

/// A Tower service without bodies.
pub struct Plain<S, D>(pub S, pub D);

impl<S, D> Exchange for Plain<S, D>
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
    D: Drive,
{
    type Request = Request<()>;
    type Response = Response<()>;

    fn request(field: Option<&Bytes>) -> Request<()> {
        request(field)
    }

    fn call(&mut self, request: Request<()>) -> Response<()> {
        self.1
            .drive(self.0.call(request))
            .unwrap_or_else(|never| match never {})
    }

    fn clock(&self) -> Duration {
        self.1.clock()
    }

    fn set_cookies(response: &Response<()>) -> Vec<String> {
        set_cookies(response.headers())
    }
}

/// An axum router.
pub struct Web<D>(Router, D);

impl Web<NoRuntime> {
    pub fn serve(router: Router) -> Self {
        Self::serve_by(router, NoRuntime)
    }
}

impl<D> Web<D> {
    /// As axum's server does, this assembles handlers and layers once and not for each request.
    pub fn serve_by(router: Router, drive: D) -> Self {
        Self(router.with_state(()), drive)
    }
}

impl<D: Drive> Exchange for Web<D> {
    type Request = Request<Body>;
    type Response = Response<Body>;

    /// A request with the fields that every client sends.
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
        self.1
            .drive(self.0.call(request))
            .unwrap_or_else(|never| match never {})
    }

    fn clock(&self) -> Duration {
        self.1.clock()
    }

    fn set_cookies(response: &Response<Body>) -> Vec<String> {
        set_cookies(response.headers())
    }
}

/// A request as a server makes it: with extensions, and with a header value that is a slice of a
/// shared buffer.
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

/// The output of a future that never waits. Sessions in cookies and in memory do not wait, and
/// outside a runtime no store does.
///
/// # Panics
///
/// If the future waits.
pub fn poll_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
