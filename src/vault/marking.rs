//! Marking the old name of a session that is renewed.

use super::{
    ends::MARK_LIFETIME,
    records::{Found, Vault, is_own},
};
use crate::{
    content::{Content, Fate, Mark},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    state::{Job, OldHome, Place},
    store::{Bytes, StoreError, Version},
    trace,
};

/// What came of an attempt to set a renewal's mark.
pub(super) enum Marking {
    /// The mark is there, at this version. `None` if its answer was lost.
    Done(Option<Version>),
    /// Another request has saved the session.
    Newer(Box<Content>, Place),
    /// The cookie of this request has taken the place of the record.
    Superseded(Version),
    /// Another request has renewed or destroyed it.
    Ended(Mark),
    /// There was a record a moment ago.
    Nothing,
    /// The store failed. The mark may be there, and no other request's save is known to be.
    Unknown(Error),
}

impl Vault<'_> {
    /// The mark left under the old name, for requests that still carry it.
    pub(super) fn renewal_mark(&self, job: &Job) -> Mark {
        Mark {
            fate: Fate::Renewed(self.name(&job.id)),
            write: job.write.unwrap_or_default(),
            before: job.left.clone(),
        }
    }

    /// Tries to set a renewal's mark in the place of this version of the old record. `None`: there
    /// is no record, as far as this request knows.
    pub(super) async fn try_to_mark(
        &self,
        (old, from): (&SessionId, OldHome),
        version: Option<Version>,
        mark: &Mark,
        job: &mut Job,
    ) -> Result<Marking, Error> {
        match self.mark(old, version, mark).await? {
            Ok(version) => Ok(Marking::Done(Some(version))),
            Err(error) => self.find_obstacle((old, from), mark, error, job).await,
        }
    }

    pub(super) async fn mark(
        &self,
        old: &SessionId,
        version: Option<Version>,
        mark: &Mark,
    ) -> Result<Result<Version, StoreError>, Error> {
        let bytes = Bytes::from(self.name(old).encode(mark)?);
        let expiry = self.expiry(self.now().saturating_add(MARK_LIFETIME));
        let (records, key) = (self.records()?, old.record_key());
        let (marked, _) = match version {
            Some(version) => records.update(&key, version, bytes, expiry).await,
            None => records.create(&key, bytes, expiry).await,
        };
        Ok(marked)
    }

    /// Finds out why the store did not take the mark.
    async fn find_obstacle(
        &self,
        (old, from): (&SessionId, OldHome),
        mark: &Mark,
        error: StoreError,
        job: &mut Job,
    ) -> Result<Marking, Error> {
        let is_refused = is_refusal(&error);
        match self.find(old, self.now()).await {
            Ok(Found::Marked(found)) if is_same(&found, mark) => Ok(Marking::Done(None)),
            Err(_) if !is_refused => Ok(Marking::Unknown(error.into())),
            Err(failed) if matches!(error, StoreError::Exists) => Err(failed),
            Err(failed) => Ok(Marking::Unknown(failed)),
            Ok(Found::Nothing(_)) if !is_refused && from.is_cookie() => {
                Ok(Marking::Unknown(error.into()))
            }
            Ok(_) if !is_refused => Err(error.into()),
            Ok(Found::Marked(found)) => Ok(Marking::Ended(found)),
            Ok(Found::Nothing(_)) if from.is_cookie() => Ok(Marking::Nothing),
            Ok(Found::Nothing(_)) => Err(Error::new(ErrorKind::Gone)),
            Ok(Found::Session { mut content, place }) => {
                if let OldHome::Cookie { revision } = from
                    && content.is_superseded(place.browser, revision)
                {
                    return Ok(Marking::Superseded(place.version));
                }
                self.replay(job, &mut content, &place.writes)?;
                Ok(Marking::Newer(content.into(), place))
            }
        }
    }

    /// Whether a renewal out of a cookie need not give way to this mark. The renewal that set it may
    /// not come about: only an end tells. It must have taken nothing along but what is in the
    /// cookie, which writes without ids do not show. If no ends are remembered, copies of the cookie
    /// live on.
    pub(super) fn is_open(&self, mark: &Mark, job: &Job) -> bool {
        let has_left_all = job.write.is_some() && mark.before.is_empty();
        mark.is_renewal() && (has_left_all || self.settings.ends().is_none())
    }

    /// Removes the mark of a renewal that did not come about.
    pub(super) async fn remove_mark(&self, key: &RecordKey, version: Version) {
        if let Some(records) = self.record_store()
            && let Err(error) = records.delete(key, Some(version)).await
        {
            trace::left_behind(&self.settings.name, &error);
        }
    }
}

pub(super) fn is_same(found: &Mark, own: &Mark) -> bool {
    is_own(found.write, Some(own.write)) && found.fate == own.fate
}

/// Whether the store has refused a mark because of what is there.
pub(super) fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Exists | StoreError::Conflict | StoreError::Gone
    )
}
