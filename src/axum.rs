//! Extractors for axum; the crate's documentation lists them.

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use crate::{
    error::{Error, ErrorKind},
    name::SessionName,
    session::{Flashes, Innermost, Selector, Session, SessionData, SessionOf, Typed},
    sessions::Sessions,
    trace,
};

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        session_of::<Innermost>(parts).await
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let session = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok((!session.is_new()?).then_some(session))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).ok_or_else(|| Error::new(ErrorKind::MissingLayer))
    }
}

impl<S: Send + Sync, N: SessionName> FromRequestParts<S> for SessionOf<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Ok(Self::new(session_of::<N>(parts).await?))
    }
}

impl<S: Send + Sync, N: SessionName> OptionalFromRequestParts<S> for SessionOf<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Error> {
        let session = Self::new(session_of::<N>(parts).await?);
        Ok((!session.is_new()?).then_some(session))
    }
}

impl<S: Send + Sync, T: SessionData, N: Selector> FromRequestParts<S> for Typed<T, N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Ok(Self::at(session_of::<N>(parts).await?))
    }
}

impl<S: Send + Sync, T: SessionData, N: Selector> OptionalFromRequestParts<S> for Typed<T, N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let typed = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let is_there = typed.session().contains_key(T::KEY)?;
        Ok(is_there.then_some(typed))
    }
}

impl<S: Send + Sync, N: Selector> FromRequestParts<S> for Flashes<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Ok(Self::at(session_of::<N>(parts).await?))
    }
}

/// Returns the selected session, loaded if its store waits.
async fn session_of<N: Selector>(parts: &Parts) -> Result<Session, Error> {
    let innermost = parts.extensions.get::<Session>();
    let innermost = innermost.ok_or_else(|| Error::new(ErrorKind::MissingLayer))?;
    let session = match N::NAME {
        None => innermost.clone(),
        Some(name) => Sessions::from(innermost.clone()).named(name)?,
    };
    session.fetch().await?;
    Ok(session)
}

/// Responds with the error's [`Answer`](crate::Answer), and [`Error::client_message`] as the body.
/// The error is logged, and put into the response's extensions.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let answer = self.answer();
        trace::answered(&self, answer.status().as_u16());
        let mut response = (answer.status(), self.client_message()).into_response();
        if let Some(delay) = answer.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, delay.as_secs().into());
        }
        response.extensions_mut().insert(self);
        response
    }
}
