//! The two clocks of a session.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Persistence},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// How long it lasts if nobody uses it.
    pub(crate) idle: Duration,
    /// When it is over, however much it is used.
    pub(crate) end: Timestamp,
}

impl Lifetime {
    pub(crate) fn of(content: &Content, settings: &Settings) -> Self {
        match content.persistence {
            Persistence::For { since, length } => Self {
                idle: length,
                end: since.saturating_add(length),
            },
            Persistence::Configured | Persistence::UntilBrowserCloses => Self {
                idle: settings.idle,
                end: content.created.saturating_add(settings.absolute),
            },
        }
    }

    /// When the session is over if nobody uses it again.
    pub(crate) fn expires(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.idle).min(self.end)
    }

    /// Whether the end has moved so far, since it was last written down, that it is worth another
    /// write: by a tenth of the idle timeout.
    pub(crate) fn is_worth_touching(self, now: Timestamp, written: Timestamp) -> bool {
        let gained = self.expires(now).saturating_since(written);
        gained > Duration::ZERO && gained.as_secs().saturating_mul(10) >= self.idle.as_secs()
    }

    /// Whether a session in a cookie of this age, which is only read, gets another one. In a cookie
    /// alone it does from half of the idle timeout on: a response that is late puts an old state in
    /// the place of a newer one. Where a store tells whether the session is alive, it does from a
    /// tenth on.
    pub(crate) fn is_worth_resealing(
        self,
        now: Timestamp,
        issued: Timestamp,
        settings: &Settings,
    ) -> bool {
        let part = if settings.ends().is_some() { 10 } else { 2 };
        let age = now.saturating_since(issued).as_secs();
        self.expires(now) > self.expires(issued) && age.saturating_mul(part) >= self.idle.as_secs()
    }

    /// Whether the browser, if it is never told again, drops the cookie of a session that is still
    /// in use.
    pub(crate) fn outlasts_cookie(
        self,
        now: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> bool {
        let max_age = self.max_age(now, content, settings);
        max_age.is_some_and(|age| age < self.end.saturating_since(now))
    }

    /// The `Max-Age` of the cookie; none if it goes when the browser closes.
    pub(crate) fn max_age(
        self,
        now: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> Option<Duration> {
        let left = self.end.saturating_since(now);
        match content.persistence {
            Persistence::For { .. } => Some(left),
            Persistence::Configured => settings.max_age.map(|age| age.min(left)),
            Persistence::UntilBrowserCloses => None,
        }
    }
}
