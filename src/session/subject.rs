//! Whose session it is, and what that person's other sessions are.

use std::{sync::Arc, time::Duration};

use super::{
    Session,
    change::Change,
    content::{Content, Subject},
    state::Lifetime,
};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::RecordKey,
    subjects::{Listed, SubjectSession, Subjects},
};

/// The most bytes a subject or a note has.
const MAX_LEN: usize = 256;
/// The listing is told of a session's use once in a tenth of its idle timeout, and at least this often.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// The sessions of one user.
impl Session {
    /// Says whose session this is, so that the subject's sessions can be listed and ended, here and by
    /// [`Subjects`]. The subject is what the application calls a user: an ID from its database, say.
    ///
    /// The note is for the list: a device, a place. It is cut after 256 bytes. Call this once, at login; each call
    /// is a change that is saved, and makes the note new.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn log_in(session: Session, user: u64, browser: &str) -> Result<(), Error> {
    ///     session.renew();
    ///     session.insert("user", user)?;
    ///     session.set_subject(&user.to_string(), browser)
    /// }
    ///
    /// async fn change_password(session: Session) -> Result<usize, Error> {
    ///     // ... the password first
    ///     session.renew();
    ///     session.destroy_others().await // log out everywhere else
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Subject`] if it is empty or has more than 256 bytes. [`ErrorKind::NeedsRevocation`] for a session
    /// in a cookie without [`revocation`](crate::SessionConfig::revocation). [`ErrorKind::TooLarge`],
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn set_subject(&self, subject: &str, note: &str) -> Result<(), Error> {
        let checked = match subject.len() {
            1..=MAX_LEN if self.named().index.is_some() => Ok(()),
            1..=MAX_LEN => Err(ErrorKind::NeedsRevocation),
            _ => Err(ErrorKind::Subject),
        };
        checked.map_err(|kind| Error::new(kind).of(self.name()))?;
        let end = (0..=MAX_LEN.min(note.len())).rev().find(|end| note.is_char_boundary(*end));
        let note = note.get(..end.unwrap_or_default()).unwrap_or_default();
        self.write(|content| {
            let before = content.subject.as_ref().map_or(0, |subject| Subject::encoded_len(&subject.name));
            self.check_growth(content, Subject::encoded_len(subject).saturating_sub(before))?;
            let mut change = Change::SetSubject { name: subject.into(), note: note.into() };
            change.apply(content)?;
            Ok((Some(change), ()))
        })
    }

    /// Makes the session nobody's; says whether it was somebody's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn remove_subject(&self) -> Result<bool, Error> {
        self.write(|content| {
            let mut change = content.subject.is_some().then_some(Change::RemoveSubject);
            change.iter_mut().try_for_each(|change| change.apply(content))?;
            let removed = change.is_some();
            Ok((change, removed))
        })
    }

    /// Returns whose session this is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn subject(&self) -> Result<Option<String>, Error> {
        self.read(|live| Ok(live.content.subject.as_ref().map(|subject| subject.name.to_string())))
    }

    /// Returns the subject's sessions, this one first and then the one used last; empty if it is nobody's. One that
    /// is not saved yet is not among them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::Store`].
    pub async fn subject_sessions(&self) -> Result<Vec<SubjectSession>, Error> {
        match self.whose()? {
            Some(Whose { subjects, subject, key }) => {
                let sessions = subjects.list_beside(&subject, key.as_ref()).await;
                sessions.map_err(|error| error.of(self.name()))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Ends another session of the subject, at once; says whether there was one. A session of somebody else is left
    /// alone, so the ID may come from a form, by [`RecordKey::parse`](crate::store::RecordKey::parse). To end this
    /// session there is [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`]; [`ErrorKind::Store`] if the other one may still be there.
    pub async fn destroy_other(&self, id: &RecordKey) -> Result<bool, Error> {
        match self.whose()? {
            Some(Whose { subjects, subject, key }) if key.as_ref() != Some(id) => subjects.destroy(&subject, id).await,
            _ => Ok(false),
        }
    }

    /// Ends all other sessions of the subject, at once, and returns how many there were: "log out everywhere else".
    ///
    /// Copies of this session's own cookie go on, so [`renew`](Self::renew) it as well if somebody may have one. Of two
    /// such requests at the same time one fails then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if this session has itself been ended. [`ErrorKind::NotLoaded`]; [`ErrorKind::Store`] if
    /// some may still be there.
    pub async fn destroy_others(&self) -> Result<usize, Error> {
        let destroy = async {
            let Some(Whose { subjects, subject, key }) = self.whose()? else { return Ok(0) };
            if let Some(key) = key {
                let member = self.read(|live| Ok(self.membership(&live.content)))?;
                // Who is not in the list counts as ended from here on.
                if !is_new(member.as_ref()) {
                    self.enlist(member.as_ref(), key, None).await?;
                }
            }
            subjects.end(&subject, |entry| Some(entry.key) != key, true).await
        };
        destroy.await.map_err(|error: Error| error.of(self.name()))
    }

    fn whose(&self) -> Result<Option<Whose>, Error> {
        let (subject, key) = self.read(|live| Ok((live.content.subject.clone(), live.key())))?;
        let Some(subject) = subject else { return Ok(None) };
        let subjects = self.subjects().ok_or_else(|| Error::new(ErrorKind::NeedsRevocation).of(self.name()))?;
        Ok(Some(Whose { subjects, subject: subject.name, key }))
    }
}

/// A session's subject, and what the session is called.
struct Whose {
    subjects: Subjects,
    subject: Box<str>,
    key: Option<RecordKey>,
}

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

/// Whether a session is to be listed before it is saved: nobody must find one of his that is not listed.
pub(super) fn is_new(member: Option<&Membership>) -> bool {
    member.is_some_and(|member| member.subject.as_ref().is_some_and(|subject| subject.note.is_some()))
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
        let expires = lifetime.expires(self.slots.clock().now()).saturating_add(interval).min(lifetime.end);
        Some(Membership { subject, former, created: content.created, expires, interval, reseals: false })
    }

    /// Whether it is time to tell the listing that the session is in use.
    pub(super) fn is_listing_due(&self, content: &Content, log: &[Change], now: Timestamp) -> bool {
        let lifetime = Lifetime::of(content, self.named());
        let is_old = |subject: &Subject| now.saturating_since(subject.listed) >= interval(lifetime);
        // One that is to last longer is to be listed longer.
        let persists = log.iter().any(|change| matches!(change, Change::Persist(_)));
        content.subject.as_deref().is_some_and(|subject| persists || is_old(subject))
    }

    /// Puts the session into its subject's listing, and says since when it counts as listed.
    pub(super) async fn enlist(
        &self,
        member: Option<&Membership>,
        key: RecordKey,
        before: Option<RecordKey>,
    ) -> Result<Option<Timestamp>, Error> {
        let Some((subjects, subject, member)) = self.listing(member) else { return Ok(None) };
        let since = if subject.note.is_some() { None } else { Some(subject.since) };
        let Membership { created, expires, interval, reseals, .. } = *member;
        let note = subject.note.as_deref();
        let listed = Listed { key, before, note, since, created, expires, interval, reseals };
        subjects.add(&subject.name, &listed).await.map(Some)
    }

    /// Whether the session is in the listing that it was put into, and nobody has ended it since.
    pub(super) async fn is_listed(&self, member: Option<&Membership>, key: &RecordKey) -> Result<bool, Error> {
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

    /// Takes what was called `before`, and goes on under a new name without its subject, from the subject's listing;
    /// `false` if it has been ended there.
    pub(super) async fn leaves(&self, member: Option<&Membership>, before: &RecordKey) -> Result<bool, Error> {
        match (self.subjects(), member.and_then(|member| member.former.as_ref())) {
            (Some(subjects), Some(former)) => subjects.leave(former, before).await,
            _ => Ok(true),
        }
    }

    /// Takes what the session was called before, and whose it was before, from the listings.
    pub(super) async fn tidy_listings(&self, member: Option<&Membership>, key: &RecordKey, before: Option<&RecordKey>) {
        let Some(own) = member else { return };
        if let Some(before) = before {
            self.delist(member, before).await;
        }
        let is_same = |former: &str| own.subject.as_ref().is_some_and(|subject| *subject.name == *former);
        if let (Some(subjects), Some(former)) = (self.subjects(), &own.former)
            && !is_same(former)
        {
            subjects.remove(former, before.unwrap_or(key)).await;
        }
    }

    fn listing<'a>(&self, member: Option<&'a Membership>) -> Option<(Subjects, &'a Subject, &'a Membership)> {
        let member = member?;
        Some((self.subjects()?, member.subject.as_deref()?, member))
    }
}

fn interval(lifetime: Lifetime) -> Duration {
    (lifetime.idle / 10).min(MAX_INTERVAL)
}
