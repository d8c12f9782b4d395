//! Sessions that outgrow their cookie.
//!
//! | From | Event | To | By |
//! |---|---|---|---|
//! | new | saved, fits | cookie (rev 1) | the response |
//! | new | saved, too large | record | create, new ID |
//! | cookie (rev) | changed, fits | cookie (rev + 1) | the response |
//! | cookie (rev) | changed, too large | record | create under the same ID; if it exists: merge, or replace if it has an older rev and no request that knows it has come |
//! | record | changed | record | update, merge on conflict |
//! | record | a late cookie of an older rev arrives | as in every cookie session the last response wins; a write that outgrows again merges | as above |
//! | any | renew | new ID, where it fits | a mark under the old ID, create or update; if there is a record: merge, or leave it out, as above |
//! | any | destroy | - | revoked and removed |
//!
//! A request that knows the record counts as having come once it writes to the record: noting a
//! read would cost a write. A change by its key, without a request, counts as well. A session that
//! is renewed and saved before the response stays in a record, as no cookie has brought it to the
//! browser yet.
//!
//! The rev is [`Content::revision`], which counts the cookies that a session was in. It tells which
//! of two cookies is later. Time cannot: clocks differ, and a second is long. Each row is a test in
//! `tests/it/overflow.rs`.

use super::{
    ends::Ending,
    own::{note, note_first},
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    content::{Content, Writes},
    error::{Error, ErrorKind},
    id::SessionId,
    report::Swap,
    state::{Home, Job, Place, Written},
    store::{Read, Sent, StoreError},
};

const OUTGROW: Policy = Policy::new(Swap::Outgrow, Queue::FromStart);

impl Vault<'_> {
    /// Moves a session of this revision from its cookie into a record.
    ///
    /// If another request renews the session at the same time, its renewal may carry this save
    /// along. Then the save was done, although its record is gone.
    pub(super) async fn outgrow(&self, revision: u32, job: &mut Job) -> Result<Written, Error> {
        let moved = self.move_to_record(revision, job).await;
        let is_gone = |error: &Error| error.kind() == ErrorKind::Gone;
        if moved.as_ref().is_err_and(is_gone) {
            let carried = Box::pin(self.carried_writes(&job.id)).await?;
            if job.is_in(&carried) {
                return Ok(self.carried_along(job));
            }
        }
        moved
    }

    async fn move_to_record(&self, revision: u32, job: &mut Job) -> Result<Written, Error> {
        let plain = job.draft.plain.clone();
        let (made, sent) = self.create_record(plain, job).await?;
        let (place, merged) = match made {
            Ok(version) => {
                note_first(self.records()?, &job.id.record_key(), &job.draft.writes);
                (job.draft.place(job.id.clone(), version), None)
            }
            Err(StoreError::Exists) => self.replace_or_merge(revision, sent, job).await?,
            Err(error) => return Err(error.into()),
        };
        let (home, key) = (Home::Record(place), job.id.record_key());
        // A logout remembers the end before it looks for the record. So either it sees this record,
        // or this request sees the end. Other requests may have saved in the record too, so it
        // stays if the store fails.
        match self.remembered_end(&key).await? {
            None => {}
            // A renewal marks the record before it sets the end, so it has found this save. Writes
            // without ids tell no more.
            Some(Ending::Marked(mark)) if job.write.is_none() && mark.is_renewal() => {
                return Ok(self.carried_along(job));
            }
            Some(_) => {
                self.remove_record(&key).await;
                return Err(Error::new(ErrorKind::Gone));
            }
        }
        self.check_enrolled(&key, job.draft.enrolment.as_ref())
            .await?;
        Ok(Written::new(home, merged))
    }

    /// The writes that another request's renewal has just carried along from the session's record.
    async fn carried_writes(&self, id: &SessionId) -> Result<Writes, Error> {
        if let Some(Ending::Marked(mark)) = self.remembered_end(&id.record_key()).await? {
            return Ok(mark.before);
        }
        Ok(match self.find(id, self.now()).await? {
            Found::Marked(mark) => mark.before,
            Found::Session { .. } | Found::Nothing(_) => Writes::default(),
        })
    }

    /// Saves a session that has outgrown its cookie over the record that already has its name.
    async fn replace_or_merge(
        &self,
        revision: u32,
        sent: Sent,
        job: &mut Job,
    ) -> Result<(Place, Option<Content>), Error> {
        let id = job.id.clone();
        let key = id.record_key();
        let mut merged = None;
        let mut refused = self.find_refused(sent, &id, &job.draft.writes).await?;
        let mut rounds = Rounds::start(self.records()?, &key, OUTGROW).await?;
        loop {
            let records = rounds.store();
            let record = records.load(&key, Read::Current).await;
            let found = self.read(&id, record, self.now())?;
            let Found::Session { mut content, place } = found else {
                return Err(Error::new(ErrorKind::Gone));
            };
            if let Some(refused) = &refused
                && refused.is_done(&place.writes, self.now())?
            {
                return Ok((place, Some(content)));
            }
            if !content.is_superseded(place.browser, revision) {
                self.replay(job, &mut content, &place.writes)?;
                job.draft.browser = place.browser;
                self.redraft(job, &content, Some(&place))?;
                merged = Some(content);
            }
            // A record that replaces another does not list the other's writes, whose changes are
            // gone. This process notes them all the same.
            let attempt = self.writes_with(&place.writes, job.write);
            let data = self.seal(&id, job.draft.plain.clone())?;
            let expiry = self.expiry(job.draft.expires);
            let (updated, sent) = records.update(&key, place.version, data, expiry).await;
            match updated {
                Ok(version) => {
                    note(records, &attempt);
                    return Ok((job.draft.place(id, version), merged));
                }
                Err(StoreError::Conflict) => {
                    refused = self.find_refused(sent, &id, &attempt).await?;
                    rounds.lost().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
