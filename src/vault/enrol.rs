//! Enrolling a session in its subject's roster.

use super::{
    ends::MARK_LIFETIME,
    records::{Presence, Vault},
    rosters::subject_of,
};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::RecordKey,
    report::Cause,
    roster::{Entry, Roster},
    state::Enrolment,
};

/// A session about to enter a roster.
struct Entrant<'a> {
    enrolment: &'a Enrolment,
    note: Option<&'a str>,
    /// When it was first enrolled, for a session that may have been ended meanwhile; `None` for a
    /// new one.
    since: Option<Timestamp>,
    key: RecordKey,
    /// Its name in the roster until now.
    before: RecordKey,
    /// It is not the session that was enrolled under this name.
    is_another: bool,
    /// It may be in its cookie.
    in_cookie: bool,
}

impl Vault<'_> {
    /// Enrols the session in its subject's roster. Returns the time from which it counts as
    /// enrolled.
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

    /// As [`enrol`](Self::enrol), for a session that begins under a name under which its request
    /// has already enrolled another one.
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
        let entrant = Entrant {
            enrolment,
            note,
            since: note.is_none().then_some(subject.since),
            key,
            before,
            is_another,
            in_cookie: self.settings.may_be_in_cookie(),
        };
        let mut answers = Answers::default();
        loop {
            let (now, mut question, mut ended) = (self.now(), None, 0);
            let limit = self.settings.sessions_per_subject;
            let enter = |roster: &mut Roster| match entrant
                .enter(roster, limit, now, &answers, &mut ended)?
            {
                None => Ok(()),
                asks => {
                    question = asks;
                    Err(Error::new(ErrorKind::Conflict))
                }
            };
            let changed = self.write_roster(&subject.name, enter).await;
            match question {
                None => {
                    let roster = changed?;
                    // Those that others have marked are not this session's concern.
                    if ended > 0 {
                        self.end_marked(&roster).await?;
                    }
                    self.report_ended(Cause::Limit, ended);
                    return Ok(Some(roster.not_before));
                }
                Some(Question::IsAlive(key)) => {
                    if self.lives(&[key]).await? != [Presence::Alive] {
                        return Err(Error::new(ErrorKind::Gone));
                    }
                    answers.is_alive = true;
                }
                Some(Question::WhoLives(keys)) => {
                    let lives = self.lives(&keys).await?;
                    answers.lives = Some(keys.into_iter().zip(lives).collect());
                }
            }
        }
    }
}

/// The answers to the questions about an entrant so far.
#[derive(Default)]
struct Answers {
    /// The session is alive, although the roster does not list it.
    is_alive: bool,
    /// Which of the roster's sessions are alive. Asked only if there may be too many.
    lives: Option<Vec<(RecordKey, Presence)>>,
}

/// Returns whether nothing is left of a session under any of its names.
fn is_dead(entry: &Entry, lives: &[(RecordKey, Presence)], now: Timestamp) -> bool {
    let is_new = entry.last_used.saturating_add(MARK_LIFETIME) > now;
    let is_over = |name: RecordKey| match lives.iter().find(|(key, _)| *key == name) {
        Some((_, Presence::Over)) => true,
        Some((_, Presence::Absent)) => !is_new,
        Some((_, Presence::Alive)) | None => false,
    };
    entry.names().all(is_over)
}

/// A question to answer before a session can enter a roster.
enum Question {
    IsAlive(RecordKey),
    WhoLives(Vec<RecordKey>),
}

impl Entrant<'_> {
    /// Puts the session into the roster, unless it has been ended or nothing is new. May return a
    /// question to answer before the next attempt. Counts the sessions that had to make room in
    /// `ended`.
    fn enter(
        &self,
        roster: &mut Roster,
        limit: usize,
        now: Timestamp,
        answers: &Answers,
        ended: &mut usize,
    ) -> Result<Option<Question>, Error> {
        let was_listed = self.since.or_else(|| self.enrolment.renamed_since());
        let is_over = was_listed.is_some_and(|since| !roster.admits(since, &self.before));
        if is_over || roster.is_ended(&self.key) || roster.is_ended(&self.before) {
            return Err(Error::new(ErrorKind::Gone));
        }
        if self.is_another {
            roster.remove_name(&self.key);
        }
        let listed = roster.get(&self.before).cloned();
        match &listed {
            None if was_listed.is_some() && !answers.is_alive => {
                return Ok(Some(Question::IsAlive(self.before)));
            }
            Some(listed) if self.is_current(listed, now) => return Ok(None),
            _ => {}
        }
        let keep = [self.key, self.before];
        match &answers.lives {
            None if roster.surplus(limit, &keep, now) > 0 => {
                let names = roster.entries.iter().flat_map(Entry::names);
                return Ok(Some(Question::WhoLives(names.collect())));
            }
            None => {}
            Some(lives) => roster.entries.retain(|entry| !is_dead(entry, lives, now)),
        }
        let entry = self.entry(listed.as_ref(), now);
        roster.remove_session(&self.before);
        roster.entries.push(entry);
        *ended = roster.make_room(limit, &keep, now);
        Ok(None)
    }

    fn entry(&self, listed: Option<&Entry>, now: Timestamp) -> Entry {
        let &Enrolment {
            created,
            mut expires,
            ..
        } = self.enrolment;
        // An older cookie of this name lasts as long as the entry said. So does a record that is not
        // written in the end: the write may fail, or meet the session's renewal.
        if let Some(listed) = listed.filter(|_| !self.in_cookie || self.before == self.key) {
            expires = expires.max(listed.expires);
        }
        let (since, note) = match (self.note, listed) {
            (Some(note), _) => (now, note.to_owned()),
            (None, Some(listed)) => (listed.since, listed.note.clone()),
            // The roster was lost.
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
            Some(listed) => listed.kept_names(&self.key, &self.before, now),
            // Under that name it does not belong to the subject yet, unless the roster was lost.
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

    /// Returns whether a request uses the session under a name from before its renewal, which may
    /// still be under way or have finished since the request began. The latest name stays the
    /// latest.
    fn is_used_as_former(&self, listed: &Entry) -> bool {
        listed.key != self.key && listed.has(&self.key)
    }

    /// Returns whether the roster already says all this.
    fn is_current(&self, listed: &Entry, now: Timestamp) -> bool {
        let &Enrolment {
            expires,
            interval,
            reseals,
            ..
        } = self.enrolment;
        self.note.is_none()
            && !reseals
            && (listed.key == self.key || self.is_used_as_former(listed))
            && now.saturating_since(listed.last_used) < interval
            && listed.expires.saturating_add(interval) > expires
    }
}
