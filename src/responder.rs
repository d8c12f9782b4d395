//! What the client gets when a session could not be saved.

use std::fmt;

use http::{HeaderValue, Response, StatusCode, header};

use crate::error::Error;

/// Makes the response to a request whose sessions could not all be saved.
///
/// The handler has done its work and says that all went well, but what it put into a session is
/// lost. The [default](DefaultResponder) therefore answers 500. Any function of this shape is a
/// responder; it may look at the error, and let the handler's response pass:
///
/// ```
/// use http::{Response, StatusCode};
/// use silverback::{ErrorKind, FailedCommit, Keys, SessionConfig, SessionLayer};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?)).on_failure(
///     |failed: FailedCommit<String>| match failed.error().kind() {
///         ErrorKind::Gone => Response::builder()
///             .status(StatusCode::CONFLICT)
///             .body("you have logged out meanwhile".to_owned())
///             .unwrap_or_else(|_| failed.into_response()),
///         _ => Response::new("not saved".to_owned()),
///     },
/// );
/// # Ok(())
/// # }
/// ```
///
/// The closure has to name its argument's type; with axum it is `FailedCommit<axum::body::Body>`.
///
/// Cookies of the sessions that were saved are added to whatever it returns.
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
    is_grpc: bool,
}

impl<B> FailedCommit<B> {
    pub(crate) fn new(error: Error, response: Response<B>, is_grpc: bool) -> Self {
        Self {
            error,
            response,
            is_grpc,
        }
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
        self.is_grpc
    }
}

impl<B> fmt::Debug for FailedCommit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedCommit")
            .field("error", &self.error)
            .field("status", &self.response.status())
            .field("is_grpc", &self.is_grpc)
            .finish_non_exhaustive()
    }
}

/// Answers 500 with an empty body; to a gRPC call, status 14 (`UNAVAILABLE`), which clients may try
/// again.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DefaultResponder;

impl<B: Default> Responder<B> for DefaultResponder {
    fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
        let mut response = Response::new(B::default());
        if failed.is_grpc {
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            headers.insert("grpc-status", HeaderValue::from_static("14"));
            headers.insert(
                "grpc-message",
                HeaderValue::from_static("session not saved"),
            );
        } else {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        response
    }
}
