//! The token, and the extractor that checks it.

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use silverback::{Error, Session};
use subtle::ConstantTimeEq;

const KEY: &str = "csrf";

/// Returns the token of the session. All forms share it, so a second tab does not invalidate those
/// of the first. Remove it at login, so that a token from before is worthless.
pub(crate) fn token(session: &Session) -> Result<String, Error> {
    if let Some(token) = session.get(KEY)? {
        return Ok(token);
    }
    let token = format!("{:032x}", rand::random::<u128>());
    session.insert(KEY, &token)?;
    Ok(token)
}

/// A form that came with the session's token, in the field `csrf`.
pub(crate) struct Checked<T>(pub(crate) T);

#[derive(Deserialize)]
struct WithToken<T> {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    form: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Checked<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let expected: Option<String> = session.get(KEY).map_err(IntoResponse::into_response)?;
        let Form(sent) =
            Form::<WithToken<T>>::from_request(Request::from_parts(parts, body), state)
                .await
                .map_err(IntoResponse::into_response)?;
        let is_equal =
            |expected: &String| bool::from(expected.as_bytes().ct_eq(sent.csrf.as_bytes()));
        if expected.as_ref().is_some_and(is_equal) {
            Ok(Self(sent.form))
        } else {
            let reason = "This form is too old, or from another site. Load the page again.\n";
            Err((StatusCode::FORBIDDEN, reason).into_response())
        }
    }
}
