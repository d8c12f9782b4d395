//! Extractors for axum. Each of them loads the session it gives, so that handlers need not.
//!
//! | Extractor | Gives |
//! |---|---|
//! | [`Session`] | the layer's first session, established or new |
//! | `Option<Session>` | the same, `None` if it is new |
//! | [`Sessions`] | all sessions of the request, to be loaded by name |
//! | [`Typed<T>`](Typed) | the place of a [`SessionData`] value |
//! | [`Flashes`] | the flash messages of the layer's first session |
//!
//! They are rejected with an [`Error`], which answers 500 and is left in the response's extensions.

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::{
    error::{Error, ErrorKind},
    registry::Sessions,
    session::{Flashes, Session, SessionData, Typed},
};

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let session = parts.extensions.get::<Self>().cloned();
        let session = session.ok_or_else(|| Error::new(ErrorKind::MissingLayer))?;
        session.load().await?;
        Ok(session)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let session = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(if session.is_new()? { None } else { Some(session) })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).ok_or_else(|| Error::new(ErrorKind::MissingLayer))
    }
}

impl<S: Send + Sync, T: SessionData> FromRequestParts<S> for Typed<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = match T::SESSION {
            Some(name) => Sessions::from_request_parts(parts, state).await?.get(name).await?,
            None => <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?,
        };
        Ok(Self::of(&session))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Flashes {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self::of(&session))
    }
}

/// 500 without a word to the client; the error is in the response's extensions for whoever logs.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::INTERNAL_SERVER_ERROR, "session error").into_response();
        response.extensions_mut().insert(self);
        response
    }
}
