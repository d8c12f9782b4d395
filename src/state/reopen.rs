//! Closing a session, and opening it again.

use std::mem;

use super::{
    change::Change,
    home::Home,
    log::Log,
    request::{CookieDuty, Source, State},
    view::View,
};
use crate::{clock::Timestamp, content::Content, id::SessionId};

impl State {
    /// Discards the handler's changes. A renewal or a destroy stays. Drop the returned changes
    /// outside the lock: they may own closures of the application.
    #[must_use]
    pub(crate) fn discard_changes(&mut self) -> Log {
        if !self.is_changed_unlogged && !self.log.kinds().is_due {
            return mem::take(&mut self.log);
        }
        self.log.changes().for_each(Change::give_up);
        self.is_changed_unlogged = false;
        self.source = self.source_again();
        match (&self.source, &mut self.view) {
            // The removal of the cookie needs the attributes of the destroyed session.
            (Source::Nothing, Some(view)) => {
                let attributes = view.content.attributes.take();
                view.content = Content::new(view.content.created);
                view.content.attributes = attributes;
            }
            _ => {
                self.lose();
                self.view = None;
            }
        }
        mem::take(&mut self.log)
    }

    /// Where to read the session again: in the record that this request saved, if it did.
    pub(crate) fn source_again(&self) -> Source {
        match &self.view {
            Some(View {
                home: Home::Record(place),
                ..
            }) => Source::Known(place.id.clone().into()),
            _ => self.source.clone(),
        }
    }

    /// The session as the browser has it in its cookie. `None` if it is not there, or if its request
    /// could not commit it.
    pub(crate) fn in_cookie(&self) -> Option<View> {
        let view = self.view.as_ref()?;
        (view.home.is_cookie() && self.is_committed).then(|| View {
            home: view.home.clone(),
            content: view.content.clone(),
            rejection: None,
        })
    }

    /// Notes that the open session is missing, or may be when it is opened again.
    pub(crate) fn lose(&mut self) {
        let open = self.open_home();
        self.lost.extend(open);
    }

    fn open_home(&self) -> Option<(Home, Timestamp)> {
        let view = self.view.as_ref();
        let view = view.filter(|view| !matches!(view.home, Home::Nowhere))?;
        Some((view.home.clone(), view.content.created))
    }

    /// Prepares for being opened again. Returns the request's unsaved changes, to be dropped
    /// outside the lock. Changes made since an earlier reopening stay.
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

    /// Opens the session without a request, like one that is reopened after its response. The
    /// visitor does not use it.
    pub(crate) fn open_late(&mut self, id: SessionId, view: View) {
        self.source = Source::Known(id.into());
        self.view = Some(view);
        (self.is_reopened, self.skips_touch) = (true, true);
    }

    /// Forgets the content but not the place. The next use reads the session again.
    pub(crate) fn close(&mut self, home: Home) {
        self.view = None;
        if let Home::Record(place) = home {
            self.renews = false;
            self.source = Source::Known(place.id.into());
        }
    }

    /// Becomes a new session whose old cookie, if any, has to go. The attributes of the browser's
    /// cookie stay: its removal, or the new session's cookie, must carry them. The old session
    /// counts as lost until it has ended.
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
            is_committed: self.is_committed,
            is_reopened: self.is_reopened,
            skips_touch: self.skips_touch,
            lost: self.lost.iter().cloned().chain(self.open_home()).collect(),
            ..Self::default()
        };
        mem::replace(self, new)
    }
}
