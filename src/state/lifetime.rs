//! The two clocks of a session.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    config::{Foreign, Settings},
    content::{Content, Persistence},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// How long it lasts if nobody uses it.
    pub(crate) idle: Duration,
    /// How long it lasts until a second request uses it: no longer than `idle`.
    pub(crate) first: Duration,
    /// When it is over, however much it is used.
    pub(crate) end: Timestamp,
}

/// What a save does to the session's end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Term {
    /// Somebody uses the session: the idle timeout starts anew.
    #[default]
    Restarts,
    /// The request that made it saves it, and may be the only one there will be.
    Begins,
    /// The request does not count as use: the end stays.
    Stays,
}

impl Lifetime {
    pub(crate) fn of(content: &Content, settings: &Settings) -> Self {
        if content.created < settings.not_before {
            return Self::new(Duration::ZERO, Timestamp::default());
        }
        let last = content.created.saturating_add(settings.absolute);
        // A store is told of no later end, and every read would seem worth a touch.
        let last = last.min(Timestamp::LATEST);
        let lifetime = match content.persistence {
            Persistence::For { since, length } => {
                // It may have been granted before the bound was lowered.
                let idle = length.min(settings.persist_up_to);
                return Self::new(idle, since.saturating_add(idle));
            }
            // A browser that forgets the cookie earlier ends the session then.
            Persistence::Configured => Self::new(
                settings.max_age.unwrap_or(settings.idle).min(settings.idle),
                last,
            ),
            Persistence::UntilBrowserCloses => Self::new(settings.idle, last),
        };
        match settings.first_idle {
            // Who has logged in is no passer-by.
            Some(first) if content.subject.is_none() && content.authenticated.is_none() => Self {
                first: first.min(lifetime.idle),
                ..lifetime
            },
            _ => lifetime,
        }
    }

    /// When a session is over that came in a cookie of another maker.
    ///
    /// Nothing says when it was used, but for its last save. So it does not idle, unless it stays
    /// in such a cookie.
    pub(crate) fn end_of(foreign: &Foreign, settings: &Settings) -> Timestamp {
        let lifetime = Self::of(&foreign.content, settings);
        let end = match settings.is_of_go() {
            true => lifetime.expires(foreign.saved),
            false => lifetime.end,
        };
        foreign.expires.min(end)
    }

    fn new(idle: Duration, end: Timestamp) -> Self {
        Self {
            idle,
            first: idle,
            end,
        }
    }

    /// When the session is over if nobody uses it again.
    pub(crate) fn expires(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.idle).min(self.end)
    }

    /// When it is over if it is saved now; `written` is the end that was written down last.
    pub(crate) fn expires_by(
        self,
        term: Term,
        now: Timestamp,
        written: Option<Timestamp>,
    ) -> Timestamp {
        let latest = self.expires(now);
        match (term, written) {
            (Term::Restarts, _) => latest,
            (Term::Stays, Some(written)) => written.min(latest),
            (Term::Begins | Term::Stays, written) => {
                let first = now.saturating_add(self.first);
                // A second request may have put the end off.
                first.max(written.unwrap_or_default()).min(latest)
            }
        }
    }

    /// Whether a second request makes it last longer.
    pub(crate) fn grows(self) -> bool {
        self.first < self.idle
    }

    /// Whether the end has moved so far, since it was last written down, that it is worth another
    /// write: by a tenth of the idle timeout, or to the last end there is.
    pub(crate) fn is_worth_touching(self, now: Timestamp, written: Timestamp) -> bool {
        let expires = self.expires(now);
        let gained = expires.saturating_since(written);
        let is_much = gained.as_secs().saturating_mul(10) >= self.idle.as_secs();
        gained > Duration::ZERO && (is_much || expires == self.end)
    }

    /// Whether a session that is only read, and in a cookie of this span, gets another one. In a
    /// cookie alone it does from half of the time that it was given on: a response that is late
    /// puts an old state in the place of a newer one. Where a store tells whether the session is
    /// alive, it does from a tenth on.
    pub(crate) fn is_worth_resealing(
        self,
        now: Timestamp,
        (issued, expires): (Timestamp, Timestamp),
        settings: &Settings,
    ) -> bool {
        let part = if settings.ends().is_some() { 10 } else { 2 };
        let given = expires.saturating_since(issued).min(self.idle).as_secs();
        let age = now.saturating_since(issued).as_secs();
        self.expires(now) > expires && age.saturating_mul(part) >= given
    }

    /// Whether it is time to send the cookie of a session in a record again, before the browser
    /// drops the one that was sent at `sent`.
    pub(crate) fn is_cookie_due(
        self,
        now: Timestamp,
        sent: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> bool {
        let of_cookie = self.of_cookie(content, settings);
        of_cookie.is_some_and(|cookie| cookie.is_worth_touching(now, cookie.expires(sent)))
    }

    /// When the browser drops the cookie that was sent at `sent`, if it does so by itself.
    pub(crate) fn forgotten(
        self,
        sent: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> Option<Timestamp> {
        let of_cookie = self.of_cookie(content, settings);
        of_cookie.map(|cookie| cookie.expires(sent))
    }

    /// That of a cookie which slides.
    fn of_cookie(self, content: &Content, settings: &Settings) -> Option<Self> {
        let idle = match content.persistence {
            Persistence::Configured => settings.max_age,
            Persistence::UntilBrowserCloses | Persistence::For { .. } => None,
        };
        idle.map(|idle| Self { idle, ..self })
    }

    /// The `Max-Age` of the cookie of a session that was used at `used`; none if it goes when the
    /// browser closes.
    pub(crate) fn max_age(
        content: &Content,
        settings: &Settings,
        now: Timestamp,
        used: Timestamp,
    ) -> Option<Duration> {
        let age = match content.persistence {
            Persistence::For { .. } => Duration::MAX,
            Persistence::Configured => settings.max_age?.saturating_sub(now.saturating_since(used)),
            Persistence::UntilBrowserCloses => return None,
        };
        let left = Self::of(content, settings).end.saturating_since(now);
        Some(age.min(left))
    }
}
