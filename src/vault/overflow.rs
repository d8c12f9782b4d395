//! Sessions that outgrow their cookie.
//!
//! | From | Event | To | By |
//! |---|---|---|---|
//! | new | saved, fits | cookie (rev 1) | the response |
//! | new | saved, too large | record | create, new ID |
//! | cookie (rev) | changed, fits | cookie (rev + 1) | the response |
//! | cookie (rev) | changed, too large | record | create under the same ID; if it exists: merge, or replace if no request has come that knows it and it is of an older rev |
//! | record | changed | record | update, merge on conflict |
//! | record | a late cookie of an older rev comes | as in every cookie session the last response wins; a write that outgrows again merges | as above |
//! | any | renew | new ID, where it fits | old one revoked and removed |
//! | any | destroy | - | revoked and removed |
//!
//! A request that knows the record counts as having come when it writes into it: to note a read
//! would cost a write. A renewal that is saved before the response stays in a record, as no cookie
//! has brought the session to the browser yet.
//!
//! The rev is [`Content::revision`], which counts the cookies that a session was in. It tells which
//! of two is the later one; time does not: clocks differ, and a second is long. Each row is a test
//! in `tests/it/overflow.rs`.

use super::{
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
    write::is_own,
};
use crate::{
    content::{Browser, Content},
    error::{Error, ErrorKind},
    id::RecordKey,
    state::{Home, Job, Written},
    store::{Store, StoreError, Version},
};

const OUTGROW: Policy = Policy::new("outgrow", Queue::FromStart);

impl Vault<'_> {
    /// Moves a session of this revision from its cookie into a record, under the same name unless it
    /// is renewed; `before` is its name until now.
    pub(super) async fn outgrow(
        &self,
        revision: u32,
        before: Option<&RecordKey>,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let key = job.id.record_key();
        let data = self.seal(&job.id, job.draft.plain.clone())?;
        let created = self
            .records()?
            .create(&key, data, self.expiry(job.draft.expires))
            .await;
        let Replaced {
            version,
            browser,
            merged,
        } = match created {
            Ok(version) => Replaced {
                version,
                browser: Browser::NeverHeard,
                merged: None,
            },
            Err(StoreError::Exists) => self.replace(revision, job).await?,
            Err(error) => return Err(error.into()),
        };
        self.check_enrolled(&key, job.draft.enrolment.as_ref())
            .await?;
        // Who ends the session remembers that first and removes the record then: one of the two
        // sees the other.
        let is_over = match before {
            Some(before) => self.revoke(before).await.map(|is_first| !is_first),
            None => self.is_revoked(&key).await,
        };
        if !matches!(is_over, Ok(false)) {
            self.remove_record(&key).await;
            return Err(is_over.err().unwrap_or_else(|| Error::new(ErrorKind::Gone)));
        }
        if let Some(before) = before {
            self.remove_record(before).await;
        }
        let (id, expires) = (job.id.clone(), job.draft.expires);
        Ok(Written {
            home: Home::Record {
                id,
                version,
                expires,
                browser,
            },
            merged,
            since: None,
        })
    }

    /// Saves a session that has outgrown its cookie where there is a record of its name.
    async fn replace(&self, revision: u32, job: &mut Job) -> Result<Replaced, Error> {
        let (records, id) = (self.records()?, job.id.clone());
        let key = id.record_key();
        let (mut merged, mut heard) = (None, Browser::NeverHeard);
        let mut rounds = Rounds::start(records, &key, OUTGROW).await;
        loop {
            let Found::Session {
                mut content,
                version,
                write,
                browser,
                ..
            } = self.find(&id, self.now()).await?
            else {
                return Err(Error::new(ErrorKind::Gone));
            };
            if is_own(write, job) {
                return Ok(Replaced {
                    version,
                    browser: heard,
                    merged,
                });
            }
            let is_older = content.revision < revision;
            if browser == Browser::Knows || !is_older {
                job.apply(&mut content, write)?;
                self.redraft(job, &content, browser)?;
                (merged, heard) = (Some(content), browser);
            }
            let data = self.seal(&id, job.draft.plain.clone())?;
            match records
                .update(&key, version, data, self.expiry(job.draft.expires))
                .await
            {
                Ok(version) => {
                    return Ok(Replaced {
                        version,
                        browser: heard,
                        merged,
                    });
                }
                Err(StoreError::Conflict) => rounds.lost().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What became of a record that was there.
struct Replaced {
    version: Version,
    browser: Browser,
    merged: Option<Content>,
}
