//! The client's answer instead of the handler's response, and the line of the log that says why.

use http::{Response, StatusCode, header};
use silverback::Error;
use tracing::error;

use crate::failure::Failure;

pub(crate) fn failed<B: Default>(error: &Error) -> Response<B> {
    let answer = error.answer();
    let status = answer.status();
    // An error of a load is in the log already. A client can cause a 409 at will.
    if status.is_server_error() && answer.retry_after().is_none() {
        let error = error as &(dyn std::error::Error + 'static);
        error!(target: "silverback", error, status = status.as_u16(), "session error answered");
    }
    let mut response = failed_with(status);
    if let Some(delay) = answer.retry_after() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, delay.as_secs().into());
    }
    response
}

pub(crate) fn former_failed<B: Default>(failure: &Failure) -> Response<B> {
    let why = match failure {
        Failure::Backend(why) => why,
        // The reason may quote a value.
        Failure::Encode(_) | Failure::Decode(_) => "its record cannot be read",
    };
    error!(target: "silverback", error = why, "session of tower-sessions not moved");
    failed_with(StatusCode::SERVICE_UNAVAILABLE)
}

pub(crate) fn failed_with<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    response
}
