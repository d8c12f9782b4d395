//! Deciding what to do for a session, once for cookies and records.

use super::{
    enrolment,
    home::{Home, Place},
    lifetime::{Lifetime, Term},
    request::{CookieDuty, State},
    view::View,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    error::{Error, ErrorKind},
    store::Version,
};

/// When a session is saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// Before or after the response.
    Now,
    /// As `Now`, and the idle timeout restarts in any case.
    Touch,
    /// With the response.
    Response,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) write: Write,
    pub(crate) lifetime: Lifetime,
    pub(crate) term: Term,
    /// The roster must learn that the session is in use.
    pub(crate) lists: bool,
    /// What the response owes the browser once the write is done.
    pub(crate) duty: CookieDuty,
    /// A change by the handler is the reason, not just the passing of time.
    pub(crate) is_change: bool,
    /// The roster must be sealed with a new key, because the cookie is.
    pub(super) reseals: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Write {
    /// Saves the session by its cookie. `names`: it is new, and gets an ID.
    Cookie {
        names: bool,
    },
    /// Saves a new session in a record.
    Create,
    /// Moves a session from its cookie, of this revision, into a record of the same ID.
    Outgrow {
        revision: u32,
    },
    Update {
        version: Version,
    },
    /// Moves the session to a new ID: into the cookie if it fits and the response brings it,
    /// otherwise into a record.
    Renew {
        from: OldHome,
        when: When,
    },
    /// Moves the record's expiry.
    Touch {
        version: Version,
    },
    /// Removes the cookie of a session that is empty now.
    Forget,
}

/// Where a session that is to be renewed was when it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OldHome {
    Cookie { revision: u32 },
    Record { version: Version },
}

/// What is due because of the time, even if the handler changed nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Due {
    /// Moving the session's expiry.
    end: bool,
    /// Sending the cookie again, because the browser would drop it too early, or because new
    /// cookies have another key.
    cookie: bool,
    /// Telling the roster that the session is in use.
    listing: bool,
    /// Sealing the roster with a new key, because the cookie gets one. See `Rosters::open`.
    new_key: bool,
}

impl Due {
    /// Whether a session in a record must be touched. A cookie that is to be sent again is a
    /// reason, because the touch finds out whether the session is alive.
    fn in_record(self) -> bool {
        self.end || self.listing || self.cookie
    }
}

impl State {
    /// Whether there is nothing to save, to put back or to tell the browser.
    pub(crate) fn rests(&self, settings: &Settings, now: impl FnOnce() -> Timestamp) -> bool {
        let lifetime = |view: &View| Lifetime::of(&view.content, settings);
        let is_due =
            |view: &View| self.due(view, settings, lifetime(view), now()) != Due::default();
        !self.is_changed()
            && self.taken.is_empty()
            && self.duty == CookieDuty::Nothing
            && !self.view.as_ref().is_some_and(is_due)
    }

    /// Decides what to do now. Returns `None` if there is nothing to do.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::TooLarge`].
    /// - [`ErrorKind::Gone`] if the session was renewed or destroyed a moment before the request
    ///   came, because the changes may date from before a login. A request that itself renews, as a
    ///   login does, gets a session of its own changes instead.
    /// - [`ErrorKind::Gone`] if the session is in a cookie and has expired since it was opened, or if
    ///   it would be over with this save.
    /// - [`ErrorKind::Gone`] if the key of the request's cookie has been revoked, and something would
    ///   be lost.
    pub(crate) fn plan(
        &self,
        settings: &Settings,
        now: Timestamp,
        when: When,
    ) -> Result<Option<Plan>, Error> {
        let Some(view) = &self.view else {
            return Ok(None);
        };
        let is_change = self.is_changed();
        if view.home.is_nowhere() && !is_change {
            return Ok(None);
        }
        let is_empty = view.content.is_empty();
        match view.home {
            Home::Marked(_) if !self.renews || is_empty => return Err(Error::new(ErrorKind::Gone)),
            Home::Nowhere if is_empty => return Ok(None),
            _ if !self.has_run_out(now) => {}
            _ if is_change => return Err(Error::new(ErrorKind::Gone)),
            _ => return Ok(None),
        }
        let len = view.content.payload_len();
        if is_change {
            let own = view.content.attributes.as_deref();
            settings.check_size(len, own).map_err(Error::new)?;
            settings.check_in_go(&view.content)?;
        }
        let lifetime = Lifetime::of(&view.content, settings);
        if is_change && lifetime.end <= now {
            return Err(Error::new(ErrorKind::Gone));
        }
        let due = self.due(view, settings, lifetime, now);
        let Some(write) = self.choose(view, settings, when, due, len) else {
            return Ok(None);
        };
        let plan = Plan {
            write,
            lifetime,
            term: self.term(view, when),
            lists: due.listing,
            duty: self.duty_after(write, due),
            is_change,
            reseals: due.new_key,
        };
        match self.is_locked_out(settings) {
            false => Ok(Some(plan)),
            true if plan.is_optional() => Ok(None),
            true => Err(Error::new(ErrorKind::Gone)),
        }
    }

    fn choose(
        &self,
        view: &View,
        settings: &Settings,
        when: When,
        due: Due,
        len: usize,
    ) -> Option<Write> {
        let (is_change, is_last) = (self.is_changed(), when == When::Response);
        let fits = settings.may_be_in_cookie()
            && settings.fits_cookie(len, view.content.attributes.as_deref());
        let is_emptied = is_change && view.content.is_emptied();
        // An outer layer removes its record, unless another request has filled it again.
        let is_removed = is_emptied && !settings.is_carried();
        let renews = self.renews && !is_removed;
        let revision = view.content.revision;
        let from = OldHome::Cookie { revision };
        match &view.home {
            Home::Nowhere | Home::Marked(_) if fits => {
                is_last.then_some(Write::Cookie { names: true })
            }
            Home::Nowhere | Home::Marked(_) => Some(Write::Create),
            Home::Cookie { .. } if is_removed => is_last.then_some(Write::Forget),
            Home::Cookie { .. } if fits || !is_change => {
                let is_due = is_change || due.end || due.listing || due.new_key;
                let write = match renews {
                    true => Write::Renew { from, when },
                    false => Write::Cookie { names: false },
                };
                (is_last && is_due).then_some(write)
            }
            Home::Cookie { .. } if renews => Some(Write::Renew { from, when }),
            Home::Cookie { .. } => Some(Write::Outgrow { revision }),
            &Home::Record(Place { version, .. }) if renews => {
                let from = OldHome::Record { version };
                Some(Write::Renew { from, when })
            }
            &Home::Record(Place { version, .. }) if is_change => Some(Write::Update { version }),
            &Home::Record(Place { version, .. })
                if when == When::Touch || (is_last && (due.in_record() || self.owes_cookie())) =>
            {
                Some(Write::Touch { version })
            }
            Home::Record(_) => None,
        }
    }

    /// What the response owes the browser once this write is done.
    fn duty_after(&self, write: Write, due: Due) -> CookieDuty {
        let shows = self.log.kinds().shows_in_cookie;
        match write {
            Write::Cookie { .. } if !self.is_changed() => CookieDuty::Refresh,
            Write::Forget => CookieDuty::Remove,
            Write::Update { .. } if !shows && !due.cookie => CookieDuty::Nothing,
            Write::Update { .. } if !shows => CookieDuty::Refresh,
            // Without the cookie of an earlier save the session would be lost.
            Write::Touch { .. } if self.duty == CookieDuty::Set => CookieDuty::Set,
            Write::Touch { .. } if due.cookie => CookieDuty::Refresh,
            Write::Touch { .. } => CookieDuty::Nothing,
            _ => CookieDuty::Set,
        }
    }

    /// Whether the response still owes the cookie of a save in mid-request. The session may have
    /// ended since, which a touch finds out.
    fn owes_cookie(&self) -> bool {
        matches!(self.duty, CookieDuty::Refresh | CookieDuty::Set)
    }

    /// How a save moves the session's expiry.
    fn term(&self, view: &View, when: When) -> Term {
        if when == When::Touch || self.restarts || self.renews || self.log.kinds().is_of_lifetime {
            Term::Restarts
        } else if self.skips_touch {
            Term::Stays
        } else if self.has_begun || view.home.is_nowhere() {
            Term::Begins
        } else {
            Term::Restarts
        }
    }

    fn due(&self, view: &View, settings: &Settings, lifetime: Lifetime, now: Timestamp) -> Due {
        if !self.is_used {
            return Due::default();
        }
        let term = self.term(view, When::Response);
        let is_use = term != Term::Stays;
        let is_second = is_use && !(term == Term::Begins && lifetime.grows());
        let end = is_second
            && match view.home {
                Home::Record(ref place) => lifetime.is_worth_touching(now, place.expires),
                Home::Cookie {
                    issued, expires, ..
                } => {
                    self.provenance.moves
                        || self.restarts
                        || lifetime.is_worth_resealing(now, (issued, expires), settings)
                }
                Home::Nowhere | Home::Marked(_) => false,
            };
        let is_cookie_due = |sent| lifetime.is_cookie_due(now, sent, &view.content, settings);
        let is_late = self.provenance.sent.is_some_and(is_cookie_due);
        let cookie = is_use && view.home.is_record() && (self.provenance.is_outdated || is_late);
        // A session in its cookie gets a new cookie with each change.
        let is_known_alive = is_use && view.home.is_cookie() && settings.ends().is_some();
        let is_resealed = self.is_changed() && (is_use || view.home.is_cookie());
        let reseals = cookie || is_resealed || is_known_alive;
        let new_key = self.provenance.is_outdated && reseals;
        let subject = view.content.subject.as_deref();
        let is_silent = |subject| is_use && enrolment::is_due(subject, lifetime, now);
        let is_due = |subject| new_key || self.log.kinds().is_told || is_silent(subject);
        Due {
            end,
            cookie,
            listing: subject.is_some_and(is_due),
            new_key,
        }
    }
}

impl OldHome {
    pub(crate) fn is_cookie(self) -> bool {
        matches!(self, Self::Cookie { .. })
    }

    /// The version of its record.
    pub(crate) fn version(self) -> Option<Version> {
        match self {
            Self::Cookie { .. } => None,
            Self::Record { version } => Some(version),
        }
    }
}

impl Write {
    /// Whether the session gets a new ID.
    pub(crate) fn names(self) -> bool {
        match self {
            Self::Create | Self::Renew { .. } => true,
            Self::Cookie { names } => names,
            Self::Outgrow { .. } | Self::Update { .. } | Self::Touch { .. } | Self::Forget => false,
        }
    }

    /// Whether the write itself takes the session out of the roster of a former subject, because
    /// nothing else would show that the session has been ended there.
    pub(crate) fn leaves_roster(self) -> bool {
        match self {
            Self::Cookie { .. } | Self::Outgrow { .. } | Self::Renew { .. } => true,
            Self::Create | Self::Update { .. } | Self::Touch { .. } | Self::Forget => false,
        }
    }
}

impl Plan {
    /// Whether nothing is lost without it.
    pub(crate) fn is_optional(&self) -> bool {
        !self.is_change && self.duty < CookieDuty::Set
    }

    /// Whether it makes a new ID, which only a response can tell the browser.
    pub(crate) fn needs_response(&self) -> bool {
        matches!(
            self.write,
            Write::Create | Write::Outgrow { .. } | Write::Renew { .. }
        )
    }
}
