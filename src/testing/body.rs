//! The body of a test's request.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// The body of a request of a [`Browser`](super::Browser): some bytes, or none.
///
/// ```
/// use silverback::testing::Body;
///
/// let body = Body::from("user=ada&password=secret");
/// let none = Body::empty();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Body(Bytes);

impl Body {
    /// Makes an empty body.
    ///
    /// ```
    /// use http::Request;
    /// use silverback::testing::Body;
    ///
    /// let request = Request::delete("/cart").body(Body::empty()).unwrap();
    /// ```
    #[must_use]
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let all = std::mem::take(&mut self.0);
        Poll::Ready(Some(Ok(Frame::data(all))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
