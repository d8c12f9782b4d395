//! Lists and ends the sessions of one subject, usually a user, without a request.

use std::{cmp::Reverse, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    clock::{Clock, Timestamp},
    config::{SessionConfig, Settings},
    error::{ConfigError, Error},
    id::RecordKey,
    report::{Cause, Report},
    roster::Entry,
    store::Meter,
    vault::{Unlisted, Vault},
};

/// Lists and ends the sessions of a subject, without a request: for administrators, and for "log
/// out everywhere" after a password was reset by mail.
///
/// A session belongs to a subject once a handler calls
/// [`Session::set_subject`](crate::Session::set_subject). In a request,
/// [`Session::subject_sessions`](crate::Session::subject_sessions) and
/// [`Session::destroy_others`](crate::Session::destroy_others) do the same for the current
/// session's subject.
///
/// ```
/// # use silverback::{Error, MemoryStore, SessionConfig, Subjects};
/// # async fn f(keys: silverback::Keys) -> Result<(), Box<dyn std::error::Error>> {
/// let config = SessionConfig::new("account", MemoryStore::new(), keys);
/// let subjects = Subjects::new(&config)?; // and `config` goes into the layer
///
/// for session in subjects.list("user-7").await? {
///     println!("{}, last used {}", session.note(), session.last_used());
/// }
/// let ended = subjects.destroy_all("user-7").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What is kept where
///
/// The list of a subject's sessions is one record in the sessions' store, or for sessions in a
/// cookie in the store of [`revocation`](crate::CookieStore::revocation). It is encrypted with the
/// session's keys, and stored under a hash of the subject. A thief of the store can check whether a
/// guessed name has a list, and nothing more. With [`subject_key`](SessionConfig::subject_key) they
/// cannot even do that. Each session name has its own lists.
///
/// # Limits
///
/// A session enters the list before it is saved with its subject, and checks the list again once
/// its record exists. So [`destroy_all`](Self::destroy_all) ends every session in the list,
/// including those of running requests: their writes fail with
/// [`ErrorKind::Gone`](crate::ErrorKind::Gone). A login that enters the list later lives. Change
/// the password first: nothing here keeps anyone from logging in again.
///
/// A session that is being renewed, or was renewed less than a minute ago, can be ended or spared
/// by its old ID as well as by its new one. [Who wins](crate#who-wins) has all cases.
///
/// An end through a list leaves no mark in a store: a later request with the cookie counts as a new
/// visitor. If the store fails in the middle of a login, the list may keep the entry of a session
/// that nobody has, until it would have expired. [`destroy_all`](Self::destroy_all) counts it, and
/// for sessions in a cookie [`list`](Self::list) shows it.
///
/// A logout leaves an entry in the list until its session would have expired, or until the list has
/// more than [`sessions_per_subject`](SessionConfig::sessions_per_subject). [`list`](Self::list)
/// asks which sessions live, and leaves it out. The numbers that `destroy_all` and its like return
/// include it: to tell users how many logins have ended, list them first.
///
/// A damaged list is replaced by an empty one, and listing or ending the sessions that were in it
/// fails. A lost list, for example after a [`MemoryStore`](crate::MemoryStore) was full, is
/// replaced without an error. A session that is used enters the list again within an hour.
///
/// A subject has at most 1,000 sessions, unless
/// [`sessions_per_subject`](SessionConfig::sessions_per_subject) says otherwise. If the store
/// refuses a list as too long, the half of the sessions that was used least recently ends.
#[derive(Clone)]
pub struct Subjects {
    settings: Arc<Settings>,
    clock: Clock,
    report: Arc<Report>,
}

/// A session in its subject's list.
///
/// serde can serialize it, for your own page or interface, but not deserialize it. The fields are
/// named like the methods: `record_key`, `since`, `created_at`, `last_used`, `note` and
/// `is_current`.
///
/// ```
/// # use silverback::{Error, Session};
/// async fn logins(session: Session) -> Result<String, Error> {
///     let sessions = session.subject_sessions().await?;
///     Ok(serde_json::to_string(&sessions).unwrap_or_default())
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubjectSession {
    entry: Entry,
    current: bool,
}

impl SubjectSession {
    /// Lists the current session first, then the most recently used.
    pub(crate) fn list(
        entries: Vec<Entry>,
        current: Option<&RecordKey>,
        now: Timestamp,
    ) -> Vec<Self> {
        let session = |entry: Entry| match current.filter(|key| entry.has(key)) {
            Some(&key) => Self {
                entry: Entry {
                    key,
                    last_used: now,
                    ..entry
                },
                current: true,
            },
            None => Self {
                entry,
                current: false,
            },
        };
        let mut sessions: Vec<_> = entries.into_iter().map(session).collect();
        sessions.sort_by_key(|session| (!session.current, Reverse(session.entry.last_used)));
        sessions
    }

    /// Returns the session's name in its store, as
    /// [`Session::record_key`](crate::Session::record_key) does. Put it into the form of the button
    /// that ends the session.
    ///
    /// ```
    /// # use silverback::SubjectSession;
    /// fn button(login: &SubjectSession) -> String {
    ///     format!("<button name=end value={}>Log out</button>", login.record_key())
    /// }
    /// ```
    #[must_use]
    pub fn record_key(&self) -> RecordKey {
        self.entry.key
    }

    /// Returns when the session got its subject: usually when the user logged in.
    ///
    /// ```
    /// # use silverback::SubjectSession;
    /// fn line(login: &SubjectSession) -> String {
    ///     format!("{}: logged in at {}", login.note(), login.since())
    /// }
    /// ```
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.entry.since
    }

    /// Returns when the session was made: usually when the visitor came.
    ///
    /// ```
    /// # use silverback::SubjectSession;
    /// fn oldest(logins: &[SubjectSession]) -> Option<&SubjectSession> {
    ///     logins.iter().min_by_key(|login| login.created_at())
    /// }
    /// ```
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.entry.created
    }

    /// Returns when the session was last used: now for the current one, and for others with an
    /// error of at most a tenth of the idle timeout, and at most an hour.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{SubjectSession, Timestamp};
    /// fn is_idle(login: &SubjectSession, now: Timestamp) -> bool {
    ///     now.saturating_since(login.last_used()) > Duration::from_secs(86_400)
    /// }
    /// ```
    #[must_use]
    pub fn last_used(&self) -> Timestamp {
        self.entry.last_used
    }

    /// Returns the note that you gave with the subject.
    ///
    /// ```
    /// # use silverback::SubjectSession;
    /// fn devices(logins: &[SubjectSession]) -> Vec<&str> {
    ///     logins.iter().map(SubjectSession::note).collect()
    /// }
    /// ```
    #[must_use]
    pub fn note(&self) -> &str {
        &self.entry.note
    }

    /// Returns whether this is the session of the current request. It is always `false` in
    /// [`Subjects::list`], where there is no request.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn others(session: Session) -> Result<usize, Error> {
    ///     let logins = session.subject_sessions().await?;
    ///     Ok(logins.iter().filter(|login| !login.is_current()).count())
    /// }
    /// ```
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current
    }
}

impl Serialize for SubjectSession {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SubjectSession", 6)?;
        out.serialize_field("record_key", &self.record_key())?;
        out.serialize_field("since", &self.since())?;
        out.serialize_field("created_at", &self.created_at())?;
        out.serialize_field("last_used", &self.last_used())?;
        out.serialize_field("note", self.note())?;
        out.serialize_field("is_current", &self.is_current())?;
        out.end()
    }
}

impl Subjects {
    /// Manages the subjects of the sessions with these settings. Pass the layer's settings or a
    /// clone of them: two settings mean the same store only if one is a clone of the other.
    ///
    /// ```
    /// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer, Subjects};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?);
    /// let subjects = Subjects::new(&config)?;
    /// let layer = SessionLayer::new(config);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::NeedsRevocation`] for sessions in a cookie without
    /// [`revocation`](crate::CookieStore::revocation). [`ConfigError::ForgetfulStore`] for those in
    /// a store that may drop the lists of subjects. Otherwise those of
    /// [`SessionLayer::try_new`](crate::SessionLayer::try_new).
    pub fn new(config: &SessionConfig) -> Result<Self, ConfigError> {
        let settings = Arc::new(config.build()?);
        if settings.rosters.is_none() {
            let name = config.name().to_owned();
            return Err(if settings.may_be_in_cookie() {
                ConfigError::NeedsRevocation(name)
            } else {
                ConfigError::ForgetfulStore(name)
            });
        }
        Ok(Self {
            settings,
            clock: Clock::system(),
            report: Arc::default(),
        })
    }

    /// Uses another clock, for tests.
    ///
    /// ```
    /// # use silverback::{Clock, ConfigError, SessionConfig, Subjects};
    /// fn subjects(config: &SessionConfig, clock: &Clock) -> Result<Subjects, ConfigError> {
    ///     Ok(Subjects::new(config)?.clock(clock.clone()))
    /// }
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the subject's live sessions, the most recently used first. It reads the sessions
    /// themselves to make sure that they are alive.
    ///
    /// ```
    /// # use silverback::{Error, Subjects};
    /// async fn is_logged_in(subjects: &Subjects, user: &str) -> Result<bool, Error> {
    ///     Ok(!subjects.list(user).await?.is_empty())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) if the store fails or the list is
    /// damaged. [`ErrorKind::LaterFormat`](crate::ErrorKind::LaterFormat) if a later release has
    /// written the list.
    pub async fn list(&self, subject: &str) -> Result<Vec<SubjectSession>, Error> {
        let meter = Meter::default();
        let list = async { self.vault(&meter)?.enrolled(subject).await };
        let listed = list.await.map_err(|error| self.blame(error.of_load()))?;
        Ok(SubjectSession::list(listed, None, self.clock.now()))
    }

    /// Ends one session of the subject. Returns whether the list had it. A session of another
    /// subject is left alone, so the key may come from a form: it is [parsed](RecordKey) from text.
    ///
    /// ```
    /// # use silverback::{Error, Subjects, store::RecordKey};
    /// /// The button beside a session on an administrator's page.
    /// async fn end(subjects: &Subjects, user: &str, session: &str) -> Result<bool, Error> {
    ///     let Ok(key) = session.parse::<RecordKey>() else { return Ok(false) };
    ///     subjects.destroy(user, &key).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`list`](Self::list). After [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed)
    /// the session may still be there; you can call this again.
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if others kept changing the list.
    pub async fn destroy(&self, subject: &str, session: &RecordKey) -> Result<bool, Error> {
        let is_it = |entry: &Entry| entry.has(session);
        Ok(self.end(subject, is_it, Unlisted::Stay).await? > 0)
    }

    /// Ends all sessions of the subject, and returns how many [entries](Self#limits) the list had.
    ///
    /// ```
    /// # use silverback::{Error, Subjects};
    /// async fn suspend(subjects: &Subjects, user: &str) -> Result<(), Error> {
    ///     // ... keep the user from logging in again first
    ///     let devices = subjects.list(user).await?.len();
    ///     subjects.destroy_all(user).await?;
    ///     println!("{user} was logged out on {devices} devices");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`destroy`](Self::destroy). After
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) some sessions may still be there.
    pub async fn destroy_all(&self, subject: &str) -> Result<usize, Error> {
        self.end(subject, |_| true, Unlisted::End).await
    }

    /// Ends all sessions of the subject except this one, if it is in the list. Returns how many
    /// other [entries](Self#limits) the list had.
    ///
    /// ```
    /// # use silverback::{Error, Subjects, store::RecordKey};
    /// async fn log_out_elsewhere(
    ///     subjects: &Subjects,
    ///     user: &str,
    ///     here: &RecordKey,
    /// ) -> Result<usize, Error> {
    ///     subjects.destroy_all_but(user, here).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`destroy_all`](Self::destroy_all).
    pub async fn destroy_all_but(&self, subject: &str, keep: &RecordKey) -> Result<usize, Error> {
        self.end(subject, |entry| !entry.has(keep), Unlisted::End)
            .await
    }

    async fn end(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        unlisted: Unlisted,
    ) -> Result<usize, Error> {
        let meter = Meter::default();
        let end = async {
            let vault = self.vault(&meter)?;
            let ended = vault.end_enrolled(subject, which, unlisted).await?;
            vault.report_ended(Cause::Operator, ended);
            Ok(ended)
        };
        end.await.map_err(|error| self.blame(error))
    }

    fn vault<'a>(&'a self, meter: &'a Meter) -> Result<Vault<'a>, Error> {
        let vault = Vault {
            settings: &self.settings,
            clock: &self.clock,
            meter,
            report: &self.report,
        };
        vault.check_runtime()?;
        Ok(vault)
    }

    fn blame(&self, error: Error) -> Error {
        error.of(&self.settings.name)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subjects")
            .field("session", &self.settings.name)
            .finish_non_exhaustive()
    }
}
