//! Ending a session at once, whatever its name is by now.
//!
//! A logout wins against a renewal that is under way or has just finished: it finds the renewal's
//! mark in the session's old place and follows it to the session's new name.

use super::{
    ends::{MARK_LIFETIME, Over},
    records::{Vault, is_own, load_all, next},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Fate, Mark, Name, Unreadable, Writes},
    error::{Error, ErrorKind},
    id::SessionId,
    join,
    store::{Bytes, Read, Record, RecordKind, StoreError, Version},
};

const DESTROY: Policy = Policy::new("destroy", Queue::AfterLoss);
/// How many renewals a logout follows.
const MAX_HOPS: usize = 8;

/// A session to end.
pub(crate) struct Doomed {
    pub(crate) id: SessionId,
    pub(crate) created: Timestamp,
    /// The request opened it, and it was alive.
    pub(crate) is_open: bool,
    /// The version of its record, if the request had it open.
    pub(crate) version: Option<Version>,
}

/// What a name stood for before it was ended.
enum Stood {
    Nothing,
    Session,
    /// It had already ended.
    Ended,
    /// It ended so long ago that nobody follows it any longer.
    LongOver,
    Renewed(Name),
}

/// What a session's record was seen to hold. The session may be another visitor's.
enum Seen {
    Nothing,
    Session(Version),
    Marked(Mark),
    /// A mark that only the holder of the session's ID can read.
    Sealed,
}

impl Vault<'_> {
    /// Ends these sessions, including under names they have received since. Returns how many of
    /// them were there. If ends are remembered, a session that may be in its cookie counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if a session that the request had open is not there and no mark tells
    /// what became of it, or only a sealed mark does: it may live under a new name.
    /// [`ErrorKind::Conflict`] if a session has had too many names, or others kept writing it;
    /// [`ErrorKind::StoreFailed`].
    pub(crate) async fn destroy(&self, doomed: &[Doomed]) -> Result<usize, Error> {
        let mark = Mark {
            fate: Fate::Ended,
            write: self.new_write()?.unwrap_or_default(),
            before: Writes::default(),
        };
        let names: Vec<_> = doomed.iter().map(|one| self.name(&one.id)).collect();
        let ends = doomed.iter().zip(&names);
        let ends = ends.map(|(session, name)| self.remember(name, session.created, &mark));
        let before = join::all(ends.collect()).await;
        let seen = self.look(doomed).await?;
        let stood = before.into_iter().zip(seen);
        let ends = doomed.iter().zip(&names).zip(stood);
        let ends =
            ends.map(|((session, name), stood)| self.destroy_one(session, name, stood, &mark));
        let (mut were_there, mut failure) = (0, None);
        for ended in join::all(ends.collect()).await {
            match ended {
                Ok(was_there) => were_there += usize::from(was_there),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(were_there), Err)
    }

    /// Ends one session. Returns whether it was there.
    async fn destroy_one(
        &self,
        session: &Doomed,
        name: &Name,
        (before, seen): (Result<Stood, Error>, Option<Seen>),
        mark: &Mark,
    ) -> Result<bool, Error> {
        let stood = self.end_name(name, before?, seen, mark).await?;
        let is_lost = match stood {
            Stood::Nothing => session.version.is_some(),
            Stood::LongOver => session.is_open,
            Stood::Session | Stood::Ended | Stood::Renewed(_) => false,
        };
        if is_lost {
            return Err(Error::new(ErrorKind::Gone));
        }
        let was_there = matches!(stood, Stood::Session | Stood::Renewed(_));
        self.follow(stood, session.created, mark).await?;
        Ok(was_there)
    }

    /// Finds out what the records of these sessions hold. Those that the request does not have open
    /// are loaded in one call.
    async fn look(&self, doomed: &[Doomed]) -> Result<Vec<Option<Seen>>, Error> {
        let Some(records) = self.record_store() else {
            return Ok(doomed.iter().map(|_| None).collect());
        };
        let unknown = doomed.iter().filter(|session| session.version.is_none());
        let keys: Vec<_> = unknown.map(|session| session.id.record_key()).collect();
        let mut loaded = load_all(records, &keys).await.into_iter();
        let see = |session: &Doomed| {
            Ok(Some(match session.version {
                Some(version) => Seen::Session(version),
                None => self.see(&self.name(&session.id), next(&mut loaded))?,
            }))
        };
        doomed.iter().map(see).collect()
    }

    async fn follow(&self, stood: Stood, created: Timestamp, mark: &Mark) -> Result<(), Error> {
        let mut stood = stood;
        for _ in 0..MAX_HOPS {
            let Stood::Renewed(name) = stood else {
                return Ok(());
            };
            let before = self.remember(&name, created, mark).await?;
            let seen = match self.record_store() {
                Some(records) => {
                    let record = records.load(&name.key, Read::Current).await;
                    Some(self.see(&name, record)?)
                }
                None => None,
            };
            stood = self.end_name(&name, before, seen, mark).await?;
        }
        match stood {
            Stood::Renewed(_) => Err(Error::new(ErrorKind::Conflict)),
            _ => Ok(()),
        }
    }

    /// Remembers the end, if ends are remembered. This precedes the look at the record, so a
    /// session on its way from the cookie into the store, or to another name, finds that it has
    /// ended, or its record is found.
    async fn remember(&self, name: &Name, created: Timestamp, mark: &Mark) -> Result<Stood, Error> {
        if self.settings.ends().is_none() {
            return Ok(Stood::Nothing);
        }
        Ok(
            match self.set_end(&name.key, mark.clone(), created).await? {
                None => Stood::Session,
                Some(Over::Marked(before)) => Stood::of(before),
                Some(Over::Long) => Stood::LongOver,
            },
        )
    }

    /// Ends the session under one name. `before` is what its end showed.
    async fn end_name(
        &self,
        name: &Name,
        before: Stood,
        seen: Option<Seen>,
        mark: &Mark,
    ) -> Result<Stood, Error> {
        let Some(seen) = seen else { return Ok(before) };
        let record = self.end_record(name, seen, mark).await?;
        // A renewal marks the record first, so it may not have set the end yet. A renewal that has
        // set it is followed, even if a late request has created the record anew.
        let tells_more = !matches!(record, Stood::Nothing | Stood::Ended);
        let is_followed = matches!(before, Stood::Renewed(_));
        let is_record = matches!(before, Stood::Nothing) || (tells_more && !is_followed);
        Ok(if is_record { record } else { before })
    }

    /// Replaces a record with a mark, by compare and swap. An encrypted record whose ID is not
    /// known is removed instead, as nobody could read the mark.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if only a sealed mark tells what became of the session.
    async fn end_record(&self, name: &Name, seen: Seen, mark: &Mark) -> Result<Stood, Error> {
        let bytes = Bytes::from(name.encode(mark)?);
        let until = self.now().saturating_add(MARK_LIFETIME);
        let mut seen = seen;
        let mut rounds = Rounds::start(self.records()?, &name.key, DESTROY).await?;
        loop {
            let version = match seen {
                Seen::Nothing => return Ok(Stood::Nothing),
                Seen::Marked(mark) => return Ok(Stood::of(mark)),
                Seen::Session(version) => version,
                // Its remembered end tells the same.
                Seen::Sealed if self.settings.ends().is_some() => return Ok(Stood::Nothing),
                Seen::Sealed => return Err(Error::new(ErrorKind::Gone)),
            };
            let records = rounds.store();
            let ended = if self.is_blind(name) {
                records.delete(&name.key, Some(version)).await
            } else {
                let expiry = self.expiry(until);
                let marked = records.update(&name.key, version, bytes.clone(), expiry);
                marked.await.0.map(drop)
            };
            let Err(error) = ended else {
                return Ok(Stood::Session);
            };
            let is_known = matches!(error, StoreError::Conflict | StoreError::Gone);
            if !is_known && self.settings.never_waits {
                return Err(error.into());
            }
            seen = match self.see(name, records.load(&name.key, Read::Current).await) {
                Ok(Seen::Marked(found)) if is_own(found.write, Some(mark.write)) => {
                    return Ok(Stood::Session);
                }
                Ok(seen) if is_known => seen,
                Err(failed) if is_known => return Err(failed),
                _ => return Err(error.into()),
            };
            if matches!(error, StoreError::Conflict) {
                rounds.lost().await?;
            }
        }
    }
}

impl Vault<'_> {
    /// Returns whether marks under this name are sealed by an ID that is not known.
    fn is_blind(&self, name: &Name) -> bool {
        self.settings.encrypts_records && !name.is_sealed()
    }

    /// Reads what a record holds. A damaged mark tells nothing, and is replaced.
    fn see(&self, name: &Name, record: Result<Option<Record>, StoreError>) -> Result<Seen, Error> {
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(Seen::Nothing),
            Err(error) => return Err(error.into()),
        };
        match RecordKind::of(record.data()) {
            Some(RecordKind::Mark) if self.is_blind(name) => return Ok(Seen::Sealed),
            // The key may be from a listing of the whole store.
            Some(RecordKind::Roster | RecordKind::End) => return Ok(Seen::Nothing),
            _ => {}
        }
        match name.decode(record.data()) {
            Ok(Some(mark)) => Ok(Seen::Marked(mark)),
            Ok(None) | Err(Unreadable::Damaged) => Ok(Seen::Session(record.version())),
            Err(Unreadable::Later) => Err(Error::new(ErrorKind::LaterFormat)),
        }
    }
}

impl Stood {
    fn of(mark: Mark) -> Self {
        match mark.fate {
            Fate::Ended => Self::Ended,
            Fate::Renewed(successor) => Self::Renewed(successor),
        }
    }
}
