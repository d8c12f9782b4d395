//! What a session that is saved has to do with the rosters of subjects.

use std::time::Duration;

use super::lifetime::Lifetime;
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, Subject},
};

/// The roster is told of a session's use once in a tenth of its idle timeout, and at least this
/// often.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    pub(crate) subject: Option<Box<Subject>>,
    /// The subject whose roster the session leaves.
    pub(crate) former: Option<Box<Subject>>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    /// How long the session may be used, and saved, before the roster is told again.
    pub(crate) interval: Duration,
    /// The cookie will be of a new key, and so the roster has to be.
    pub(crate) reseals: bool,
}

impl Enrolment {
    /// `None` if the session is in no roster and goes into none.
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

    /// Whether the session is to be enrolled before it is saved: nobody must find one of theirs
    /// that is not listed.
    pub(crate) fn is_new(&self) -> bool {
        self.subject
            .as_ref()
            .is_some_and(|subject| subject.note.is_some())
    }

    /// The subject whose roster the session leaves, if it is another than the one it goes into.
    pub(crate) fn left(&self) -> Option<&Subject> {
        let former = self.former.as_deref();
        former.filter(|former| !self.is_of(former))
    }

    /// When the session was listed, if it has been given the subject that it had.
    pub(crate) fn renamed_since(&self) -> Option<Timestamp> {
        let former = self.former.as_deref();
        former
            .filter(|former| self.is_of(former))
            .map(|former| former.since)
    }

    /// Whether both go into the same roster.
    pub(crate) fn has_subject_of(&self, other: Option<&Self>) -> bool {
        let subject = other.and_then(|other| other.subject.as_deref());
        subject.is_some_and(|subject| self.is_of(subject))
    }

    fn is_of(&self, other: &Subject) -> bool {
        let own = self.subject.as_deref();
        own.is_some_and(|own| own.name == other.name)
    }
}

/// Whether it is time to tell the roster of this subject that the session is in use.
pub(super) fn is_due(subject: &Subject, lifetime: Lifetime, now: Timestamp) -> bool {
    now.saturating_since(subject.listed) >= interval(lifetime)
}

fn interval(lifetime: Lifetime) -> Duration {
    (lifetime.idle / 10).min(MAX_INTERVAL)
}
