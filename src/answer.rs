//! The status of each error: one table for HTTP and gRPC.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::{Error, ErrorKind};

/// How a server tells its client about an [`Error`].
///
/// Get it from [`Error::answer`] in a handler, or from
/// [`FailedCommit::answer`](crate::FailedCommit::answer) in a [`Responder`](crate::Responder).
/// [`DefaultResponder`](crate::DefaultResponder) and axum's `IntoResponse` send this:
///
/// | What failed | HTTP | `Retry-After` | gRPC |
/// |---|---|---|---|
/// | [`Gone`](ErrorKind::Gone), [`Conflict`](ErrorKind::Conflict), [`UpdateRefused`](ErrorKind::UpdateRefused) | 409 | - | 10 `ABORTED` |
/// | the [store](ErrorKind::StoreFailed), while a session was loaded; a [later format](ErrorKind::LaterFormat) | 503 | 1 s | 14 `UNAVAILABLE` |
/// | the store, after a handler of GET, HEAD, OPTIONS or TRACE | 503 | 1 s | 13 `INTERNAL` |
/// | the store, after any other handler, or in the middle of one | 503 | - | 13 `INTERNAL` |
/// | everything else | 500 | - | 13 `INTERNAL` |
///
/// `Retry-After` and `UNAVAILABLE` are sent only if a second request does nothing twice. Proxies
/// and clients repeat a request when they see them, but before a failed save the handler may have
/// charged a card.
///
/// Of several failures, the most severe counts: 500, then 503, then 409.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    grpc_code: i32,
}

/// Whether it is safe to send the request again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    /// No handler ran, or one that only reads.
    Harmless,
    /// The handler may do something twice.
    Risky,
}

/// About the time that a store needs to restart or fail over. Clients add jitter.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const ABORTED: i32 = 10;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

impl Answer {
    /// Returns the status of an HTTP response.
    ///
    /// ```
    /// # use silverback::Error;
    /// fn status(error: &Error) -> http::StatusCode {
    ///     error.answer().status() // 409, 500 or 503
    /// }
    /// ```
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the time for `Retry-After`, in whole seconds. `None` if the client must not repeat
    /// the request.
    ///
    /// ```
    /// # use silverback::Error;
    /// fn advice(error: &Error) -> &'static str {
    ///     match error.answer().retry_after() {
    ///         Some(_) => "Please try again in a moment.",
    ///         None => "Please check whether your order went through before you try again.",
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the code of a gRPC status, as `tonic::Code::from` takes it.
    ///
    /// ```
    /// # use silverback::Error;
    /// fn status(error: &Error) -> tonic::Status {
    ///     let code = tonic::Code::from(error.answer().grpc_code());
    ///     tonic::Status::new(code, error.client_message())
    /// }
    /// ```
    #[must_use]
    pub const fn grpc_code(&self) -> i32 {
        self.grpc_code
    }

    /// The answer to an error in a handler. The error knows whether it comes from a load.
    fn in_handler(error: &Error) -> Self {
        Self::gravest(error, |failure| {
            if failure.is_of_load() {
                (Again::Harmless, UNAVAILABLE)
            } else {
                (Again::Risky, INTERNAL)
            }
        })
    }

    /// The answer to an error of the commit, after the handler has run.
    pub(crate) fn after_handler(error: &Error, again: Again) -> Self {
        Self::gravest(error, |_| (again, INTERNAL))
    }

    fn gravest(error: &Error, store: impl Fn(&Error) -> (Again, i32)) -> Self {
        let answers = error.failures().map(|failure| match failure.kind() {
            ErrorKind::Gone | ErrorKind::Conflict | ErrorKind::UpdateRefused => Self {
                status: StatusCode::CONFLICT,
                retry_after: None,
                grpc_code: ABORTED,
            },
            ErrorKind::StoreFailed | ErrorKind::LaterFormat => {
                let (again, grpc_code) = store(failure);
                Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    retry_after: (again == Again::Harmless).then_some(RETRY_AFTER),
                    grpc_code,
                }
            }
            _ => Self::INTERNAL,
        });
        // An answer that forbids a retry wins over one that invites it.
        let rank = |answer: &Self| match answer.status {
            StatusCode::CONFLICT => 0,
            StatusCode::SERVICE_UNAVAILABLE => 1 + u8::from(answer.retry_after.is_none()),
            _ => 3,
        };
        answers.max_by_key(rank).unwrap_or(Self::INTERNAL)
    }

    const INTERNAL: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        retry_after: None,
        grpc_code: INTERNAL,
    };
}

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Returns whether headers or trailers of a gRPC response report a failure of the server.
///
/// The codes are those that map to 5xx, and 1 (`CANCELLED`), which tonic's timeout returns.
pub(crate) fn is_failed(headers: &HeaderMap) -> bool {
    let code = headers.get(&GRPC_STATUS).map(HeaderValue::as_bytes);
    code.is_some_and(|code| matches!(code, b"1" | b"2" | b"4" | b"12" | b"13" | b"14" | b"15"))
}

impl Error {
    /// Returns how to answer a request whose handler gives up with this error.
    ///
    /// With axum, `?` does this. Elsewhere you write:
    ///
    /// ```
    /// use http::{Response, header};
    /// use silverback::Error;
    ///
    /// fn refuse(error: &Error) -> Response<String> {
    ///     let answer = error.answer();
    ///     let mut response = Response::builder().status(answer.status());
    ///     if let Some(delay) = answer.retry_after() {
    ///         response = response.header(header::RETRY_AFTER, delay.as_secs());
    ///     }
    ///     response.body("try again".to_owned()).unwrap_or_default()
    /// }
    /// ```
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer::in_handler(self)
    }

    /// Returns what the client may read: `session error`, and nothing else in a release build.
    ///
    /// In a debug build (`debug_assertions`), the error and its causes follow if the program must
    /// be changed, such as when a layer is missing or a name is misspelt. No message of this crate
    /// contains a session's values or a key. The log gets the causes in every build.
    ///
    /// axum's `IntoResponse` sends this. Elsewhere make it the body of the response, or the message
    /// of a gRPC status.
    ///
    /// ```
    /// # use silverback::Error;
    /// fn body(error: &Error) -> String {
    ///     error.client_message().into_owned()
    /// }
    /// ```
    #[must_use]
    pub fn client_message(&self) -> Cow<'static, str> {
        if cfg!(debug_assertions) && self.kind().is_mistake() {
            format!(
                "session error: {}\n\nA release build says no more than \"session error\".\n",
                self.sentence()
            )
            .into()
        } else {
            "session error".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_save() -> Error {
        Error::new(ErrorKind::StoreFailed)
    }

    fn failed_load() -> Error {
        failed_save().of_load()
    }

    #[test]
    fn every_kind_has_its_answer() {
        let secs = |answer: Answer| answer.retry_after.map(|time| time.as_secs());
        let summary = |answer: Answer| (answer.status.as_u16(), secs(answer), answer.grpc_code);
        let (gone, conflict) = (Error::new(ErrorKind::Gone), Error::new(ErrorKind::Conflict));
        let refused = Error::new(ErrorKind::UpdateRefused);
        let large = Error::new(ErrorKind::TooLarge { size: 2, limit: 1 });
        let after = |error: &Error, again| summary(Answer::after_handler(error, again));
        for (error, handler, harmless, risky) in [
            (&gone, (409, None, 10), (409, None, 10), (409, None, 10)),
            (&conflict, (409, None, 10), (409, None, 10), (409, None, 10)),
            (&refused, (409, None, 10), (409, None, 10), (409, None, 10)),
            (&large, (500, None, 13), (500, None, 13), (500, None, 13)),
            (
                &failed_load(),
                (503, Some(1), 14),
                (503, Some(1), 13),
                (503, None, 13),
            ),
            (
                &failed_save(),
                (503, None, 13),
                (503, Some(1), 13),
                (503, None, 13),
            ),
        ] {
            assert_eq!(summary(error.answer()), handler, "{error}");
            assert_eq!(after(error, Again::Harmless), harmless, "{error}");
            assert_eq!(after(error, Again::Risky), risky, "{error}");
        }
    }

    #[test]
    fn the_most_severe_failure_counts() {
        let (gone, large) = (
            || Error::new(ErrorKind::Gone),
            || Error::new(ErrorKind::RandomFailed),
        );
        for (failures, status, retries) in [
            (vec![gone(), failed_load()], 503, true),
            (vec![failed_load(), failed_save()], 503, false),
            (vec![failed_save(), failed_load()], 503, false),
            (vec![failed_save(), large(), gone()], 500, false),
        ] {
            let answer = Error::batch(failures).map(|error| error.answer());
            let summary =
                answer.map(|answer| (answer.status.as_u16(), answer.retry_after.is_some()));
            assert_eq!(summary, Some((status, retries)));
        }
    }
}
