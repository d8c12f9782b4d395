//! A session's subject, and the subject's other sessions.

use super::Session;
use crate::{
    content::Subject,
    error::{Error, ErrorKind},
    id::RecordKey,
    report::Cause,
    roster::Entry,
    state::{Change, View},
    subjects::SubjectSession,
    turn::{self, Anchor, DestroyOthers},
    vault::Unlisted,
};

/// The most bytes of a subject or a note.
const MAX_LEN: usize = 256;

/// The sessions of one user.
impl Session {
    /// Sets whose session this is. From then on the subject's sessions can be listed and ended,
    /// here and by [`Subjects`](crate::Subjects). A subject is your application's name for a user,
    /// such as an ID from your database.
    ///
    /// A session that had no subject, or another one, gets a new ID with the response, as by
    /// [`renew`](Self::renew): anyone who knew or planted the old ID is not logged in. A session
    /// that has this subject already keeps its ID.
    ///
    /// The note is shown in the list: a device, a place. It is cut off after 256 bytes. Call this
    /// once, at login. Each call is a change that is saved, and replaces the note.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn log_in(session: Session, user: u64, browser: &str) -> Result<(), Error> {
    ///     session.renew();
    ///     session.insert("user", user)?;
    ///     session.set_subject(&user.to_string(), browser)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSubject`] if the subject is empty or has more than 256 bytes.
    /// [`ErrorKind::NeedsRevocation`] for a session in a cookie without
    /// [`revocation`](crate::CookieStore::revocation), [`ErrorKind::ForgetfulStore`] for one in a
    /// store that may drop the list of a subject's sessions. [`ErrorKind::AlreadyCommitted`] for
    /// another subject after the response: only a response can bring the new ID.
    /// [`ErrorKind::TooLarge`], [`ErrorKind::NotLoaded`].
    pub fn set_subject(&self, subject: &str, note: &str) -> Result<(), Error> {
        let checked = match subject.len() {
            1..=MAX_LEN if self.settings().rosters.is_some() => Ok(()),
            1..=MAX_LEN => Err(self.why_unlisted()),
            _ => Err(ErrorKind::InvalidSubject),
        };
        checked.map_err(|kind| Error::new(kind).of(self.name()))?;
        let end = (0..=MAX_LEN.min(note.len()))
            .rev()
            .find(|end| note.is_char_boundary(*end));
        let note = note.get(..end.unwrap_or_default()).unwrap_or_default();
        let (exchange, now) = (self.handle.exchange(), self.handle.clock().now());
        self.write_state(|state| {
            let content = state.content()?;
            let old = content.subject.as_ref().map(|subject| &*subject.name);
            let is_login = old != Some(subject);
            if is_login && exchange.is_closed() {
                return Err(Error::new(ErrorKind::AlreadyCommitted));
            }
            let growth =
                Subject::encoded_len(subject).saturating_sub(old.map_or(0, Subject::encoded_len));
            self.check_growth(content, growth)?;
            let mut change = Change::SetSubject {
                name: subject.into(),
                note: note.into(),
            };
            change.apply(content)?;
            state.note(Some(change));
            if is_login {
                state.renew(now);
            }
            Ok(())
        })
    }

    /// Removes the subject from the session. Returns whether it had one.
    ///
    /// The session stays, with its values, and gets a new ID with the response, as by
    /// [`renew`](Self::renew): a copy of the old cookie may still name the subject. For a logout,
    /// call [`destroy`](Self::destroy).
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.set_subject("user-7", "Firefox")?;
    /// assert!(session.remove_subject()?);
    /// assert_eq!(session.subject()?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`]. [`ErrorKind::AlreadyCommitted`] after the response: only a
    /// response can bring the new ID.
    pub fn remove_subject(&self) -> Result<bool, Error> {
        let exchange = self.handle.exchange();
        self.write_state(|state| {
            let content = state.content()?;
            if content.subject.is_none() {
                return Ok(false);
            }
            if exchange.is_closed() {
                return Err(Error::new(ErrorKind::AlreadyCommitted));
            }
            let mut change = Change::RemoveSubject;
            change.apply(content)?;
            state.note(Some(change));
            state.renews = true;
            Ok(true)
        })
    }

    /// Returns whose session this is.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.set_subject("user-7", "Firefox")?;
    /// assert_eq!(session.subject()?.as_deref(), Some("user-7"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn subject(&self) -> Result<Option<String>, Error> {
        let name = |subject: &Subject| subject.name.to_string();
        self.read(|view| Ok(view.content.subject.as_deref().map(name)))
    }

    /// Returns the subject's sessions: this one first, then the most recently used. The list is
    /// empty if the session has no subject. A session that is not saved yet is not in it.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// /// The page "where you are logged in".
    /// async fn logins(session: Session) -> Result<String, Error> {
    ///     let mut page = String::new();
    ///     for login in session.subject_sessions().await? {
    ///         let here = if login.is_current() { " (here)" } else { "" };
    ///         page += &format!("{}{here}, since {}\n", login.note(), login.since());
    ///     }
    ///     Ok(page)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`]. [`ErrorKind::StoreFailed`] if the store fails or the list is
    /// damaged. [`ErrorKind::LaterFormat`] if a later release has written the list.
    /// [`ErrorKind::NeedsRevocation`] and [`ErrorKind::ForgetfulStore`] if the settings have
    /// changed so that the session could not get its subject today: see
    /// [`set_subject`](Self::set_subject).
    pub async fn subject_sessions(&self) -> Result<Vec<SubjectSession>, Error> {
        let Some((subject, key)) = self.whose()? else {
            return Ok(Vec::new());
        };
        let vault = self.handle.vault();
        let listed = vault
            .enrolled(&subject)
            .await
            .map_err(|error| self.fail(error.of_load()))?;
        Ok(SubjectSession::list(listed, key.as_ref(), vault.now()))
    }

    /// Ends another session of the subject, at once. Returns whether the list had it.
    ///
    /// A session of another subject is left alone, so the key may come from a form: it is
    /// [parsed](crate::store::RecordKey) from text. To end this session, call
    /// [`destroy`](Self::destroy).
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// use silverback::store::RecordKey;
    ///
    /// /// The button beside a login in the list.
    /// async fn end(session: Session, login: &str) -> Result<bool, Error> {
    ///     let Ok(key) = login.parse::<RecordKey>() else { return Ok(false) };
    ///     session.destroy_other(&key).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`subject_sessions`](Self::subject_sessions). After [`ErrorKind::StoreFailed`] the
    /// other session may still be there; you can call this again. [`ErrorKind::Conflict`] if others
    /// kept changing the list.
    pub async fn destroy_other(&self, id: &RecordKey) -> Result<bool, Error> {
        match self.whose()? {
            Some((subject, key)) if key.as_ref() != Some(id) => {
                let is_own = |entry: &Entry| key.is_some_and(|key| entry.has(&key));
                let is_it = |entry: &Entry| entry.has(id) && !is_own(entry);
                let vault = self.handle.vault();
                let ended = vault.end_enrolled(&subject, is_it, Unlisted::Stay).await;
                let ended = ended.map_err(|error| self.fail(error))?;
                vault.report_ended(Cause::Elsewhere, ended);
                Ok(ended > 0)
            }
            _ => Ok(false),
        }
    }

    /// Ends all other sessions of the subject, at once: "log out everywhere else". Returns how many
    /// other entries the subject's list had. Some may be of sessions that [have
    /// ended](crate::Subjects#limits) before.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn change_password(session: Session) -> Result<usize, Error> {
    ///     // ... the password first
    ///     session.renew();
    ///     session.destroy_others().await
    /// }
    /// ```
    ///
    /// To log the user out here as well, [`destroy`](Self::destroy) this session afterwards. A
    /// session that was destroyed has no subject any more, so the other order is an error.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn log_out_everywhere(session: Session) -> Result<(), Error> {
    ///     session.destroy_others().await?;
    ///     session.destroy().await
    /// }
    /// ```
    ///
    /// This session is spared under any ID that it had in the last minute, so a renewal of it at
    /// the same time ends nothing. Running requests of the others fail with [`ErrorKind::Gone`]. A
    /// login that enters the list later lives; see [Who wins](crate#who-wins).
    ///
    /// A copy of this session's own cookie stays valid, so [`renew`](Self::renew) the session as
    /// well if somebody may have one. Of two such requests at the same time, one fails if it writes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if this session has itself ended, by this request or another, or if a
    /// [`save`](Self::save) has found that another request has renewed it: that request has the
    /// session now. Otherwise as for [`destroy_other`](Self::destroy_other). After
    /// [`ErrorKind::StoreFailed`] some sessions may still be there.
    pub async fn destroy_others(&self) -> Result<usize, Error> {
        self.whose()?;
        let destroy = turn::run(&self.handle, DestroyOthers);
        let ended = destroy.await.map_err(|error| self.fail(error))?;
        self.handle.vault().report_ended(Cause::Elsewhere, ended);
        Ok(ended)
    }

    fn whose(&self) -> Result<Option<Whose>, Error> {
        let whose = |view: &View| (view.content.subject.clone(), view.home.key());
        let (subject, key) = self.read(|view| Ok(whose(view)))?;
        let Some(subject) = subject else {
            return Ok(None);
        };
        if self.settings().rosters.is_none() {
            return Err(self.fail(Error::new(self.why_unlisted())));
        }
        Ok(Some((subject.name, key)))
    }

    /// Returns why the session has no rosters.
    fn why_unlisted(&self) -> ErrorKind {
        if self.settings().may_be_in_cookie() {
            ErrorKind::NeedsRevocation
        } else {
            ErrorKind::ForgetfulStore
        }
    }
}

/// A session's subject, and the session's own key.
type Whose = (Box<str>, Option<RecordKey>);
