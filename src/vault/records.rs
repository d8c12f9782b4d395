//! Finding a session in the store.

use crate::{
    clock::{Clock, Timestamp},
    config::Settings,
    content::{
        Content, Mark, Name, Stored, Unreadable, WriteId, Writes, decode_record, seal_record,
    },
    crypto::{self, RandomError, Salt},
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    report::{Cause, Opening, Report, Saved},
    state::{Home, Lifetime, Place, View},
    store::{self, Budget, Bytes, Calls, Expiry, Meter, Read, Record, RecordKind, StoreError},
};

/// One session's stores, and the means to use them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vault<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) clock: &'a Clock,
    /// How long this request has waited for stores.
    pub(crate) meter: &'a Meter,
    pub(crate) report: &'a Report,
}

/// What the store holds under a session's name.
pub(crate) enum Found {
    Session {
        content: Content,
        place: Place,
    },
    /// The session was renewed or destroyed a moment ago.
    Marked(Mark),
    Nothing(Rejection),
}

impl Found {
    pub(crate) fn into_view(self, id: &SessionId, now: Timestamp) -> View {
        match self {
            Self::Session { content, place } => View {
                home: Home::Record(place),
                content,
                rejection: None,
            },
            Self::Marked(mark) => View::marked(id.clone(), mark.fate.reason(), now),
            Self::Nothing(rejection) => View::new(now, Some(rejection)),
        }
    }
}

impl<'a> Vault<'a> {
    /// Reports the outcome of opening the session.
    #[inline]
    pub(crate) fn report_opened(&self, opening: Opening) {
        self.settings.metrics.opened(opening);
        self.report.opened(self.clock, &self.settings.name, opening);
    }

    /// Reports that `count` sessions have ended.
    pub(crate) fn report_ended(&self, cause: Cause, count: usize) {
        self.settings.metrics.ended(cause, count);
        self.report
            .ended(self.clock, &self.settings.name, cause, count);
    }

    /// Reports a save; `record` is the key of the record if the save created one.
    #[inline]
    pub(crate) fn report_saved(&self, saved: Saved, record: Option<RecordKey>) {
        self.settings.metrics.saved(saved);
        self.report
            .saved(self.clock, &self.settings.name, saved, record);
    }

    /// Checks that the runtime has what the session's stores need.
    pub(crate) fn check_runtime(&self) -> Result<(), Error> {
        if !self.settings.never_waits {
            store::check_runtime()?;
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The expiry of a record that is written now and ends at this time.
    pub(super) fn expiry(&self, at: Timestamp) -> Expiry {
        Expiry::new(at, self.now())
    }

    /// Draws a new ID. Sessions that can be in a cookie have short ones.
    pub(crate) fn new_id(&self) -> Result<SessionId, RandomError> {
        if self.settings.may_be_in_cookie() {
            return Ok(SessionId::of_token(&crypto::random()?));
        }
        SessionId::generate()
    }

    /// As [`new_id`](Self::new_id), with a salt for the session's cookie if that is salted and
    /// holds the session.
    pub(crate) fn new_id_and_salt(&self) -> Result<(SessionId, Option<Salt>), RandomError> {
        if self.settings.may_be_in_cookie() && self.settings.codec.is_salted() {
            let (id, salt) = SessionId::generate_in_cookie()?;
            return Ok((id, Some(salt)));
        }
        Ok((self.new_id()?, None))
    }

    /// Draws an id that distinguishes a write from others. `None` if stores never wait: no answer
    /// is lost then, so writes need no ids.
    pub(crate) fn new_write(&self) -> Result<Option<WriteId>, RandomError> {
        if self.settings.never_waits {
            Ok(None)
        } else {
            crypto::random().map(Some)
        }
    }

    /// The last writes of a record, with one more that is made now.
    pub(super) fn writes_with(&self, before: &Writes, write: Option<WriteId>) -> Writes {
        before.with(write, self.now(), self.settings.store_timeout)
    }

    /// The name that a session's marks are stored under.
    pub(super) fn name(&self, id: &SessionId) -> Name {
        Name::of(id, self.settings.encrypts_records && id.has_secret())
    }

    /// The budget of this request's calls to stores.
    pub(super) fn budget(&self) -> Budget<'a> {
        Budget {
            meter: self.meter,
            limit: self.settings.store_timeout,
        }
    }

    /// The store of records, if there is one.
    pub(super) fn record_store(&self) -> Option<Calls<'a>> {
        let records = self.settings.records()?;
        Some(records.within(self.budget()))
    }

    /// The store of ends, if they are remembered.
    pub(super) fn end_store(&self) -> Option<Calls<'a>> {
        let ends = self.settings.ends()?;
        Some(ends.within(self.budget()))
    }

    pub(super) fn records(&self) -> Result<Calls<'a>, Error> {
        self.record_store()
            .ok_or_else(|| Error::new(ErrorKind::StoreFailed))
    }

    /// Looks up a session's record as it is now. A failed lookup is an error, never "there is
    /// none".
    pub(crate) async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Found, Error> {
        match self.record_store() {
            Some(records) => {
                let record = records.load(&id.record_key(), Read::Current).await;
                self.read(id, record, now)
            }
            None => Ok(Found::Nothing(Rejection::NotFound)),
        }
    }

    /// The store of records, if no other store must be asked about the session and it never waits.
    pub(crate) fn direct_store(&self) -> Option<Calls<'a>> {
        let settings = self.settings;
        let is_direct = settings.never_waits && settings.ends().is_none();
        self.record_store().filter(|_| is_direct)
    }

    /// Returns whether both keep their records in one store.
    pub(crate) fn shares_records(&self, other: &Vault<'_>) -> bool {
        self.record_store() == other.record_store()
    }

    /// Loads these records as they are now.
    pub(crate) async fn fetch(
        &self,
        keys: &[RecordKey],
    ) -> Vec<Result<Option<Record>, StoreError>> {
        match self.record_store() {
            Some(records) => load_all(records, keys).await,
            None => Vec::new(),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecordsEncrypted`] if only the ID can open the record, and is not known.
    pub(crate) fn read(
        &self,
        id: &SessionId,
        record: Result<Option<Record>, StoreError>,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Found::Nothing(Rejection::NotFound)),
            Err(StoreError::Corrupt(_)) => return Ok(Found::Nothing(Rejection::Corrupt)),
            Err(error) => return Err(error.into()),
        };
        self.check_secret(id)?;
        let (version, expires) = (record.version(), record.expires());
        match decode_record(record.into_data(), id, self.settings.encrypts_records) {
            Ok(Stored::Session {
                content,
                writes,
                browser,
            }) => {
                if expires.min(Lifetime::of(&content, self.settings).end) <= now {
                    return Ok(Found::Nothing(Rejection::Expired));
                }
                if let Some(records) = self.record_store().filter(|_| !writes.is_empty()) {
                    records.followers().note(writes.pairs());
                }
                let place = Place {
                    id: id.clone(),
                    version,
                    expires,
                    browser,
                    writes,
                };
                Ok(Found::Session { content, place })
            }
            Ok(Stored::Mark(mark)) => Ok(Found::Marked(mark)),
            Err(Unreadable::Damaged) => Ok(Found::Nothing(Rejection::Corrupt)),
            Err(Unreadable::Later) => Err(Error::new(ErrorKind::LaterFormat)),
        }
    }

    /// The bytes of a record as the store gets them. They have no other owner, so the store need
    /// not copy them.
    pub(crate) fn seal(&self, id: &SessionId, plain: Bytes) -> Result<Bytes, Error> {
        self.check_secret(id)?;
        if self.settings.encrypts_records {
            Ok(seal_record(id, &plain)?.into())
        } else {
            Ok(plain)
        }
    }

    /// # Errors
    ///
    /// [`ErrorKind::RecordsEncrypted`] if records are encrypted under an ID that is not known.
    fn check_secret(&self, id: &SessionId) -> Result<(), Error> {
        if self.settings.encrypts_records && !id.has_secret() {
            return Err(Error::new(ErrorKind::RecordsEncrypted));
        }
        Ok(())
    }

    /// Returns which of these names a session can still be opened by, as far as the server can
    /// tell.
    pub(super) async fn lives(&self, keys: &[RecordKey]) -> Result<Vec<Presence>, Error> {
        let mut lives = Vec::with_capacity(keys.len());
        if let Some(ends) = self.end_store() {
            let end_keys: Vec<_> = keys.iter().map(|key| key.end_key()).collect();
            let mut answers = load_all(ends, &end_keys).await.into_iter();
            for _ in keys {
                lives.push(match next_answer(&mut answers) {
                    Ok(None) => Presence::Alive,
                    Ok(Some(_)) | Err(StoreError::Corrupt(_)) => Presence::Over,
                    Err(error) => return Err(error.into()),
                });
            }
        } else if let Some(records) = self.record_store() {
            let mut answers = load_all(records, keys).await.into_iter();
            for _ in keys {
                lives.push(match next_answer(&mut answers) {
                    Ok(None) => Presence::Absent,
                    Ok(Some(record)) => match RecordKind::of(record.data()) {
                        Some(RecordKind::Session) => Presence::Alive,
                        // It is in another store, which these settings do not have.
                        Some(RecordKind::Moved) => {
                            return Err(Error::new(ErrorKind::LaterFormat));
                        }
                        _ => Presence::Over,
                    },
                    Err(StoreError::Corrupt(_)) => Presence::Over,
                    Err(error) => return Err(error.into()),
                });
            }
        }
        Ok(lives)
    }
}

/// Whether a session exists under a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    Alive,
    /// There was one.
    Over,
    /// There is none, or none yet: a login enrols its session before it creates the record.
    Absent,
}

/// Loads records as they are now.
pub(super) async fn load_all(
    store: Calls<'_>,
    keys: &[RecordKey],
) -> Vec<Result<Option<Record>, StoreError>> {
    match keys {
        [] => Vec::new(),
        [key] => vec![store.load(key, Read::Current).await],
        keys => store.load_many(keys, Read::Current).await,
    }
}

/// The next of a store's many answers. A store that gives fewer answers than it was asked for has
/// failed.
pub(super) fn next_answer<T>(
    answers: &mut impl Iterator<Item = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    answers
        .next()
        .unwrap_or_else(|| Err(StoreError::unavailable("the store left an answer out")))
}

/// Returns whether this very write left the mark found. Writes in stores that never wait have no
/// ids.
pub(super) fn is_own(found: WriteId, own: Option<WriteId>) -> bool {
    own.is_some_and(|own| own == found && own != WriteId::default())
}
