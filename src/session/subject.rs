//! Whose session it is, and what that person's other sessions are.

use super::{Session, change::Change, content::Subject, membership::is_new};
use crate::{
    error::{Error, ErrorKind},
    id::RecordKey,
    subjects::{SubjectSession, Subjects},
};

/// The most bytes a subject or a note has.
const MAX_LEN: usize = 256;

/// The sessions of one user.
impl Session {
    /// Says whose session this is, so that the subject's sessions can be listed and ended, here and
    /// by [`Subjects`]. The subject is what the application calls a user: an ID from its database,
    /// say.
    ///
    /// The note is for the list: a device, a place. It is cut after 256 bytes. Call this once, at
    /// login; each call is a change that is saved, and makes the note new.
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
    /// [`ErrorKind::Subject`] if it is empty or has more than 256 bytes.
    /// [`ErrorKind::NeedsRevocation`] for a session in a cookie without
    /// [`revocation`](crate::SessionConfig::revocation). [`ErrorKind::TooLarge`],
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn set_subject(&self, subject: &str, note: &str) -> Result<(), Error> {
        let checked = match subject.len() {
            1..=MAX_LEN if self.named().index.is_some() => Ok(()),
            1..=MAX_LEN => Err(ErrorKind::NeedsRevocation),
            _ => Err(ErrorKind::Subject),
        };
        checked.map_err(|kind| Error::new(kind).of(self.name()))?;
        let end = (0..=MAX_LEN.min(note.len()))
            .rev()
            .find(|end| note.is_char_boundary(*end));
        let note = note.get(..end.unwrap_or_default()).unwrap_or_default();
        self.write(|content| {
            let before = content
                .subject
                .as_ref()
                .map_or(0, |subject| Subject::encoded_len(&subject.name));
            self.check_growth(
                content,
                Subject::encoded_len(subject).saturating_sub(before),
            )?;
            let mut change = Change::SetSubject {
                name: subject.into(),
                note: note.into(),
            };
            change.apply(content)?;
            Ok((Some(|| change), ()))
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
            change
                .iter_mut()
                .try_for_each(|change| change.apply(content))?;
            let removed = change.is_some();
            Ok((change.map(|change| || change), removed))
        })
    }

    /// Returns whose session this is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn subject(&self) -> Result<Option<String>, Error> {
        self.read(|live| {
            Ok(live
                .content
                .subject
                .as_ref()
                .map(|subject| subject.name.to_string()))
        })
    }

    /// Returns the subject's sessions, this one first and then the one used last; empty if it is
    /// nobody's. One that is not saved yet is not among them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::Store`].
    pub async fn subject_sessions(&self) -> Result<Vec<SubjectSession>, Error> {
        match self.whose()? {
            Some(Whose {
                subjects,
                subject,
                key,
            }) => {
                let sessions = subjects.list_beside(&subject, key.as_ref()).await;
                sessions.map_err(|error| error.of(self.name()))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Ends another session of the subject, at once; says whether there was one. A session of
    /// somebody else is left alone, so the ID may come from a form, by
    /// [`RecordKey::parse`](crate::store::RecordKey::parse). To end this session there is
    /// [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`]; [`ErrorKind::Store`] if the other one may still be there.
    pub async fn destroy_other(&self, id: &RecordKey) -> Result<bool, Error> {
        match self.whose()? {
            Some(Whose {
                subjects,
                subject,
                key,
            }) if key.as_ref() != Some(id) => subjects.destroy(&subject, id).await,
            _ => Ok(false),
        }
    }

    /// Ends all other sessions of the subject, at once, and returns how many there were: "log out
    /// everywhere else".
    ///
    /// Copies of this session's own cookie go on, so [`renew`](Self::renew) it as well if somebody
    /// may have one. Of two such requests at the same time one fails then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if this session has itself been ended. [`ErrorKind::NotLoaded`];
    /// [`ErrorKind::Store`] if some may still be there.
    pub async fn destroy_others(&self) -> Result<usize, Error> {
        let destroy = async {
            let Some(Whose {
                subjects,
                subject,
                key,
            }) = self.whose()?
            else {
                return Ok(0);
            };
            if let Some(key) = key {
                let member = self.read(|live| Ok(self.membership(&live.content)))?;
                // Who is not in the list counts as ended from here on.
                if !is_new(member.as_ref()) {
                    self.enlist(member.as_ref(), key, None).await?;
                }
            }
            subjects
                .end(&subject, |entry| Some(entry.key) != key, true)
                .await
        };
        destroy.await.map_err(|error: Error| error.of(self.name()))
    }

    fn whose(&self) -> Result<Option<Whose>, Error> {
        let (subject, key) = self.read(|live| Ok((live.content.subject.clone(), live.key())))?;
        let Some(subject) = subject else {
            return Ok(None);
        };
        let subjects = self
            .subjects()
            .ok_or_else(|| Error::new(ErrorKind::NeedsRevocation).of(self.name()))?;
        Ok(Some(Whose {
            subjects,
            subject: subject.name,
            key,
        }))
    }
}

/// A session's subject, and what the session is called.
struct Whose {
    subjects: Subjects,
    subject: Box<str>,
    key: Option<RecordKey>,
}
