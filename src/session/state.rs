//! What one request knows of one session, and what it means for the cookie.

use std::time::Duration;

use super::{
    change::Change,
    content::{Content, Persistence, WriteId},
};
use crate::{
    clock::Timestamp,
    cookie::CookieAttributes,
    error::Rejection,
    id::{RecordKey, SessionId},
    named::Named,
    store::Version,
};

/// Empty until the session is used.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) live: Option<Live>,
    /// What this request changed and no store has yet.
    pub(super) log: Vec<Change>,
    /// Something was changed that need not be in the log, as nothing is ever merged: the session is
    /// in its cookie.
    pub(super) changed: bool,
    /// Where the session is to be found when it is opened (again).
    pub(super) source: Source,
    /// It shall go on under another ID.
    pub(super) renew: bool,
    pub(super) cookie: CookieDuty,
    /// Somebody looked at it, or tried to: the response depends on the cookie.
    pub(super) used: bool,
    /// Something was asked for that only a response can do, after the response.
    pub(super) too_late: bool,
    /// It was loaded again after the response was committed, for use with `save`.
    pub(super) reopened: bool,
    /// The attributes of the browser's cookie, if the session has got others that make it another
    /// cookie.
    pub(super) moved_from: Option<Box<CookieAttributes>>,
    /// Saves that were cut off or failed, and how many changes of the log each carried.
    pub(super) cut_off: Vec<(WriteId, usize)>,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Source {
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
pub(super) enum CookieDuty {
    #[default]
    Nothing,
    /// The cookie came, and is of no use.
    Remove,
    /// A new one in place of one that still works.
    Refresh,
    /// A new one without which the session or a change would be lost.
    Set,
}

impl CookieDuty {
    /// The old cookie still works: it stays.
    pub(super) fn withdraw_refresh(&mut self) {
        if *self == Self::Refresh {
            *self = Self::Nothing;
        }
    }
}

/// An opened session.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) origin: Option<Origin>,
    pub(super) content: Content,
    pub(super) rejection: Option<Rejection>,
    /// What the browser's cookie is a copy of, if the session is in a store and yet in a cookie.
    pub(super) copy: Option<Copied>,
    /// This request made the version of the record that `origin` tells.
    pub(super) is_written: bool,
}

/// A cookie that is a copy of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    pub(super) version: Version,
    pub(super) issued: Timestamp,
}

/// What the session was opened from; a new one has none.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Token {
        id: SessionId,
        issued: Timestamp,
    },
    Record {
        id: SessionId,
        version: Version,
        expires: Timestamp,
    },
}

impl Live {
    pub(super) fn of(
        origin: Option<Origin>,
        content: Content,
        rejection: Option<Rejection>,
    ) -> Self {
        Self {
            origin,
            content,
            rejection,
            copy: None,
            is_written: false,
        }
    }

    pub(super) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self::of(None, Content::new(now), rejection)
    }

    /// What the session is called in logs and stores.
    pub(super) fn key(&self) -> Option<RecordKey> {
        self.origin.as_ref().map(|origin| match origin {
            Origin::Token { id, .. } | Origin::Record { id, .. } => id.record_key(),
        })
    }
}

impl State {
    /// Whether there may be something to save or to tell the browser.
    pub(super) fn is_in_use(&self) -> bool {
        self.live.is_some() || self.is_changed() || self.cookie != CookieDuty::Nothing
    }

    pub(super) fn is_changed(&self) -> bool {
        self.renew || self.changed || !self.log.is_empty()
    }

    pub(super) fn needs_opening(&self) -> bool {
        self.live.is_none() && self.is_changed()
    }

    /// Forgets what the session is, but not where: it is read again when it is used again.
    pub(super) fn close(&mut self, id: Option<SessionId>) {
        let origin = self.live.take().and_then(|live| live.origin);
        let known = id.or(match origin {
            Some(Origin::Record { id, .. }) => Some(id),
            _ => None,
        });
        if let Some(id) = known {
            self.renew = false;
            self.source = Source::Known(id.into());
        }
    }

    pub(super) fn owe(&mut self, duty: CookieDuty) {
        self.cookie = self.cookie.max(duty);
    }

    /// Forgets what the handler changed, but not that the session was renewed or destroyed. The
    /// changes are to be dropped without the lock: they may have closures of the application.
    #[must_use]
    pub(super) fn discard_changes(&mut self) -> Vec<Change> {
        if !self.changed && self.log.is_empty() {
            return Vec::new();
        }
        self.changed = false;
        match (&self.source, &mut self.live) {
            // The attributes of the destroyed session are those that the removal of its cookie
            // needs.
            (Source::Nothing, Some(live)) => {
                let attributes = live.content.attributes.take();
                live.content = Content {
                    attributes,
                    ..Content::new(live.content.created)
                };
            }
            _ => self.live = None,
        }
        std::mem::take(&mut self.log)
    }
}

/// The two clocks of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub(super) idle: Duration,
    pub(super) end: Timestamp,
}

impl Lifetime {
    pub(super) fn of(content: &Content, named: &Named) -> Self {
        match content.persistence {
            Persistence::For { since, length } => Self {
                idle: length,
                end: since.saturating_add(length),
            },
            Persistence::Configured | Persistence::UntilBrowserCloses => Self {
                idle: named.idle,
                end: content.created.saturating_add(named.absolute),
            },
        }
    }

    /// When the session is over if nobody uses it again.
    pub(super) fn expires(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.idle).min(self.end)
    }

    /// Whether the end has moved on so far, since it was last written down, that it is worth
    /// another write.
    pub(super) fn is_worth_refreshing(self, now: Timestamp, written: Timestamp) -> bool {
        let gained = self.expires(now).saturating_since(written);
        gained > Duration::ZERO && gained.as_secs().saturating_mul(10) >= self.idle.as_secs()
    }

    /// Whether the browser, if it is never told again, drops the cookie of a session that is still
    /// in use.
    pub(super) fn outlasts_cookie(self, now: Timestamp, content: &Content, named: &Named) -> bool {
        let max_age = self.max_age(now, content, named);
        max_age.is_some_and(|age| age < self.end.saturating_since(now))
    }

    /// The `Max-Age` of the cookie; none if it goes when the browser closes.
    pub(super) fn max_age(
        self,
        now: Timestamp,
        content: &Content,
        named: &Named,
    ) -> Option<Duration> {
        let left = self.end.saturating_since(now);
        match content.persistence {
            Persistence::For { .. } => Some(left),
            Persistence::Configured => named.max_age.map(|age| age.min(left)),
            Persistence::UntilBrowserCloses => None,
        }
    }
}
