//! Extractors for axum; the crate's documentation lists them.

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use crate::{
    error::{Error, ErrorKind},
    session::{Flashes, Session, SessionData, Typed},
    sessions::Sessions,
    trace,
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
        Ok(if session.is_new()? {
            None
        } else {
            Some(session)
        })
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
            Some(name) => {
                Sessions::from_request_parts(parts, state)
                    .await?
                    .get(name)
                    .await?
            }
            None => <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?,
        };
        Ok(Self::of(&session))
    }
}

impl<S: Send + Sync, T: SessionData> OptionalFromRequestParts<S> for Typed<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let typed = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let is_there = typed.session().contains_key(T::KEY)?;
        Ok(is_there.then_some(typed))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Flashes {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self::of(&session))
    }
}

/// Answers as [`Answer`](crate::Answer) says and tells the client nothing; the error is in the
/// response's extensions, and logged.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let answer = self.answer();
        trace::answered(&self, answer.status().as_u16());
        let mut response = (answer.status(), "session error").into_response();
        if let Some(delay) = answer.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, delay.as_secs().into());
        }
        response.extensions_mut().insert(self);
        response
    }
}
