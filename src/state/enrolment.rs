//! What saving a session changes in the rosters of subjects.

use std::time::Duration;

use super::lifetime::Lifetime;
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Subject},
};

/// A roster learns of a session's use once per tenth of the idle timeout, and at least this often.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    pub(crate) subject: Option<Box<Subject>>,
    /// The subject whose roster the session leaves.
    pub(crate) former: Option<Box<Subject>>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    /// How long the session may be used and saved before the roster must learn of it again.
    pub(crate) interval: Duration,
    /// The roster must be sealed with a new key, because the cookie is.
    pub(crate) reseals: bool,
}

impl Enrolment {
    /// Returns `None` if the session neither is in a roster nor goes into one.
    pub(crate) fn of(content: &Content, settings: &Settings, now: Timestamp) -> Option<Self> {
        let (subject, former) = (content.subject.clone(), content.former.clone());
        if settings.rosters.is_none() || (subject.is_none() && former.is_none()) {
            return None;
        }
        let lifetime = Lifetime::of(content, settings);
        let interval = interval(lifetime);
        let expires = lifetime
            .expires(now)
            .saturating_add(interval)
            .min(lifetime.end);
        let created = content.created;
        Some(Self {
            subject,
            former,
            created,
            expires,
            interval,
            reseals: false,
        })
    }

    /// Whether the session must be enrolled before it is saved, so that a subject never has a
    /// session that is not listed.
    pub(crate) fn is_new(&self) -> bool {
        self.subject
            .as_ref()
            .is_some_and(|subject| subject.note.is_some())
    }

    /// The subject whose roster the session leaves, unless it goes into the same one.
    pub(crate) fn left(&self) -> Option<&Subject> {
        let former = self.former.as_deref();
        former.filter(|former| !self.is_of(former))
    }

    /// When the session was first listed, if its new subject is the one that it had before.
    pub(crate) fn renamed_since(&self) -> Option<Timestamp> {
        let former = self.former.as_deref();
        former
            .filter(|former| self.is_of(former))
            .map(|former| former.since)
    }

    pub(super) fn is_of(&self, other: &Subject) -> bool {
        let own = self.subject.as_deref();
        own.is_some_and(|own| own.name == other.name)
    }
}

/// Whether the subject's roster must learn that the session is in use.
pub(super) fn is_due(subject: &Subject, lifetime: Lifetime, now: Timestamp) -> bool {
    now.saturating_since(subject.listed) >= interval(lifetime)
}

fn interval(lifetime: Lifetime) -> Duration {
    (lifetime.idle / 10).min(MAX_INTERVAL)
}
