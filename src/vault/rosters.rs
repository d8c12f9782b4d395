//! Changing the rosters of subjects: enrolling sessions, withdrawing and ending them.

use super::{
    records::Vault,
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Content, Subject},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    roster::{Entry, Roster, Rosters, damaged},
    state::Enrolment,
    store::{Store, StoreError, Version},
    trace,
};

const CHANGE: Policy = Policy::new("roster", Queue::AfterLoss);

/// Which sessions of a subject are ended with those that are picked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Enrolled {
    /// None that is not in the roster.
    Only,
    /// Those in a cookie that got their subject before now and are not in the roster.
    AndUnlisted,
}

/// What a roster is told about a session.
struct Entrant<'a> {
    enrolment: &'a Enrolment,
    note: Option<&'a str>,
    /// When it was enrolled first, for one that may have been ended meanwhile; `None` for one that
    /// begins.
    since: Option<Timestamp>,
    key: RecordKey,
    /// What it is listed as up to now.
    before: RecordKey,
}

impl Vault<'_> {
    /// Puts the session into its subject's roster, and says since when it counts as enrolled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session was ended through its subject.
    pub(crate) async fn enrol(
        &self,
        enrolment: Option<&Enrolment>,
        key: RecordKey,
        before: Option<RecordKey>,
    ) -> Result<Option<Timestamp>, Error> {
        let Some((subject, enrolment)) = subject_of(enrolment) else {
            return Ok(None);
        };
        let note = subject.note.as_deref();
        let since = if note.is_some() {
            None
        } else {
            Some(subject.since)
        };
        let before = before.unwrap_or(key);
        let entrant = Entrant {
            enrolment,
            note,
            since,
            key,
            before,
        };
        if since.is_some()
            && self.roster(&subject.name).await?.get(&before).is_none()
            && !self.is_alive(&before).await?
        {
            return Err(Error::new(ErrorKind::Gone));
        }
        let limit = self.settings.sessions_per_subject;
        let now = self.now();
        let changed = self.change(&subject.name, |roster| entrant.enter(roster, limit, now));
        Ok(Some(changed.await?.not_before))
    }

    /// Whether a session in a cookie is known to have ended, by itself or with its subject's others.
    pub(crate) async fn is_ended(&self, id: &SessionId, content: &Content) -> Result<bool, Error> {
        if self.settings.revocations.is_none() {
            return Ok(false);
        }
        let key = id.record_key();
        if self.is_revoked(&key).await? {
            return Ok(true);
        }
        match &content.subject {
            Some(subject) if self.settings.rosters.is_some() => Ok(!self
                .roster(&subject.name)
                .await?
                .admits(subject.since, &key)),
            _ => Ok(false),
        }
    }

    /// Whether the session is in the roster that it was put into, and nobody has ended it since.
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

    /// Takes a session that was not made after all, or is no more, from its subject's roster.
    pub(super) async fn withdraw(&self, enrolment: Option<&Enrolment>, key: &RecordKey) {
        if let Some((subject, _)) = subject_of(enrolment) {
            self.strike(&subject.name, key).await;
        }
    }

    /// Takes what was called `before`, and gets a new name without its subject, from the subject's
    /// roster.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it has been ended there.
    pub(super) async fn leave(
        &self,
        enrolment: Option<&Enrolment>,
        before: &RecordKey,
    ) -> Result<(), Error> {
        let former = enrolment.and_then(|enrolment| enrolment.former.as_deref());
        let Some(former) = former else { return Ok(()) };
        let mut is_there = true;
        let leave = |roster: &mut Roster| {
            is_there = roster.get(before).is_some();
            if is_there {
                roster.remove(before);
            }
            Ok(())
        };
        self.change(former, leave).await?;
        if is_there {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Gone))
        }
    }

    /// Takes what the session was called before, and whose it was before, from the rosters.
    pub(crate) async fn tidy_rosters(
        &self,
        enrolment: &Enrolment,
        key: &RecordKey,
        before: Option<&RecordKey>,
    ) {
        if let Some(before) = before {
            self.withdraw(Some(enrolment), before).await;
        }
        if let Some(left) = enrolment.left() {
            self.strike(left, before.unwrap_or(key)).await;
        }
    }

    /// The subject's sessions that are alive; it looks for each, to be sure.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store fails or the roster is damaged.
    pub(crate) async fn enrolled(&self, subject: &str) -> Result<Vec<Entry>, Error> {
        let roster = self.roster(subject).await?;
        if roster.is_damaged {
            return Err(damaged());
        }
        let mut alive = Vec::new();
        for entry in roster.entries.into_iter().filter(|entry| !entry.ended) {
            if self.is_alive(&entry.key).await? {
                alive.push(entry);
            }
        }
        Ok(alive)
    }

    /// Ends the subject's sessions that `which` picks, and says how many of the roster there were.
    pub(crate) async fn end_enrolled(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        others: Enrolled,
    ) -> Result<usize, Error> {
        let ends_unlisted = others == Enrolled::AndUnlisted;
        let (mut ended, mut is_whole) = (0, true);
        self.change(subject, |roster| {
            let picked = roster
                .entries
                .iter_mut()
                .filter(|entry| !entry.ended && which(entry));
            ended = picked.map(|entry| entry.ended = true).count();
            is_whole = !roster.is_damaged;
            if ends_unlisted && self.settings.may_be_in_cookie() {
                roster.raise(self.now());
            }
            Ok(())
        })
        .await?;
        // Sessions in a cookie have been ended all the same, by `not_before`.
        if is_whole || (ends_unlisted && self.settings.records().is_none()) {
            Ok(ended)
        } else {
            Err(damaged())
        }
    }

    async fn roster(&self, subject: &str) -> Result<Roster, Error> {
        let rosters = self.rosters()?;
        Ok(rosters.load(&rosters.key(subject), self.now()).await?.0)
    }

    /// Takes a session that has ended, or has another subject, from the roster.
    ///
    /// A failure does no harm: a session that has ended is not shown, and the entry goes when it
    /// would have expired.
    async fn strike(&self, subject: &str, key: &RecordKey) {
        let strike = |roster: &mut Roster| {
            roster.remove(key);
            Ok(())
        };
        if let Err(error) = self.change(subject, strike).await {
            trace::left_behind(&self.settings.name, &error);
        }
    }

    /// Changes a roster, and ends the sessions that are marked in it, in that order: a session that
    /// is about to be made finds itself marked, and one that is there is removed. A mark that was
    /// left by a request that was cut off is seen to as well.
    async fn change(
        &self,
        subject: &str,
        change: impl FnMut(&mut Roster) -> Result<(), Error>,
    ) -> Result<Roster, Error> {
        let roster = self.write_roster(subject, change).await?;
        let (mut done, mut failure) = (Vec::new(), None);
        for entry in roster.entries.iter().filter(|entry| entry.ended) {
            match self.end(&entry.key).await {
                Ok(()) => done.push(entry.key),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !done.is_empty() {
            let is_done = |entry: &Entry| entry.ended && done.contains(&entry.key);
            let forget = |roster: &mut Roster| {
                roster.entries.retain(|entry| !is_done(entry));
                Ok(())
            };
            self.write_roster(subject, forget).await?;
        }
        failure.map_or(Ok(roster), Err)
    }

    /// Changes a roster by compare and swap; says what it has become.
    async fn write_roster(
        &self,
        subject: &str,
        mut change: impl FnMut(&mut Roster) -> Result<(), Error>,
    ) -> Result<Roster, Error> {
        let rosters = self.rosters()?;
        let key = rosters.key(subject);
        let mut rounds = Rounds::start(&rosters.store, &key, CHANGE).await;
        loop {
            let now = self.now();
            let (mut roster, version) = rosters.load(&key, now).await?;
            let before = roster.clone();
            change(&mut roster)?;
            if roster == before && !roster.is_damaged {
                return Ok(roster);
            }
            if roster.is_damaged && version.is_none() {
                rosters.store.delete(&key, None).await?;
            }
            match rosters
                .save(&key, version, rosters.seal(&key, &roster, now)?)
                .await
            {
                Ok(()) => return Ok(roster),
                Err(StoreError::Conflict) => {}
                Err(StoreError::TooLarge { .. }) if before.entries.len() > 1 => {
                    self.shorten(rosters, &key, version, before).await?;
                }
                Err(error) => return Err(error.into()),
            }
            rounds.lost().await?;
        }
    }

    /// Ends the half of the sessions that were not used for longest, so that a roster that its
    /// store finds too long keeps nobody out.
    async fn shorten(
        &self,
        rosters: &Rosters,
        key: &RecordKey,
        version: Option<Version>,
        mut roster: Roster,
    ) -> Result<(), Error> {
        for entry in roster.take_older_half() {
            self.end(&entry.key).await?;
        }
        match rosters
            .save(key, version, rosters.seal(key, &roster, self.now())?)
            .await
        {
            Err(error) if !matches!(error, StoreError::Conflict) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn rosters(&self) -> Result<&Rosters, Error> {
        self.settings
            .rosters
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::NeedsRevocation))
    }
}

impl Entrant<'_> {
    /// Puts the session into the roster, unless it has been ended or nothing is new.
    fn enter(&self, roster: &mut Roster, limit: usize, now: Timestamp) -> Result<(), Error> {
        let is_over = self
            .since
            .is_some_and(|since| !roster.admits(since, &self.before));
        if is_over || roster.is_ended(&self.key) {
            return Err(Error::new(ErrorKind::Gone));
        }
        let known = roster
            .get(&self.key)
            .or_else(|| roster.get(&self.before))
            .cloned();
        if known
            .as_ref()
            .is_some_and(|known| self.is_known(known, now))
        {
            return Ok(());
        }
        let &Enrolment {
            created, expires, ..
        } = self.enrolment;
        let (since, note) = match (self.note, known) {
            (Some(note), _) => (now, note.to_owned()),
            (None, Some(known)) => (known.since, known.note),
            // The roster got lost.
            (None, None) => (created, String::new()),
        };
        roster.remove(&self.key);
        let (key, last_used) = (self.key, now);
        let entry = Entry {
            key,
            created,
            since,
            last_used,
            expires,
            note,
            ended: false,
        };
        roster.entries.push(entry);
        roster.make_room(limit, &[self.key, self.before]);
        Ok(())
    }

    /// Whether the roster says all that already.
    fn is_known(&self, known: &Entry, now: Timestamp) -> bool {
        let &Enrolment {
            expires,
            interval,
            reseals,
            ..
        } = self.enrolment;
        self.note.is_none()
            && !reseals
            && known.key == self.key
            && now.saturating_since(known.last_used) < interval
            && known.expires.saturating_add(interval) > expires
    }
}

fn subject_of(enrolment: Option<&Enrolment>) -> Option<(&Subject, &Enrolment)> {
    let enrolment = enrolment?;
    Some((enrolment.subject.as_deref()?, enrolment))
}
