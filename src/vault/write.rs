//! Saving a session in its cookie or in a record, as its plan says.
//!
//! Saving is a compare and swap. If another request was faster, the record is read again, this
//! request's changes are applied to it, and the save is retried. A record that is gone stays gone.

use std::mem;

use super::{
    own::note,
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    content::{Browser, Content, WriteId, Writes},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    report::Swap,
    state::{Draft, Enrolment, Home, Job, Place, Written},
    store::{Bytes, Sent, StoreError, Version, WriteAnswer},
    trace,
};

const SAVE: Policy = Policy::new(Swap::Save, Queue::Never);
const TOUCH: Policy = Policy::new(Swap::Touch, Queue::Never);
const REMOVE: Policy = Policy::new(Swap::Remove, Queue::Never);

impl Vault<'_> {
    /// Makes the job's draft anew from this content, to be written over this record if there is
    /// one.
    pub(super) fn redraft(
        &self,
        job: &mut Job,
        content: &Content,
        over: Option<&Place>,
    ) -> Result<(), Error> {
        self.settings
            .check_size(content.payload_len(), content.attributes.as_deref())
            .map_err(Error::new)?;
        let (now, browser) = (self.now(), job.draft.browser);
        let end = (job.plan.term, over.map(|place| place.expires));
        job.draft_again(Draft::of(content, self.settings, now, end));
        job.draft.browser = browser;
        let over = over.map_or(Writes::none(), |place| &place.writes);
        job.draft.writes = self.writes_with(over, job.write);
        job.draft.plain = content.encode_record(&job.draft.writes, browser).into();
        Ok(())
    }

    /// Creates the record of a session that is already enrolled, and then checks that it still is:
    /// an end of a subject's sessions marks them in the roster first and removes their records
    /// second.
    pub(super) async fn create(&self, job: &mut Job) -> Result<Home, Error> {
        let plain = mem::take(&mut job.draft.plain);
        let version = match self.create_record(plain, job).await?.0 {
            // Nobody else knows the name, so this is the same write, whose answer was lost.
            Err(StoreError::Exists) => Box::pin(self.own_version(&job.id, job.write)).await?,
            made => made?,
        };
        if job.draft.enrolment.is_some() {
            let key = job.id.record_key();
            Box::pin(self.check_enrolled(&key, job.draft.enrolment.as_ref())).await?;
        }
        Ok(Home::Record(job.draft.place(job.id.clone(), version)))
    }

    /// Creates the job's record from these bytes. A store that cannot be reached is asked once
    /// more.
    ///
    /// If the job names the session, the second record gets another name: the first may arrive
    /// late, and must not bring back a session that has ended since.
    pub(super) async fn create_record(
        &self,
        plain: Bytes,
        job: &mut Job,
    ) -> Result<WriteAnswer<Version>, Error> {
        let (records, expiry) = (self.records()?, self.expiry(job.draft.expires));
        let again = (!self.settings.never_waits).then(|| plain.clone());
        let data = self.seal(&job.id, plain)?;
        let made = records
            .create_once(&job.id.record_key(), data, expiry)
            .await;
        let is_lost = matches!(&made.0, Err(error) if records.may_ask_again(error));
        let Some(plain) = again.filter(|_| is_lost) else {
            return Ok(made);
        };
        Box::pin(self.create_again(plain, job)).await
    }

    async fn create_again(
        &self,
        plain: Bytes,
        job: &mut Job,
    ) -> Result<WriteAnswer<Version>, Error> {
        let (records, expiry) = (self.records()?, self.expiry(job.draft.expires));
        records.pause_to_ask_again().await?;
        let mut lost = None;
        if job.plan.write.names() {
            lost = Some(self.rename(job).await?);
        }
        let data = self.seal(&job.id, plain)?;
        let (made, _) = records
            .create_once(&job.id.record_key(), data, expiry)
            .await;
        if let (Ok(_), Some(lost)) = (&made, lost) {
            self.remove_record(&lost).await;
        }
        Ok((made, Sent::Again))
    }

    /// Gives a session that is about to be created another name, in its roster too. Returns the
    /// former name.
    async fn rename(&self, job: &mut Job) -> Result<RecordKey, Error> {
        let before = mem::replace(&mut job.id, self.new_id()?).record_key();
        let (enrolment, key) = (job.draft.enrolment.as_ref(), job.id.record_key());
        let since = self.enrol(enrolment, key, Some(before)).await?;
        job.since = job.since.max(since);
        Ok(before)
    }

    /// The version of a record that only this request knows, as it wrote it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the record is not there.
    pub(super) async fn own_version(
        &self,
        id: &SessionId,
        write: Option<WriteId>,
    ) -> Result<Version, Error> {
        match self.find(id, self.now()).await? {
            Found::Session { place, .. }
                if write.is_some_and(|write| place.writes.contain(write)) =>
            {
                Ok(place.version)
            }
            _ => Err(Error::new(ErrorKind::Gone)),
        }
    }

    /// Checks that the session of a record that was just created has not been ended meanwhile. If
    /// it has, removes the record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has been ended.
    pub(super) async fn check_enrolled(
        &self,
        key: &RecordKey,
        enrolment: Option<&Enrolment>,
    ) -> Result<(), Error> {
        if self.is_enrolled(enrolment, key).await? {
            return Ok(());
        }
        self.remove_record(key).await;
        Err(Error::new(ErrorKind::Gone))
    }

    /// Removes a record that only this request knows. Leaving it would do no harm.
    pub(super) async fn remove_record(&self, key: &RecordKey) {
        if let Some(records) = self.record_store()
            && let Err(error) = records.delete(key, None).await
        {
            trace::left_behind(&self.settings.name, &error);
        }
    }

    /// Writes the draft, and then removes the record if nothing is left of the session.
    pub(super) async fn update(&self, version: Version, job: &mut Job) -> Result<Written, Error> {
        let written = self.compare_and_swap(version, job).await?;
        match written.home {
            Home::Record(place) if job.draft.is_emptied => {
                let (home, filled) = Box::pin(self.remove_emptied(place)).await?;
                let merged = filled.or(written.merged);
                Ok(Written::new(home, merged))
            }
            _ => Ok(written),
        }
    }

    async fn compare_and_swap(&self, version: Version, job: &mut Job) -> Result<Written, Error> {
        let key = job.id.record_key();
        // A write of this request's own would get in the way of theirs.
        if self.records()?.is_awaited(&key) {
            return Box::pin(self.save_together(&key, job)).await;
        }
        let sent = match self.replace(&key, version, job).await? {
            (Ok(home), _) => return Ok(Written::at(home)),
            (Err(StoreError::Conflict), sent) => sent,
            (Err(StoreError::Gone), _) if job.draft.is_emptied => {
                return self.emptied_by_another(job);
            }
            (Err(error), _) => return Err(error.into()),
        };
        if self.settings.never_waits {
            return Box::pin(self.save_again(&key, job)).await;
        }
        Box::pin(self.save_after_conflict(&key, sent, job)).await
    }

    async fn save_after_conflict(
        &self,
        key: &RecordKey,
        sent: Sent,
        job: &mut Job,
    ) -> Result<Written, Error> {
        trace::lost_round(SAVE.swap, 0);
        let refused = self.find_refused(sent, &job.id, &job.draft.writes).await?;
        if refused.is_some_and(|refused| refused.was_done()) {
            return self.find_own(job).await;
        }
        self.save_together(key, job).await
    }

    /// Saves what a first attempt could not, in a store that never waits: another thread's save is
    /// there to be read.
    async fn save_again(&self, key: &RecordKey, job: &mut Job) -> Result<Written, Error> {
        let mut rounds = Rounds::start(self.records()?, key, SAVE).await?;
        loop {
            rounds.lost().await?;
            let (content, place, was_emptied) = self.merge(job).await?;
            if was_emptied && content.is_emptied() {
                return self.emptied_by_another(job);
            }
            self.redraft(job, &content, Some(&place))?;
            match self.replace(key, place.version, job).await?.0 {
                Ok(home) => return Ok(Written::new(home, Some(content))),
                Err(StoreError::Conflict) => {}
                Err(StoreError::Gone) if job.draft.is_emptied => {
                    return self.emptied_by_another(job);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What became of a session after this request saved it without getting an answer.
    async fn find_own(&self, job: &mut Job) -> Result<Written, Error> {
        match self.find(&job.id, self.now()).await? {
            Found::Session { content, place } => {
                job.draft.is_emptied &= content.is_emptied();
                Ok(Written::new(Home::Record(place), Some(content)))
            }
            Found::Marked(mark) if job.is_in(&mark.before) => Ok(self.carried_along(job)),
            Found::Marked(_) | Found::Nothing(_) => Err(Error::new(ErrorKind::Gone)),
        }
    }

    async fn replace(
        &self,
        key: &RecordKey,
        version: Version,
        job: &mut Job,
    ) -> Result<WriteAnswer<Home>, Error> {
        let records = self.records()?;
        let data = self.seal(&job.id, mem::take(&mut job.draft.plain))?;
        let expiry = self.expiry(job.draft.expires);
        let (updated, sent) = records.update(key, version, data, expiry).await;
        let replaced = updated.map(|version| {
            note(records, &job.draft.writes);
            Home::Record(job.draft.place(job.id.clone(), version))
        });
        Ok((replaced, sent))
    }

    /// Removes the record that this request has left empty. The record was written empty first: a
    /// removal does not tell whether something was still there, and of two requests that claim the
    /// last value only one may get it. Returns the content if another request has filled the record
    /// again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if another request has renewed or destroyed the session.
    async fn remove_emptied(&self, mut place: Place) -> Result<(Home, Option<Content>), Error> {
        let (records, key) = (self.records()?, place.id.record_key());
        let mut rounds = Rounds::start(records, &key, REMOVE).await?;
        loop {
            match records.delete(&key, Some(place.version)).await {
                Ok(()) => return Ok((Home::Nowhere, None)),
                Err(StoreError::Conflict) => {}
                // Another request may fill the record, and the browser has to find that.
                Err(error) => {
                    trace::left_behind(&self.settings.name, &error);
                    return Ok((Home::Record(place), None));
                }
            }
            match self.find(&place.id, self.now()).await {
                Ok(Found::Session { place: found, .. }) if found.has_only_moved(&place.writes) => {
                    place = found;
                    rounds.lost().await?;
                }
                Ok(Found::Session { content, place }) => {
                    return Ok((Home::Record(place), Some(content)));
                }
                Ok(Found::Marked(_)) => return Err(Error::new(ErrorKind::Gone)),
                // The request that removed it since then removes the cookie.
                Ok(Found::Nothing(_)) => return Ok((Home::Marked(place.id), None)),
                // The next save finds out.
                Err(_) => return Ok((Home::Record(place), None)),
            }
        }
    }

    /// Postpones the session's end. If the store fails, the session is unharmed, and the next
    /// request tries again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session is no longer alive: its cookie must not be sent again.
    pub(super) async fn touch(&self, version: Version, job: &mut Job) -> Result<Written, Error> {
        let (records, key) = (self.records()?, job.id.record_key());
        let expiry = self.expiry(job.draft.expires);
        let touched = if job.plan.lists {
            let data = self.seal(&job.id, mem::take(&mut job.draft.plain))?;
            records.update(&key, version, data, expiry).await.0
        } else {
            records.touch(&key, version, expiry).await
        };
        match touched {
            Ok(version) => {
                let place = job.draft.place(job.id.clone(), version);
                Ok(Written::at(Home::Record(place)))
            }
            Err(StoreError::Conflict) => Box::pin(self.touch_again(&job.id, &job.draft)).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Finds the record after a conflict. If another request was faster, its end will do. If the
    /// record has only moved to another store, its end is as before.
    async fn touch_again(&self, id: &SessionId, draft: &Draft) -> Result<Written, Error> {
        let (records, key, expires) = (self.records()?, id.record_key(), draft.expires);
        let mut rounds = Rounds::start(records, &key, TOUCH).await?;
        loop {
            let found = self.find(id, self.now()).await?;
            let Found::Session { content, mut place } = found else {
                return Err(Error::new(ErrorKind::Gone));
            };
            if place.expires < expires && place.has_only_moved(&draft.writes) {
                let touched = records.touch(&key, place.version, self.expiry(expires));
                match touched.await {
                    Ok(version) => (place.version, place.expires) = (version, expires),
                    Err(StoreError::Conflict) => {
                        rounds.lost().await?;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(Written::new(Home::Record(place), Some(content)));
        }
    }

    /// Reads the record again and applies this request's changes to it. Also returns whether it was
    /// empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session was renewed or has ended.
    async fn merge(&self, job: &mut Job) -> Result<(Content, Place, bool), Error> {
        let Found::Session { mut content, place } = self.find(&job.id, self.now()).await? else {
            return Err(Error::new(ErrorKind::Gone));
        };
        let was_emptied = content.is_emptied();
        self.replay(job, &mut content, &place.writes)?;
        // A request that came for the record knows it.
        if job.draft.browser != Browser::Knows {
            job.draft.browser = place.browser;
        }
        Ok((content, place, was_emptied))
    }
}
