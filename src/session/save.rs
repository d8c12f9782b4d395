//! From a changed session to its record: create, update, renew, touch.
//!
//! Saving compares and swaps. When another request was faster, the record is read again, this request's
//! changes are applied to it, and the save is tried again. A record that is gone stays gone.

use std::time::Duration;

use super::{
    Session,
    change::Change,
    content::{Content, MOVED, WriteId, seal_record},
    state::{CookieDuty, Lifetime, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    crypto,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    store::{self, Bytes, Server, StoreError, Version},
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
    cut_off: Option<(WriteId, usize)>,
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
    /// Brings what was changed into the store. A session in a cookie has none: there it is checked that
    /// the cookie will not be too large.
    pub(super) async fn save_changes(&self, last: Last) -> Result<(), Error> {
        let Ok(server) = self.named().backend.server() else {
            if self.slot().lock().needs_opening() {
                self.open().await?;
            }
            return self.settle_cookie(&mut self.slot().lock(), last);
        };
        if server.never_waits() {
            return self.save_now(server, last);
        }
        let _turn = self.slot().turn.lock().await;
        if self.slot().lock().needs_opening() {
            self.open_in_turn().await?;
        }
        let Some(job) = self.begin(&mut self.slot().lock(), last)? else {
            return Ok(());
        };
        let mut pending = Pending { session: self, job: Some(job) };
        let saved = match pending.job.as_mut() {
            Some(job) => self.run(server, job).await,
            None => return Ok(()),
        };
        match pending.job.take() {
            Some(job) => self.finish(&mut self.slot().lock(), job, saved),
            None => Ok(()),
        }
    }

    fn save_now(&self, server: &Server, last: Last) -> Result<(), Error> {
        let state = &mut self.slot().lock();
        if state.is_changed() {
            self.ensure_open(state)?;
        }
        let Some(mut job) = self.begin(state, last)? else {
            return Ok(());
        };
        let saved = store::now(self.run(server, &mut job)).unwrap_or_else(|| Err(Error::new(ErrorKind::Store)));
        self.finish(state, job, saved)
    }

    /// Decides what there is to do, and takes what it needs.
    fn begin(&self, state: &mut State, last: Last) -> Result<Option<Job>, Error> {
        let now = self.slots.clock().now();
        let changed = state.is_changed();
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
        if needs_cookie && last == Last::No && self.slots.is_closed() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        let waits = !self.named().never_waits();
        let write = if waits { crypto::random()? } else { WriteId::default() };
        let record = if matches!(step, Step::Touch(..)) {
            Draft { plain: Bytes::new(), expires: lifetime.expires(now) }
        } else {
            self.draft(&live.content, write, now)?
        };
        let log = std::mem::take(&mut state.log);
        Ok(Some(Job { step, record, log, write, cut_off: state.cut_off.take() }))
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
        let waits = !self.named().never_waits();
        if waits && write == job.write {
            return Ok(Merged::Already(Saved { id: None, version, expires, merged: Some(content) }));
        }
        let done = job.cut_off.filter(|(cut_off, _)| waits && *cut_off == write).map_or(0, |(_, changes)| changes);
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
        let mut merged = None;
        for attempt in 0..RETRIES {
            let new = self.create_record(server, &job.record).await?;
            let Some(id) = &new.id else { return Ok(new) };
            let until = self.slots.clock().now().saturating_add(MARK_LIFETIME);
            let marked = server.update(&key, version, Bytes::from_static(MOVED), until).await;
            let Err(error) = marked else {
                self.remove_record(server, &key).await;
                return Ok(Saved { merged, ..new });
            };
            self.remove_record(server, &id.record_key()).await;
            if !matches!(error, StoreError::Conflict) {
                return Err(error.into());
            }
            server.back_off(attempt).await?;
            let now = self.slots.clock().now();
            let fetched = self.fetch(old, now).await?;
            let (mut content, current, ..) = fetched.map_err(|_| Error::new(ErrorKind::Gone))?;
            for change in &mut job.log {
                change.apply(&mut content)?;
            }
            job.record = self.draft(&content, job.write, now)?;
            (merged, version) = (Some(content), current);
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    async fn remove_record(&self, server: &Server, key: &RecordKey) {
        if let Err(error) = server.delete(key).await {
            trace::left_behind(self.name(), &error);
        }
    }

    /// Enters the outcome into the state; a failure gives back what `begin` took.
    fn finish(&self, state: &mut State, mut job: Job, saved: Result<Saved, Error>) -> Result<(), Error> {
        let saved = match saved {
            Ok(saved) => saved,
            Err(error) => {
                job.put_back(state);
                return Err(error);
            }
        };
        let Some(live) = &mut state.live else { return Ok(()) };
        if let Some(mut content) = saved.merged {
            for change in &mut state.log {
                change.apply(&mut content)?;
            }
            live.content = content;
        }
        let shows = saved.id.is_some() || job.log.iter().any(Change::shows_in_cookie);
        let (id, key) = match (saved.id, &live.origin) {
            (Some(id), _) => {
                state.renew = false;
                state.source = Source::Known(id.clone());
                let key = id.record_key();
                (id, key)
            }
            (None, Some(Origin::Record { id, key, .. })) => (id.clone(), *key),
            (None, _) => return Ok(()),
        };
        live.origin = Some(Origin::Record { id, key, version: saved.version, expires: saved.expires });
        if shows {
            state.owe(CookieDuty::Set);
        }
        Ok(())
    }

    /// A cookie session is saved by its cookie. Before the response goes, only its size can be wrong.
    fn settle_cookie(&self, state: &mut State, last: Last) -> Result<(), Error> {
        let changed = state.is_changed();
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

impl Job {
    /// Changes made while the save ran stay behind those it carried.
    fn put_back(&mut self, state: &mut State) {
        let carried = self.log.len();
        self.log.append(&mut state.log);
        state.log = std::mem::take(&mut self.log);
        state.cut_off = Some((self.write, carried));
    }
}

/// Gives back what the job took if the save is cancelled.
struct Pending<'a> {
    session: &'a Session,
    job: Option<Job>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(job) = &mut self.job {
            job.put_back(&mut self.session.slot().lock());
        }
    }
}
