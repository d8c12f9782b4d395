//! The idle and the absolute timeout of a session.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    config::{Foreign, Settings},
    content::{Content, Persistence},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// How long the session lasts without use.
    pub(crate) idle: Duration,
    /// How long the session lasts until a second request uses it. At most `idle`.
    pub(crate) first: Duration,
    /// When the session ends, however much it is used.
    pub(crate) end: Timestamp,
}

/// How a save moves the session's expiry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Term {
    /// The visitor uses the session, so the idle timeout restarts.
    #[default]
    Restarts,
    /// The request that made the session saves it. There may never be a second one.
    Begins,
    /// The request does not count as use, so the expiry stays.
    Stays,
}

impl Lifetime {
    pub(crate) fn of(content: &Content, settings: &Settings) -> Self {
        if content.created < settings.not_before {
            return Self::new(Duration::ZERO, Timestamp::default());
        }
        let last = content.created.saturating_add(settings.absolute);
        // Stores keep no later expiry. Without the bound every read would seem worth a touch.
        let last = last.min(Timestamp::LATEST);
        let lifetime = match content.persistence {
            Persistence::For { since, length } => {
                // The length may have been granted before the bound was lowered.
                let idle = length.min(settings.persist_up_to);
                return Self::new(idle, since.saturating_add(idle));
            }
            // A browser that drops the cookie earlier ends the session then.
            Persistence::Configured => Self::new(
                settings.max_age.unwrap_or(settings.idle).min(settings.idle),
                last,
            ),
            Persistence::UntilBrowserCloses => Self::new(settings.idle, last),
        };
        match settings.first_idle {
            // A visitor who has logged in is no passer-by.
            Some(first) if content.subject.is_none() && content.authenticated.is_none() => Self {
                first: first.min(lifetime.idle),
                ..lifetime
            },
            _ => lifetime,
        }
    }

    /// When a session from another maker's cookie expires.
    ///
    /// Such a cookie tells only when it was saved, not when it was used. So the idle timeout
    /// applies only to a session that stays in such cookies.
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

    /// When the session expires if nobody uses it after `now`.
    pub(crate) fn expires(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.idle).min(self.end)
    }

    /// When the session expires if it is saved now. `written` is the stored expiry.
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
                // A second request may have restarted the timeout.
                first.max(written.unwrap_or_default()).min(latest)
            }
        }
    }

    /// Whether a second request makes the session last longer.
    pub(crate) fn grows(self) -> bool {
        self.first < self.idle
    }

    /// Whether the expiry has moved far enough from the stored one to be worth a write: by a tenth
    /// of the idle timeout, or to the absolute timeout.
    pub(crate) fn is_worth_touching(self, now: Timestamp, written: Timestamp) -> bool {
        let expires = self.expires(now);
        let gained = expires.saturating_since(written);
        let is_much = gained.as_secs().saturating_mul(10) >= self.idle.as_secs();
        gained > Duration::ZERO && (is_much || expires == self.end)
    }

    /// Whether a session that is only read gets a new cookie in place of the one with these times.
    ///
    /// Without a store this happens in the second half of the cookie's time only, because a late
    /// response replaces newer values with older ones. Where a store knows whether the session is
    /// alive, it happens after a tenth.
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

    /// Whether to send the cookie of a session in a record again, before the browser drops the one
    /// that was sent at `sent`.
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

    /// When the browser drops the cookie that was sent at `sent`. `None` without a `Max-Age`.
    pub(crate) fn forgotten(
        self,
        sent: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> Option<Timestamp> {
        let of_cookie = self.of_cookie(content, settings);
        of_cookie.map(|cookie| cookie.expires(sent))
    }

    /// The lifetime of a cookie that slides with use.
    fn of_cookie(self, content: &Content, settings: &Settings) -> Option<Self> {
        let idle = match content.persistence {
            Persistence::Configured => settings.max_age,
            Persistence::UntilBrowserCloses | Persistence::For { .. } => None,
        };
        idle.map(|idle| Self { idle, ..self })
    }

    /// The `Max-Age` of the cookie of a session that was used at `used`. `None` if the cookie ends
    /// when the browser closes.
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
