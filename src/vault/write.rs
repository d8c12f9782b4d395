//! Saving a session: into its cookie or a record, as a plan says.
//!
//! Saving compares and swaps. When another request was faster, the record is read again, this
//! request's changes are applied to it, and the save is tried again. A record that is gone stays
//! gone.

use std::mem;

use super::{
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    content::{Browser, Content, WriteId, seal_record},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    state::{Draft, Enrolment, Home, Job, Written},
    store::{Bytes, DynStore, StoreError, Version},
    trace,
};

const SAVE: Policy = Policy::new("save", Queue::AfterLoss);

/// A record that was read again, for this request's changes.
pub(super) enum Merged {
    /// It is what this save wrote: its answer had been lost.
    Already { content: Content, home: Home },
    Again {
        content: Content,
        version: Version,
        browser: Browser,
    },
}

impl Written {
    pub(super) fn at(home: Home) -> Self {
        Self {
            home,
            merged: None,
            since: None,
        }
    }
}

impl Vault<'_> {
    pub(super) fn records(&self) -> Result<&DynStore, Error> {
        self.settings
            .records()
            .ok_or_else(|| Error::new(ErrorKind::Store))
    }

    /// The bytes of a record as the store gets them: their only owner, so that it need not copy
    /// them.
    pub(super) fn seal(&self, id: &SessionId, plain: Bytes) -> Result<Bytes, Error> {
        if self.settings.encrypts_records {
            Ok(seal_record(id, &plain)?.into())
        } else {
            Ok(plain)
        }
    }

    /// Writes the job's draft anew, of this content.
    pub(super) fn redraft(
        &self,
        job: &mut Job,
        content: &Content,
        browser: Browser,
    ) -> Result<(), Error> {
        self.settings
            .check_size(content.payload_len(), content.attributes.as_deref())
            .map_err(Error::new)?;
        let plain = content.encode_record(job.write, browser);
        job.draft = Draft::of(content, plain, self.settings, self.now());
        Ok(())
    }

    /// Makes the record of a session that is enrolled already, and looks once more whether it still
    /// is: who ends a subject's sessions marks them in the roster first and removes their records
    /// then.
    pub(super) async fn create(&self, job: &mut Job) -> Result<Home, Error> {
        let (key, expires) = (job.id.record_key(), job.draft.expires);
        let data = self.seal(&job.id, mem::take(&mut job.draft.plain))?;
        let version = self.records()?.create(&key, data, expires).await?;
        self.check_enrolled(&key, job.draft.enrolment.as_ref())
            .await?;
        Ok(Home::Record {
            id: job.id.clone(),
            version,
            expires,
            browser: Browser::Knows,
        })
    }

    /// Removes a record that was just made if its session has been ended meanwhile.
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

    pub(super) async fn update(
        &self,
        mut version: Version,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let (records, key) = (self.records()?, job.id.record_key());
        let (mut browser, mut merged) = (job.browser, None);
        let mut rounds = Rounds::start(records, &key, SAVE).await;
        loop {
            let expires = job.draft.expires;
            let data = self.seal(&job.id, mem::take(&mut job.draft.plain))?;
            match records.update(&key, version, data, expires).await {
                Ok(version) => {
                    let home = Home::Record {
                        id: job.id.clone(),
                        version,
                        expires,
                        browser,
                    };
                    return Ok(Written {
                        home,
                        merged,
                        since: None,
                    });
                }
                Err(StoreError::Conflict) => rounds.lost().await?,
                Err(error) => return Err(error.into()),
            }
            match self.merge(&job.id.clone(), job).await? {
                Merged::Already { content, home } => {
                    return Ok(Written {
                        home,
                        merged: Some(content),
                        since: None,
                    });
                }
                Merged::Again {
                    content,
                    version: current,
                    browser: heard,
                } => {
                    self.redraft(job, &content, heard)?;
                    (version, browser, merged) = (current, heard, Some(content));
                }
            }
        }
    }

    /// Puts off the session's end. If that fails the session is none the worse, and the next
    /// request tries again.
    pub(super) async fn touch(
        &self,
        mut version: Version,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let (records, key, expires) = (self.records()?, job.id.record_key(), job.draft.expires);
        let touched = if job.plan.lists {
            let data = self.seal(&job.id, mem::take(&mut job.draft.plain))?;
            let updated = records.update(&key, version, data, expires).await;
            updated.map(|updated| version = updated)
        } else {
            records.touch(&key, version, expires).await
        };
        match touched {
            // That another request was faster is nothing to report.
            Ok(()) | Err(StoreError::Conflict | StoreError::Gone) => {}
            Err(error) => trace::touch_failed(&self.settings.name, &error),
        }
        let (id, browser) = (job.id.clone(), job.browser);
        Ok(Written::at(Home::Record {
            id,
            version,
            expires,
            browser,
        }))
    }

    /// Reads the record again and applies this request's changes to it, unless they are in it
    /// already.
    pub(super) async fn merge(&self, id: &SessionId, job: &mut Job) -> Result<Merged, Error> {
        match self.find(id, self.now()).await? {
            Found::Session {
                content,
                version,
                expires,
                write,
                browser,
            } if is_own(write, job) => {
                let home = Home::Record {
                    id: id.clone(),
                    version,
                    expires,
                    browser,
                };
                Ok(Merged::Already { content, home })
            }
            Found::Session {
                mut content,
                version,
                write,
                browser,
                ..
            } => {
                job.apply(&mut content, write)?;
                // A request that has come for the record knows it.
                let heard = if job.browser == Browser::Knows {
                    job.browser
                } else {
                    browser
                };
                Ok(Merged::Again {
                    content,
                    version,
                    browser: heard,
                })
            }
            Found::Nothing(_) => Err(Error::new(ErrorKind::Gone)),
        }
    }
}

/// Whether a record was written by this very save. Those without a wait have no ids.
pub(super) fn is_own(write: WriteId, job: &Job) -> bool {
    write != WriteId::default() && write == job.write
}
