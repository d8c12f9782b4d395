//! What a plan says, from the roster to the record.

use super::records::Vault;
use crate::{
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    state::{Enrolment, Home, Job, Plan, Write, Written},
};

/// What a session is called once it is saved, and what it was called before if that is another
/// name.
pub(crate) struct Names {
    id: SessionId,
    is_new: bool,
    before: Option<RecordKey>,
}

impl Names {
    pub(crate) fn key(&self) -> RecordKey {
        self.id.record_key()
    }

    pub(crate) fn before(&self) -> Option<&RecordKey> {
        self.before.as_ref()
    }
}

impl Vault<'_> {
    pub(crate) fn names(&self, plan: &Plan) -> Result<Names, Error> {
        let (kept, before) = match &plan.write {
            Write::Create => (None, None),
            Write::Cookie { id, before } => (id.as_ref(), *before),
            Write::Outgrow {
                id, renews: true, ..
            }
            | Write::Renew { id, .. } => (None, Some(id.record_key())),
            Write::Outgrow { id, .. } | Write::Update { id, .. } | Write::Touch { id, .. } => {
                (Some(id), None)
            }
        };
        let is_new = kept.is_none();
        let id = kept.cloned().map_or_else(|| self.new_id(), Ok)?;
        Ok(Names { id, is_new, before })
    }

    /// Saves a session that no store has a say in: its cookie does.
    pub(crate) fn save_in_cookie(&self, plan: &Plan) -> Result<Home, Error> {
        let Names { id, .. } = self.names(plan)?;
        Ok(Home::Cookie {
            id,
            issued: self.now(),
        })
    }

    /// Enrols the session, so that who ends its subject's sessions finds this one, and saves it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended, [`ErrorKind::Conflict`] if other requests kept
    /// being faster, [`ErrorKind::TooLarge`], [`ErrorKind::Store`].
    pub(crate) async fn save(&self, names: &Names, job: &mut Job) -> Result<Written, Error> {
        let mut since = None;
        if is_told(job, names) {
            let enrolment = job.draft.enrolment.as_ref();
            since = self.enrol(enrolment, names.key(), names.before).await?;
        }
        match self.write(names, job).await {
            Ok(written) => Ok(Written { since, ..written }),
            Err(error) => {
                // Nobody will ever hear of an ID that was to be new.
                if names.is_new {
                    self.withdraw(job.draft.enrolment.as_ref(), &names.key())
                        .await;
                }
                Err(error)
            }
        }
    }

    async fn write(&self, names: &Names, job: &mut Job) -> Result<Written, Error> {
        let Names { id, before, .. } = names;
        match job.plan.write {
            Write::Cookie { .. } => {
                if let Some(before) = before {
                    self.end_name(before, job.draft.enrolment.as_ref()).await?;
                }
                Ok(Written::at(Home::Cookie {
                    id: id.clone(),
                    issued: self.now(),
                }))
            }
            Write::Create => self.create(id, job).await.map(Written::at),
            Write::Outgrow { revision, .. } => {
                self.outgrow(id, revision, before.as_ref(), job).await
            }
            Write::Update { version, .. } => self.update(id, version, job).await,
            Write::Touch { version, .. } => self.touch(id, version, job).await,
            Write::Renew {
                id: ref old,
                version,
                when,
            } => {
                let old = old.clone();
                self.renew(&old, version, id, when, job).await
            }
        }
    }

    /// Ends what a session in a cookie was called before.
    async fn end_name(
        &self,
        before: &RecordKey,
        enrolment: Option<&Enrolment>,
    ) -> Result<(), Error> {
        if !self.revoke(before).await? {
            return Err(Error::new(ErrorKind::Gone));
        }
        self.leave(enrolment, before).await?;
        self.remove_record(before).await;
        Ok(())
    }
}

/// Whether the roster is told before the session is saved.
fn is_told(job: &Job, names: &Names) -> bool {
    let is_made = matches!(job.plan.write, Write::Create | Write::Outgrow { .. });
    job.draft.enrolment.as_ref().is_some_and(|enrolment| {
        enrolment.is_new() || names.before.is_some() || is_made || job.plan.lists
    })
}
