//! From a changed session to its record: create, update, renew, touch.
//!
//! Saving compares and swaps. When another request was faster, the record is read again, this request's
//! changes are applied to it, and the save is tried again. A record that is gone stays gone.

use std::time::Duration;

use super::{
    Session,
    change::Change,
    content::{Content, WriteId, moved_record, seal_record},
    state::{CookieDuty, Lifetime, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    crypto,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    store::{Bytes, Server, StoreError, Version},
    trace,
};

/// How often a save is tried again after a conflict.
const RETRIES: u32 = 128;
/// How long the mark of a renewed session stays if it cannot be removed at once.
const MARK_LIFETIME: Duration = Duration::from_secs(60);

/// A save under way. What it takes from the session's state goes back there if it does not succeed.
struct Job {
    step: Step,
    record: Draft,
    log: Vec<Change>,
    write: WriteId,
    cut_off: Vec<(WriteId, usize)>,
}

/// A record about to be written, under an ID that may not be known yet.
struct Draft {
    plain: Bytes,
    expires: Timestamp,
}

#[derive(Clone)]
enum Step {
    Create,
    Update(SessionId, Version),
    Renew(SessionId, Version),
    Touch(RecordKey, Version),
}

/// What became of a save.
struct Saved {
    /// The ID the session goes under from now on, if it is another.
    id: Option<SessionId>,
    version: Version,
    expires: Timestamp,
    /// The content as it is in the store, if it is not what this request saw.
    merged: Option<Content>,
}

/// Whether there will be another save in this request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Last {
    Yes,
    No,
}

impl Session {
    /// Brings what was changed into the store, for a caller whose turn it is. A session in a cookie has no
    /// store: there it is checked that the cookie will not be too large.
    pub(super) async fn save_in_turn(&self, last: Last) -> Result<(), Error> {
        if self.slot().lock().needs_opening() {
            self.open_in_turn().await?;
        }
        let Ok(server) = self.named().backend.server() else {
            return self.settle_cookie(&mut self.slot().lock(), last);
        };
        let Some(job) = self.begin(&mut self.slot().lock(), last)? else {
            return Ok(());
        };
        let mut pending = Pending { session: self, job };
        let saved = self.run(server, &mut pending.job).await?;
        self.finish(&mut self.slot().lock(), &mut pending.job, saved)
    }

    /// Decides what there is to do, and takes what it needs.
    fn begin(&self, state: &mut State, last: Last) -> Result<Option<Job>, Error> {
        let now = self.slots.clock().now();
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let Some(live) = &state.live else { return Ok(None) };
        let lifetime = Lifetime::of(&live.content, self.named());
        let step = match &live.origin {
            Some(Origin::Record { id, version, .. }) if state.renew => Step::Renew(id.clone(), *version),
            Some(Origin::Record { id, version, .. }) if changed => Step::Update(id.clone(), *version),
            Some(Origin::Record { key, version, expires, .. })
                if last == Last::Yes && lifetime.is_worth_refreshing(now, *expires) =>
            {
                Step::Touch(*key, *version)
            }
            None if changed && !live.content.frames.is_empty() => Step::Create,
            _ => return Ok(None),
        };
        let needs_cookie = matches!(step, Step::Create | Step::Renew(..));
        if needs_cookie && self.slots.is_over() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        let waits = !self.named().never_waits();
        let write = if waits { crypto::random()? } else { WriteId::default() };
        let record = if matches!(step, Step::Touch(..)) {
            Draft { plain: Bytes::new(), expires: lifetime.expires(now) }
        } else {
            self.draft(&live.content, write, now)?
        };
        if let Some(Origin::Record { expires, .. }) = live.origin
            && lifetime.is_worth_refreshing(now, expires)
            && lifetime.outlasts_cookie(now, &live.content, self.named())
        {
            state.owe(CookieDuty::Refresh);
        }
        let (log, cut_off) = (std::mem::take(&mut state.log), std::mem::take(&mut state.cut_off));
        Ok(Some(Job { step, record, log, write, cut_off }))
    }

    /// After the request has ended, only what was changed since it was loaded again can be saved.
    fn check_not_over(&self, state: &mut State, last: Last) -> Result<(), Error> {
        let late = std::mem::take(&mut state.too_late) || (state.is_changed() && !state.reopened);
        if late && last == Last::No && self.slots.is_closed() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        Ok(())
    }

    fn draft(&self, content: &Content, write: WriteId, now: Timestamp) -> Result<Draft, Error> {
        self.named().check_size(content.payload_len()).map_err(Error::new)?;
        let expires = Lifetime::of(content, self.named()).expires(now);
        Ok(Draft { plain: content.encode_record(write).into(), expires })
    }

    /// The bytes of a record as the store gets them.
    fn encode(&self, id: &SessionId, plain: &Bytes) -> Result<Bytes, Error> {
        if self.named().encrypts_records { Ok(seal_record(id, plain)?.into()) } else { Ok(plain.clone()) }
    }

    async fn run(&self, server: &Server, job: &mut Job) -> Result<Saved, Error> {
        match job.step.clone() {
            Step::Create => self.create_record(server, &job.record).await,
            Step::Update(id, version) => self.update_record(server, &id, version, job).await,
            Step::Renew(id, version) => self.renew_record(server, &id, version, job).await,
            Step::Touch(key, version) => {
                let expires = job.record.expires;
                match server.touch(&key, version, expires).await {
                    Ok(()) | Err(StoreError::Conflict | StoreError::Gone) => {}
                    Err(error) => trace::touch_failed(self.name(), &error),
                }
                Ok(Saved { id: None, version, expires, merged: None })
            }
        }
    }

    async fn create_record(&self, server: &Server, record: &Draft) -> Result<Saved, Error> {
        let id = SessionId::generate()?;
        let data = self.encode(&id, &record.plain)?;
        let version = server.create(&id.record_key(), data, record.expires).await?;
        Ok(Saved { id: Some(id), version, expires: record.expires, merged: None })
    }

    async fn update_record(
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
            let Draft { plain, expires } = self.draft(&content, job.write, self.slots.clock().now())?;
            match server.update(&key, version, self.encode(id, &plain)?, expires).await {
                Ok(version) => return Ok(Saved { id: None, version, expires, merged: Some(content) }),
                Err(StoreError::Conflict) => server.back_off(attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorKind::Conflict))
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
        job: &mut Job,
    ) -> Result<Saved, Error> {
        let key = old.record_key();
        let mark = Bytes::from(moved_record(job.write));
        let mut merged = None;
        for attempt in 0..RETRIES {
            let new = self.create_record(server, &job.record).await?;
            let until = self.slots.clock().now().saturating_add(MARK_LIFETIME);
            let marked = server.update(&key, version, mark.clone(), until).await;
            if marked.is_ok() || self.is_marked(server, &key, &mark).await {
                self.remove_record(server, &key).await;
                return Ok(Saved { merged, ..new });
            }
            if let Some(id) = &new.id {
                self.remove_record(server, &id.record_key()).await;
            }
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

    /// Enters the outcome into the state. Until then, the job's end gives back what `begin` took.
    fn finish(&self, state: &mut State, job: &mut Job, saved: Saved) -> Result<(), Error> {
        let log = std::mem::take(&mut job.log);
        let Some(live) = &mut state.live else { return Ok(()) };
        let shows = saved.id.is_some() || log.iter().any(Change::shows_in_cookie);
        let (version, expires) = (saved.version, saved.expires);
        if let Some(id) = saved.id {
            state.renew = false;
            state.source = Source::Known(id.clone());
            let key = id.record_key();
            live.origin = Some(Origin::Record { id, key, version, expires });
        } else if let Some(Origin::Record { version: old, expires: until, .. }) = &mut live.origin {
            (*old, *until) = (version, expires);
        }
        if let Some(content) = saved.merged {
            live.content = content;
            for change in &mut state.log {
                change.apply(&mut live.content)?;
            }
        }
        if shows {
            state.owe(CookieDuty::Set);
        }
        Ok(())
    }

    /// A cookie session is saved by its cookie. Before the response goes, only its size can be wrong.
    fn settle_cookie(&self, state: &mut State, last: Last) -> Result<(), Error> {
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let Some(live) = &mut state.live else { return Ok(()) };
        let now = self.slots.clock().now();
        let duty = match &live.origin {
            None if live.content.frames.is_empty() => return Ok(()),
            Some(Origin::Token { issued, .. }) if !changed => {
                let lifetime = Lifetime::of(&live.content, self.named());
                let due = lifetime.is_worth_refreshing(now, lifetime.expires(*issued));
                if due { CookieDuty::Refresh } else { CookieDuty::Nothing }
            }
            _ => {
                self.named().check_size(live.content.payload_len()).map_err(Error::new)?;
                CookieDuty::Set
            }
        };
        if last == Last::No {
            return Ok(());
        }
        if state.renew || live.origin.is_none() {
            state.superseded = live.key();
            live.origin = Some(Origin::Token { id: crypto::random()?, issued: now });
            state.renew = false;
        }
        state.owe(duty);
        Ok(())
    }
}

enum Merged {
    /// The record is what this save wrote: its answer had been lost.
    Already(Saved),
    Again(Content, Version),
}

/// Gives back to the session's state what a job has taken and not saved, also if it is cancelled.
struct Pending<'a> {
    session: &'a Session,
    job: Job,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Job { log, cut_off, write, .. } = &mut self.job;
        if log.is_empty() {
            return;
        }
        let state = &mut self.session.slot().lock();
        cut_off.push((*write, log.len()));
        state.cut_off = std::mem::take(cut_off);
        // Changes made while the save ran stay behind those it carried.
        log.append(&mut state.log);
        state.log = std::mem::take(log);
    }
}
