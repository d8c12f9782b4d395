//! From a session to its record: create, update, renew, touch.
//!
//! Saving compares and swaps. When another request was faster, the record is read again, this
//! request's changes are applied to it, and the save is tried again. A record that is gone stays
//! gone.

use std::{mem, time::Duration};

use super::{
    Session,
    content::{Content, WriteId, moved_record, seal_record},
    membership::Membership,
    open::Fetched,
    save::{Draft, Job, Place, Saved, Step},
    state::Lifetime,
};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    store::{Bytes, Server, StoreError, Version},
    trace,
};

/// How often a save is tried again after a conflict.
const RETRIES: u32 = 128;
/// How long the mark of a renewed session stays if it cannot be removed at once.
const MARK_LIFETIME: Duration = Duration::from_secs(60);

impl Session {
    pub(super) fn draft(
        &self,
        content: &Content,
        write: WriteId,
        now: Timestamp,
    ) -> Result<Draft, Error> {
        self.named()
            .check_size(content.payload_len())
            .map_err(Error::new)?;
        Ok(self.draft_touch(content, content.encode_record(write).into(), now))
    }

    /// Whatever the record's size is, it was taken before.
    pub(super) fn draft_touch(&self, content: &Content, plain: Bytes, now: Timestamp) -> Draft {
        let expires = Lifetime::of(content, self.named()).expires(now);
        Draft {
            plain,
            expires,
            member: self.membership(content),
        }
    }

    /// The bytes of a record as the store gets them: their only owner, so that it need not copy
    /// them.
    fn encode(&self, id: &SessionId, plain: Bytes) -> Result<Bytes, Error> {
        if self.named().encrypts_records {
            Ok(seal_record(id, &plain)?.into())
        } else {
            Ok(plain)
        }
    }

    pub(super) async fn run(
        &self,
        server: &Server,
        step: &Step,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        match step {
            Step::Create {
                id, outgrown: None, ..
            } => self.create_record(server, id, None, job).await,
            Step::Create {
                id,
                outgrown: Some(revision),
                before,
            } => {
                self.outgrow_cookie(server, id, *revision, before.as_ref(), job)
                    .await
            }
            Step::Update { id, version } => self.swap_record(server, id, *version, job).await,
            Step::Renew { old, version, new } => {
                self.renew_record(server, old, *version, new, job).await
            }
            Step::Touch { id, version } => self.touch_record(server, id, *version, job).await,
            Step::Settle { id, version } => self.settle_record(server, id, *version, job).await,
        }
    }

    /// Makes the record of a session that is listed already, and looks once more whether it still
    /// is: whoever ends a subject's sessions marks them in the list first and removes their records
    /// then.
    ///
    /// `outgrown` is the revision of the cookie that it does not fit into any more.
    async fn create_record(
        &self,
        server: &Server,
        id: &SessionId,
        outgrown: Option<u32>,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let key = id.record_key();
        // One that is there already may be replaced by the same bytes.
        let plain = if outgrown.is_some() {
            job.record.plain.clone()
        } else {
            mem::take(&mut job.record.plain)
        };
        let created = server
            .create(&key, self.encode(id, plain)?, job.record.expires)
            .await;
        let (version, merged) = match (created, outgrown) {
            (Ok(version), _) => (version, None),
            (Err(StoreError::Exists), Some(revision)) => {
                self.replace_record(server, id, revision, job).await?
            }
            (Err(error), _) => return Err(error.into()),
        };
        if !self.is_listed(job.record.member.as_ref(), &key).await? {
            self.named().remove_record(&key).await;
            return Err(Error::new(ErrorKind::Gone));
        }
        let place = Place::Record { is_written: true };
        Ok(Saved {
            id: Some(id.clone()),
            version,
            expires: job.record.expires,
            merged,
            place,
        })
    }

    /// Moves a session from its cookie into a record, under the same name unless it is renewed.
    async fn outgrow_cookie(
        &self,
        server: &Server,
        id: &SessionId,
        revision: u32,
        before: Option<&RecordKey>,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let key = id.record_key();
        let saved = self.create_record(server, id, Some(revision), job).await?;
        // Whoever ends the session remembers that first and removes the record then: one of the two
        // sees the other.
        let is_over = match before {
            Some(before) => self
                .named()
                .revoke(before, self.slots.clock().now())
                .await
                .map(|is_first| !is_first),
            None => self.named().is_revoked(&key).await,
        };
        match is_over {
            Ok(false) => {}
            outcome => {
                self.named().remove_record(&key).await;
                return Err(outcome.err().unwrap_or_else(|| Error::new(ErrorKind::Gone)));
            }
        }
        if let Some(before) = before {
            self.named().remove_record(before).await;
        }
        Ok(saved)
    }

    /// Saves a session that has outgrown its cookie where it has a record from another time.
    ///
    /// Another request may have outgrown the same cookie or a later one: then this one's changes
    /// are applied to what that one left. If this one's cookie is the later one, and nobody has
    /// come with the record's ID, the browser has never heard of the record.
    async fn replace_record(
        &self,
        server: &Server,
        id: &SessionId,
        revision: u32,
        job: &mut Job,
    ) -> Result<(Version, Option<Content>), Error> {
        let key = id.record_key();
        let _turn = server.turn(&key).await;
        for attempt in 0..RETRIES {
            let (mut content, version, write) =
                match self.fetch(id, self.slots.clock().now()).await? {
                    Fetched::Nothing(_) => return Err(Error::new(ErrorKind::Gone)),
                    Fetched::Record { version, write, .. }
                        if write == job.write && !self.named().never_waits =>
                    {
                        return Ok((version, None));
                    }
                    Fetched::Record {
                        content,
                        version,
                        write,
                        ..
                    } => (content, version, write),
                    Fetched::Settled {
                        content,
                        version,
                        write,
                        ..
                    } => (
                        Content {
                            is_unknown: true,
                            ..content
                        },
                        version,
                        write,
                    ),
                };
            let mut merged = None;
            if !content.is_unknown || content.revision >= revision {
                self.apply(job, &mut content, write)?;
                job.record = self.draft(&content, job.write, self.slots.clock().now())?;
                merged = Some(content);
            }
            let data = self.encode(id, job.record.plain.clone())?;
            match server.update(&key, version, data, job.record.expires).await {
                Ok(version) => return Ok((version, merged)),
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Lets the session go on in its cookie, of which the browser has shown that it has it.
    ///
    /// The record stays as long as the cookies do that are copies of it, and says what the session
    /// was when it left: an older cookie that comes late brings nothing older back.
    async fn settle_record(
        &self,
        server: &Server,
        id: &SessionId,
        version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, expires) = (id.record_key(), job.record.expires);
        match server
            .update(
                &key,
                version,
                self.encode(id, mem::take(&mut job.record.plain))?,
                expires,
            )
            .await
        {
            Ok(_) => Ok(Saved {
                id: None,
                version,
                expires,
                merged: None,
                place: Place::Cookie,
            }),
            Err(StoreError::Conflict) if job.changes() => self.swap_again(server, id, job).await,
            Err(error) if job.changes() => Err(error.into()),
            Err(error) => {
                self.report_untouched(&error);
                let place = Place::Record { is_written: false };
                Ok(Saved {
                    id: None,
                    version,
                    expires,
                    merged: None,
                    place,
                })
            }
        }
    }

    async fn swap_record(
        &self,
        server: &Server,
        id: &SessionId,
        version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, expires) = (id.record_key(), job.record.expires);
        let place = Place::Record { is_written: true };
        match server
            .update(
                &key,
                version,
                self.encode(id, mem::take(&mut job.record.plain))?,
                expires,
            )
            .await
        {
            Ok(version) => {
                return Ok(Saved {
                    id: None,
                    version,
                    expires,
                    merged: None,
                    place,
                });
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.swap_again(server, id, job).await
    }

    /// Those who lost once take turns, so that a busy session makes progress instead of noise.
    async fn swap_again(
        &self,
        server: &Server,
        id: &SessionId,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let key = id.record_key();
        let place = Place::Record { is_written: true };
        let _turn = server.turn(&key).await;
        for attempt in 0..RETRIES {
            let (content, version) = match self.merge(id, job).await? {
                Merged::Already(saved) => return Ok(saved),
                Merged::Again(content, version) => (content, version),
            };
            job.record = self.draft(&content, job.write, self.slots.clock().now())?;
            let expires = job.record.expires;
            match server
                .update(
                    &key,
                    version,
                    self.encode(id, mem::take(&mut job.record.plain))?,
                    expires,
                )
                .await
            {
                Ok(version) => {
                    return Ok(Saved {
                        id: None,
                        version,
                        expires,
                        merged: Some(content),
                        place,
                    });
                }
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Puts off the session's end. If that fails the session is none the worse, and the next
    /// request tries again.
    async fn touch_record(
        &self,
        server: &Server,
        id: &SessionId,
        mut version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, expires) = (id.record_key(), job.record.expires);
        let touched = if job.lists() {
            let updated = server
                .update(
                    &key,
                    version,
                    self.encode(id, mem::take(&mut job.record.plain))?,
                    expires,
                )
                .await;
            updated.map(|updated| version = updated)
        } else {
            server.touch(&key, version, expires).await
        };
        if let Err(error) = touched {
            self.report_untouched(&error);
        }
        Ok(Saved {
            id: None,
            version,
            expires,
            merged: None,
            place: Place::Record { is_written: false },
        })
    }

    /// That another request was faster is nothing to report.
    fn report_untouched(&self, error: &StoreError) {
        if !matches!(error, StoreError::Conflict | StoreError::Gone) {
            trace::touch_failed(self.name(), error);
        }
    }

    /// Reads the record again and applies this request's changes to it, unless they are in it
    /// already.
    async fn merge(&self, id: &SessionId, job: &mut Job) -> Result<Merged, Error> {
        let now = self.slots.clock().now();
        let (mut content, version, expires, write, place) = match self.fetch(id, now).await? {
            Fetched::Record {
                content,
                version,
                expires,
                write,
            } => (
                content,
                version,
                expires,
                write,
                Place::Record { is_written: true },
            ),
            // It has left the record meanwhile. Whoever has a copy goes on in the cookie as well.
            Fetched::Settled {
                content,
                version,
                expires,
                write,
            } if job.has_copy => (content, version, expires, write, Place::Cookie),
            _ => return Err(Error::new(ErrorKind::Gone)),
        };
        // Without a wait no answer gets lost, and writes have no ids.
        let waits = !self.named().never_waits;
        if waits && write == job.write {
            return Ok(Merged::Already(Saved {
                id: None,
                version,
                expires,
                merged: Some(content),
                place,
            }));
        }
        self.apply(job, &mut content, write)?;
        content.is_unknown = false;
        // What has outgrown the cookie since goes on in the record.
        if place == Place::Cookie && self.named().fits_cookie(content.payload_len()) {
            return Ok(Merged::Already(Saved {
                id: None,
                version,
                expires,
                merged: Some(content),
                place,
            }));
        }
        Ok(Merged::Again(content, version))
    }

    /// Applies this request's changes to what that write left, but for those that came with it.
    fn apply(&self, job: &mut Job, content: &mut Content, write: WriteId) -> Result<(), Error> {
        let waits = !self.named().never_waits;
        let cut_off = job.cut_off.iter().find(|(id, _)| waits && *id == write);
        let done = cut_off.map_or(0, |(_, changes)| *changes);
        job.log
            .iter_mut()
            .skip(done)
            .try_for_each(|change| change.apply(content))
    }

    /// Moves the session to another ID.
    ///
    /// The new record is made first. Then the old one is marked as moved, by compare and swap: from
    /// there on nobody saves into it, and whoever deleted it before has won. Only then it is
    /// removed. At no step two IDs work for the visitor, and at no step none does without an error.
    async fn renew_record(
        &self,
        server: &Server,
        old: &SessionId,
        mut version: Version,
        id: &SessionId,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, new_key) = (old.record_key(), id.record_key());
        let mark = Bytes::from(moved_record(job.write));
        let mut merged = None;
        for attempt in 0..RETRIES {
            let new = self.create_record(server, id, None, job).await?;
            let until = self.slots.clock().now().saturating_add(MARK_LIFETIME);
            let marked = server.update(&key, version, mark.clone(), until).await;
            if marked.is_ok() || self.is_marked(server, &key, &mark).await {
                return match self.end_renewed(&key, job.record.member.as_ref()).await {
                    Ok(true) => Ok(Saved { merged, ..new }),
                    outcome => {
                        self.named().remove_record(&new_key).await;
                        Err(outcome.err().unwrap_or_else(|| Error::new(ErrorKind::Gone)))
                    }
                };
            }
            self.named().remove_record(&new_key).await;
            match marked {
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            let Merged::Again(content, current) = self.merge(old, job).await? else {
                return Err(Error::new(ErrorKind::Conflict));
            };
            job.record = self.draft(&content, job.write, self.slots.clock().now())?;
            // The other request may have given it a subject.
            self.enlist(job.record.member.as_ref(), new_key, Some(key))
                .await?;
            (merged, version) = (Some(content), current);
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Ends what the session was called before; `false` if that has been ended with its subject's
    /// other sessions.
    async fn end_renewed(
        &self,
        key: &RecordKey,
        member: Option<&Membership>,
    ) -> Result<bool, Error> {
        // Copies in cookies of the time before it was in a record.
        let revoked = self.named().revoke(key, self.slots.clock().now()).await;
        self.named().remove_record(key).await;
        revoked?;
        self.leaves(member, key).await
    }

    /// Whether the old record bears this request's mark although the store's answer did not say so.
    async fn is_marked(&self, server: &Server, key: &RecordKey, mark: &[u8]) -> bool {
        !self.named().never_waits
            && server
                .load(key)
                .await
                .is_ok_and(|record| record.is_some_and(|record| record.data() == mark))
    }
}

enum Merged {
    /// The record is what this save wrote: its answer had been lost.
    Already(Saved),
    Again(Content, Version),
}
