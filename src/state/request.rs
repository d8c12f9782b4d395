//! The state of one session in one request.

use std::{
    mem,
    sync::{Arc, Weak},
};

use super::{
    change::{Change, Effect, Taken, TakenFlashes, TakenValue},
    cut_off::CutOff,
    home::Home,
    log::Log,
    provenance::Provenance,
    unfinished::Unfinished,
    view::View,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Persistence, Writes},
    cookie::CookieAttributes,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
};

/// Empty until the session is used.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) view: Option<View>,
    /// This request's changes that no store has yet.
    pub(crate) log: Log,
    /// The flash messages that were taken, in case the visitor does not see the response.
    pub(crate) taken: Vec<Taken>,
    /// The values that are being taken.
    pub(crate) takes: Vec<Weak<TakenValue>>,
    /// There are changes outside the log. A session in its cookie never merges, so it needs no log.
    pub(crate) is_changed_unlogged: bool,
    /// Where to find the session when it is opened, or opened again.
    pub(crate) source: Source,
    /// The session is to get a new ID.
    pub(crate) renews: bool,
    pub(crate) duty: CookieDuty,
    /// Of the request's cookie.
    pub(crate) provenance: Provenance,
    /// This request made the session.
    pub(crate) has_begun: bool,
    /// This request does not count as use of the session, so that the session's end stays.
    pub(crate) skips_touch: bool,
    /// The handler restarts the idle timeout of a session in its cookie, which the response does.
    pub(crate) restarts: bool,
    /// The session was read or changed, or somebody tried to, so that the response depends on the
    /// cookie. Loading alone does not count as use.
    pub(crate) is_used: bool,
    /// Something that needs a response was asked for after the response.
    pub(crate) is_refused: bool,
    /// The commit is done with the session. From now on a kept handle can load it again.
    pub(crate) is_committed: bool,
    /// The session was loaded again after the response was committed, for use with `save`.
    pub(crate) is_reopened: bool,
    /// The attributes of the browser's cookie, if those of the session now make it another cookie.
    pub(crate) moved_from: Option<Box<CookieAttributes>>,
    /// Saves that were cut off or failed.
    pub(crate) cut_off: Vec<CutOff>,
    /// The session had a subject until a save found that another request has renewed it.
    pub(crate) has_lost_subject: bool,
    /// The renewal that has to be finished before the session's cookie is sent.
    pub(crate) unfinished: Option<Box<Unfinished>>,
    /// The sessions that a destroy has to end besides those of the request's cookies, and when they
    /// were created. Each was open here, was missing when it was to be destroyed or reopened, had
    /// its destroy cut off, or was open when the handler failed.
    pub(crate) lost: Vec<(Home, Timestamp)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// In the request's cookie.
    #[default]
    Cookie,
    /// In a record under this ID.
    Known(Box<SessionId>),
    /// Nowhere, because the session was destroyed.
    Nothing,
}

/// What the response owes the browser.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CookieDuty {
    #[default]
    Nothing,
    /// The removal of a useless cookie.
    Remove,
    /// A new cookie in place of one that still works.
    Refresh,
    /// A new cookie without which the session or a change would be lost.
    Set,
}

/// How the response depends on the session.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Use {
    #[default]
    Not,
    /// The session was asked for and there is none. Every such visitor gets the same response.
    Absent,
    /// The session exists, or that is unknown.
    There,
}

impl State {
    /// Whether there may be something to save or to tell the browser.
    pub(crate) fn is_in_use(&self) -> bool {
        self.view.is_some() || self.is_changed() || self.duty != CookieDuty::Nothing
    }

    /// Ends the commit. Returns what the request made of the session.
    pub(crate) fn committed(&mut self) -> Use {
        self.is_committed = true;
        match &self.view {
            _ if !self.is_used => Use::Not,
            Some(view) if view.home.is_nowhere() => Use::Absent,
            _ => Use::There,
        }
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.renews || self.is_changed_unlogged || self.log.kinds().is_due
    }

    /// Whether there are unsaved changes and the session is not empty.
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

    /// Whether there are unsaved changes from after the response.
    pub(crate) fn is_changed_late(&self) -> bool {
        self.is_reopened && self.is_changed()
    }

    pub(crate) fn is_in_cookie(&self) -> bool {
        let in_cookie = |view: &View| view.home.is_cookie();
        self.view.as_ref().is_some_and(in_cookie)
    }

    pub(crate) fn needs_opening(&self) -> bool {
        self.view.is_none() && self.is_changed()
    }

    /// Puts an opened session into the state, with what its cookie says about itself.
    #[inline]
    pub(crate) fn open(&mut self, view: View, provenance: Provenance, settings: &Settings) {
        let view = self.view.insert(view);
        self.provenance = provenance.beside(view, settings);
    }

    /// Notes an effect on the view. `keeps_log` is `false` for a session that never merges.
    #[inline]
    pub(crate) fn enter<C: FnOnce() -> Change>(&mut self, effect: Effect<C>, keeps_log: bool) {
        match effect {
            Effect::Change(change) => self.note(keeps_log.then(change)),
            Effect::Same(change) if keeps_log => self.log.push(change().same()),
            Effect::Same(_) | Effect::Nothing => {}
        }
    }

    /// Notes an unsaved change of the view. `None` stands for a change of a session that never
    /// merges.
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

    /// Takes a value out of the view for this request alone. The caller saves at once. `fits`
    /// checks that the value which the store has by then is still of its type.
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

    /// Keeps values that are being taken from coming back, because the handler removes `key`, or
    /// all keys.
    pub(crate) fn keep_taken(&self, key: Option<&str>) {
        for taken in self.takes.iter().filter_map(Weak::upgrade) {
            taken.remove(key);
        }
    }

    /// Returns the taken messages of these queues to the session, for the next page. Messages that
    /// no longer fit are lost, as with a response that is seen.
    pub(crate) fn put_back_flashes(
        &mut self,
        is_of: impl Fn(&str) -> bool,
        mut fits: impl FnMut(&Content, &TakenFlashes) -> bool,
    ) {
        let all = mem::take(&mut self.taken).into_iter();
        let (back, rest) = all.partition::<Vec<_>, _>(|taken| is_of(&taken.queue));
        self.taken = rest;
        // Each goes to the front.
        for taken in back.into_iter().rev() {
            if taken.ids().is_empty() {
                continue;
            }
            if let Some(view) = &mut self.view {
                if !fits(&view.content, &taken) {
                    continue;
                }
                taken.put_back(&mut view.content);
            }
            let at = self.log.changes().position(|change| change.takes(&taken));
            match at {
                // A save that was cut off counts changes from the start of the log, so the log must
                // not shrink.
                Some(at) if self.cut_off.is_empty() => drop(self.log.remove(at)),
                _ => self.log.push(Change::PutBackFlashes(taken)),
            }
        }
    }

    /// Drops the duty to send a refresh, which is not worth an error.
    pub(crate) fn forgo_refresh(&mut self) {
        if self.duty == CookieDuty::Refresh {
            self.duty = CookieDuty::Nothing;
        }
    }

    /// Takes the changes out of the log that a cut-off save has made after all, according to the
    /// last writes of the record that was read. Drop them outside the lock.
    ///
    /// # Errors
    ///
    /// [`Error::in_doubt`] if the record cannot tell.
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

    /// Asks for a new ID and notes the time. The time is a change like any other: if the handler
    /// fails, its changes are discarded, and nobody was authenticated.
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

    /// Checks that a save is not too late. After the response only changes made since the session
    /// was loaded again can be saved.
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

    /// Whether a session in a record still waits for its new ID.
    pub(crate) fn is_to_be_renewed(&self) -> bool {
        let in_record = |view: &View| view.home.is_record();
        self.renews && self.view.as_ref().is_some_and(in_record)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended. [`ErrorKind::AlreadyCommitted`] if only a
    /// response could restart its timeout.
    pub(crate) fn check_touched(&mut self, is_closed: bool) -> Result<(), Error> {
        self.is_used = true;
        match self.view.as_ref().map(|view| &view.home) {
            Some(Home::Cookie { .. }) if is_closed => Err(Error::new(ErrorKind::AlreadyCommitted)),
            Some(Home::Cookie { .. }) => {
                self.restarts = true;
                Ok(())
            }
            Some(Home::Record(_)) => Ok(()),
            _ if self.too_late() == ErrorKind::Gone => Err(Error::new(ErrorKind::Gone)),
            _ => Ok(()),
        }
    }

    /// Whether the key of the request's cookie has been revoked since the session was opened.
    pub(crate) fn is_locked_out(&self, settings: &Settings) -> bool {
        self.provenance
            .maker
            .is_some_and(|maker| !settings.codec.accepts(maker))
    }

    /// Whether a session in a cookie has expired since it was opened. For a session in a record,
    /// the store notices.
    pub(crate) fn has_run_out(&self, now: Timestamp) -> bool {
        let home = self.view.as_ref().map(|view| &view.home);
        matches!(home, Some(Home::Cookie { expires, .. }) if *expires <= now)
    }

    /// Whether this request puts a new session in the place of one whose cookie has expired.
    pub(crate) fn replaces_expired(&self) -> bool {
        let is_expired = |view: &View| {
            matches!(view.home, Home::Nowhere) && view.rejection == Some(Rejection::Expired)
        };
        self.view.as_ref().is_some_and(is_expired) && !self.renews && self.is_filled()
    }

    /// Whether this request has destroyed the session.
    pub(crate) fn is_destroyed(&self) -> bool {
        matches!(self.source, Source::Nothing)
    }

    /// The error of a save after the response that would make a new session: either the old session
    /// has ended, or there never was one.
    pub(crate) fn too_late(&self) -> ErrorKind {
        let has_ended = |view: &View| view.rejection.is_some_and(Rejection::is_of_end);
        if self.is_destroyed() || self.view.as_ref().is_some_and(has_ended) {
            ErrorKind::Gone
        } else {
            ErrorKind::AlreadyCommitted
        }
    }

    /// After a failed commit: whether the response still owes the browser something. That is the
    /// cookie of a session that was saved in mid-request, or the removal of a destroyed session's
    /// cookie. The failed renewal is given up.
    pub(crate) fn owes_regardless(&mut self) -> bool {
        self.renews = false;
        match self.duty {
            CookieDuty::Set => true,
            CookieDuty::Remove => self.is_destroyed(),
            CookieDuty::Nothing | CookieDuty::Refresh => false,
        }
    }

    /// Whether the response owes the cookie of a record that was saved in mid-request, while the
    /// changes after that were discarded.
    pub(crate) fn owes_unopened(&self) -> bool {
        self.view.is_none() && self.duty == CookieDuty::Set
    }
}
