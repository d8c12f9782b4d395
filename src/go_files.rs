//! gorilla's files beside a session layer: their texts go in and out as cookies.

use std::{
    fmt,
    future::Future,
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{COOKIE, RETRY_AFTER, SET_COOKIE},
};
use tokio::task::spawn_blocking;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    gorilla::{FileId, GorillaFiles, Presented, with_text},
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
async fn enter(files: &GorillaFiles, headers: &mut HeaderMap) -> io::Result<Option<FileId>> {
    let Some(cookie) = first(headers, files.name()) else {
        return Ok(None);
    };
    let at_work = files.clone();
    let presented = blocking(move || at_work.open(&cookie).map(|found| (found, cookie))).await?;
    let (open, value) = match presented {
        (Presented::Other, _) => return Ok(None),
        (Presented::Refused, _) => (None, None),
        (Presented::Open(id, text), cookie) => (Some(id), Some(with_text(&cookie, &text))),
    };
    replace(headers, files.name(), value.as_deref());
    Ok(open)
}

/// The cookies of a header, each with its name and the value that Go would see.
fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    header.split(|byte| *byte == b';').map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        let bare = value.strip_prefix(b"\"");
        let bare = bare.and_then(|value| value.strip_suffix(b"\""));
        (pair, name.trim_ascii(), bare.unwrap_or(value))
    })
}

/// Of several cookies of a name, the first counts in Go.
fn first(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let all = headers.get_all(COOKIE).iter();
    let mut all = all.flat_map(|header| pairs(header.as_bytes()));
    let cookie = all.find(|(_, other, _)| *other == name.as_bytes());
    cookie.map(|(_, _, value)| value.to_vec())
}

/// Puts one cookie in the place of all of its name.
fn replace(headers: &mut HeaderMap, name: &str, value: Option<&[u8]>) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for header in headers.get_all(COOKIE) {
        let others = pairs(header.as_bytes()).filter(|(_, other, _)| *other != name.as_bytes());
        kept.extend(others.map(|(pair, _, _)| pair.to_vec()));
    }
    if let Some(value) = value {
        kept.push([name.as_bytes(), b"=", value].concat());
    }
    headers.remove(COOKIE);
    // What came out of a header, and the text of a cookie, can be in one.
    if let Ok(cookies) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
        && !kept.is_empty()
    {
        headers.insert(COOKIE, cookies);
    }
}

/// Keeps the text that the response sends, and puts the ID in its place. `false` if the session is
/// gone.
async fn leave(
    files: &GorillaFiles,
    open: Option<FileId>,
    headers: &mut HeaderMap,
) -> io::Result<bool> {
    let mut cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    for header in &mut cookies {
        let Some((text, attributes)) = sent(header.as_bytes(), files.name()) else {
            continue;
        };
        let (files, open) = (files.clone(), open.clone());
        let saved = blocking(move || kept(&files, open, &text)).await?;
        match saved {
            Kept::Other => continue,
            Kept::Gone => return Ok(false),
            Kept::Under(cookie, name) => {
                let value = [name.as_bytes(), b"=", cookie.as_bytes(), &attributes].concat();
                *header = HeaderValue::from_bytes(&value).map_err(io::Error::other)?;
            }
        }
    }
    headers.remove(SET_COOKIE);
    headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    Ok(true)
}

/// The value that a header sets for a cookie of this name, and the attributes behind it.
fn sent(header: &[u8], name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let set = header.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    let end = memchr::memchr(b';', set).unwrap_or(set.len());
    let (value, attributes) = set.split_at(end);
    Some((value.to_vec(), attributes.to_vec()))
}

enum Kept {
    /// It is no text of gorilla's: the cookie goes to the browser.
    Other,
    Gone,
    /// The new value of the cookie, and its name.
    Under(String, String),
}

fn kept(files: &GorillaFiles, open: Option<FileId>, text: &[u8]) -> io::Result<Kept> {
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
