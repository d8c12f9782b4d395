//! Giving a session in a record a new name.

use super::{
    ends::{Ending, MARK_LIFETIME},
    records::{Found, Vault, is_own},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Content, Fate, Mark, Writes},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    state::{Enrolment, Home, Job, Place, Step, Unfinished, When, Written},
    store::{Bytes, StoreError, Version},
};

const RENEW: Policy = Policy::new("renew", Queue::Never);

/// What stands in the way of a renewal's mark.
enum Obstacle {
    /// The mark is there: its answer was lost.
    Own,
    /// Another request has saved the session.
    Newer(Box<Content>, Place),
    /// Another request has renewed or destroyed it.
    Ended(Ending),
    /// A look got no answer, so the mark may be there.
    Unknown(Error),
}

impl Vault<'_> {
    /// Moves the session to a new name, in a record or, if it fits and the response carries it, in
    /// the cookie.
    ///
    /// The new record is created first. Then a mark replaces the old one by compare and swap: from
    /// then on nobody saves into it. The mark tells a logout where the session went, and tells a
    /// late request that it is too late. At no step do two names work for the visitor, and at no
    /// step does none work without an error.
    ///
    /// A request that finds another renewal's mark, or a logout's, gets a new session of the values
    /// it set itself: only one name carries on what was in the old record.
    pub(super) async fn renew(
        &self,
        mut version: Version,
        when: When,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let old = job.before.clone().ok_or_else(gone)?;
        let (records, key) = (self.records()?, old.record_key());
        let mut merged = None;
        let mut home = self.create_place(when, job).await?;
        let mut rounds = Rounds::start(records, &key, RENEW).await?;
        let mark = loop {
            let mark = self.renewal_mark(job);
            let obstacle = match self.mark(&old, version, &mark).await? {
                Ok(_) => break mark,
                Err(error) => self.find_obstacle(&old, &mark, error, job).await,
            };
            match obstacle {
                Ok(Obstacle::Own) => {
                    self.check_place(&home).await?;
                    break mark;
                }
                Ok(Obstacle::Newer(content, place)) => {
                    job.left = place.writes;
                    let drafted = self.draft_again(job, &content);
                    home = self.update_place(home, drafted, when, job).await?;
                    (merged, version) = (Some(*content), place.version);
                }
                Ok(Obstacle::Ended(ending)) => {
                    return self.give_way(&ending, home, when, job).await;
                }
                Ok(Obstacle::Unknown(error)) => {
                    let step = Step::Mark(old, version, mark);
                    return Ok(Written::new(home, merged).unfinished(job, key, step, error));
                }
                Err(error) => {
                    self.discard_place(&home).await;
                    return Err(error);
                }
            }
            if let Err(error) = rounds.lost().await {
                self.discard_place(&home).await;
                return Err(error);
            }
        };
        let mut mark = Some(mark);
        let (created, enrolment) = (job.created, job.draft.enrolment.as_ref());
        match self.close_former(&key, &mut mark, created, enrolment).await {
            Ok(None) => Ok(Written::new(home, merged)),
            Ok(Some(ending)) => self.give_way(&ending, home, when, job).await,
            Err(error) if error.kind() == ErrorKind::Gone => {
                self.discard_place(&home).await;
                Err(error)
            }
            // Nobody finds the session under its old name any more.
            Err(error) => {
                let step = mark.map_or(Step::Rosters, Step::End);
                Ok(Written::new(home, merged).unfinished(job, key, step, error))
            }
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

    /// Replaces a record with the mark of its renewal.
    async fn mark(
        &self,
        old: &SessionId,
        version: Version,
        mark: &Mark,
    ) -> Result<Result<Version, StoreError>, Error> {
        let bytes = Bytes::from(self.name(old).encode(mark)?);
        let until = self.now().saturating_add(MARK_LIFETIME);
        let (records, key) = (self.records()?, old.record_key());
        let marked = records.update(&key, version, bytes, self.expiry(until));
        Ok(marked.await.0)
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
        version: Version,
        mark: &Mark,
        home: &Home,
    ) -> Result<(), Error> {
        let Err(error) = self.mark(old, version, mark).await? else {
            return Ok(());
        };
        let is_refused = matches!(error, StoreError::Conflict | StoreError::Gone);
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

    /// The mark left under the old name, for requests that still carry it.
    pub(super) fn renewal_mark(&self, job: &Job) -> Mark {
        Mark {
            fate: Fate::Renewed(self.name(&job.id)),
            write: job.write.unwrap_or_default(),
            before: job.left.clone(),
        }
    }

    /// Finds out why the store did not take the mark.
    async fn find_obstacle(
        &self,
        old: &SessionId,
        mark: &Mark,
        error: StoreError,
        job: &mut Job,
    ) -> Result<Obstacle, Error> {
        let is_refused = matches!(error, StoreError::Conflict | StoreError::Gone);
        match self.find(old, self.now()).await {
            Ok(Found::Marked(found)) if is_same(&found, mark) => Ok(Obstacle::Own),
            Err(_) if !is_refused => Ok(Obstacle::Unknown(error.into())),
            Err(failed) => Ok(Obstacle::Unknown(failed)),
            Ok(_) if !is_refused => Err(error.into()),
            Ok(Found::Marked(found)) => Ok(Obstacle::Ended(Ending::Marked(found))),
            Ok(Found::Nothing(_)) => match self.remembered_end(&old.record_key()).await? {
                // Another request has just renewed the session out of a cookie from before it was
                // in this record, and has removed the record.
                Some(Ending::Marked(mark)) if matches!(mark.fate, Fate::Renewed(_)) => {
                    Ok(Obstacle::Ended(Ending::Marked(mark)))
                }
                _ => Err(gone()),
            },
            Ok(Found::Session { mut content, place }) => {
                self.replay(job, &mut content, &place.writes)?;
                Ok(Obstacle::Newer(content.into(), place))
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

fn is_same(found: &Mark, own: &Mark) -> bool {
    is_own(found.write, Some(own.write)) && found.fate == own.fate
}

fn gone() -> Error {
    Error::new(ErrorKind::Gone)
}
