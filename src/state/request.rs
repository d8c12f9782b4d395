//! The state of one session in one request.

use std::{
    mem,
    sync::{Arc, Weak},
};

use super::{
    change::{Change, Effect, Taken, TakenValue},
    home::Home,
    log::Log,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Persistence, WriteId, Writes},
    cookie::CookieAttributes,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    key::KeyId,
    report::Opening,
};

/// Empty until the session is used.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) view: Option<View>,
    /// What this request changed and no store has yet.
    pub(crate) log: Log,
    /// The flash messages that were taken, in case the visitor does not see the response.
    pub(crate) taken: Vec<Taken>,
    /// The values that are being taken.
    pub(crate) takes: Vec<Weak<TakenValue>>,
    /// Something was changed that need not be in the log, as nothing is ever merged: the session is
    /// in its cookie.
    pub(crate) is_changed_unlogged: bool,
    /// Where the session is to be found when it is opened (again).
    pub(crate) source: Source,
    /// It shall get another ID.
    pub(crate) renews: bool,
    pub(crate) duty: CookieDuty,
    /// The cookie that came is of a key, or has attributes, that new ones have not.
    pub(crate) is_outdated: bool,
    /// The key of the cookie that came.
    pub(crate) sealed_by: Option<KeyId>,
    /// When the cookie was made that came and refers to the session's record.
    pub(crate) sent: Option<Timestamp>,
    /// The cookie that came is of another format than new ones: use moves the session.
    pub(crate) moves: bool,
    /// This request made the session.
    pub(crate) has_begun: bool,
    /// This request does not count as use of the session: its end stays.
    pub(crate) skips_touch: bool,
    /// Somebody asked it something, changed it, or tried to: the response depends on the cookie. To
    /// load it is not enough.
    pub(crate) is_used: bool,
    /// Something was asked for after the response that only a response can do.
    pub(crate) is_refused: bool,
    /// It was loaded again after the response was committed, for use with `save`.
    pub(crate) is_reopened: bool,
    /// The attributes of the browser's cookie, if the session has got others that make it another
    /// cookie.
    pub(crate) moved_from: Option<Box<CookieAttributes>>,
    /// Saves that were cut off or failed.
    pub(crate) cut_off: Vec<CutOff>,
}

/// An opened session.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) home: Home,
    pub(crate) content: Content,
    pub(crate) rejection: Option<Rejection>,
}

impl View {
    /// What the request has found.
    #[inline]
    pub(crate) fn opening(&self) -> Opening {
        match (self.rejection, &self.home) {
            (Some(reason), _) => Opening::Refused(reason),
            (None, Home::Nowhere) => Opening::New,
            (None, _) => Opening::Found,
        }
    }
}

/// A save of which nobody knows whether the store has done it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CutOff {
    pub(crate) write: WriteId,
    /// The write that it was to come on top of, if there was one.
    pub(crate) base: Option<WriteId>,
    /// It is known to have been done, whatever its record still says.
    pub(crate) is_done: bool,
    /// How many changes of the log it carried, from the first on.
    pub(crate) changes: usize,
    pub(crate) at: Timestamp,
}

impl CutOff {
    /// Whether it was done, by its record's last writes or by what was known before.
    pub(crate) fn is_in(&self, writes: &Writes) -> bool {
        self.is_done || writes.contain(self.write)
    }

    /// Whether it may have been done, and its record cannot tell: neither it nor the write below it
    /// is among the last ones, which are without a gap.
    pub(crate) fn is_unknown(&self, writes: &Writes, now: Timestamp) -> bool {
        let is_above = self.base.is_some_and(|base| writes.contain(base));
        !self.is_in(writes) && !is_above && !writes.would_have(self.at, now)
    }

    /// Keeps what is known of saves that were cut off; `above` tells what has come on top of a
    /// write. Of two writes over one, the store takes one.
    pub(crate) fn settle(all: &mut Vec<Self>, above: impl Fn(WriteId) -> Option<WriteId>) {
        all.retain_mut(|cut_off| match cut_off.base.and_then(&above) {
            Some(above) => {
                cut_off.is_done |= above == cut_off.write;
                cut_off.is_done
            }
            None => true,
        });
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// In the request's cookie.
    #[default]
    Cookie,
    /// Under an ID that this request gave it.
    Known(Box<SessionId>),
    /// Nowhere: it was destroyed.
    Nothing,
}

/// What the response owes the browser.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CookieDuty {
    #[default]
    Nothing,
    /// The cookie came, and is of no use.
    Remove,
    /// A new one in place of one that still works.
    Refresh,
    /// A new one without which the session or a change would be lost.
    Set,
}

/// How the response depends on the session.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Use {
    #[default]
    Not,
    /// It was asked for, and there is none: the response is the same for all such visitors.
    Absent,
    /// It is there, or nobody knows.
    There,
}

impl View {
    pub(crate) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self {
            home: Home::Nowhere,
            content: Content::new(now),
            rejection,
        }
    }
}

impl View {
    /// An empty session in the place of one that was renewed or destroyed a moment ago.
    pub(crate) fn marked(id: SessionId, reason: Rejection, now: Timestamp) -> Self {
        Self {
            home: Home::Marked(id),
            ..Self::new(now, Some(reason))
        }
    }
}

impl State {
    /// Whether there may be something to save or to tell the browser.
    pub(crate) fn is_in_use(&self) -> bool {
        self.view.is_some() || self.is_changed() || self.duty != CookieDuty::Nothing
    }

    pub(crate) fn made_use(&self) -> Use {
        match &self.view {
            _ if !self.is_used => Use::Not,
            Some(view) if view.home.is_nowhere() => Use::Absent,
            _ => Use::There,
        }
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.renews || self.is_changed_unlogged || self.log.kinds().is_due
    }

    /// Whether something was put in that is not saved.
    pub(crate) fn is_filled(&self) -> bool {
        let is_filled = |view: &View| !view.content.is_empty();
        self.is_changed() && self.view.as_ref().is_some_and(is_filled)
    }

    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub(crate) fn content(&mut self) -> Result<&mut Content, Error> {
        let view = self.view.as_mut();
        view.map(|view| &mut view.content)
            .ok_or_else(|| Error::new(ErrorKind::NotLoaded))
    }

    pub(crate) fn is_in_cookie(&self) -> bool {
        let in_cookie = |view: &View| view.home.is_cookie();
        self.view.as_ref().is_some_and(in_cookie)
    }

    pub(crate) fn needs_opening(&self) -> bool {
        self.view.is_none() && self.is_changed()
    }

    /// Notes what was done to the view; `keeps_log` unless nothing is ever merged.
    #[inline]
    pub(crate) fn enter<C: FnOnce() -> Change>(&mut self, effect: Effect<C>, keeps_log: bool) {
        match effect {
            Effect::Change(change) => self.note(keeps_log.then(change)),
            Effect::Same(change) if keeps_log => self.log.push(change().same()),
            Effect::Same(_) | Effect::Nothing => {}
        }
    }

    /// Notes a change of the view, to be saved; `None` if nothing is ever merged.
    pub(crate) fn note(&mut self, change: Option<Change>) {
        let Some(change) = change else {
            self.is_changed_unlogged = true;
            return;
        };
        if let Change::TakeFlashes(taken) = &change {
            self.taken.push(Arc::clone(taken));
        }
        self.log.push(change);
    }

    /// Takes a value out of the view for this request alone, which is to be saved at once. `fits`
    /// says whether what a store has by then is of its type.
    pub(crate) fn take_value(
        &mut self,
        key: &str,
        fits: fn(&[u8]) -> bool,
    ) -> Result<Option<Arc<TakenValue>>, Error> {
        let frames = &mut self.content()?.frames;
        let Some(found) = frames.get(key).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        frames.remove(key);
        let taken = Arc::new(TakenValue::new(key, found, fits));
        self.takes.retain(|other| other.strong_count() > 0);
        self.takes.push(Arc::downgrade(&taken));
        self.log.push(Change::Take(Arc::clone(&taken)));
        Ok(Some(taken))
    }

    /// What is being taken stays away: the handler removes this key, or all of them.
    pub(crate) fn keep_taken(&self, key: Option<&str>) {
        for taken in self.takes.iter().filter_map(Weak::upgrade) {
            taken.remove(key);
        }
    }

    /// The next page gets the messages of these queues that this one took. Those for which the
    /// handler has left no room are lost, as with a response that is seen.
    pub(crate) fn put_back_flashes(
        &mut self,
        is_of: impl Fn(&str) -> bool,
        mut fits: impl FnMut(&Content, usize) -> bool,
    ) {
        let all = mem::take(&mut self.taken).into_iter();
        let (back, rest) = all.partition::<Vec<_>, _>(|taken| is_of(&taken.queue));
        self.taken = rest;
        // Each goes in front of those that are there.
        for taken in back.into_iter().rev() {
            if taken.ids().is_empty() {
                continue;
            }
            if let Some(view) = &mut self.view {
                if !fits(&view.content, taken.growth()) {
                    continue;
                }
                taken.put_back(&mut view.content);
            }
            let at = self.log.changes().position(|change| change.takes(&taken));
            match at {
                // Saves that were cut off count the changes before it.
                Some(at) if self.cut_off.is_empty() => drop(self.log.remove(at)),
                _ => self.log.push(Change::PutBackFlashes(taken)),
            }
        }
    }

    /// A cookie that is not worth an error is not sent.
    pub(crate) fn forgo_refresh(&mut self) {
        if self.duty == CookieDuty::Refresh {
            self.duty = CookieDuty::Nothing;
        }
    }

    /// Takes those changes from the log that a save which was cut off has made after all, by the
    /// last writes of the record that was read. They are to be dropped without the lock.
    ///
    /// # Errors
    ///
    /// As for [`Error::in_doubt`], if nobody can tell.
    pub(crate) fn take_done(&mut self, writes: &Writes, now: Timestamp) -> Result<Log, Error> {
        let is_in = |cut_off: &CutOff| cut_off.is_in(writes);
        let Some(at) = self.cut_off.iter().rposition(is_in) else {
            let is_unknown = |cut_off: &CutOff| cut_off.is_unknown(writes, now);
            return match self.cut_off.iter().any(is_unknown) {
                true => Err(Error::in_doubt()),
                false => Ok(Log::default()),
            };
        };
        let last = self.cut_off.drain(..=at).next_back();
        let done = last.map_or(0, |cut_off| cut_off.changes);
        for later in &mut self.cut_off {
            later.changes = later.changes.saturating_sub(done);
        }
        Ok(self.log.take_first(done))
    }

    /// Asks for a new ID, and notes when. What the handler does is not kept if it fails, and then
    /// nobody has been authenticated: the time is a change like others.
    pub(crate) fn renew(&mut self, now: Timestamp) {
        self.renews = true;
        if let Some(view) = &mut self.view {
            view.content.authenticated = Some(now.into());
        }
        self.log.push(Change::Authenticate(now));
    }

    pub(crate) fn persist(&mut self, persistence: Persistence) {
        if let Some(view) = &mut self.view {
            if view.content.persistence == persistence {
                self.log.push(Change::Persist(persistence).same());
                return;
            }
            view.content.persistence = persistence;
        }
        self.log.push(Change::Persist(persistence));
    }

    /// After the request has ended, only changes made since the session was loaded again can be
    /// saved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyCommitted`].
    pub(crate) fn check_late(&mut self, is_closed: bool) -> Result<(), Error> {
        let is_refused = mem::take(&mut self.is_refused);
        if is_closed && (is_refused || (self.is_changed() && !self.is_reopened)) {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        Ok(())
    }

    /// Whether a session in a record was to get another ID, and has not got one.
    pub(crate) fn is_to_be_renewed(&self) -> bool {
        let in_record = |view: &View| view.home.is_record();
        self.renews && self.view.as_ref().is_some_and(in_record)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended; [`ErrorKind::AlreadyCommitted`] if only a
    /// response could put off its end.
    pub(crate) fn check_touched(&mut self, is_closed: bool) -> Result<(), Error> {
        self.is_used = true;
        match self.view.as_ref().map(|view| &view.home) {
            Some(Home::Cookie { .. }) if is_closed => Err(Error::new(ErrorKind::AlreadyCommitted)),
            Some(Home::Cookie { .. } | Home::Record(_)) => Ok(()),
            _ if self.too_late() == ErrorKind::Gone => Err(Error::new(ErrorKind::Gone)),
            _ => Ok(()),
        }
    }

    /// Whether the cookie that the session came in is of a key that was revoked since.
    pub(crate) fn is_locked_out(&self, settings: &Settings) -> bool {
        self.sealed_by
            .is_some_and(|key| !settings.codec.accepts(key))
    }

    /// Whether a session in a cookie has ended since it was opened, as one in a record that is not
    /// there any more.
    pub(crate) fn has_run_out(&self, now: Timestamp) -> bool {
        let home = self.view.as_ref().map(|view| &view.home);
        matches!(home, Some(Home::Cookie { expires, .. }) if *expires <= now)
    }

    /// What a save is after the response that would make a new session: the one there was has
    /// ended, or there never was one.
    pub(crate) fn too_late(&self) -> ErrorKind {
        let has_ended = |view: &View| view.rejection.is_some_and(Rejection::is_of_end);
        let is_destroyed = matches!(self.source, Source::Nothing);
        if is_destroyed || self.view.as_ref().is_some_and(has_ended) {
            ErrorKind::Gone
        } else {
            ErrorKind::AlreadyCommitted
        }
    }

    /// Forgets what the handler changed, but not that the session was renewed or destroyed. The
    /// changes are to be dropped without the lock: they may have closures of the application.
    #[must_use]
    pub(crate) fn discard_changes(&mut self) -> Log {
        if !self.is_changed_unlogged && !self.log.kinds().is_due {
            return mem::take(&mut self.log);
        }
        self.log.changes().for_each(Change::give_up);
        self.is_changed_unlogged = false;
        self.taken.clear();
        self.source = self.source_again();
        match (&self.source, &mut self.view) {
            // The attributes of the destroyed session are those that the removal of its cookie
            // needs.
            (Source::Nothing, Some(view)) => {
                let attributes = view.content.attributes.take();
                view.content = Content::new(view.content.created);
                view.content.attributes = attributes;
            }
            _ => self.view = None,
        }
        mem::take(&mut self.log)
    }

    /// Where to read the session again: where it was saved, if it was.
    pub(crate) fn source_again(&self) -> Source {
        match &self.view {
            Some(View {
                home: Home::Record(place),
                ..
            }) => Source::Known(place.id.clone().into()),
            _ => self.source.clone(),
        }
    }

    /// The session as the browser has it in its cookie, if it has: with a subject that is not
    /// saved, it has not.
    pub(crate) fn in_cookie(&self) -> Option<View> {
        let view = self.view.as_ref()?;
        let subject = view.content.subject.as_deref();
        let is_saved = subject.is_none_or(|subject| subject.note.is_none());
        (view.home.is_cookie() && is_saved).then(|| View {
            home: view.home.clone(),
            content: view.content.clone(),
            rejection: None,
        })
    }

    /// Gets ready to be opened anew; returns what the request changed and did not save, to be
    /// dropped without the lock. What was changed since the session was last opened anew stays.
    #[must_use]
    pub(crate) fn reopen(&mut self, source: Source) -> Log {
        self.source = source;
        if mem::replace(&mut self.is_reopened, true) {
            return Log::default();
        }
        (self.renews, self.is_changed_unlogged) = (false, false);
        self.cut_off.clear();
        self.log.changes().for_each(Change::give_up);
        self.taken.clear();
        mem::take(&mut self.log)
    }

    /// Is opened without a request: as one that was opened anew after its response. It is not the
    /// visitor who uses it.
    pub(crate) fn open_late(&mut self, id: SessionId, view: View) {
        self.source = Source::Known(id.into());
        self.view = Some(view);
        (self.is_reopened, self.skips_touch) = (true, true);
    }

    /// Forgets what the session is, but not where: it is read again when it is used again.
    pub(crate) fn close(&mut self, home: Home) {
        self.view = None;
        if let Home::Record(place) = home {
            self.renews = false;
            self.source = Source::Known(place.id.into());
        }
    }

    /// Becomes a new session whose cookie, if there is one, has to go. The attributes of the
    /// browser's cookie stay with its name: they are what the removal, or the new session's cookie,
    /// must carry.
    #[must_use]
    pub(crate) fn forget(&mut self, now: Timestamp, has_cookie: bool) -> Self {
        let mut view = View::new(now, None);
        let old = self.view.as_ref();
        let own = old.and_then(|view| view.content.attributes.clone());
        if let Some(own) = self.moved_from.clone().or(own) {
            view.content.attributes = Some(own);
        }
        let new = Self {
            view: Some(view),
            source: Source::Nothing,
            duty: if has_cookie {
                CookieDuty::Remove
            } else {
                CookieDuty::Nothing
            },
            is_used: true,
            is_reopened: self.is_reopened,
            skips_touch: self.skips_touch,
            ..Self::default()
        };
        mem::replace(self, new)
    }

    /// A save in mid-request has made a record, and its later changes were discarded.
    pub(crate) fn owes_unopened(&self) -> bool {
        self.view.is_none() && self.duty == CookieDuty::Set
    }
}
