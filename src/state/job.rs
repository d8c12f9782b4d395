//! What a save takes out of the state, and what it enters there.

use std::mem;

use super::{
    change::Change,
    cut_off::CutOff,
    enrolment::Enrolment,
    home::{Home, Place},
    lifetime::{Lifetime, Term},
    log::Log,
    plan::{Plan, Write},
    request::{CookieDuty, State},
    unfinished::{Step, Unfinished},
    view::View,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Browser, Content, Mark, WriteId, Writes},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    store::{Bytes, Version},
};

/// A plan and what its save takes out of the state.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    /// The ID under which the session is saved.
    pub(crate) id: SessionId,
    /// The old ID, if the session gets a new one.
    pub(crate) before: Option<SessionId>,
    /// When the session was created.
    pub(crate) created: Timestamp,
    pub(crate) draft: Draft,
    pub(crate) log: Log,
    /// `None` for a store that never waits, whose answers cannot be lost.
    pub(crate) write: Option<WriteId>,
    /// The last writes of the record that a renewal leaves.
    pub(crate) left: Writes,
    pub(crate) cut_off: Vec<CutOff>,
    /// The first draft's enrolment, once another draft has replaced it.
    pub(crate) enrolled: Option<Enrolment>,
    /// The roster's `not_before` at the enrolment, if that was under an ID other than the first.
    pub(crate) since: Option<Timestamp>,
    /// The session was to be renewed. If it is removed instead, its ID ends all the same.
    pub(crate) renews: bool,
}

/// A record to be written, and what else depends on the content.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Empty if the record's bytes stay.
    pub(crate) plain: Bytes,
    /// When the cookie is issued, if the session goes into one.
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) enrolment: Option<Enrolment>,
    /// The session is small enough for a cookie.
    pub(crate) fits_cookie: bool,
    /// The session is empty, so that its record is removed.
    pub(crate) is_emptied: bool,
    /// Whether the browser knows the record at the time of the write.
    pub(crate) browser: Browser,
    /// The record's last writes, including this one.
    pub(crate) writes: Writes,
}

/// The outcome of a save.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) home: Home,
    /// The content in the store, if it differs from this request's view.
    pub(crate) merged: Option<Content>,
    /// The roster's `not_before` at the enrolment, if the session was enrolled.
    pub(crate) since: Option<Timestamp>,
    pub(crate) unfinished: Option<Box<Unfinished>>,
}

impl Written {
    pub(crate) fn at(home: Home) -> Self {
        Self::new(home, None)
    }

    pub(crate) fn new(home: Home, merged: Option<Content>) -> Self {
        Self {
            home,
            merged,
            since: None,
            unfinished: None,
        }
    }

    /// A renewal in which a store failed at this step, when the old name may no longer find the
    /// session.
    pub(crate) fn unfinished(self, job: &Job, before: RecordKey, step: Step, error: Error) -> Self {
        let unfinished = Unfinished {
            home: self.home.clone(),
            before,
            step,
            created: job.created,
            enrolment: job.draft.enrolment.clone(),
            error,
        };
        Self {
            unfinished: Some(unfinished.into()),
            ..self
        }
    }
}

impl State {
    /// Takes what a plan needs out of the state. `new` is the session's new ID, if the plan gives
    /// one. If the save fails, the caller gives the log back.
    pub(crate) fn take(
        &mut self,
        plan: Plan,
        new: Option<SessionId>,
        write: Option<WriteId>,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Job> {
        let view = self.view.as_mut()?;
        if plan.lists {
            let mut listed = Change::Listed(now);
            // Only an update can fail.
            let _ = listed.apply(&mut view.content);
            self.log.push(listed);
        }
        let browser = match &view.home {
            Home::Cookie { .. } => Browser::NeverHeard,
            Home::Record(place) => place.browser,
            Home::Nowhere | Home::Marked(_) => Browser::Knows,
        };
        let has_bytes = match plan.write {
            Write::Cookie { .. } | Write::Forget => false,
            Write::Touch { .. } => plan.lists,
            _ => true,
        };
        let end = (plan.term, view.home.expires());
        let mut draft = Draft::of(&view.content, settings, now, end);
        draft.issued = view.issued(plan.term, now);
        draft.browser = browser;
        if has_bytes {
            let over = view.home.writes().filter(|_| !plan.write.names());
            let over = over.unwrap_or(Writes::none());
            draft.writes = over.with(write, now, settings.store_timeout);
            draft.plain = view.content.encode_record(&draft.writes, browser).into();
        } else if let Some(writes) = view.home.writes() {
            draft.writes = writes.clone();
        }
        if let Some(enrolment) = &mut draft.enrolment {
            enrolment.reseals = plan.reseals;
        }
        let old = view.home.id().cloned();
        let left = view.home.left(plan.write.names());
        let (id, before) = match new {
            Some(new) => (new, old),
            None => (old?, None),
        };
        Some(Job {
            plan,
            id,
            before,
            created: view.content.created,
            draft,
            log: mem::take(&mut self.log),
            write,
            left,
            cut_off: mem::take(&mut self.cut_off),
            enrolled: None,
            since: None,
            renews: self.renews,
        })
    }

    /// Enters that the session is saved by its cookie. `new` is its new ID, if it got one.
    pub(crate) fn saved_in_cookie(&mut self, new: Option<SessionId>, plan: &Plan, now: Timestamp) {
        let Some(view) = &mut self.view else { return };
        let issued = view.issued(plan.term, now);
        let expires = plan
            .lifetime
            .expires_by(plan.term, now, view.home.expires());
        let home = match (&mut view.home, new) {
            _ if plan.duty == CookieDuty::Remove => Home::Nowhere,
            (_, Some(id)) => Home::Cookie {
                id,
                issued,
                expires,
            },
            // The ID stays where it is.
            (
                Home::Cookie {
                    issued: from,
                    expires: to,
                    ..
                },
                None,
            ) => {
                (*from, *to) = (issued, expires);
                return self.saved_again(plan.duty, None, now);
            }
            (_, None) => Home::Nowhere,
        };
        self.saved(home, plan.duty, None, now);
    }

    /// Enters the outcome of a save.
    pub(crate) fn saved(
        &mut self,
        home: Home,
        duty: CookieDuty,
        since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(view) = &mut self.view else { return };
        if view.home.id() != home.id() {
            self.renews = false;
        }
        self.has_begun |= view.home.is_nowhere() && !home.is_nowhere();
        view.home = home;
        self.saved_again(duty, since, now);
    }

    /// As [`saved`](Self::saved), for a session that stays where it is.
    fn saved_again(&mut self, duty: CookieDuty, since: Option<Timestamp>, now: Timestamp) {
        let Some(view) = &mut self.view else { return };
        // A subject that was set while the save ran is not enrolled yet.
        if !self.log.kinds().is_of_subject {
            view.content.mark_listed();
        }
        if let Some((since, subject)) = since.zip(view.content.subject_mut()) {
            (subject.since, subject.listed) = (since, now);
        }
        if view.home.is_cookie() && duty == CookieDuty::Set {
            view.content.revision = view.content.revision.saturating_add(1);
        }
        self.duty = match view.home {
            Home::Nowhere => CookieDuty::Remove,
            Home::Marked(_) => CookieDuty::Nothing,
            Home::Cookie { .. } | Home::Record(_) => self.duty.max(duty),
        };
    }
}

impl View {
    /// The time of issue of a cookie that is made now.
    fn issued(&self, term: Term, now: Timestamp) -> Timestamp {
        match self.home {
            Home::Cookie { issued, .. } if term == Term::Stays => issued,
            _ => now,
        }
    }
}

impl Draft {
    /// Makes a draft without bytes. `written` is the stored expiry.
    pub(crate) fn of(
        content: &Content,
        settings: &Settings,
        now: Timestamp,
        (term, written): (Term, Option<Timestamp>),
    ) -> Self {
        Self {
            plain: Bytes::new(),
            issued: now,
            expires: Lifetime::of(content, settings).expires_by(term, now, written),
            enrolment: Enrolment::of(content, settings, now),
            fits_cookie: settings.may_be_in_cookie()
                && settings.fits_cookie(content.payload_len(), content.attributes.as_deref()),
            is_emptied: content.is_emptied(),
            browser: Browser::Knows,
            writes: Writes::default(),
        }
    }

    /// Where the session is once the response has brought it.
    pub(crate) fn in_cookie(&self, id: SessionId) -> Home {
        let (issued, expires) = (self.issued, self.expires);
        Home::Cookie {
            id,
            issued,
            expires,
        }
    }

    /// Where the session is once the draft is written as `version`.
    pub(crate) fn place(&self, id: SessionId, version: Version) -> Place {
        Place {
            id,
            version,
            expires: self.expires,
            browser: self.browser,
            writes: self.writes.clone(),
        }
    }
}

impl Job {
    /// Notes that it is unknown whether the store does this write. `base` is the write below it.
    pub(crate) fn note_unknown(&mut self, write: WriteId, base: Option<WriteId>, at: Timestamp) {
        self.cut_off.push(CutOff {
            write,
            base,
            is_done: false,
            changes: self.log.len(),
            at,
        });
    }

    /// Notes that the store has not done the write.
    pub(crate) fn note_refused(&mut self, write: WriteId) {
        self.cut_off.retain(|cut_off| cut_off.write != write);
    }

    /// Whether a record with these writes has all of the job's changes.
    pub(crate) fn is_in(&self, writes: &Writes) -> bool {
        let whole = self.cut_off.iter();
        let mut whole = whole.filter(|cut_off| cut_off.changes == self.log.len());
        self.write.is_some_and(|write| writes.contain(write))
            || whole.any(|cut_off| cut_off.is_in(writes))
    }

    /// The latest of its cut-off saves that is among these writes of a record.
    fn last_in(&self, writes: &Writes) -> Option<&CutOff> {
        let mut all = self.cut_off.iter().rev();
        all.find(|cut_off| cut_off.is_in(writes))
    }

    /// Whether an earlier attempt of this request left this mark and got no answer.
    pub(crate) fn has_left(&self, mark: &Mark) -> bool {
        let is_its = |cut_off: &CutOff| cut_off.write == mark.write;
        self.cut_off.iter().any(is_its)
    }

    /// Replaces the draft.
    pub(crate) fn draft_again(&mut self, draft: Draft) {
        let old = mem::replace(&mut self.draft, draft);
        self.enrolled = self.enrolled.take().or(old.enrolment);
    }

    /// Takes the enrolment that was made for the session.
    pub(crate) fn take_enrolment(&mut self) -> Option<Enrolment> {
        let last = self.draft.enrolment.take();
        self.enrolled.take().or(last)
    }

    /// The enrolment that was made for the session, if `content` has another subject or none.
    pub(crate) fn enrolled_for_another(&self, content: &Content) -> Option<&Enrolment> {
        let enrolled = self.enrolled.as_ref().or(self.draft.enrolment.as_ref());
        let subject = content.subject.as_deref();
        enrolled.filter(|enrolled| !subject.is_some_and(|subject| enrolled.is_of(subject)))
    }

    /// Hands the changes and the draft over to another request that writes them.
    pub(crate) fn lend(&mut self) -> Self {
        let draft = Draft {
            plain: Bytes::new(),
            enrolment: None,
            writes: Writes::default(),
            ..self.draft
        };
        Self {
            id: self.id.clone(),
            before: self.before.clone(),
            draft: mem::replace(&mut self.draft, draft),
            log: mem::take(&mut self.log),
            left: self.left.clone(),
            cut_off: mem::take(&mut self.cut_off),
            enrolled: self.enrolled.take(),
            ..*self
        }
    }

    /// Takes back what was [lent](Self::lend).
    pub(crate) fn take_back(&mut self, lent: Self) {
        let Self {
            draft,
            log,
            cut_off,
            enrolled,
            ..
        } = lent;
        (self.draft, self.log, self.cut_off) = (draft, log, cut_off);
        self.enrolled = enrolled;
    }

    /// The content for the loser of two renewals: this request's own changes, without the values it
    /// has read, and without changes that one of the `carried` writes already holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the content is empty, and the error of an update.
    pub(crate) fn alone(&mut self, carried: &Writes, now: Timestamp) -> Result<Content, Error> {
        let mut content = Content::new(now);
        let done = self.last_in(carried).map_or(0, |last| last.changes);
        let changes = self.log.changes_mut().skip(done);
        let mut own = changes.filter(|change| !matches!(change, Change::PutBackFlashes(_)));
        own.try_for_each(|change| change.apply(&mut content))?;
        if content.is_empty() {
            return Err(Error::new(ErrorKind::Gone));
        }
        Ok(content)
    }

    /// Applies the job's changes to content that other requests wrote, except those that one of the
    /// writes has already brought.
    ///
    /// # Errors
    ///
    /// The error of an update. [`Error::in_doubt`] if the record cannot tell whether a cut-off save
    /// was done. [`ErrorKind::Gone`] if this request relied on a subject that another request has
    /// removed or replaced: a login needs a new ID.
    pub(crate) fn apply(
        &mut self,
        content: &mut Content,
        writes: &Writes,
        now: Timestamp,
    ) -> Result<(), Error> {
        let done = self.last_in(writes);
        let is_unknown = |cut_off: &CutOff| cut_off.is_unknown(writes, now);
        if done.is_none() && self.cut_off.iter().any(is_unknown) {
            return Err(Error::in_doubt());
        }
        let done = done.map_or(0, |cut_off| cut_off.changes);
        let is_renewed = self.plan.write.names();
        self.log.changes_mut().skip(done).try_for_each(|change| {
            if change.is_login_to(content) && !is_renewed {
                return Err(Error::new(ErrorKind::Gone));
            }
            change.apply(content)
        })
    }
}
