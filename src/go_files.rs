//! gorilla's files beside a session layer: their texts go in and out as cookies.

use std::{
    fmt,
    future::Future,
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use tokio::task::spawn_blocking;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    go_cookies,
    gorilla::{GoId, GorillaFiles, Presented, with_text},
    trace,
};

/// The service that [`GorillaFiles`] makes.
#[derive(Clone)]
pub struct GorillaFilesService<S> {
    inner: S,
    files: GorillaFiles,
}

impl<S> Layer<S> for GorillaFiles {
    type Service = GorillaFilesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let files = self.clone();
        GorillaFilesService { inner, files }
    }
}

impl<S: fmt::Debug> fmt::Debug for GorillaFilesService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GorillaFilesService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GorillaFilesService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Default + Send,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let files = self.files.clone();
        // The one that is ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let open = match enter(&files, request.headers_mut()).await {
                Ok(open) => open,
                Err(error) => return Ok(refuse(&error, StatusCode::SERVICE_UNAVAILABLE)),
            };
            let mut response = inner.call(request).await?;
            match leave(&files, open, response.headers_mut()).await {
                Ok(true) => Ok(response),
                Ok(false) => Ok(answer(StatusCode::CONFLICT)),
                Err(error) => Ok(refuse(&error, StatusCode::INTERNAL_SERVER_ERROR)),
            }
        })
    }
}

fn answer<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    response
}

/// A failing disk is never an empty session, and a failed save never a success.
fn refuse<B: Default>(error: &io::Error, status: StatusCode) -> Response<B> {
    trace::go_file_failed(error);
    let mut response = answer::<B>(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from_static("1");
        response.headers_mut().insert(RETRY_AFTER, soon);
    }
    response
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Puts a session's text beside its ID.
async fn enter(files: &GorillaFiles, headers: &mut HeaderMap) -> io::Result<Option<GoId>> {
    // Of several cookies of a name, the first counts in Go.
    let Some(cookie) = go_cookies::presented(headers, files.name()).next() else {
        return Ok(None);
    };
    let cookie = cookie.to_vec();
    let at_work = files.clone();
    let presented = blocking(move || at_work.open(&cookie).map(|found| (found, cookie))).await?;
    let (open, value) = match presented {
        (Presented::Other, _) => return Ok(None),
        (Presented::Refused, _) => (None, None),
        (Presented::Open(id, text), cookie) => (Some(id), Some(with_text(&cookie, &text))),
    };
    go_cookies::replace(headers, files.name(), |_| true, value.as_deref());
    Ok(open)
}

/// Keeps the text that the response sends, and puts the ID in its place. `false` if the session is
/// gone.
async fn leave(
    files: &GorillaFiles,
    open: Option<GoId>,
    headers: &mut HeaderMap,
) -> io::Result<bool> {
    let mut cookies = go_cookies::set(headers);
    for header in &mut cookies {
        let Some((text, attributes)) = go_cookies::sent(header, files.name()) else {
            continue;
        };
        let (text, attributes) = (text.to_vec(), attributes.to_vec());
        let (files, open) = (files.clone(), open.clone());
        let saved = blocking(move || kept(&files, open, &text)).await?;
        match saved {
            Kept::Other => continue,
            Kept::Gone => return Ok(false),
            Kept::Under(cookie, name) => {
                let set = go_cookies::header(&name, &cookie, &attributes);
                *header = set.ok_or_else(|| io::Error::other("no header"))?;
            }
        }
    }
    go_cookies::put_back(headers, cookies);
    Ok(true)
}

enum Kept {
    /// It is no text of gorilla's: the cookie goes to the browser.
    Other,
    Gone,
    /// The new value of the cookie, and its name.
    Under(String, String),
}

fn kept(files: &GorillaFiles, open: Option<GoId>, text: &[u8]) -> io::Result<Kept> {
    if text.is_empty() {
        if let Some(id) = &open {
            files.remove(id)?;
        }
        return Ok(Kept::Other);
    }
    if !files.is_text(text) {
        return Ok(Kept::Other);
    }
    Ok(match files.save(open, text)? {
        Some(cookie) => Kept::Under(cookie, files.name().to_owned()),
        None => Kept::Gone,
    })
}
