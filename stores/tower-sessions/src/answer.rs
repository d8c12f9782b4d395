//! The client's answer instead of the handler's response.

use http::{Response, StatusCode, header};
use silverback::Answer;

pub(crate) fn failed<B: Default>(answer: Answer) -> Response<B> {
    let mut response = failed_with(answer.status());
    if let Some(delay) = answer.retry_after() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, delay.as_secs().into());
    }
    response
}

pub(crate) fn failed_with<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    response
}
