//! When a session was created, last used and will expire, as far as one request can tell.

use super::{
    home::Home,
    lifetime::Lifetime,
    plan::When,
    request::{CookieDuty, State},
    view::View,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Persistence},
};

/// The times of a session that exists, or will when the response is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Life {
    pub(crate) created: Timestamp,
    /// As stored. `None` for a session that is not saved yet.
    pub(crate) last_used: Option<Timestamp>,
    /// When the session expires if nobody uses it after this request.
    pub(crate) expires: Timestamp,
}

impl State {
    /// Returns `None` if there is no session and this response will bring none. `is_closed`: the
    /// response has been committed and saves nothing more.
    pub(crate) fn life(
        &self,
        settings: &Settings,
        now: Timestamp,
        is_closed: bool,
    ) -> Option<Life> {
        let view = self.view.as_ref().filter(|view| self.lives(view, now))?;
        let (content, lifetime) = (&view.content, Lifetime::of(&view.content, settings));
        let written = view.home.expires();
        let plan = match self.plan(settings, now, When::Response) {
            Ok(plan) if !is_closed => plan,
            _ => None,
        };
        let expires = match (plan, written) {
            (None, Some(written)) => written,
            (Some(plan), _) => lifetime.expires_by(plan.term, now, written),
            (None, None) => lifetime.expires(now),
        };
        // The browser may drop its cookie earlier.
        let stays = plan.is_none_or(|plan| plan.duty == CookieDuty::Nothing);
        let sent = self
            .provenance
            .sent
            .filter(|_| stays && self.duty == CookieDuty::Nothing);
        let forgotten = sent.and_then(|sent| lifetime.forgotten(sent, content, settings));
        let is_saved = !self.log.kinds().is_of_lifetime;
        Some(Life {
            created: content.created,
            last_used: last_used(view, is_saved.then_some(lifetime), now),
            expires: expires.min(forgotten.unwrap_or(expires)).min(lifetime.end),
        })
    }

    fn lives(&self, view: &View, now: Timestamp) -> bool {
        match view.home {
            Home::Nowhere => !view.content.is_empty(),
            Home::Marked(_) => self.renews && !view.content.is_empty(),
            Home::Cookie { .. } | Home::Record(_) => {
                !(self.has_run_out(now) || self.is_changed() && view.content.is_emptied())
            }
        }
    }
}

/// The latest use of the session that anything stored reveals.
fn last_used(view: &View, lifetime: Option<Lifetime>, now: Timestamp) -> Option<Timestamp> {
    let content = &view.content;
    let used = match &view.home {
        Home::Nowhere | Home::Marked(_) => return None,
        Home::Cookie { issued, .. } => *issued,
        Home::Record(place) => place.writes.latest_time().unwrap_or_default(),
    };
    let written = view.home.expires().zip(lifetime);
    let put_off = written.map(|(expires, lifetime)| put_off(expires, lifetime));
    let noted = lifetime.and_then(|_| noted(content));
    let others = put_off.into_iter().chain(noted);
    let used = others.fold(used.max(content.created), Timestamp::max);
    Some(used.min(now))
}

/// When the idle timeout was last restarted. At the absolute timeout this is too early.
fn put_off(expires: Timestamp, lifetime: Lifetime) -> Timestamp {
    Timestamp::from_secs(expires.as_secs().saturating_sub(lifetime.idle.as_secs()))
}

fn noted(content: &Content) -> Option<Timestamp> {
    let persisted = match content.persistence {
        Persistence::For { since, .. } => Some(since),
        Persistence::Configured | Persistence::UntilBrowserCloses => None,
    };
    let listed = content.subject.as_ref().map(|subject| subject.listed);
    persisted
        .max(listed)
        .max(content.authenticated.map(Timestamp::from))
}
