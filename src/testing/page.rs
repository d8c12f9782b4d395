//! A page that a browser has received.

use std::{fmt::Debug, future::poll_fn, pin::pin};

use bytes::{BufMut as _, Bytes};
use http::{HeaderMap, Response, StatusCode, Uri, header};

use crate::error::Error;

/// The response that a [`Browser`](super::Browser) has received, with its whole body.
///
/// Its cookies are in the browser's [jar](super::Browser::jar).
#[derive(Debug)]
pub struct Page {
    response: Response<Bytes>,
    trailers: HeaderMap,
    /// Where it came from.
    pub(super) address: Uri,
}

impl Page {
    /// Reads the body to its end.
    ///
    /// # Panics
    ///
    /// If the body fails.
    #[expect(clippy::panic, reason = "a test fails")]
    pub(super) async fn read<B>(address: Uri, response: Response<B>) -> Self
    where
        B: http_body::Body,
        B::Error: Debug,
    {
        let (parts, body) = response.into_parts();
        let (mut body, mut bytes) = (pin!(body), Vec::new());
        let mut trailers = HeaderMap::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.unwrap_or_else(|error| panic!("the body failed: {error:?}"));
            match frame.into_data() {
                Ok(data) => bytes.put(data),
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Self {
            response: Response::from_parts(parts, bytes.into()),
            trailers,
            address,
        }
    }

    /// Returns the status.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert_eq!(page.status(), http::StatusCode::OK);
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert_eq!(page.headers()["vary"], "Cookie");
    /// # }
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the trailers. gRPC has its status there.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert_eq!(page.trailers()["grpc-status"], "0");
    /// # }
    /// ```
    #[must_use]
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// Returns the body.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert!(page.bytes().starts_with(b"\x89PNG"));
    /// # }
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.response.body()
    }

    /// Returns the body as text.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert!(page.text().contains("Hello, Ada"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(self.bytes()).expect("the body is text")
    }

    /// Returns the target of a redirect, or `None` without a `Location` that is a full address or a
    /// path from the root. After two slashes, a host follows: `//example.com/` is a full address.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// assert_eq!(page.location().unwrap(), "/account");
    /// # }
    /// ```
    #[must_use]
    pub fn location(&self) -> Option<Uri> {
        let location = self.headers().get(header::LOCATION)?;
        let location = str::from_utf8(location.as_bytes()).ok()?;
        // As for browsers, a backslash is a slash (URL Standard, section 4.4).
        let after_slash = |text| str::strip_prefix(text, ['/', '\\']);
        let uri = match after_slash(location).and_then(after_slash) {
            Some(host) => {
                let scheme = self.address.scheme_str().unwrap_or("https");
                Uri::try_from(format!("{scheme}://{host}"))
            }
            None => Uri::try_from(location),
        };
        let uri = uri.ok()?;
        let is_whole = uri.scheme().is_some() == uri.authority().is_some();
        (is_whole && uri.path().starts_with('/')).then_some(uri)
    }

    /// Returns why a session was not saved, or why an extractor refused: the [`Error`] that this
    /// crate leaves in the response's extensions.
    ///
    /// ```
    /// # use silverback::{Error, ErrorKind, testing::Page};
    /// # fn f(page: Page) {
    /// assert_eq!(page.error().map(Error::kind), Some(ErrorKind::Gone));
    /// # }
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.response.extensions().get()
    }

    /// Returns the whole response.
    ///
    /// ```
    /// # use silverback::testing::Page;
    /// # fn f(page: Page) {
    /// let (head, body) = page.into_response().into_parts();
    /// assert_eq!((head.status.as_u16(), &body[..]), (200, &b"Hello"[..]));
    /// # }
    /// ```
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        self.response
    }
}
