//! Reading and changing the rosters of subjects.

use super::{
    own::{RefusedWrite, note, note_first},
    records::{Vault, next_answer},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    content::Subject,
    error::{Error, ErrorKind},
    id::RecordKey,
    join,
    report::{Cause, Swap},
    roster::{Roster, Rosters},
    state::Enrolment,
    store::{Calls, Sent, StoreError, Version},
    trace,
};

const CHANGE: Policy = Policy::new(Swap::Roster, Queue::AfterLoss);

impl Vault<'_> {
    /// Returns whether the session is still in its subject's roster, and has not been ended there.
    pub(super) async fn is_enrolled(
        &self,
        enrolment: Option<&Enrolment>,
        key: &RecordKey,
    ) -> Result<bool, Error> {
        match subject_of(enrolment) {
            Some((subject, _)) => Ok(self.roster(&subject.name).await?.get(key).is_some()),
            None => Ok(true),
        }
    }

    /// Removes a session that was not created after all, or no longer exists, from its subject's
    /// roster.
    pub(super) async fn withdraw(&self, enrolment: Option<&Enrolment>, key: &RecordKey) {
        if let Some((subject, _)) = subject_of(enrolment) {
            self.strike(&subject.name, key).await;
        }
    }

    /// Removes the entry named `before` from the roster of the subject that the session leaves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has been ended in that roster.
    pub(super) async fn leave(
        &self,
        enrolment: Option<&Enrolment>,
        before: &RecordKey,
    ) -> Result<(), Error> {
        // If the subject stays, the entry already has the new name. It keeps the old one, by which
        // others may end the session.
        let Some(former) = enrolment.and_then(Enrolment::left) else {
            return Ok(());
        };
        let mut is_there = true;
        let leave = |roster: &mut Roster| {
            is_there = roster.get(before).is_some();
            if is_there {
                roster.remove_name(before);
            }
            Ok(())
        };
        self.change(&former.name, leave).await?;
        if is_there {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Gone))
        }
    }

    /// Removes the session of a record from the roster of its former subject. If another request
    /// has ended the session there, it removes the record at any version.
    pub(crate) async fn leave_former_roster(&self, enrolment: &Enrolment, key: &RecordKey) {
        if let Some(left) = enrolment.left() {
            self.strike(&left.name, key).await;
        }
    }

    pub(super) async fn roster(&self, subject: &str) -> Result<Roster, Error> {
        let rosters = self.rosters()?;
        let (store, key) = (self.roster_store(rosters), rosters.key(subject));
        Ok(rosters.load(store, &key, self.now()).await?.0)
    }

    /// Removes a session that has ended, or has another subject, from the roster.
    ///
    /// A failure does no harm: a session that has ended is not shown, and its entry goes when it
    /// would have expired.
    async fn strike(&self, subject: &str, key: &RecordKey) {
        let strike = |roster: &mut Roster| {
            roster.remove_name(key);
            Ok(())
        };
        if let Err(error) = self.change(subject, strike).await {
            trace::left_behind(&self.settings.name, &error);
        }
    }

    /// Changes a roster, then ends the sessions marked in it. In this order, a session that is
    /// about to be created finds itself marked, and one that exists is removed. This also ends the
    /// sessions marked by a request that was cut off.
    pub(super) async fn change(
        &self,
        subject: &str,
        change: impl FnMut(&mut Roster) -> Result<(), Error>,
    ) -> Result<Roster, Error> {
        let roster = self.write_roster(subject, change).await?;
        self.end_marked(&roster).await?;
        Ok(roster)
    }

    /// Ends the sessions marked in a roster, under all their names. The roster's next write omits
    /// them.
    pub(super) async fn end_marked(&self, roster: &Roster) -> Result<(), Error> {
        let marked = || roster.entries.iter().filter(|entry| entry.ended);
        let mark = self.end_mark()?;
        let mut failure = None;
        if self.settings.ends().is_some() {
            let names = marked().flat_map(|entry| entry.names().map(|name| (name, entry.created)));
            let names: Vec<_> = names.collect();
            let ends = names.iter();
            let ends = ends.map(|(name, created)| self.set_end(name, &mark, *created));
            for ended in join::all(ends.collect()).await {
                failure = failure.or(ended.err());
            }
        }
        let records: Vec<_> = marked()
            .flat_map(|entry| entry.names().map(|name| (name, None)))
            .collect();
        if let Some(store) = self.record_store().filter(|_| !records.is_empty()) {
            let mut answers = store.delete_many(&records).await.into_iter();
            for _ in &records {
                let deleted = next_answer(&mut answers);
                failure = failure.or(deleted.err().map(Error::from));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Changes a roster by compare and swap, and returns the new roster. A change that was made but
    /// whose answer was lost is not made again. Sessions that were marked before are ended, and
    /// stay marked if that fails.
    pub(super) async fn write_roster(
        &self,
        subject: &str,
        mut change: impl FnMut(&mut Roster) -> Result<(), Error>,
    ) -> Result<Roster, Error> {
        let rosters = self.rosters()?;
        let (store, key) = (self.roster_store(rosters), rosters.key(subject));
        let write = self.new_write()?;
        let mut in_doubt: Option<(Roster, RefusedWrite<'_>)> = None;
        let mut rounds = Rounds::start(store, &key, CHANGE).await?;
        loop {
            let (now, since) = (self.now(), store.followers().noted());
            let (mut roster, version) = rosters.load(rounds.store(), &key, now).await?;
            note(store, &roster.writes);
            if let Some((written, refused)) = in_doubt.take()
                && refused.is_done(&roster.writes, now)?
            {
                return Ok(written);
            }
            let before = roster.clone();
            match self.end_marked(&roster).await {
                Ok(()) => roster.entries.retain(|entry| !entry.ended),
                Err(error) => trace::left_behind(&self.settings.name, &error),
            }
            let cleaned = roster.clone();
            change(&mut roster)?;
            if roster == cleaned && !roster.is_damaged && !roster.is_outdated {
                return Ok(roster);
            }
            roster.writes = self.writes_with(&roster.writes, write);
            let sealed = rosters.seal(&key, &roster, now)?;
            let (saved, sent) = rosters.save(rounds.store(), &key, version, sealed).await;
            match saved {
                Ok(()) => {
                    match version {
                        Some(_) => note(store, &roster.writes),
                        None => note_first(store, &key, &roster.writes),
                    }
                    return Ok(roster);
                }
                Err(StoreError::Conflict) if sent == Sent::Once => {}
                Err(StoreError::Conflict) => {
                    let mut refused =
                        RefusedWrite::new(store.followers(), &key, since, &roster.writes);
                    if refused.is_open() {
                        let (found, _) = rosters.load(rounds.store(), &key, self.now()).await?;
                        note(store, &found.writes);
                        refused.settle(&found.writes, self.now())?;
                    }
                    in_doubt = Some((roster, refused));
                }
                Err(StoreError::TooLarge { .. }) if before.entries.len() > 1 => {
                    self.shorten(rosters, &key, version, before).await?;
                }
                Err(error) => return Err(error.into()),
            }
            rounds.lost().await?;
        }
    }

    /// Ends the least recently used half of the sessions, so that a roster too long for its store
    /// locks nobody out.
    async fn shorten(
        &self,
        rosters: &Rosters,
        key: &RecordKey,
        version: Option<Version>,
        mut roster: Roster,
    ) -> Result<(), Error> {
        let mut older = roster.clone();
        older.entries = roster.take_older_half();
        let (now, mut ended) = (self.now(), 0);
        for entry in &mut older.entries {
            ended += usize::from(entry.is_alive(now));
            entry.ended = true;
        }
        self.end_marked(&older).await?;
        let sealed = rosters.seal(key, &roster, now)?;
        let saved = rosters.save(self.roster_store(rosters), key, version, sealed);
        match saved.await.0 {
            Ok(()) => self.report_ended(Cause::Limit, ended),
            // The next attempt shortens what is there then.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn roster_store<'s>(&'s self, rosters: &'s Rosters) -> Calls<'s> {
        rosters.within(self.budget())
    }

    fn rosters(&self) -> Result<&Rosters, Error> {
        self.settings
            .rosters
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::NeedsRevocation))
    }
}

pub(super) fn subject_of(enrolment: Option<&Enrolment>) -> Option<(&Subject, &Enrolment)> {
    let enrolment = enrolment?;
    Some((enrolment.subject.as_deref()?, enrolment))
}
