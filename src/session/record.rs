//! From a session to its record: create, update, renew, touch.
//!
//! Saving compares and swaps. When another request was faster, the record is read again, this request's
//! changes are applied to it, and the save is tried again. A record that is gone stays gone.

use std::time::Duration;

use super::{
    Session,
    content::{Content, WriteId, moved_record, seal_record},
    save::{Draft, Job, Saved, Step},
    state::Lifetime,
    subject::Membership,
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
    pub(super) fn draft(&self, content: &Content, write: WriteId, now: Timestamp) -> Result<Draft, Error> {
        self.named().check_size(content.payload_len()).map_err(Error::new)?;
        Ok(self.draft_touch(content, content.encode_record(write).into(), now))
    }

    /// Whatever the record's size is, it was taken before.
    pub(super) fn draft_touch(&self, content: &Content, plain: Bytes, now: Timestamp) -> Draft {
        let expires = Lifetime::of(content, self.named()).expires(now);
        Draft { plain, expires, member: self.membership(content) }
    }

    /// The bytes of a record as the store gets them.
    fn encode(&self, id: &SessionId, plain: &Bytes) -> Result<Bytes, Error> {
        if self.named().encrypts_records { Ok(seal_record(id, plain)?.into()) } else { Ok(plain.clone()) }
    }

    pub(super) async fn run(&self, server: &Server, job: &mut Job) -> Result<Saved, Error> {
        match job.step.clone() {
            Step::Create { id } => self.create_record(server, id, None, &job.record).await,
            Step::Update { id, version } => self.update_record(server, &id, version, job).await,
            Step::Renew { old, version, new } => self.renew_record(server, &old, version, new, job).await,
            Step::Touch { id, version } => self.touch_record(server, &id, version, job).await,
        }
    }

    /// Makes the record of a session that is listed already, so that nobody misses it who ends a subject's sessions.
    async fn create_record(
        &self,
        server: &Server,
        id: SessionId,
        before: Option<RecordKey>,
        record: &Draft,
    ) -> Result<Saved, Error> {
        let (key, member) = (id.record_key(), &record.member);
        self.enlist(member, key, before).await?;
        let created = server.create(&key, self.encode(&id, &record.plain)?, record.expires).await;
        let version = match created {
            Ok(version) => version,
            Err(error) => {
                self.delist(member, &key).await;
                return Err(error.into());
            }
        };
        if member.is_new() && !self.is_listed(member, &key).await? {
            self.remove_record(server, &key).await;
            return Err(Error::new(ErrorKind::Gone));
        }
        Ok(Saved { id: Some(id), version, expires: record.expires, merged: None })
    }

    async fn update_record(
        &self,
        server: &Server,
        id: &SessionId,
        version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, is_new) = (id.record_key(), job.record.member.is_new());
        if is_new {
            self.enlist(&job.record.member, key, None).await?;
        }
        let saved = self.swap_record(server, id, version, job).await?;
        if !is_new && job.lists() {
            self.relist(&job.record.member, key).await;
        }
        Ok(saved)
    }

    async fn swap_record(
        &self,
        server: &Server,
        id: &SessionId,
        version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, expires) = (id.record_key(), job.record.expires);
        match server.update(&key, version, self.encode(id, &job.record.plain)?, expires).await {
            Ok(version) => return Ok(Saved { id: None, version, expires, merged: None }),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        // Those who lost once take turns, so that a busy session makes progress instead of noise.
        let _turn = server.turn(&key).await;
        for attempt in 0..RETRIES {
            let (content, version) = match self.merge(id, job).await? {
                Merged::Already(saved) => return Ok(saved),
                Merged::Again(content, version) => (content, version),
            };
            job.record = self.draft(&content, job.write, self.slots.clock().now())?;
            let expires = job.record.expires;
            match server.update(&key, version, self.encode(id, &job.record.plain)?, expires).await {
                Ok(version) => return Ok(Saved { id: None, version, expires, merged: Some(content) }),
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Puts off the session's end. If that fails the session is none the worse, and the next request tries again.
    async fn touch_record(
        &self,
        server: &Server,
        id: &SessionId,
        mut version: Version,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let (key, expires) = (id.record_key(), job.record.expires);
        let touched = if job.lists() {
            let updated = server.update(&key, version, self.encode(id, &job.record.plain)?, expires).await;
            updated.map(|updated| version = updated)
        } else {
            server.touch(&key, version, expires).await
        };
        match touched {
            Ok(()) if job.lists() => self.relist(&job.record.member, key).await,
            Ok(()) | Err(StoreError::Conflict | StoreError::Gone) => {}
            Err(error) => trace::touch_failed(self.name(), &error),
        }
        Ok(Saved { id: None, version, expires, merged: None })
    }

    /// Tells the listing that the session is in use. If that fails, the browser keeps the cookie it has: one of a new
    /// key is for listed sessions only.
    async fn relist(&self, member: &Membership, key: RecordKey) {
        if let Err(error) = self.enlist(member, key, None).await {
            trace::touch_failed(self.name(), &error);
            self.slot().lock().cookie.withdraw_refresh();
        }
    }

    /// Reads the record again and applies this request's changes to it, unless they are in it already.
    async fn merge(&self, id: &SessionId, job: &mut Job) -> Result<Merged, Error> {
        let now = self.slots.clock().now();
        let fetched = self.fetch(id, now).await?;
        let (mut content, version, expires, write) = fetched.map_err(|_| Error::new(ErrorKind::Gone))?;
        // Without a wait no answer gets lost, and writes have no ids.
        let waits = !self.named().never_waits();
        if waits && write == job.write {
            return Ok(Merged::Already(Saved { id: None, version, expires, merged: Some(content) }));
        }
        let cut_off = job.cut_off.iter().find(|(id, _)| waits && *id == write);
        let done = cut_off.map_or(0, |(_, changes)| *changes);
        for change in job.log.iter_mut().skip(done) {
            change.apply(&mut content)?;
        }
        Ok(Merged::Again(content, version))
    }

    /// Moves the session to another ID.
    ///
    /// The new record is made first. Then the old one is marked as moved, by compare and swap: from there
    /// on nobody saves into it, and whoever deleted it before has won. Only then it is removed. At no step
    /// two IDs work for the visitor, and at no step none does without an error.
    async fn renew_record(
        &self,
        server: &Server,
        old: &SessionId,
        mut version: Version,
        id: SessionId,
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let key = old.record_key();
        let mark = Bytes::from(moved_record(job.write));
        let mut merged = None;
        for attempt in 0..RETRIES {
            let new = self.create_record(server, id.clone(), Some(key), &job.record).await?;
            let until = self.slots.clock().now().saturating_add(MARK_LIFETIME);
            let marked = server.update(&key, version, mark.clone(), until).await;
            if marked.is_ok() || self.is_marked(server, &key, &mark).await {
                self.remove_record(server, &key).await;
                return Ok(Saved { merged, ..new });
            }
            self.remove_record(server, &id.record_key()).await;
            self.delist(&job.record.member, &id.record_key()).await;
            match marked {
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(new),
            }
            let Merged::Again(content, current) = self.merge(old, job).await? else {
                return Err(Error::new(ErrorKind::Conflict));
            };
            job.record = self.draft(&content, job.write, self.slots.clock().now())?;
            (merged, version) = (Some(content), current);
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Whether the old record bears this request's mark although the store's answer did not say so.
    async fn is_marked(&self, server: &Server, key: &RecordKey, mark: &[u8]) -> bool {
        !self.named().never_waits()
            && server.load(key).await.is_ok_and(|record| record.is_some_and(|record| record.data() == mark))
    }

    async fn remove_record(&self, server: &Server, key: &RecordKey) {
        if let Err(error) = server.delete(key).await {
            trace::left_behind(self.name(), &error);
        }
    }
}

enum Merged {
    /// The record is what this save wrote: its answer had been lost.
    Already(Saved),
    Again(Content, Version),
}
