//! The service, and the way of a request through it.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response, header};
use tower_layer::Layer;
use tower_service::Service;

use super::{kept::GorillaRecords, records::GoRecords};
use crate::{
    caching,
    error::Error,
    future::{Inner, carry_over},
    go_cookies,
    head::Head,
    responder::{DefaultResponder, FailedCommit, Responder},
    trace,
};

/// The service that [`GorillaRecords`] makes.
#[derive(Clone)]
pub struct GorillaRecordsService<S, R> {
    inner: S,
    records: GorillaRecords<R>,
}

impl<S, R: Clone> Layer<S> for GorillaRecords<R> {
    type Service = GorillaRecordsService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let records = self.clone();
        GorillaRecordsService { inner, records }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for GorillaRecordsService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GorillaRecordsService")
            .field("inner", &self.inner)
            .field("records", &self.records)
            .finish()
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for GorillaRecordsService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: GoRecords,
    ReqBody: Send + 'static,
    ResBody: Default + Send,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let records = self.records.clone();
        // The service that is ready is the original, not its clone.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let head = Head::of(&request, request.headers().contains_key(header::COOKIE));
            let living = match records.enter(request.headers_mut()).await {
                Ok(living) => living,
                Err(error) => {
                    let error = Error::from(error).of_load();
                    let error = trace::load_failed(error, &records.report, &records.clock);
                    // The handler has not run, so a retry is as harmless as that of a GET.
                    let method = Method::GET;
                    return Ok(refuse(error, Response::default(), Head { method, ..head }));
                }
            };
            let mut response = inner.call(request).await?;
            let left = records.leave(&living, response.headers_mut()).await;
            let mut committed: Option<Inner> = response.extensions_mut().remove();
            if let Some(committed) = &mut committed {
                let own = go_cookies::of_name(response.headers(), &records.name);
                committed.replace(&records.name, own.filter(|_| left.is_ok()).cloned());
            }
            if let Err(error) = left {
                trace::commit_failed(&error, &records.report, &records.clock);
                response = refuse(error, response, head);
                if let Some(committed) = &committed
                    && carry_over(response.headers_mut(), committed.clone())
                {
                    caching::keep_cookies_out(response.headers_mut(), false);
                }
            }
            if let Some(committed) = committed {
                response.extensions_mut().insert(committed);
            }
            Ok(response)
        })
    }
}

fn refuse<B: Default>(error: Error, response: Response<B>, head: Head) -> Response<B> {
    DefaultResponder.respond(FailedCommit::new(error, response, head))
}
