//! Giving a session a new name.

use std::{mem, ops::ControlFlow};

use super::{
    ends::Ending,
    marking::{Marking, is_refusal, is_same},
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Content, Mark, Writes},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    report::Swap,
    state::{Enrolment, Home, Job, OldHome, Place, Step, Unfinished, When, Written},
    store::{StoreError, Version},
    trace,
};

const RENEW: Policy = Policy::new(Swap::Renew, Queue::Never);

impl Vault<'_> {
    /// Moves the session to a new name, in a record or, if it fits and the response carries it, in
    /// the cookie.
    ///
    /// The new record is created first. Then a mark takes the place of the old one, or the place
    /// where a session in a cookie would get its record: from then on nobody saves into it. The
    /// mark tells a logout where the session went, and tells a late request that it is too late. At
    /// no step do two names work for the visitor, and at no step does none work without an error.
    ///
    /// A request that finds another renewal's mark, or a logout's, gets a new session of the values
    /// it set itself: only one name carries on what was in the old record.
    pub(super) async fn renew(
        &self,
        from: OldHome,
        when: When,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let old = job.before.clone().ok_or_else(gone)?;
        let (key, home) = (old.record_key(), self.create_place(when, job).await?);
        let mut moved = Written::at(home);
        let left = self.leave_record(&old, from, when, &mut moved, job).await;
        let (mark, version) = match left {
            Ok(ControlFlow::Continue(left)) => left,
            Ok(ControlFlow::Break(written)) => return Ok(written),
            Err(error) => {
                self.discard_place(&moved.home).await;
                return Err(error);
            }
        };
        let mut mark = Some(mark);
        let (created, enrolment) = (job.created, job.draft.enrolment.as_ref());
        match self.close_former(&key, &mut mark, created, enrolment).await {
            Ok(None) => self.check_renewed(moved, key, job).await,
            Ok(Some(ending)) => self.give_way(&ending, moved.home, when, job).await,
            Err(error) if error.kind() == ErrorKind::Gone => {
                self.discard_place(&moved.home).await;
                Err(error)
            }
            // The cookie still has all of the session.
            Err(error) if mark.is_some() && from.is_cookie() && moved.merged.is_none() => {
                self.discard_place(&moved.home).await;
                if let Some(version) = version {
                    self.remove_mark(&key, version).await;
                }
                Err(error)
            }
            // Nobody finds the session under its old name any more.
            Err(error) => {
                let step = mark.map_or(Step::Rosters, Step::End);
                Ok(moved.unfinished(job, key, step, error))
            }
        }
    }

    /// Marks the session's old name, if there is a store of records, and takes along what is in a
    /// record there. Returns the mark and, if it is there, its version.
    ///
    /// A session in its cookie that has no record, as far as this request can tell, is renewed even
    /// if the store fails.
    async fn leave_record(
        &self,
        old: &SessionId,
        from: OldHome,
        when: When,
        moved: &mut Written,
        job: &mut Job,
    ) -> Result<ControlFlow<Written, (Mark, Option<Version>)>, Error> {
        let Some(records) = self.record_store() else {
            return Ok(ControlFlow::Continue((self.renewal_mark(job), None)));
        };
        let (key, mut version) = (old.record_key(), from.version());
        let mut rounds = Rounds::start(records, &key, RENEW).await?;
        loop {
            let mark = self.renewal_mark(job);
            let marking = self.try_to_mark((old, from), version, &mark, job).await?;
            let is_whole = from.is_cookie() && moved.merged.is_none();
            match marking {
                Marking::Done(marked) => {
                    if marked.is_none() {
                        self.check_place(&moved.home).await?;
                    }
                    return Ok(ControlFlow::Continue((mark, marked)));
                }
                Marking::Newer(content, place) => {
                    job.left = place.writes;
                    let drafted = self.draft_again(job, &content);
                    let home = mem::take(&mut moved.home);
                    moved.home = self.update_place(home, drafted, when, job).await?;
                    (moved.merged, version) = (Some(*content), Some(place.version));
                }
                Marking::Superseded(found) if is_whole => version = Some(found),
                Marking::Nothing if is_whole => version = None,
                // What it has taken along may be gone.
                Marking::Superseded(_) | Marking::Nothing => return Err(gone()),
                Marking::Ended(found) if is_whole && self.is_open(&found, job) => {
                    return Ok(ControlFlow::Continue((mark, None)));
                }
                Marking::Ended(found) => {
                    let (ending, home) = (Ending::Marked(found), mem::take(&mut moved.home));
                    let given = self.give_way(&ending, home, when, job).await;
                    return given.map(ControlFlow::Break);
                }
                Marking::Unknown(error) if is_whole && version.is_some() => return Err(error),
                Marking::Unknown(error) if is_whole => {
                    trace::left_behind(&self.settings.name, &error);
                    return Ok(ControlFlow::Continue((mark, None)));
                }
                Marking::Unknown(error) => {
                    let (home, merged) = (mem::take(&mut moved.home), moved.merged.take());
                    let step = Step::Mark(old.clone(), version, mark);
                    let written = Written::new(home, merged).unfinished(job, key, step, error);
                    return Ok(ControlFlow::Break(written));
                }
            }
            rounds.lost().await?;
        }
    }

    /// Takes a last look at the roster of a session in its cookie, whose subject's sessions may have
    /// been ended since it was enrolled. A record was checked when it was made.
    async fn check_renewed(
        &self,
        moved: Written,
        before: RecordKey,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let enrolment = job.draft.enrolment.as_mut();
        let Some(enrolment) = enrolment.filter(|_| moved.home.is_cookie()) else {
            return Ok(moved);
        };
        // It has left that one's roster.
        enrolment.former = None;
        let key = job.id.record_key();
        match self.check_enrolled(&key, Some(enrolment)).await {
            Ok(()) => Ok(moved),
            Err(error) if error.kind() == ErrorKind::Gone => Err(error),
            Err(error) => Ok(moved.unfinished(job, before, Step::Rosters, error)),
        }
    }

    /// Ends a renewed session under its old name, in cookies from before it was in a record and in
    /// the roster of its former subject. Takes the mark once the end is set. Returns the end that
    /// was already there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has been ended in that roster.
    pub(super) async fn close_former(
        &self,
        before: &RecordKey,
        mark: &mut Option<Mark>,
        created: Timestamp,
        enrolment: Option<&Enrolment>,
    ) -> Result<Option<Ending>, Error> {
        if let Some(end) = mark
            && let Some(ending) = self.set_end(before, end, created).await?
        {
            return Ok(Some(ending));
        }
        *mark = None;
        self.leave(enrolment, before).await?;
        Ok(None)
    }

    /// Closes the old name of a session that an earlier save has renewed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if another request has ended the session.
    pub(crate) async fn finish_renewal(&self, rest: &Unfinished) -> Result<(), Error> {
        if let Step::Mark(old, version, mark) = &rest.step {
            self.mark_again(old, *version, mark, &rest.home).await?;
        }
        let (mut mark, enrolment) = (rest.step.mark().cloned(), rest.enrolment.as_ref());
        let closed = self.close_former(&rest.before, &mut mark, rest.created, enrolment);
        let finished = match closed.await {
            Ok(Some(_)) => Err(gone()),
            Ok(None) => match rest.home.key() {
                Some(key) => self.check_enrolled(&key, enrolment).await,
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        if finished
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Gone)
        {
            self.discard_place(&rest.home).await;
        }
        finished
    }

    /// Sets a mark that may be there already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if another request has written to the record instead, or has ended the
    /// session in its new place.
    async fn mark_again(
        &self,
        old: &SessionId,
        version: Option<Version>,
        mark: &Mark,
        home: &Home,
    ) -> Result<(), Error> {
        let Err(error) = self.mark(old, version, mark).await? else {
            return Ok(());
        };
        let is_refused = is_refusal(&error);
        match self.find(old, self.now()).await {
            Ok(Found::Marked(found)) if is_same(&found, mark) => self.check_place(home).await,
            _ if !is_refused => Err(error.into()),
            Err(failed) => Err(failed),
            Ok(_) => {
                self.discard_place(home).await;
                Err(gone())
            }
        }
    }

    /// Creates the session's new place.
    async fn create_place(&self, when: When, job: &mut Job) -> Result<Home, Error> {
        if job.draft.fits_cookie && when == When::Response {
            return Ok(job.draft.in_cookie(job.id.clone()));
        }
        self.create(job).await
    }

    /// Updates the new place with what another request has saved in the old one meanwhile. That
    /// request cannot have given it another subject, since this would have renewed the session.
    async fn update_place(
        &self,
        home: Home,
        drafted: Result<(), Error>,
        when: When,
        job: &mut Job,
    ) -> Result<Home, Error> {
        let moved = match (drafted, &home) {
            (Err(error), _) => Err(error),
            (Ok(()), Home::Record(place)) => self.rewrite(place, job).await,
            (Ok(()), _) => self.create_place(when, job).await,
        };
        if moved.is_err() {
            self.discard_place(&home).await;
        }
        moved
    }

    /// Writes the draft over a record that this request has made. Its version also changes when it
    /// moves to another store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the record is not there, or another has written to it: an
    /// administrator can find its key in the roster.
    async fn rewrite(&self, made: &Place, job: &mut Job) -> Result<Home, Error> {
        let data = self.seal(&job.id, std::mem::take(&mut job.draft.plain))?;
        let (key, expiry) = (job.id.record_key(), self.expiry(job.draft.expires));
        let (records, mut version) = (self.records()?, made.version);
        let mut rounds = Rounds::start(records, &key, RENEW).await?;
        loop {
            let updated = records.update(&key, version, data.clone(), expiry).await;
            match updated.0 {
                Err(StoreError::Conflict) => {}
                updated => {
                    version = updated?;
                    break;
                }
            }
            let Found::Session { place, .. } = self.find(&job.id, self.now()).await? else {
                return Err(gone());
            };
            version = place.version;
            if job.write.is_some_and(|write| place.writes.contain(write)) {
                break;
            }
            if place.writes != made.writes {
                return Err(gone());
            }
            rounds.lost().await?;
        }
        Ok(Home::Record(job.draft.place(job.id.clone(), version)))
    }

    /// Fills the new place for the loser of two renewals, or of a renewal and a logout: with the
    /// values that this request set itself, unless another renewal has carried them along.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if this request set no such value, or if the end comes from an earlier
    /// attempt of its own: then no other request has the session's values.
    pub(super) async fn give_way(
        &self,
        ending: &Ending,
        home: Home,
        when: When,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let carried = match ending {
            Ending::Marked(mark) if job.has_left(mark) => {
                self.discard_place(&home).await;
                return Err(gone());
            }
            Ending::Marked(mark) => &mark.before,
            Ending::LongAgo => Writes::none(),
        };
        let (key, listed) = (job.id.record_key(), job.take_enrolment());
        let content = match self.draft_alone(job, carried) {
            Ok(content) => content,
            Err(error) => {
                self.withdraw(listed.as_ref(), &key).await;
                self.discard_place(&home).await;
                return Err(error);
            }
        };
        let enrolment = job.draft.enrolment.as_ref();
        if enrolment.is_none() {
            self.withdraw(listed.as_ref(), &key).await;
        }
        let since = self.enrol_anew(enrolment, key).await;
        let moved = match (&since, &home) {
            (Err(_), _) => Err(gone()),
            (Ok(_), Home::Record(place)) => self.rewrite(place, job).await,
            // A logout may have followed this request's own mark.
            (Ok(_), _) => match self.is_revoked(&key).await {
                Ok(false) => self.create_place(when, job).await,
                Ok(true) => Err(gone()),
                Err(error) => Err(error),
            },
        };
        if moved.is_err() {
            self.discard_place(&home).await;
        }
        let since = since?;
        Ok(Written {
            since,
            ..Written::new(moved?, Some(content))
        })
    }

    fn draft_alone(&self, job: &mut Job, carried: &Writes) -> Result<Content, Error> {
        let content = job.alone(carried, self.now())?;
        self.draft_again(job, &content)?;
        Ok(content)
    }

    /// Drafts this content under a new write id, which distinguishes the write from the first to
    /// the same record.
    fn draft_again(&self, job: &mut Job, content: &Content) -> Result<(), Error> {
        job.write = self.new_write()?;
        self.redraft(job, content, None)
    }

    /// Removes the new place, which nobody will ever hear of.
    async fn discard_place(&self, home: &Home) {
        if let Home::Record(place) = home {
            self.remove_record(&place.id.record_key()).await;
        }
    }

    /// Checks that the new place is still there, after the mark's answer was lost.
    async fn check_place(&self, home: &Home) -> Result<(), Error> {
        let Home::Record(place) = home else {
            return Ok(());
        };
        match self.find(&place.id, self.now()).await? {
            Found::Session { .. } => Ok(()),
            Found::Marked(_) | Found::Nothing(_) => Err(gone()),
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Gone)
}
