//! The future of a response: the inner one's, then the commit, then the headers.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;

use crate::{
    answer,
    caching::{self, SetByLayer},
    cookie::NEAR_LIMIT,
    error::Error,
    head::Head,
    request::{Committed, Progress, Registry, Shared, commit},
    responder::{FailedCommit, Responder},
    state::Use,
    trace,
    turn::{Cookies, Keep},
};

pin_project! {
    /// The future of [`SessionService`](crate::SessionService).
    ///
    /// Dropping it before it is done loses the handler's changes to its sessions, and nothing else.
    /// A save that has begun leaves either the old state or the new one.
    pub struct ResponseFuture<F, B, R> {
        #[pin]
        state: State<F, B>,
        registry: Closing,
        responder: R,
        head: Head,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Handling { #[pin] inner: F },
        Committing { commit: Pin<Box<dyn Future<Output = Committed> + Send>>, response: Option<Response<B>> },
    }
}

/// However the request ends, even by a panic of the inner service, later changes to its sessions are
/// errors rather than silently lost.
pub(crate) struct Closing(Arc<Registry>);

impl Closing {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.exchange.end();
    }
}

impl<F, B, R> ResponseFuture<F, B, R> {
    pub(crate) fn new(inner: F, registry: Closing, responder: R, head: Head) -> Self {
        Self {
            state: State::Handling { inner },
            registry,
            responder,
            head,
        }
    }
}

impl<F, B, E, R> Future for ResponseFuture<F, B, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: Responder<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = self.as_mut().poll_response(cx);
        if response.is_ready() {
            // The future may be kept while its response is sent.
            self.registry.0.exchange.end();
        }
        response
    }
}

impl<F, B, E, R> ResponseFuture<F, B, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: Responder<B>,
{
    #[inline]
    fn poll_response(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<B>, E>> {
        let mut this = self.project();
        loop {
            let (response, committed) = match this.state.as_mut().project() {
                StateProj::Handling { inner } => {
                    let mut response = ready!(inner.poll(cx))?;
                    let registry = &this.registry.0;
                    registry.exchange.close();
                    if !registry.exchange.is_touched() {
                        return Poll::Ready(Ok(response));
                    }
                    let mut asked = None;
                    let keep = || what_to_keep(&response, this.head, registry.shared());
                    match commit(registry, || *asked.get_or_insert_with(keep)) {
                        Progress::Nothing { used } => {
                            note_use(&mut response, used, registry);
                            return Poll::Ready(Ok(response));
                        }
                        Progress::Done(committed) => (response, committed),
                        Progress::Waiting(commit) => {
                            let response = Some(response);
                            this.state.set(State::Committing { commit, response });
                            continue;
                        }
                    }
                }
                StateProj::Committing { commit, response } => {
                    let committed = ready!(commit.as_mut().poll(cx));
                    let response = response.take();
                    (
                        response.expect("polled again after it was ready"),
                        committed,
                    )
                }
            };
            let request = (&*this.head, &*this.registry.0);
            let response = finish(response, committed, &*this.responder, request);
            return Poll::Ready(Ok(response));
        }
    }
}

/// A handler that failed on the server's side did not mean its changes to the session. Nor did one
/// that a timeout cut off (408).
///
/// gRPC reports failures in `grpc-status`, under HTTP status 200.
fn what_to_keep<B>(response: &Response<B>, head: &Head, shared: &Shared) -> Keep {
    let (status, headers) = (response.status(), response.headers());
    if answer::is_failed(headers)
        || status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || !shared.keeps(status, headers)
    {
        Keep::Identity
    } else if head.is_unseen || status == StatusCode::NOT_MODIFIED {
        Keep::Unseen
    } else {
        Keep::Everything
    }
}

/// The cookies committed by inner layers, for an outer layer that replaces the response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inner(Vec<HeaderValue>);

#[cfg(feature = "gorilla")]
impl Inner {
    /// Replaces the cookies of this name.
    pub(crate) fn replace(&mut self, name: &str, by: impl IntoIterator<Item = HeaderValue>) {
        self.0
            .retain(|cookie| cookie_name(cookie) != name.as_bytes());
        self.0.extend(by);
    }
}

fn finish<B>(
    mut response: Response<B>,
    committed: Committed,
    responder: &impl Responder<B>,
    (head, registry): (&Head, &Registry),
) -> Response<B> {
    let Committed {
        mut cookies,
        used,
        failure,
    } = committed;
    let mut inner = None;
    if let Some(error) = failure {
        (response, inner) = fail(error, response, responder, (head, registry.shared()));
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        cookies.drop_refreshes();
    }
    if registry.outer().is_some() || registry.shared().has_outer_records() {
        tell_outer(&mut response, inner.as_ref(), &cookies);
    }
    let headers = response.headers_mut();
    let has_any = inner.is_some_and(|inner| carry_over(headers, inner));
    if !has_any && cookies.is_empty() {
        note_use(&mut response, used, registry);
        return response;
    }
    if response.extensions_mut().remove::<SetByLayer>().is_some() {
        caching::forget_use(response.headers_mut());
    }
    let headers = response.headers_mut();
    set_cookies(headers, cookies, registry.shared());
    caching::keep_cookies_out(headers, registry.shared().allows_shared_caching);
    response
}

/// Tells caches, and an outer layer, that the response depends on a session.
fn note_use<B>(response: &mut Response<B>, used: Use, registry: &Registry) {
    if caching::note_use(response.headers_mut(), used) && registry.outer().is_some() {
        response.extensions_mut().insert(SetByLayer);
    }
}

/// Passes the cookies that are set to an outer layer.
#[cold]
fn tell_outer<B>(response: &mut Response<B>, inner: Option<&Inner>, own: &Cookies) {
    let inner = inner.into_iter().flat_map(|inner| &inner.0);
    let all: Vec<_> = inner.chain(own.values()).cloned().collect();
    if !all.is_empty() {
        let for_outer = response.extensions_mut().get_or_insert_default::<Inner>();
        for_outer.0.extend(all);
    }
}

/// Sets the cookies of inner layers that the response does not already have: a responder may have
/// let the original response pass. Returns whether any were set.
#[cold]
pub(crate) fn carry_over(headers: &mut HeaderMap, mut inner: Inner) -> bool {
    let is_there = |cookie: &HeaderValue| {
        let mut there = headers.get_all(header::SET_COOKIE).iter();
        there.any(|other| other == cookie)
    };
    inner.0.retain(|cookie| !is_there(cookie));
    let has_any = !inner.0.is_empty();
    for cookie in inner.0 {
        headers.append(header::SET_COOKIE, cookie);
    }
    has_any
}

/// Replaces a response whose sessions could not be saved. Also returns the cookies that inner
/// layers left in it.
#[cold]
fn fail<B>(
    error: Error,
    mut response: Response<B>,
    responder: &impl Responder<B>,
    (head, shared): (&Head, &Shared),
) -> (Response<B>, Option<Inner>) {
    trace::commit_failed(&error, &shared.report, &shared.clock);
    let inner = response.extensions_mut().remove();
    let mut response = responder.respond(FailedCommit::new(error.clone(), response, head.clone()));
    response.extensions_mut().insert(error);
    (response, inner)
}

fn set_cookies(headers: &mut HeaderMap, cookies: Cookies, shared: &Shared) {
    let bytes = cookies.values().map(HeaderValue::len).sum();
    if bytes >= NEAR_LIMIT && !shared.has_outer_records() {
        shared.report.long_response(&shared.clock, bytes);
    }
    if headers.contains_key(header::SET_COOKIE) {
        cookies
            .values()
            .for_each(|cookie| replace_namesake(headers, cookie));
    }
    cookies.append_to(headers);
}

/// A response must not set one cookie twice (RFC 6265bis), and the service may have set this one.
fn replace_namesake(headers: &mut HeaderMap, cookie: &HeaderValue) {
    let name = cookie_name(cookie);
    if !headers
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|other| cookie_name(other) == name)
    {
        return;
    }
    trace::replaced_cookie(&String::from_utf8_lossy(name));
    let all: Vec<_> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for other in all.into_iter().filter(|other| cookie_name(other) != name) {
        headers.append(header::SET_COOKIE, other);
    }
}

fn cookie_name(cookie: &HeaderValue) -> &[u8] {
    let name = cookie
        .as_bytes()
        .split(|byte| *byte == b'=' || *byte == b';')
        .next();
    name.unwrap_or_default().trim_ascii()
}

impl<F, B, R> fmt::Debug for ResponseFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
