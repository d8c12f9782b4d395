//! What the client gets when a session could not be saved.

use std::fmt;

use http::{HeaderValue, Method, Response, header};

use crate::{
    answer::{Again, Answer},
    error::Error,
    head::Head,
};

/// Makes the response to a request whose sessions could not all be saved.
///
/// The handler has done its work and says that all went well, but what it put into a session is
/// lost. The [default](DefaultResponder) therefore answers with the error's [`Answer`]. Any
/// function of this shape is a responder; it may look at the error, and let the handler's response
/// pass:
///
/// ```
/// use http::Response;
/// use silverback::{ErrorKind, FailedCommit, Keys, SessionConfig, SessionLayer};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?)).on_failure(
///     |failed: FailedCommit<String>| {
///         let text = match failed.error().kind() {
///             ErrorKind::Gone => "you have logged out meanwhile",
///             _ => "not saved",
///         };
///         let mut response = Response::new(text.to_owned());
///         *response.status_mut() = failed.answer().status();
///         response
///     },
/// );
/// # Ok(())
/// # }
/// ```
///
/// The closure has to name its argument's type; with axum it is `FailedCommit<axum::body::Body>`.
///
/// Cookies of the sessions that were saved are added to whatever it returns, those of a
/// [`SessionLayer`](crate::SessionLayer) inside included: the session that it has renewed lives under
/// its new ID alone. Other cookies of the handler's response go with that response.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer with a body of type `{B}`",
    label = "does not implement `Responder<{B}>`",
    note = "`DefaultResponder` needs a body that is `Default`; for another, give the layer a responder by `.on_failure(..)`"
)]
pub trait Responder<B> {
    /// Returns the response that goes to the client.
    fn respond(&self, failed: FailedCommit<B>) -> Response<B>;
}

impl<B, F: Fn(FailedCommit<B>) -> Response<B>> Responder<B> for F {
    fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
        self(failed)
    }
}

/// A response whose sessions could not all be saved.
pub struct FailedCommit<B> {
    error: Error,
    response: Response<B>,
    head: Head,
}

impl<B> FailedCommit<B> {
    pub(crate) fn new(error: Error, response: Response<B>, head: Head) -> Self {
        Self {
            error,
            response,
            head,
        }
    }

    /// Returns the status that the error gets after this request.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let again = if self.head.method.is_safe() {
            Again::Harmless
        } else {
            Again::Risky
        };
        Answer::after_handler(&self.error, again)
    }

    /// Returns the request's method. After a [safe](Method::is_safe) one nothing is done twice if
    /// the client sends the request again.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns what went wrong; [`Error::failures`] has every session's failure.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the handler's response.
    #[must_use]
    pub const fn response(&self) -> &Response<B> {
        &self.response
    }

    /// Returns the handler's response.
    #[must_use]
    pub fn into_response(self) -> Response<B> {
        self.response
    }

    /// Says whether the request was a gRPC call.
    #[must_use]
    pub const fn is_grpc(&self) -> bool {
        self.head.is_grpc
    }
}

impl<B> fmt::Debug for FailedCommit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedCommit")
            .field("error", &self.error)
            .field("status", &self.response.status())
            .field("method", &self.head.method)
            .field("is_grpc", &self.head.is_grpc)
            .finish_non_exhaustive()
    }
}

/// Answers with the status, `Retry-After` and gRPC code of [`FailedCommit::answer`], and an empty
/// body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DefaultResponder;

impl<B: Default> Responder<B> for DefaultResponder {
    fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
        let answer = failed.answer();
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        if failed.is_grpc() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            headers.insert("grpc-status", answer.grpc_code().into());
            headers.insert(
                "grpc-message",
                HeaderValue::from_static("session not saved"),
            );
        } else {
            if let Some(delay) = answer.retry_after() {
                headers.insert(header::RETRY_AFTER, delay.as_secs().into());
            }
            *response.status_mut() = answer.status();
        }
        response
    }
}
