//! Records and revocations: finding a session, and ending it.

use crate::{
    clock::{Clock, Timestamp},
    config::Settings,
    content::{Browser, Content, Stored, WriteId, decode_record},
    crypto::{self, RandomError},
    error::{Error, Rejection},
    id::{RecordKey, SessionId},
    state::{Home, Lifetime, View},
    store::{Bytes, Record, StoreError, Version},
    trace,
};

/// The stores of one session, and how they are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vault<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) clock: &'a Clock,
}

/// What is in the store under a session's name.
pub(crate) enum Found {
    Session {
        content: Content,
        version: Version,
        expires: Timestamp,
        write: WriteId,
        browser: Browser,
    },
    Nothing(Rejection),
}

impl Found {
    pub(crate) fn into_view(self, id: SessionId) -> Result<View, Rejection> {
        match self {
            Self::Session {
                content,
                version,
                expires,
                browser,
                ..
            } => {
                let home = Home::Record {
                    id,
                    version,
                    expires,
                    browser,
                };
                Ok(View {
                    home,
                    content,
                    rejection: None,
                })
            }
            Self::Nothing(rejection) => Err(rejection),
        }
    }
}

impl Vault<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sessions that can be in a cookie have short names.
    pub(crate) fn new_id(&self) -> Result<SessionId, RandomError> {
        if self.settings.may_be_in_cookie() {
            return Ok(SessionId::of_token(&crypto::random()?));
        }
        SessionId::generate()
    }

    /// Tells a write from others. Without a wait no answer gets lost, and writes have no ids.
    pub(crate) fn new_write(&self) -> Result<WriteId, RandomError> {
        if self.settings.never_waits {
            Ok(WriteId::default())
        } else {
            crypto::random()
        }
    }

    /// The record as it is in the store; failing to look is an error, never "there is none".
    pub(crate) async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Found, Error> {
        let Some(records) = self.settings.records() else {
            return Ok(Found::Nothing(Rejection::NotFound));
        };
        match records.load(&id.record_key()).await {
            Ok(Some(record)) => Ok(self.read(id, record, now)),
            Ok(None) => Ok(Found::Nothing(Rejection::NotFound)),
            Err(StoreError::Corrupt(_)) => Ok(Found::Nothing(Rejection::Corrupt)),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, id: &SessionId, record: Record, now: Timestamp) -> Found {
        let (version, expires) = (record.version(), record.expires());
        match decode_record(record.into_data(), id, self.settings.encrypts_records) {
            Some(Stored::Session {
                content,
                write,
                browser,
            }) => {
                if expires.min(Lifetime::of(&content, self.settings).end) <= now {
                    return Found::Nothing(Rejection::Expired);
                }
                Found::Session {
                    content,
                    version,
                    expires,
                    write,
                    browser,
                }
            }
            Some(Stored::Mark) => Found::Nothing(Rejection::NotFound),
            None => Found::Nothing(Rejection::Corrupt),
        }
    }

    /// Sees to it that nobody opens the session of this key again, as far as that is the server's
    /// to decide.
    pub(crate) async fn end(&self, key: &RecordKey) -> Result<(), Error> {
        self.revoke(key).await?;
        // After that, so that a session on its way from the cookie into the store finds that it has
        // ended.
        if let Some(records) = self.settings.records() {
            records.delete(key).await?;
        }
        Ok(())
    }

    /// Removes a record that is of no use any more, and does no harm if it stays.
    pub(super) async fn remove_record(&self, key: &RecordKey) {
        if let Some(records) = self.settings.records()
            && let Err(error) = records.delete(key).await
        {
            trace::left_behind(&self.settings.name, &error);
        }
    }

    /// Remembers, if it is configured, that the session has ended of which cookies of this key hold
    /// a copy; `false` if that is remembered already.
    pub(super) async fn revoke(&self, key: &RecordKey) -> Result<bool, Error> {
        let revocations = self.settings.revocations.as_ref();
        if let Some(revocations) = revocations.filter(|_| self.settings.may_be_in_cookie()) {
            // No token of the session holds longer than this, whatever its own end is.
            let until = self.settings.latest_end(self.now(), self.now());
            match revocations.create(&key.of_end(), Bytes::new(), until).await {
                Ok(_) => {}
                Err(StoreError::Exists) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether the session of this key can still be opened, as far as the server knows.
    pub(super) async fn is_alive(&self, key: &RecordKey) -> Result<bool, Error> {
        if self.settings.may_be_in_cookie() && !self.is_revoked(key).await? {
            return Ok(true);
        }
        let Some(records) = self.settings.records() else {
            return Ok(false);
        };
        match records.load(key).await {
            Ok(record) => Ok(record.is_some()),
            Err(StoreError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is remembered that the session in a cookie has ended.
    pub(super) async fn is_revoked(&self, key: &RecordKey) -> Result<bool, Error> {
        let Some(revocations) = &self.settings.revocations else {
            return Ok(false);
        };
        match revocations.load(&key.of_end()).await {
            Ok(record) => Ok(record.is_some()),
            Err(StoreError::Corrupt(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
