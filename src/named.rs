//! A configured session, checked and ready: where store and codec meet.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    codec::{Codec, Opened},
    cookie::{self as wire, CookieAttributes, Finder},
    error::{Error, ErrorKind, Rejection},
    id::RecordKey,
    index::Index,
    store::{Backend, Bytes, Server, StoreError},
    trace,
};

/// See the [module docs](self). Made by [`SessionConfig`](crate::SessionConfig).
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: Box<str>,
    pub(crate) finder: Finder,
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
    /// Where sessions go on that outgrow their cookie, if they may.
    pub(crate) overflow: Option<Overflow>,
    /// Where the sessions of subjects are listed; none if nothing remembers which have ended.
    pub(crate) index: Option<Index>,
    pub(crate) sessions_per_subject: usize,
    /// Everything this session needs is done when it is first polled.
    pub(crate) never_waits: bool,
    pub(crate) max_bytes: usize,
}

/// The server's side of a session that is in its cookie while it fits.
#[derive(Debug)]
pub(crate) struct Overflow {
    pub(crate) server: Server,
    /// For the cookies that refer to a record.
    pub(crate) codec: Codec,
    /// The most bytes in a cookie.
    pub(crate) bytes: usize,
}

impl Named {
    /// The store of the session's records, if it has any.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.backend
            .server()
            .ok()
            .or(self.overflow.as_ref().map(|overflow| &overflow.server))
    }

    /// Whether the session is, or can be, in its cookie.
    pub(crate) fn may_be_in_cookie(&self) -> bool {
        self.backend.server().is_err()
    }

    /// Learns of its stores whether they wait.
    pub(crate) fn checked(mut self) -> Self {
        let stores = self.server().into_iter().chain(
            self.revocations
                .as_ref()
                .filter(|_| self.may_be_in_cookie()),
        );
        self.never_waits = stores.into_iter().all(Server::never_waits);
        self
    }

    /// Whether a store has a say: others may have changed, listed or ended the session meanwhile.
    pub(crate) fn has_store(&self) -> bool {
        self.server().is_some() || self.index.is_some()
    }

    /// Whether a session of this many bytes goes into the cookie.
    pub(crate) fn fits_cookie(&self, payload: usize) -> bool {
        match &self.overflow {
            Some(overflow) => {
                payload <= overflow.bytes && self.cookie_len(payload) <= wire::MAX_COOKIE_LEN
            }
            None => self.may_be_in_cookie(),
        }
    }

    /// Whether a session in a store is so small that it goes back into the cookie: a quarter below
    /// what makes it leave, so that it does not go to and fro.
    pub(crate) fn fits_cookie_again(&self, payload: usize) -> bool {
        self.overflow.is_some() && self.fits_cookie(payload.saturating_mul(4) / 3)
    }

    /// For cookies that refer to a record.
    pub(crate) fn reference_codec(&self) -> &Codec {
        self.overflow
            .as_ref()
            .map_or(&self.codec, |overflow| &overflow.codec)
    }

    fn cookie_len(&self, payload: usize) -> usize {
        // What only a session that can overflow says: the version it is a copy of, and its
        // revision.
        let overflow = if self.overflow.is_some() { 8 + 4 } else { 0 };
        self.name.len() + self.codec.token_len(payload + overflow)
    }

    /// Opens a cookie's value; one that can be of two kinds as either.
    pub(crate) fn open_cookie(&self, value: &[u8], now: Timestamp) -> Result<Opened, Rejection> {
        let opened = self.codec.open(value, now);
        match (&opened, &self.overflow) {
            (
                Err(Rejection::Malformed | Rejection::UnknownKey | Rejection::Tampered),
                Some(overflow),
            ) => overflow
                .codec
                .open(value, now)
                .or_else(|other| match other {
                    Rejection::Malformed => opened,
                    other => Err(other),
                }),
            _ => opened,
        }
    }

    /// Whether a session of this many bytes can be kept.
    pub(crate) fn check_size(&self, payload: usize) -> Result<(), ErrorKind> {
        let (size, limit) = match self.server() {
            Some(_) => (payload, self.max_bytes),
            None => (self.cookie_len(payload), wire::MAX_COOKIE_LEN),
        };
        if size > limit {
            Err(ErrorKind::TooLarge { size, limit })
        } else {
            Ok(())
        }
    }

    /// Sees to it that nobody opens the session of this key again, as far as that is the server's
    /// to decide. Says whether it did; `false` if somebody else is known to have ended it before.
    pub(crate) async fn end(&self, key: &RecordKey, now: Timestamp) -> Result<bool, Error> {
        let is_first = self.revoke(key, now).await?;
        // After that, so that a session on its way from the cookie into the store finds that it has
        // ended.
        if let Some(server) = self.server() {
            server.delete(key).await?;
        }
        Ok(is_first)
    }

    /// Removes a record that is of no use any more, and does no harm if it stays.
    pub(crate) async fn remove_record(&self, key: &RecordKey) {
        if let Some(server) = self.server()
            && let Err(error) = server.delete(key).await
        {
            trace::left_behind(&self.name, &error);
        }
    }

    /// Remembers, if it is configured, that the session has ended of which cookies of this key hold
    /// a copy.
    pub(crate) async fn revoke(&self, key: &RecordKey, now: Timestamp) -> Result<bool, Error> {
        if let Some(revocations) = self
            .revocations
            .as_ref()
            .filter(|_| self.may_be_in_cookie())
        {
            // No token of the session holds longer than this, whatever its own end is.
            let until = now.saturating_add(self.absolute.max(wire::MAX_AGE));
            match revocations.create(&key.of_end(), Bytes::new(), until).await {
                Ok(_) => {}
                Err(StoreError::Exists) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether the session of this key can still be opened, as far as the server knows.
    pub(crate) async fn is_alive(&self, key: &RecordKey) -> Result<bool, Error> {
        if self.may_be_in_cookie() && !self.is_revoked(key).await? {
            return Ok(true);
        }
        let Some(server) = self.server() else {
            return Ok(false);
        };
        match server.load(key).await {
            Ok(record) => Ok(record.is_some()),
            Err(StoreError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is remembered that the session in a cookie has ended.
    pub(crate) async fn is_revoked(&self, key: &RecordKey) -> Result<bool, Error> {
        match &self.revocations {
            None => Ok(false),
            Some(revocations) => match revocations.load(&key.of_end()).await {
                Ok(record) => Ok(record.is_some()),
                Err(StoreError::Corrupt(_)) => Ok(true),
                Err(error) => Err(error.into()),
            },
        }
    }
}
