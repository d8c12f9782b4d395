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
        if content.created < settings.not_before {
            let (idle, end) = (Duration::ZERO, Timestamp::default());
            return Self { idle, end };
        }
        match content.persistence {
            Persistence::For { since, length } => {
                // It may have been granted before the bound was lowered.
                let idle = length.min(settings.persist_up_to);
                let end = since.saturating_add(idle);
                Self { idle, end }
            }
            Persistence::Configured => Self {
                // A browser that forgets the cookie earlier ends the session then.
                idle: settings.max_age.unwrap_or(settings.idle).min(settings.idle),
                end: content.created.saturating_add(settings.absolute),
            },
            Persistence::UntilBrowserCloses => Self {
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
    /// write: by a tenth of the idle timeout, or to the last end there is.
    pub(crate) fn is_worth_touching(self, now: Timestamp, written: Timestamp) -> bool {
        let expires = self.expires(now);
        let gained = expires.saturating_since(written);
        let is_much = gained.as_secs().saturating_mul(10) >= self.idle.as_secs();
        gained > Duration::ZERO && (is_much || expires == self.end)
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

    /// Whether it is time to send the cookie of a session in a record again, before the browser
    /// drops the one that was sent at `sent`.
    pub(crate) fn is_cookie_due(
        self,
        now: Timestamp,
        sent: Timestamp,
        content: &Content,
        settings: &Settings,
    ) -> bool {
        let idle = match content.persistence {
            Persistence::Configured => settings.max_age,
            Persistence::UntilBrowserCloses | Persistence::For { .. } => None,
        };
        let of_cookie = idle.map(|idle| Self { idle, ..self });
        of_cookie.is_some_and(|cookie| cookie.is_worth_touching(now, cookie.expires(sent)))
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
