//! Giving a session in a record another name.

use std::time::Duration;

use super::{
    records::Vault,
    retry::{Policy, Queue, Rounds},
    write::Merged,
};
use crate::{
    content::{Browser, encode_mark},
    error::{Error, ErrorKind},
    id::RecordKey,
    state::{Enrolment, Home, Job, When, Written},
    store::{Bytes, DynStore, Read, Record, Store, StoreError, Version},
};

const RENEW: Policy = Policy::new("renew", Queue::Never);
/// How long the mark of a renewed session stays if it cannot be removed at once.
const MARK_LIFETIME: Duration = Duration::from_secs(60);

impl Vault<'_> {
    /// Moves the session to another name, in a record or, if it fits and the response brings it, in
    /// the cookie.
    ///
    /// The new record is made first. Then the old one is replaced by a mark, by compare and swap:
    /// from there on nobody saves into it, and who deleted it before has won. Only then it is
    /// removed. At no step two names work for the visitor, and at no step none does without an
    /// error.
    pub(super) async fn renew(
        &self,
        mut version: Version,
        when: When,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let old = job
            .before
            .clone()
            .ok_or_else(|| Error::new(ErrorKind::Gone))?;
        let (records, key, new_key) = (self.records()?, old.record_key(), job.id.record_key());
        let mark = Bytes::from(encode_mark(job.write));
        let mut merged = None;
        let mut rounds = Rounds::start(records, &key, RENEW).await;
        let home = loop {
            let home = self.move_in(when, job).await?;
            match self.mark(records, &key, version, &mark).await {
                Ok(()) => break home,
                Err(StoreError::Conflict) => {
                    self.move_out(&home).await;
                    rounds.lost().await?;
                }
                Err(error) => {
                    self.move_out(&home).await;
                    return Err(error.into());
                }
            }
            let Merged::Again {
                content,
                version: current,
                ..
            } = self.merge(&old, job).await?
            else {
                return Err(Error::new(ErrorKind::Conflict));
            };
            self.redraft(job, &content, Browser::Knows)?;
            // The other request may have given it a subject.
            self.enrol(job.draft.enrolment.as_ref(), new_key, Some(key))
                .await?;
            (merged, version) = (Some(content), current);
        };
        if let Err(error) = self.retire(&key, job.draft.enrolment.as_ref()).await {
            self.move_out(&home).await;
            return Err(error);
        }
        Ok(Written {
            home,
            merged,
            since: None,
        })
    }

    /// Makes the session's new place.
    async fn move_in(&self, when: When, job: &mut Job) -> Result<Home, Error> {
        if job.draft.fits_cookie && when == When::Response {
            return Ok(Home::Cookie {
                id: job.id.clone(),
                issued: self.now(),
            });
        }
        self.create(job).await
    }

    /// Nobody will ever hear of the new place.
    async fn move_out(&self, home: &Home) {
        if let Home::Record { id, .. } = home {
            self.remove_record(&id.record_key()).await;
        }
    }

    /// Replaces the old record by a mark, if it has this version.
    async fn mark(
        &self,
        records: &DynStore,
        key: &RecordKey,
        version: Version,
        mark: &Bytes,
    ) -> Result<(), StoreError> {
        let until = self.now().saturating_add(MARK_LIFETIME);
        match records
            .update(key, version, mark.clone(), self.expiry(until))
            .await
        {
            Err(_) if self.is_marked(records, key, mark).await => Ok(()),
            marked => marked.map(drop),
        }
    }

    /// Ends what the session was called before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it has been ended with its subject's other sessions.
    async fn retire(&self, key: &RecordKey, enrolment: Option<&Enrolment>) -> Result<(), Error> {
        // Cookies of the time before it was in a record.
        let revoked = self.revoke(key).await;
        self.remove_record(key).await;
        revoked?;
        self.leave(enrolment, key).await
    }

    /// Whether the old record bears this request's mark although the store's answer did not say so.
    async fn is_marked(&self, records: &DynStore, key: &RecordKey, mark: &[u8]) -> bool {
        let is_mark = |record: Record| record.data() == mark;
        !self.settings.never_waits
            && records
                .load(key, Read::Current)
                .await
                .is_ok_and(|record| record.is_some_and(is_mark))
    }
}
