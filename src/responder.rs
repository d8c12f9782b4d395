//! The response to a request whose session could not be saved.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Method, Response, header};

use crate::{
    answer::{Again, Answer},
    error::Error,
    head::Head,
};

/// Makes the response to a request whose sessions could not all be saved.
///
/// The handler has run and reports success, but its changes to a session are lost. The
/// [default](DefaultResponder) therefore responds with the error's [`Answer`]. Any function from
/// [`FailedCommit`] to a response is a responder. It may inspect the error, or pass on the
/// handler's response:
///
/// ```
/// use http::Response;
/// use silverback::{ErrorKind, FailedCommit, Keys, SessionConfig, SessionLayer};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?)).on_failure(
///     |failed: FailedCommit<String>| {
///         let text = match failed.error().kind() {
///             ErrorKind::Gone => "You have logged out meanwhile.",
///             _ => "Your changes were not saved.",
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
/// The closure must name its argument's type. With axum it is `FailedCommit<axum::body::Body>`.
///
/// The layer adds the cookies of the sessions that were saved to the responder's response,
/// including those of an inner [`SessionLayer`](crate::SessionLayer), because a renewed session
/// lives only under its new ID. Other cookies of the handler's response stay with that response.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer with a body of type `{B}`",
    label = "does not implement `Responder<{B}>`",
    note = "`DefaultResponder` needs a body that is `Default`; for another, give the layer a responder by `.on_failure(..)`",
    note = "a layer inside the session layer may have wrapped the body, as `TraceLayer` does: put it outside; with axum, separate calls of `Router::layer` also do"
)]
pub trait Responder<B> {
    /// Returns the response for the client.
    ///
    /// ```
    /// use http::Response;
    /// use silverback::{FailedCommit, Responder};
    ///
    /// /// Sends the handler's response, as if nothing had happened.
    /// struct Shrug;
    ///
    /// impl<B> Responder<B> for Shrug {
    ///     fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
    ///         failed.into_response()
    ///     }
    /// }
    /// ```
    fn respond(&self, failed: FailedCommit<B>) -> Response<B>;
}

impl<B, F: Fn(FailedCommit<B>) -> Response<B>> Responder<B> for F {
    fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
        self(failed)
    }
}

impl<B, R: Responder<B>> Responder<B> for Arc<R> {
    fn respond(&self, failed: FailedCommit<B>) -> Response<B> {
        (**self).respond(failed)
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

    /// Returns how to answer this request.
    ///
    /// ```
    /// # use http::Response;
    /// # use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     let mut response = Response::new("Please try again.".to_owned());
    ///     *response.status_mut() = failed.answer().status();
    ///     response
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn answer(&self) -> Answer {
        let again = if self.head.method.is_safe() {
            Again::Harmless
        } else {
            Again::Risky
        };
        Answer::after_handler(&self.error, again)
    }

    /// Returns the request's method. With a [safe](Method::is_safe) method, a client may repeat the
    /// request without doing anything twice.
    ///
    /// ```
    /// # use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     let is_read = failed.method().is_safe();
    ///     let mut response = failed.into_response();
    ///     if !is_read {
    ///         *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///     }
    ///     response
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns the error. [`Error::failures`] iterates over the failures of all sessions.
    ///
    /// ```
    /// # use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     for failure in failed.error().failures() {
    ///         eprintln!("{failure}");
    ///     }
    ///     failed.into_response()
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the handler's response.
    ///
    /// ```
    /// # use http::Response;
    /// # use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     // A redirect would look like success.
    ///     let was_redirect = failed.response().status().is_redirection();
    ///     let text = if was_redirect { "The form was not saved." } else { "Not saved." };
    ///     Response::new(text.to_owned())
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub const fn response(&self) -> &Response<B> {
        &self.response
    }

    /// Returns the handler's response, to change or to send as it is.
    ///
    /// ```
    /// # use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     let mut response = failed.into_response();
    ///     response.body_mut().push_str("<p>Your changes were not saved.");
    ///     response
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn into_response(self) -> Response<B> {
        self.response
    }

    /// Returns whether the request was a gRPC call, whose client reads `grpc-status`.
    ///
    /// ```
    /// # use http::Response;
    /// # use silverback::{DefaultResponder, FailedCommit, Keys, Responder};
    /// # use silverback::{SessionConfig, SessionLayer};
    /// # let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let layer = layer.on_failure(|failed: FailedCommit<String>| {
    ///     if failed.is_grpc() {
    ///         return DefaultResponder::default().respond(failed);
    ///     }
    ///     Response::new("Please try again.".to_owned())
    /// });
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
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
