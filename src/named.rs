//! A configured session, checked and ready: where store and codec meet.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    codec::Codec,
    cookie::{self as wire, CookieAttributes},
    error::{Error, ErrorKind},
    id::RecordKey,
    index::Index,
    store::{Backend, Bytes, Server, StoreError},
};

/// See the [module docs](self). Made by [`SessionConfig`](crate::SessionConfig).
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: Box<str>,
    pub(crate) backend: Backend,
    pub(crate) codec: Codec,
    pub(crate) attributes: CookieAttributes,
    /// The attributes as they stand at the end of every cookie.
    pub(crate) rendered: String,
    pub(crate) max_age: Option<Duration>,
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    pub(crate) encrypts_records: bool,
    /// Where ended sessions in a cookie are remembered.
    pub(crate) revocations: Option<Server>,
    /// Where the sessions of subjects are listed; none if nothing remembers which have ended.
    pub(crate) index: Option<Index>,
    pub(crate) sessions_per_subject: usize,
    pub(crate) max_bytes: usize,
}

impl Named {
    /// Whether everything this session needs is done when it is first polled.
    pub(crate) fn never_waits(&self) -> bool {
        match self.backend.server() {
            Ok(server) => server.never_waits(),
            Err(_) => self.revocations.as_ref().is_none_or(Server::never_waits),
        }
    }

    /// Whether a session of this many bytes can be kept.
    pub(crate) fn check_size(&self, payload: usize) -> Result<(), ErrorKind> {
        let (size, limit) = match self.backend.server() {
            Ok(_) => (payload, self.max_bytes),
            Err(_) => (self.name.len() + self.codec.token_len(payload), wire::MAX_COOKIE_LEN),
        };
        if size > limit { Err(ErrorKind::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Sees to it that nobody opens the session of this key again, as far as that is the server's to decide. Says
    /// whether it did; `false` if somebody else is known to have ended it before.
    pub(crate) async fn end(&self, key: &RecordKey, now: Timestamp) -> Result<bool, Error> {
        match (self.backend.server(), &self.revocations) {
            (Ok(server), _) => server.delete(key).await?,
            (Err(_), None) => {}
            (Err(_), Some(revocations)) => {
                // No token of the session holds longer than this, whatever its own end is.
                let until = now.saturating_add(self.absolute.max(wire::MAX_AGE));
                match revocations.create(key, Bytes::new(), until).await {
                    Ok(_) => {}
                    Err(StoreError::Exists) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(true)
    }

    /// Whether the session of this key can still be opened, as far as the server knows.
    pub(crate) async fn is_alive(&self, key: &RecordKey) -> Result<bool, Error> {
        match self.backend.server() {
            Err(_) => Ok(!self.is_revoked(key).await?),
            Ok(server) => match server.load(key).await {
                Ok(record) => Ok(record.is_some()),
                Err(StoreError::Corrupt(_)) => Ok(false),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Whether it is remembered that the session in a cookie has ended.
    pub(crate) async fn is_revoked(&self, key: &RecordKey) -> Result<bool, Error> {
        match &self.revocations {
            None => Ok(false),
            Some(revocations) => match revocations.load(key).await {
                Ok(record) => Ok(record.is_some()),
                Err(StoreError::Corrupt(_)) => Ok(true),
                Err(error) => Err(error.into()),
            },
        }
    }
}
