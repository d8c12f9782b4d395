//! Changing the rosters of subjects: enrolling sessions, withdrawing and ending them.

use super::{
    ends::MARK_LIFETIME,
    records::{Life, Vault, next},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    content::{Fate, Mark, Subject},
    error::{Error, ErrorKind},
    id::RecordKey,
    roster::{Entry, Roster, Rosters, damaged},
    state::Enrolment,
    store::{Store as _, StoreError, Version},
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
    /// It is not the session that was listed by this name.
    is_another: bool,
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
        let before = before.unwrap_or(key);
        self.enter(enrolment, key, before, false).await
    }

    /// As [`enrol`](Self::enrol), for a session that begins under a name by which its request has
    /// already listed another one.
    pub(super) async fn enrol_anew(
        &self,
        enrolment: Option<&Enrolment>,
        key: RecordKey,
    ) -> Result<Option<Timestamp>, Error> {
        self.enter(enrolment, key, key, true).await
    }

    async fn enter(
        &self,
        enrolment: Option<&Enrolment>,
        key: RecordKey,
        before: RecordKey,
        is_another: bool,
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
        let entrant = Entrant {
            enrolment,
            note,
            since,
            key,
            before,
            is_another,
        };
        let mut known = Known::default();
        loop {
            let (now, mut question) = (self.now(), None);
            let limit = self.settings.sessions_per_subject;
            let enter = |roster: &mut Roster| match entrant.enter(roster, limit, now, &known)? {
                None => Ok(()),
                asks => {
                    question = asks;
                    Err(Error::new(ErrorKind::Conflict))
                }
            };
            let changed = self.change(&subject.name, enter).await;
            match question {
                None => return Ok(Some(changed?.not_before)),
                Some(Question::IsAlive(key)) => {
                    if self.lives(&[key]).await? != [Life::Alive] {
                        return Err(Error::new(ErrorKind::Gone));
                    }
                    known.is_alive = true;
                }
                Some(Question::WhoLives(keys)) => {
                    let lives = self.lives(&keys).await?;
                    known.lives = Some(keys.into_iter().zip(lives).collect());
                }
            }
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

    /// Takes what was called `before`, and is no longer its subject's, from the subject's roster.
    ///
    /// One that keeps its name may come in an older cookie, from before it left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it has been ended there.
    pub(super) async fn leave(
        &self,
        enrolment: Option<&Enrolment>,
        before: &RecordKey,
        is_renewed: bool,
    ) -> Result<(), Error> {
        // With the same subject its entry has the new name already, and keeps the old one for those
        // who end it by that.
        let Some(former) = enrolment.and_then(Enrolment::left) else {
            return Ok(());
        };
        let mut is_there = true;
        let leave = |roster: &mut Roster| {
            is_there = match is_renewed {
                true => roster.get(before).is_some(),
                false => roster.admits(former.since, before),
            };
            if is_there {
                roster.remove(before);
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

    /// Takes the session from the roster of the subject whose it was before.
    pub(crate) async fn tidy_rosters(
        &self,
        enrolment: &Enrolment,
        key: &RecordKey,
        before: Option<&RecordKey>,
    ) {
        if let Some(left) = enrolment.left() {
            self.strike(&left.name, before.unwrap_or(key)).await;
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
        let is_listed = |entry: &Entry| !entry.ended;
        let entries: Vec<_> = roster.entries.into_iter().filter(is_listed).collect();
        let names: Vec<_> = entries.iter().flat_map(Entry::names).collect();
        if names.is_empty() {
            return Ok(entries);
        }
        let mut lives = self.lives(&names).await?.into_iter();
        // A renewal that is under way, or was cut off, leaves it at one of its names.
        let living = |entry: Entry| {
            let names: Vec<_> = entry.names().zip(lives.by_ref()).collect();
            let (key, _) = names.into_iter().find(|(_, life)| *life == Life::Alive)?;
            Some(Entry { key, ..entry })
        };
        Ok(entries.into_iter().filter_map(living).collect())
    }

    /// Ends the subject's sessions but the one that is called `key`, or was until a moment ago. That
    /// one is put into the roster first if it is missing there: it would count as ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it has itself been ended.
    pub(crate) async fn end_others(
        &self,
        subject: &str,
        key: RecordKey,
        enrolment: Option<&Enrolment>,
    ) -> Result<usize, Error> {
        let is_other = |entry: &Entry| !entry.has(&key);
        let (others, mut is_missing) = (Enrolled::AndUnlisted, false);
        let is_there = |roster: &Roster| {
            is_missing = roster.get(&key).is_none();
            !is_missing
        };
        let ended = self.end_if(subject, is_there, is_other, others).await;
        if !is_missing {
            return ended;
        }
        self.enrol(enrolment, key, None).await?;
        self.end_enrolled(subject, is_other, others).await
    }

    /// Ends the subject's sessions that `which` picks, and says how many of the roster there were.
    pub(crate) async fn end_enrolled(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        others: Enrolled,
    ) -> Result<usize, Error> {
        self.end_if(subject, |_| true, which, others).await
    }

    /// As [`end_enrolled`](Self::end_enrolled), if the roster is as expected; else it is a
    /// [`ErrorKind::Conflict`].
    async fn end_if(
        &self,
        subject: &str,
        mut is_expected: impl FnMut(&Roster) -> bool,
        which: impl Fn(&Entry) -> bool,
        others: Enrolled,
    ) -> Result<usize, Error> {
        let ends_unlisted = others == Enrolled::AndUnlisted;
        let (mut ended, mut is_whole) = (0, true);
        self.change(subject, |roster| {
            if !is_expected(roster) {
                return Err(Error::new(ErrorKind::Conflict));
            }
            let picked = roster
                .entries
                .iter_mut()
                .filter(|entry| !entry.ended && which(entry));
            ended = picked.map(|entry| entry.ended = true).count();
            is_whole = !roster.is_damaged;
            if ends_unlisted && self.settings.may_be_in_cookie() {
                roster.raise(self.now());
                // That ends them, unless they are in records as well.
                if self.settings.records().is_none() {
                    roster.entries.retain(|entry| !entry.ended);
                }
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
        self.end_marked(&roster).await?;
        Ok(roster)
    }

    /// Ends the sessions that are marked in a roster, under all of their names. The roster's next
    /// write leaves them out.
    async fn end_marked(&self, roster: &Roster) -> Result<(), Error> {
        let marked = || roster.entries.iter().filter(|entry| entry.ended);
        let mark = Mark {
            fate: Fate::Ended,
            write: self.new_write()?.unwrap_or_default(),
        };
        let mut failure = None;
        if self.settings.ends().is_some() {
            for (name, created) in
                marked().flat_map(|entry| entry.names().map(|name| (name, entry.created)))
            {
                let ended = self.set_end(&name, mark.clone(), created).await;
                failure = failure.or(ended.err());
            }
        }
        let records: Vec<_> = marked()
            .flat_map(|entry| entry.names().map(|name| (name, None)))
            .collect();
        if let Some(store) = self.settings.records().filter(|_| !records.is_empty()) {
            let mut answers = store.delete_many(&records).await.into_iter();
            for _ in &records {
                let deleted = next(&mut answers);
                failure = failure.or(deleted.err().map(Error::from));
            }
        }
        failure.map_or(Ok(()), Err)
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
            match self.end_marked(&roster).await {
                Ok(()) => roster.entries.retain(|entry| !entry.ended),
                Err(error) => trace::left_behind(&self.settings.name, &error),
            }
            let cleaned = roster.clone();
            change(&mut roster)?;
            if roster == cleaned && !roster.is_damaged {
                return Ok(roster);
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
        let mut older = roster.clone();
        older.entries = roster.take_older_half();
        older
            .entries
            .iter_mut()
            .for_each(|entry| entry.ended = true);
        self.end_marked(&older).await?;
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

/// What has been asked for an entrant already.
#[derive(Default)]
struct Known {
    /// It is there, although the roster does not say so.
    is_alive: bool,
    /// Which of those in the roster live, if there may be too many.
    lives: Option<Vec<(RecordKey, Life)>>,
}

/// Whether nothing is left of a session, by any of its names.
fn is_dead(entry: &Entry, lives: &[(RecordKey, Life)], now: Timestamp) -> bool {
    let is_new = entry.last_used.saturating_add(MARK_LIFETIME) > now;
    let is_over = |name: RecordKey| match lives.iter().find(|(key, _)| *key == name) {
        Some((_, Life::Over)) => true,
        Some((_, Life::Absent)) => !is_new,
        Some((_, Life::Alive)) | None => false,
    };
    entry.names().all(is_over)
}

/// What has to be known before a session is put into a roster.
enum Question {
    IsAlive(RecordKey),
    WhoLives(Vec<RecordKey>),
}

impl Entrant<'_> {
    /// Puts the session into the roster, unless it has been ended or nothing is new. May ask
    /// something first, and is then to be tried again.
    fn enter(
        &self,
        roster: &mut Roster,
        limit: usize,
        now: Timestamp,
        known: &Known,
    ) -> Result<Option<Question>, Error> {
        let was_listed = self.since.or_else(|| self.enrolment.renamed_since());
        let is_over = was_listed.is_some_and(|since| !roster.admits(since, &self.before));
        if is_over || roster.is_ended(&self.key) || roster.is_ended(&self.before) {
            return Err(Error::new(ErrorKind::Gone));
        }
        if self.is_another {
            roster.remove(&self.key);
        }
        let listed = roster
            .get(&self.key)
            .or_else(|| roster.get(&self.before))
            .cloned();
        match &listed {
            None if self.since.is_some() && !known.is_alive => {
                return Ok(Some(Question::IsAlive(self.before)));
            }
            Some(listed) if self.is_known(listed, now) => return Ok(None),
            _ => {}
        }
        let keep = [self.key, self.before];
        match &known.lives {
            None if roster.surplus(limit, &keep) > 0 => {
                let names = roster.entries.iter().flat_map(Entry::names);
                return Ok(Some(Question::WhoLives(names.collect())));
            }
            None => {}
            Some(lives) => roster.entries.retain(|entry| {
                entry.ended || entry.has(&self.before) || !is_dead(entry, lives, now)
            }),
        }
        let entry = self.entry(listed.as_ref(), now);
        roster.take(&self.key);
        roster.take(&self.before);
        roster.entries.push(entry);
        roster.make_room(limit, &keep);
        Ok(None)
    }

    fn entry(&self, listed: Option<&Entry>, now: Timestamp) -> Entry {
        let &Enrolment {
            created, expires, ..
        } = self.enrolment;
        let (since, note) = match (self.note, listed) {
            (Some(note), _) => (now, note.to_owned()),
            (None, Some(listed)) => (listed.since, listed.note.clone()),
            // The roster got lost.
            (None, None) => (created, String::new()),
        };
        if let Some(listed) = listed.filter(|listed| self.is_used_as_former(listed)) {
            let (last_used, ended) = (now, false);
            return Entry {
                since,
                last_used,
                expires,
                note,
                ended,
                ..listed.clone()
            };
        }
        let former = match listed {
            Some(listed) => listed.names_but(&self.key, &self.before, now),
            // Under that name it is not the subject's yet, unless the roster got lost.
            None if self.before != self.key && self.note.is_none() => vec![self.before],
            None => Vec::new(),
        };
        let renewed = match listed {
            Some(listed) if listed.key == self.key => listed.renewed,
            _ => now,
        };
        Entry {
            key: self.key,
            former,
            renewed,
            created,
            since,
            last_used: now,
            expires,
            note,
            ended: false,
        }
    }

    /// Whether a request uses it by a name that it had before its renewal: that one may still be
    /// under way, or have been done since the request began. The last name stays the last one.
    fn is_used_as_former(&self, listed: &Entry) -> bool {
        self.before == self.key && listed.key != self.key && listed.has(&self.key)
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
            && (known.key == self.key || self.is_used_as_former(known))
            && now.saturating_since(known.last_used) < interval
            && known.expires.saturating_add(interval) > expires
    }
}

fn subject_of(enrolment: Option<&Enrolment>) -> Option<(&Subject, &Enrolment)> {
    let enrolment = enrolment?;
    Some((enrolment.subject.as_deref()?, enrolment))
}
