//! Carrying out a plan, from the roster to the record.

use super::{
    ends::Token,
    records::{Presence, Vault},
};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    state::{Enrolment, Home, Job, Write, Written},
};

impl Vault<'_> {
    /// Enrols the session, so that ending its subject's sessions finds it, and then saves it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended, [`ErrorKind::Conflict`] if other requests were
    /// always faster, [`ErrorKind::TooLarge`], [`ErrorKind::StoreFailed`].
    pub(crate) async fn save(&self, job: &mut Job) -> Result<Written, Error> {
        let before = job.before.as_ref().map(SessionId::record_key);
        let error = match self.enrol_and_write(before, job).await {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        // No browser will ever get a new ID.
        let is_unheard = job.plan.write.names();
        let is_over = error.kind() == ErrorKind::Gone;
        let (enrolment, key) = (job.draft.enrolment.as_ref(), job.id.record_key());
        if let Some(enrolment) = enrolment
            && (is_unheard || (is_over && Box::pin(self.is_stray(enrolment, &key)).await))
        {
            Box::pin(self.withdraw(Some(enrolment), &key)).await;
        }
        Err(error)
    }

    /// Returns whether this request must take the session out of the roster again: it entered in
    /// vain, and no other request will do that. Either the session had ended before it got its
    /// subject, or it lives without the subject that it had. While it is being renewed, the renewal
    /// still needs its entry.
    async fn is_stray(&self, enrolment: &Enrolment, key: &RecordKey) -> bool {
        if !enrolment.is_new() || enrolment.renamed_since().is_none() {
            return enrolment.is_new();
        }
        let lives = self.lives(&[*key]).await;
        lives.is_ok_and(|lives| lives.contains(&Presence::Alive))
    }

    async fn enrol_and_write(
        &self,
        before: Option<RecordKey>,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let mut since = None;
        if needs_enrolment(job) {
            let (enrolment, key) = (job.draft.enrolment.as_ref(), job.id.record_key());
            since = Box::pin(self.enrol(enrolment, key, before)).await?;
        }
        let written = self.write(job).await?;
        // For the older cookies of a session that was to be renewed, and is removed instead.
        if job.renews && job.draft.is_emptied && written.home.is_nowhere() {
            let (key, end) = (job.id.record_key(), self.end_mark()?);
            let ended = Box::pin(self.set_end(&key, &end, job.created)).await?;
            if ended.is_some() {
                return Err(Error::new(ErrorKind::Gone));
            }
            // Another request may have saved it in a record, which nobody can open now.
            if matches!(job.plan.write, Write::Forget) {
                Box::pin(self.remove_record(&key)).await;
            }
        }
        // Another request may have taken it from its subject meanwhile.
        if let (Some(content), Some(key)) = (&written.merged, written.home.key())
            && let Some(enrolled) = job.enrolled_for_another(content)
        {
            for name in [Some(key), before].into_iter().flatten() {
                Box::pin(self.withdraw(Some(enrolled), &name)).await;
            }
        }
        // It only grows, so the last one counts.
        let since = written.since.max(job.since).max(since);
        Ok(Written { since, ..written })
    }

    /// Rare writes are boxed: a future has room for the largest of its parts and is moved whole.
    async fn write(&self, job: &mut Job) -> Result<Written, Error> {
        match job.plan.write {
            Write::Cookie { names } => Box::pin(self.write_cookie(names, job)).await,
            Write::Create => self.create(job).await.map(Written::at),
            Write::Outgrow { revision } => Box::pin(self.outgrow(revision, job)).await,
            Write::Update { version } => self.update(version, job).await,
            Write::Touch { version } => self.touch(version, job).await,
            Write::Renew { from, when } => Box::pin(self.renew(from, when, job)).await,
            Write::Forget => {
                let enrolment = job.draft.enrolment.as_ref();
                Box::pin(self.check_alive(&job.id, job.created, enrolment)).await?;
                Ok(Written::at(Home::Nowhere))
            }
        }
    }

    /// Leaves a session to its cookie, after a check that it is still alive: the cookie would
    /// otherwise put a dead session in the place of a live one.
    async fn write_cookie(&self, is_new: bool, job: &mut Job) -> Result<Written, Error> {
        let enrolment = job.draft.enrolment.as_ref();
        if is_new {
            // Its subject's sessions may have been ended since it was enrolled.
            let key = job.id.record_key();
            self.check_enrolled(&key, enrolment).await?;
        } else {
            self.check_alive(&job.id, job.created, enrolment).await?;
        }
        Ok(Written::at(job.draft.in_cookie(job.id.clone())))
    }

    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session in a cookie has ended.
    async fn check_alive(
        &self,
        id: &SessionId,
        created: Timestamp,
        enrolment: Option<&Enrolment>,
    ) -> Result<(), Error> {
        let subject = enrolment.and_then(|enrolment| enrolment.subject.as_deref());
        match self
            .ending(Token {
                id,
                created,
                subject,
            })
            .await?
        {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Gone)),
        }
    }
}

/// Returns whether the session must be enrolled before it is saved.
fn needs_enrolment(job: &Job) -> bool {
    let is_made = matches!(job.plan.write, Write::Create | Write::Outgrow { .. });
    job.draft.enrolment.as_ref().is_some_and(|enrolment| {
        enrolment.is_new() || job.before.is_some() || is_made || job.plan.lists
    })
}
