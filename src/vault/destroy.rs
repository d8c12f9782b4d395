//! Ending a session at once, whatever its name is by now.
//!
//! A logout wins against a renewal that is under way or has just finished: it finds the renewal's
//! mark in the session's old place and follows it to the session's new name.

use super::{
    ends::{Ending, MARK_LIFETIME},
    records::{Vault, is_own, load_all, next_answer},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Fate, Mark, Name, Unreadable},
    error::{Error, ErrorKind},
    id::SessionId,
    join,
    report::Swap,
    store::{Bytes, Read, Record, RecordKind, StoreError, Version},
};

const DESTROY: Policy = Policy::new(Swap::Destroy, Queue::AfterLoss);

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

/// What a name stood for before the logout.
enum NameStatus {
    Nothing,
    Session,
    /// It had already ended.
    Ended,
    /// It ended so long ago that nobody follows it any longer.
    LongOver,
    Renewed(Name),
}

/// What occupies a session's record. The session may be another visitor's.
enum Occupant {
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
        let mark = self.end_mark()?;
        let names: Vec<_> = doomed.iter().map(|one| self.name(&one.id)).collect();
        let ends = doomed.iter().zip(&names);
        let ends = ends.map(|(session, name)| self.remember(name, session.created, &mark));
        let before = join::all(ends.collect()).await;
        let occupants = self.occupants(doomed).await?;
        let found = before.into_iter().zip(occupants);
        let ends = doomed.iter().zip(&names).zip(found);
        let ends =
            ends.map(|((session, name), found)| self.destroy_one(session, name, found, &mark));
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
        (before, occupant): (Result<NameStatus, Error>, Option<Occupant>),
        mark: &Mark,
    ) -> Result<bool, Error> {
        let status = self.end_name(name, before?, occupant, mark).await?;
        let is_lost = match status {
            NameStatus::Nothing => session.version.is_some(),
            NameStatus::LongOver => session.is_open,
            NameStatus::Session | NameStatus::Ended | NameStatus::Renewed(_) => false,
        };
        if is_lost {
            return Err(Error::new(ErrorKind::Gone));
        }
        let was_there = matches!(status, NameStatus::Session | NameStatus::Renewed(_));
        self.follow(status, session.created, mark).await?;
        Ok(was_there)
    }

    /// Finds out what the records of these sessions hold. Those that the request does not have open
    /// are loaded in one call.
    async fn occupants(&self, doomed: &[Doomed]) -> Result<Vec<Option<Occupant>>, Error> {
        let Some(records) = self.record_store() else {
            return Ok(doomed.iter().map(|_| None).collect());
        };
        let unknown = doomed.iter().filter(|session| session.version.is_none());
        let keys: Vec<_> = unknown.map(|session| session.id.record_key()).collect();
        let mut loaded = load_all(records, &keys).await.into_iter();
        let occupant = |session: &Doomed| {
            Ok(Some(match session.version {
                Some(version) => Occupant::Session(version),
                None => self.occupant(&self.name(&session.id), next_answer(&mut loaded))?,
            }))
        };
        doomed.iter().map(occupant).collect()
    }

    async fn follow(
        &self,
        mut status: NameStatus,
        created: Timestamp,
        mark: &Mark,
    ) -> Result<(), Error> {
        for _ in 0..MAX_HOPS {
            let NameStatus::Renewed(name) = status else {
                return Ok(());
            };
            let before = self.remember(&name, created, mark).await?;
            let occupant = match self.record_store() {
                Some(records) => {
                    let record = records.load(&name.key, Read::Current).await;
                    Some(self.occupant(&name, record)?)
                }
                None => None,
            };
            status = self.end_name(&name, before, occupant, mark).await?;
        }
        match status {
            NameStatus::Renewed(_) => Err(Error::new(ErrorKind::Conflict)),
            _ => Ok(()),
        }
    }

    /// Remembers the end, if ends are remembered. This precedes the look at the record, so a
    /// session on its way from the cookie into the store, or to another name, finds that it has
    /// ended, or its record is found.
    async fn remember(
        &self,
        name: &Name,
        created: Timestamp,
        mark: &Mark,
    ) -> Result<NameStatus, Error> {
        if self.settings.ends().is_none() {
            return Ok(NameStatus::Nothing);
        }
        Ok(match self.set_end(&name.key, mark, created).await? {
            None => NameStatus::Session,
            Some(Ending::Marked(before)) => NameStatus::of(before),
            Some(Ending::LongAgo) => NameStatus::LongOver,
        })
    }

    /// Ends the session under one name. `before` is what its end showed.
    async fn end_name(
        &self,
        name: &Name,
        before: NameStatus,
        occupant: Option<Occupant>,
        mark: &Mark,
    ) -> Result<NameStatus, Error> {
        let Some(occupant) = occupant else {
            return Ok(before);
        };
        let record = self.end_record(name, occupant, mark).await?;
        // A renewal marks the record first, so it may not have set the end yet. A renewal that has
        // set it is followed, even if a late request has created the record anew.
        let tells_more = !matches!(record, NameStatus::Nothing | NameStatus::Ended);
        let is_followed = matches!(before, NameStatus::Renewed(_));
        let is_record = matches!(before, NameStatus::Nothing) || (tells_more && !is_followed);
        Ok(if is_record { record } else { before })
    }

    /// Replaces a record with a mark, by compare and swap. An encrypted record whose ID is not
    /// known is removed instead, as nobody could read the mark.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if only a sealed mark tells what became of the session.
    async fn end_record(
        &self,
        name: &Name,
        mut occupant: Occupant,
        mark: &Mark,
    ) -> Result<NameStatus, Error> {
        let bytes = Bytes::from(name.encode(mark)?);
        let until = self.now().saturating_add(MARK_LIFETIME);
        let mut rounds = Rounds::start(self.records()?, &name.key, DESTROY).await?;
        loop {
            let version = match occupant {
                Occupant::Nothing => return Ok(NameStatus::Nothing),
                Occupant::Marked(mark) => return Ok(NameStatus::of(mark)),
                Occupant::Session(version) => version,
                // Its remembered end tells the same.
                Occupant::Sealed if self.settings.ends().is_some() => {
                    return Ok(NameStatus::Nothing);
                }
                Occupant::Sealed => return Err(Error::new(ErrorKind::Gone)),
            };
            let records = rounds.store();
            let ended = if self.has_sealed_marks(name) {
                records.delete(&name.key, Some(version)).await
            } else {
                let expiry = self.expiry(until);
                let marked = records.update(&name.key, version, bytes.clone(), expiry);
                marked.await.0.map(drop)
            };
            let Err(error) = ended else {
                return Ok(NameStatus::Session);
            };
            let is_known = matches!(error, StoreError::Conflict | StoreError::Gone);
            occupant = match self.occupant(name, records.load(&name.key, Read::Current).await) {
                Ok(Occupant::Marked(found)) if is_own(found.write, Some(mark.write)) => {
                    return Ok(NameStatus::Session);
                }
                Ok(occupant) if is_known => occupant,
                Err(failed) if is_known => return Err(failed),
                _ => return Err(error.into()),
            };
            if matches!(error, StoreError::Conflict) {
                rounds.lost().await?;
            }
        }
    }

    /// Returns whether marks under this name are sealed by an ID that is not known.
    fn has_sealed_marks(&self, name: &Name) -> bool {
        self.settings.encrypts_records && !name.is_sealed()
    }

    /// Reads what a record holds. A damaged mark tells nothing, and is replaced.
    fn occupant(
        &self,
        name: &Name,
        record: Result<Option<Record>, StoreError>,
    ) -> Result<Occupant, Error> {
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(Occupant::Nothing),
            Err(error) => return Err(error.into()),
        };
        match RecordKind::of(record.data()) {
            Some(RecordKind::Mark) if self.has_sealed_marks(name) => return Ok(Occupant::Sealed),
            // The key may be from a listing of the whole store.
            Some(RecordKind::Roster | RecordKind::End) => return Ok(Occupant::Nothing),
            _ => {}
        }
        match name.decode(record.data()) {
            Ok(Some(mark)) => Ok(Occupant::Marked(mark)),
            Ok(None) | Err(Unreadable::Damaged) => Ok(Occupant::Session(record.version())),
            Err(Unreadable::Later) => Err(Error::new(ErrorKind::LaterFormat)),
        }
    }
}

impl NameStatus {
    fn of(mark: Mark) -> Self {
        match mark.fate {
            Fate::Ended => Self::Ended,
            Fate::Renewed(successor) => Self::Renewed(successor),
        }
    }
}
