//! The body of a test's request.

use std::{
    convert::Infallible,
    fmt::Write as _,
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

/// Encodes fields as a form: `application/x-www-form-urlencoded` (URL Standard, section 5.2).
pub(super) fn encode(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        encode_text(name, &mut form);
        form.push('=');
        encode_text(value, &mut form);
    }
    form
}

fn encode_text(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_as_browsers_do() {
        let fields = [("name", "Ada L."), ("q", "a&b=c+d~%/é"), ("", "*-._09")];
        let expected = "name=Ada+L.&q=a%26b%3Dc%2Bd%7E%25%2F%C3%A9&=*-._09";
        assert_eq!(encode(&fields), expected);
        assert_eq!(encode(&[]), "");
    }
}
