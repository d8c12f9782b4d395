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
    subject::Membership,
};
use crate::{
    clock::Timestamp,
    codec::TokenId,
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

/// A record about to be written.
struct Draft {
    plain: Bytes,
    expires: Timestamp,
    member: Membership,
}

#[derive(Clone)]
enum Step {
    Create { id: SessionId },
    Update { id: SessionId, version: Version },
    Renew { old: SessionId, version: Version, new: SessionId },
    Touch { id: SessionId, version: Version },
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
            return self.settle_cookie(last).await;
        };
        let Some(job) = self.begin(&mut self.slot().lock(), last)? else {
            return Ok(());
        };
        let mut pending = Pending { session: self, job };
        let saved = self.run(server, &mut pending.job).await?;
        let job = &mut pending.job;
        let (member, key, before) = (job.record.member.clone(), job.step.key(), job.step.key_before());
        self.finish(&mut self.slot().lock(), job, saved)?;
        drop(pending);
        self.tidy_listings(&member, &key, before.as_ref()).await;
        Ok(())
    }

    /// Decides what there is to do, and takes what it needs.
    fn begin(&self, state: &mut State, last: Last) -> Result<Option<Job>, Error> {
        let now = self.slots.clock().now();
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let Some(live) = &mut state.live else { return Ok(None) };
        let lifetime = Lifetime::of(&live.content, self.named());
        // A cookie of a new key is for sessions that are listed with a new key: see `Index::open`.
        let listing_due = live.content.subject.is_some()
            && (self.is_listing_due(&live.content) || state.cookie == CookieDuty::Refresh);
        let is_due = |expires| lifetime.is_worth_refreshing(now, expires) || listing_due;
        let step = match &live.origin {
            Some(Origin::Record { id, version, .. }) if state.renew => {
                Step::Renew { old: id.clone(), version: *version, new: SessionId::generate()? }
            }
            Some(Origin::Record { id, version, .. }) if changed => Step::Update { id: id.clone(), version: *version },
            Some(Origin::Record { id, version, expires, .. }) if last == Last::Yes && is_due(*expires) => {
                Step::Touch { id: id.clone(), version: *version }
            }
            None if changed && !live.content.is_empty() => Step::Create { id: SessionId::generate()? },
            _ => return Ok(None),
        };
        let needs_cookie = matches!(step, Step::Create { .. } | Step::Renew { .. });
        if needs_cookie && self.slots.is_over() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        if listing_due {
            let mut listed = Change::Listed(now);
            listed.apply(&mut live.content)?;
            state.log.push(listed);
        }
        let waits = !self.named().never_waits();
        let write = if waits { crypto::random()? } else { WriteId::default() };
        let record = match &step {
            Step::Touch { .. } if !listing_due => self.draft_touch(&live.content, Bytes::new(), now),
            Step::Touch { .. } => self.draft_touch(&live.content, live.content.encode_record(write).into(), now),
            _ => self.draft(&live.content, write, now)?,
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
        Ok(self.draft_touch(content, content.encode_record(write).into(), now))
    }

    /// Whatever the record's size is, it was taken before.
    fn draft_touch(&self, content: &Content, plain: Bytes, now: Timestamp) -> Draft {
        let expires = Lifetime::of(content, self.named()).expires(now);
        Draft { plain, expires, member: self.membership(content) }
    }

    /// The bytes of a record as the store gets them.
    fn encode(&self, id: &SessionId, plain: &Bytes) -> Result<Bytes, Error> {
        if self.named().encrypts_records { Ok(seal_record(id, plain)?.into()) } else { Ok(plain.clone()) }
    }

    async fn run(&self, server: &Server, job: &mut Job) -> Result<Saved, Error> {
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
        live.content.settle_listings();
        if let Some(mut content) = saved.merged {
            content.settle_listings();
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
    async fn settle_cookie(&self, last: Last) -> Result<(), Error> {
        let Some(settling) = self.begin_cookie(&mut self.slot().lock(), last)? else { return Ok(()) };
        let Settling { id, before, member, lists, .. } = &settling;
        let key = RecordKey::of(id);
        let mut since = None;
        if member.is_new() || before.is_some() {
            since = self.enlist(member, key, *before).await?;
        } else if *lists {
            match self.enlist(member, key, None).await {
                Ok(listed) => since = listed,
                Err(error) => {
                    trace::touch_failed(self.name(), &error);
                    self.slot().lock().cookie.withdraw_refresh();
                    return Ok(());
                }
            }
        }
        if let Some(before) = before
            && !self.named().end(before, self.slots.clock().now()).await?
        {
            self.delist(member, &key).await;
            return Err(Error::new(ErrorKind::Gone));
        }
        self.tidy_listings(member, &key, before.as_ref()).await;
        self.finish_cookie(&mut self.slot().lock(), &settling, since);
        Ok(())
    }

    /// Decides what the cookie will be.
    fn begin_cookie(&self, state: &mut State, last: Last) -> Result<Option<Settling>, Error> {
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let Some(live) = &mut state.live else { return Ok(None) };
        let now = self.slots.clock().now();
        let lists = live.content.subject.is_some()
            && (self.is_listing_due(&live.content) || state.cookie == CookieDuty::Refresh);
        let duty = match &live.origin {
            None if live.content.is_empty() => return Ok(None),
            Some(Origin::Token { issued, .. }) if !changed => {
                let lifetime = Lifetime::of(&live.content, self.named());
                let due = lifetime.is_worth_refreshing(now, lifetime.expires(*issued));
                if due || lists { CookieDuty::Refresh } else { CookieDuty::Nothing }
            }
            _ => {
                self.named().check_size(live.content.payload_len()).map_err(Error::new)?;
                CookieDuty::Set
            }
        };
        if last == Last::No {
            return Ok(None);
        }
        let (id, before) = match &live.origin {
            Some(Origin::Token { id, .. }) if !state.renew => (*id, None),
            _ => (crypto::random()?, live.key()),
        };
        Ok(Some(Settling { id, before, member: self.membership(&live.content), lists, duty }))
    }

    fn finish_cookie(&self, state: &mut State, settling: &Settling, since: Option<Timestamp>) {
        let now = self.slots.clock().now();
        let Some(live) = &mut state.live else { return };
        if state.renew || live.origin.is_none() {
            live.origin = Some(Origin::Token { id: settling.id, issued: now });
            state.renew = false;
        }
        live.content.settle_listings();
        if let (Some(since), Some(subject)) = (since, &mut live.content.subject) {
            (subject.since, subject.listed) = (since, now);
        }
        state.owe(settling.duty);
    }
}

/// A cookie about to be made.
struct Settling {
    id: TokenId,
    /// What the session was called before, if it is renewed.
    before: Option<RecordKey>,
    member: Membership,
    /// Whether it is time to tell the listing that the session is in use.
    lists: bool,
    duty: CookieDuty,
}

impl Step {
    /// What the session is called when the step is done.
    fn key(&self) -> RecordKey {
        match self {
            Self::Create { id } | Self::Update { id, .. } | Self::Touch { id, .. } => id.record_key(),
            Self::Renew { new, .. } => new.record_key(),
        }
    }

    /// What it was called before, if that is another key.
    fn key_before(&self) -> Option<RecordKey> {
        if let Self::Renew { old, .. } = self { Some(old.record_key()) } else { None }
    }
}

impl Job {
    /// Whether the listing is told that the session is in use.
    fn lists(&self) -> bool {
        self.log.iter().any(|change| matches!(change, Change::Listed(_)))
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
