//! Layers that send a request twice, around the session layer and inside it: rows of the table in
//! docs/guides/layers.md.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, StatusCode};
use silverback::{
    Error, Session, SessionConfig, SessionLayer,
    testing::{Browser, Page},
};
use tokio::task::yield_now;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, retry::Policy, service_fn};

use crate::support::counting::{config, n, visitor};

/// Retries a request once if its response is a 503.
#[derive(Clone)]
struct Twice(usize);

impl<B, R> Policy<Request<B>, http::Response<R>, Infallible> for Twice
where
    Request<B>: Clone,
{
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<http::Response<R>, Infallible>,
    ) -> Option<Self::Future> {
        let is_down =
            |response: &mut http::Response<R>| response.status() == StatusCode::SERVICE_UNAVAILABLE;
        self.0 += 1;
        (self.0 < 2 && result.as_mut().is_ok_and(is_down)).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn retry() -> tower::retry::RetryLayer<Twice> {
    tower::retry::RetryLayer::new(Twice(0))
}

/// Runs `work` for each try, and responds to the first with 503.
fn fails_once<F>(
    work: impl Fn(Session) -> F + Clone,
) -> impl Service<Request<()>, Response = http::Response<String>, Error = Infallible, Future: Send> + Clone
where
    F: Future<Output = Result<(), Error>> + Send,
{
    let tries = Arc::new(AtomicUsize::new(0));
    service_fn(move |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        let is_first = tries.fetch_add(1, Ordering::Relaxed) == 0;
        let work = work(session);
        async move {
            let mut response = http::Response::new(String::new());
            match work.await {
                Err(error) => *response.status_mut() = error.answer().status(),
                Ok(()) if is_first => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
                Ok(()) => {}
            }
            Ok(response)
        }
    })
}

async fn count(session: Session) -> Result<(), Error> {
    session.update("n", |n: &mut u32| *n += 1)
}

async fn visit<S, R>(browser: &Browser<S>) -> Page
where
    S: Service<Request<()>, Response = http::Response<R>, Error = Infallible> + Clone,
    R: http_body::Body<Error: std::fmt::Debug>,
{
    browser.visit(Request::new(())).await
}

#[tokio::test]
async fn a_retry_outside_starts_from_the_unchanged_session() {
    let config = config();
    let sessions = SessionLayer::new(config.clone());
    let services = ServiceBuilder::new().layer(retry()).layer(sessions);
    let browser = visitor(services.service(fails_once(count)), &config).await;
    assert_eq!(visit(&browser).await.status(), StatusCode::OK);
    assert_eq!(n(&browser, &config).await, Some(2));
}

#[tokio::test]
async fn a_retry_inside_changes_the_session_twice() {
    let config = config();
    let sessions = SessionLayer::new(config.clone());
    let services = ServiceBuilder::new().layer(sessions).layer(retry());
    let browser = visitor(services.service(fails_once(count)), &config).await;
    assert_eq!(visit(&browser).await.status(), StatusCode::OK);
    assert_eq!(n(&browser, &config).await, Some(3));
}

async fn log_in(session: Session) -> Result<(), Error> {
    session.renew();
    session.insert("user", "ada")
}

/// Who is logged in after a request, and the value left from before it.
async fn after_login<S, R>(service: S, config: &SessionConfig) -> (Option<String>, Option<u32>)
where
    S: Service<Request<()>, Response = http::Response<R>, Error = Infallible> + Clone,
    R: http_body::Body<Error: std::fmt::Debug>,
{
    let browser = visitor(service, config).await;
    assert_eq!(visit(&browser).await.status(), StatusCode::OK);
    let session = browser.session(config).await.unwrap();
    (session.get("user").unwrap(), session.get("n").unwrap())
}

#[tokio::test]
async fn a_login_retried_outside_loses_the_earlier_values() {
    let (config, ada) = (config(), Some("ada".to_owned()));
    let sessions = SessionLayer::new(config.clone());
    let outside = ServiceBuilder::new().layer(retry()).layer(sessions.clone());
    let outside = outside.service(fails_once(log_in));
    assert_eq!(after_login(outside, &config).await, (ada.clone(), None));

    let inside = ServiceBuilder::new().layer(sessions).layer(retry());
    let inside = inside.service(fails_once(log_in));
    assert_eq!(after_login(inside, &config).await, (ada, Some(1)));
}

/// Sends each request twice at the same time. The first response counts, and the other try is cut
/// off.
fn hedge<S, R>(
    service: S,
) -> impl Service<Request<()>, Response = http::Response<R>, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<()>, Response = http::Response<R>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    R: Send + 'static,
{
    service_fn(move |request: Request<()>| {
        let first = service.clone().oneshot(request.clone());
        let second = service.clone().oneshot(request);
        async move {
            tokio::select! {
                biased;
                response = first => response,
                response = second => response,
            }
        }
    })
}

async fn count_slowly(request: Request<()>) -> Result<http::Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap();
    count(session.clone()).await.unwrap();
    yield_now().await;
    Ok(http::Response::new(String::new()))
}

#[tokio::test]
async fn tries_side_by_side_both_count_inside() {
    let config = config();
    let sessions = SessionLayer::new(config.clone());
    let inside = sessions.layer(hedge(service_fn(count_slowly)));
    let browser = visitor(inside, &config).await;
    assert_eq!(visit(&browser).await.status(), StatusCode::OK);
    assert_eq!(n(&browser, &config).await, Some(3));
}

#[tokio::test]
async fn of_tries_side_by_side_outside_the_slower_is_cut_off() {
    let config = config();
    let sessions = SessionLayer::new(config.clone());
    let outside = hedge(sessions.layer(service_fn(count_slowly)));
    let browser = visitor(outside, &config).await;
    assert_eq!(visit(&browser).await.status(), StatusCode::OK);
    assert_eq!(n(&browser, &config).await, Some(2));
}
