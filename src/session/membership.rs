//! What a session that is saved has to do with the listings of subjects.

use std::{sync::Arc, time::Duration};

use super::{
    Session,
    change::Change,
    content::{Content, Subject},
    state::Lifetime,
};
use crate::{
    clock::Timestamp,
    error::Error,
    id::RecordKey,
    subjects::{Listed, Subjects},
};

/// The listing is told of a session's use once in a tenth of its idle timeout, and at least this
/// often.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// What a session that is about to be saved has to do with listings.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    subject: Option<Box<Subject>>,
    former: Option<Box<str>>,
    created: Timestamp,
    expires: Timestamp,
    interval: Duration,
    /// The cookie will be of a new key, and so the listing has to be.
    pub(super) reseals: bool,
}

/// Whether a session is to be listed before it is saved: nobody must find one of his that is not
/// listed.
pub(super) fn is_new(member: Option<&Membership>) -> bool {
    member.is_some_and(|member| {
        member
            .subject
            .as_ref()
            .is_some_and(|subject| subject.note.is_some())
    })
}

impl Session {
    /// `None` if there are no listings for this kind of session.
    pub(super) fn subjects(&self) -> Option<Subjects> {
        Subjects::of(Arc::clone(self.named()), self.slots.clock().clone())
    }

    /// `None` if the session is in no listing and goes into none.
    pub(super) fn membership(&self, content: &Content) -> Option<Membership> {
        let (subject, former) = (content.subject.clone(), content.former.clone());
        if subject.is_none() && former.is_none() {
            return None;
        }
        let lifetime = Lifetime::of(content, self.named());
        // It may go on so long after it was listed without being listed again.
        let interval = interval(lifetime);
        let expires = lifetime
            .expires(self.slots.clock().now())
            .saturating_add(interval)
            .min(lifetime.end);
        Some(Membership {
            subject,
            former,
            created: content.created,
            expires,
            interval,
            reseals: false,
        })
    }

    /// Whether it is time to tell the listing that the session is in use.
    pub(super) fn is_listing_due(&self, content: &Content, log: &[Change], now: Timestamp) -> bool {
        let lifetime = Lifetime::of(content, self.named());
        let is_old = |subject: &Subject| now.saturating_since(subject.listed) >= interval(lifetime);
        // One that is to last longer is to be listed longer.
        let persists = log
            .iter()
            .any(|change| matches!(change, Change::Persist(_)));
        content
            .subject
            .as_deref()
            .is_some_and(|subject| persists || is_old(subject))
    }

    /// Puts the session into its subject's listing, and says since when it counts as listed.
    pub(super) async fn enlist(
        &self,
        member: Option<&Membership>,
        key: RecordKey,
        before: Option<RecordKey>,
    ) -> Result<Option<Timestamp>, Error> {
        let Some((subjects, subject, member)) = self.listing(member) else {
            return Ok(None);
        };
        let since = if subject.note.is_some() {
            None
        } else {
            Some(subject.since)
        };
        let Membership {
            created,
            expires,
            interval,
            reseals,
            ..
        } = *member;
        let note = subject.note.as_deref();
        let listed = Listed {
            key,
            before,
            note,
            since,
            created,
            expires,
            interval,
            reseals,
        };
        subjects.add(&subject.name, &listed).await.map(Some)
    }

    /// Whether the session is in the listing that it was put into, and nobody has ended it since.
    pub(super) async fn is_listed(
        &self,
        member: Option<&Membership>,
        key: &RecordKey,
    ) -> Result<bool, Error> {
        match self.listing(member) {
            Some((subjects, subject, _)) => subjects.has(&subject.name, key).await,
            None => Ok(true),
        }
    }

    /// Takes a session that was not made after all, or is no more, from its subject's listing.
    pub(super) async fn delist(&self, member: Option<&Membership>, key: &RecordKey) {
        if let Some((subjects, subject, _)) = self.listing(member) {
            subjects.remove(&subject.name, key).await;
        }
    }

    /// Takes what was called `before`, and goes on under a new name without its subject, from the
    /// subject's listing; `false` if it has been ended there.
    pub(super) async fn leaves(
        &self,
        member: Option<&Membership>,
        before: &RecordKey,
    ) -> Result<bool, Error> {
        match (
            self.subjects(),
            member.and_then(|member| member.former.as_ref()),
        ) {
            (Some(subjects), Some(former)) => subjects.leave(former, before).await,
            _ => Ok(true),
        }
    }

    /// Takes what the session was called before, and whose it was before, from the listings.
    pub(super) async fn tidy_listings(
        &self,
        member: Option<&Membership>,
        key: &RecordKey,
        before: Option<&RecordKey>,
    ) {
        let Some(own) = member else { return };
        if let Some(before) = before {
            self.delist(member, before).await;
        }
        let is_same = |former: &str| {
            own.subject
                .as_ref()
                .is_some_and(|subject| *subject.name == *former)
        };
        if let (Some(subjects), Some(former)) = (self.subjects(), &own.former)
            && !is_same(former)
        {
            subjects.remove(former, before.unwrap_or(key)).await;
        }
    }

    fn listing<'a>(
        &self,
        member: Option<&'a Membership>,
    ) -> Option<(Subjects, &'a Subject, &'a Membership)> {
        let member = member?;
        Some((self.subjects()?, member.subject.as_deref()?, member))
    }
}

fn interval(lifetime: Lifetime) -> Duration {
    (lifetime.idle / 10).min(MAX_INTERVAL)
}
