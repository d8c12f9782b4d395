//! Recognising a request's own write, when the store refuses a write that it may already have done:
//! the answer was lost, and the store's client or this crate has tried again. A refusal answered at
//! once raises no such doubt.

use super::records::{Found, Vault};
use crate::{
    clock::Timestamp,
    content::{Content, Done, Writes},
    error::Error,
    id::{RecordKey, SessionId},
    state::{CutOff, Job},
    store::{Calls, Followers, Sent, Watch},
};

/// A write that was refused, but may have been done by an earlier attempt.
pub(super) struct RefusedWrite<'a> {
    /// The record's last writes if this one had been done.
    attempt: Writes,
    watch: Watch<'a>,
    /// Whether it was done, once known.
    done: Option<bool>,
}

impl<'a> RefusedWrite<'a> {
    /// Starts watching what was written in the place of a write. If the record did not exist,
    /// `since` is when this was seen.
    pub(super) fn new(
        followers: &'a Followers,
        key: &RecordKey,
        since: u64,
        attempt: &Writes,
    ) -> Self {
        let watch = match attempt.base() {
            Some(below) => followers.watch(below, 0),
            None => followers.watch(Followers::nothing(key), since),
        };
        Self {
            attempt: attempt.clone(),
            watch,
            done: None,
        }
    }

    /// Returns whether it is still unknown, so that only its record can tell, before too many other
    /// writes are on top of it.
    pub(super) fn is_open(&self) -> bool {
        let own = self.attempt.latest();
        self.done.is_none() && self.watch.above().is_none_or(|id| Some(id) == own)
    }

    /// Returns whether its record has shown that it was done.
    pub(super) fn was_done(&self) -> bool {
        self.done == Some(true)
    }

    /// Keeps what its record shows now.
    ///
    /// # Errors
    ///
    /// As for [`is_done`](Self::is_done).
    pub(super) fn settle(&mut self, found: &Writes, now: Timestamp) -> Result<(), Error> {
        self.done = Some(self.is_done(found, now)?);
        Ok(())
    }

    /// Returns whether it was done after all, going by its record's last writes `found`.
    ///
    /// # Errors
    ///
    /// [`Error::in_doubt`] if nobody can tell.
    pub(super) fn is_done(&self, found: &Writes, now: Timestamp) -> Result<bool, Error> {
        if let Some(done) = self.done {
            return Ok(done);
        }
        match found.was_done(&self.attempt, self.watch.above(), now) {
            Done::Yes => Ok(true),
            Done::No => Ok(false),
            Done::Unknown => Err(Error::in_doubt()),
        }
    }
}

impl Vault<'_> {
    /// Looks for a session's save that the store has refused. It looks at once if others may have
    /// written on top by the time it is this request's turn. `None` if the store has not done the
    /// save. All that was ever noted of this name counts, since no name is given twice.
    pub(super) async fn find_refused(
        &self,
        sent: Sent,
        id: &SessionId,
        attempt: &Writes,
    ) -> Result<Option<RefusedWrite<'_>>, Error> {
        if sent == Sent::Once {
            return Ok(None);
        }
        let (followers, key) = (self.records()?.followers(), id.record_key());
        let mut refused = RefusedWrite::new(followers, &key, 0, attempt);
        if refused.is_open()
            && let Found::Session { place, .. } = self.find(id, self.now()).await?
        {
            refused.settle(&place.writes, self.now())?;
        }
        Ok(Some(refused))
    }

    /// Finds out what became of saves that were cut off, as far as this process has seen.
    pub(crate) fn settle(&self, cut_off: &mut Vec<CutOff>) {
        if let Some(records) = self.record_store() {
            CutOff::settle(cut_off, |below| records.followers().watch(below, 0).above());
        }
    }

    /// Applies a job's changes to its record's content, except those already in it.
    ///
    /// # Errors
    ///
    /// As for [`Job::apply`].
    pub(super) fn replay(
        &self,
        job: &mut Job,
        content: &mut Content,
        writes: &Writes,
    ) -> Result<(), Error> {
        self.settle(&mut job.cut_off);
        job.apply(content, writes, self.now())
    }
}

/// Notes the last writes of a record.
pub(super) fn note(store: Calls<'_>, writes: &Writes) {
    store.followers().note(writes.pairs());
}

/// Notes the first write of a record.
pub(super) fn note_first(store: Calls<'_>, key: &RecordKey, writes: &Writes) {
    let first = writes
        .latest()
        .map(|first| (Followers::nothing(key), first));
    store.followers().note(first);
}
