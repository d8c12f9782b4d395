//! The sessions of one subject, a user most often: listing them and ending them, in a request or
//! outside.

use std::{cmp::Reverse, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    clock::{Clock, Timestamp},
    config::{SessionConfig, Settings},
    error::{ConfigError, Error},
    id::RecordKey,
    report::{Cause, Report},
    roster::Entry,
    store::{self, Meter},
    vault::{Enrolled, Vault},
};

/// Finds and ends the sessions of a subject, without a request: for administrators, and for "log
/// out everywhere" after a password was reset by mail.
///
/// A session belongs to a subject from [`Session::set_subject`](crate::Session::set_subject) on. In
/// a request, [`Session::subject_sessions`](crate::Session::subject_sessions) and
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
///     println!("{} since {}, last seen {}", session.note(), session.created_at(), session.last_used());
/// }
/// let ended = subjects.destroy_all("user-7").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What is kept where
///
/// The list of a subject's sessions is one record in the store of the sessions, or for sessions in
/// a cookie in that of [`revocation`](crate::CookieStore::revocation). It is encrypted with the
/// session's keys, and found by a hash of the subject: a thief of the store can check whether a
/// name they guess has a list, and nothing more. With
/// [`subject_key`](SessionConfig::subject_key) they cannot. Each session name has lists of its own.
///
/// # Limits
///
/// A session enters the list before it is saved with its subject, and looks again after its record
/// is made. So [`destroy_all`](Self::destroy_all) ends every session that is in the list, those of
/// requests under way included: what they write is [`ErrorKind::Gone`](crate::ErrorKind::Gone). A
/// login that enters the list after that lives. Change the password first, as nothing here keeps
/// somebody from logging in again.
///
/// A session that was renewed less than a minute ago, or is being renewed, is ended and spared by
/// its old ID as well as by its new one. [Who wins](crate#who-wins) has all cases.
///
/// An end through a list leaves no mark in a store: a later request with the cookie is a new
/// visitor's. If the store fails just when a session that is there gets its subject, the session may
/// be in the list without it.
///
/// A list that is damaged is started anew, with an error for anyone who wants to see or end what was
/// in it. One that is lost is started anew without an error, as when a
/// [`MemoryStore`](crate::MemoryStore) was full: sessions are in the list again when they
/// have been used for an hour.
///
/// A subject has at most 1,000 sessions, or as many as
/// [`sessions_per_subject`](SessionConfig::sessions_per_subject) says.
#[derive(Clone)]
pub struct Subjects {
    settings: Arc<Settings>,
    clock: Clock,
    report: Arc<Report>,
}

/// A session as the list of its subject has it.
///
/// serde writes it, for a page or an interface of your own: `record_key`, `since`, `created_at`,
/// `last_used`, `note` and `is_current`, under the names of the methods. It is not read back.
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
    /// The current one first, then the one used last.
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

    /// Returns what the session is called, as [`Session::record_key`](crate::Session::record_key).
    #[must_use]
    pub fn record_key(&self) -> RecordKey {
        self.entry.key
    }

    /// Returns when the session got its subject: usually when the user logged in.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.entry.since
    }

    /// Returns when the session was made: usually when the visitor came.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.entry.created
    }

    /// Returns when the session was used last: now for the current one, and for others to within a
    /// tenth of the idle timeout and an hour at most.
    #[must_use]
    pub fn last_used(&self) -> Timestamp {
        self.entry.last_used
    }

    /// Returns what the application noted when it set the subject.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.entry.note
    }

    /// Says whether it is the session of the request that asks; never so for [`Subjects::list`].
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
    /// Takes the settings that the layer has; the store is told apart by them and their clones.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NeedsRevocation`] for sessions in a cookie that nothing remembers the end of;
    /// [`ConfigError::ForgetfulStore`] for those in a store that may drop the lists of subjects;
    /// otherwise what [`SessionLayer::try_new`](crate::SessionLayer::try_new) would say.
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

    /// Tells the time by another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the subject's sessions that are alive, the one used last first.
    ///
    /// It reads each of them, to be sure.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) if the store fails or the list is
    /// damaged.
    pub async fn list(&self, subject: &str) -> Result<Vec<SubjectSession>, Error> {
        let meter = Meter::default();
        let list = async { self.vault(&meter)?.enrolled(subject).await };
        let listed = list.await.map_err(|error| self.blame(error.of_load()))?;
        Ok(SubjectSession::list(listed, None, self.clock.now()))
    }

    /// Ends one session of the subject; says whether the subject had it. A session of another
    /// subject is left alone, so the key may come from a form: it is [read](RecordKey) from text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) if the session may still be there.
    pub async fn destroy(&self, subject: &str, session: &RecordKey) -> Result<bool, Error> {
        let is_it = |entry: &Entry| entry.has(session);
        Ok(self.end(subject, is_it, Enrolled::Only).await? > 0)
    }

    /// Ends all sessions of the subject, and returns how many there were in the list.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) if some may still be there; it can
    /// be called again.
    pub async fn destroy_all(&self, subject: &str) -> Result<usize, Error> {
        self.end(subject, |_| true, Enrolled::AndUnlisted).await
    }

    /// Ends all sessions of the subject but this one, if it is in the list.
    ///
    /// # Errors
    ///
    /// As for [`destroy_all`](Self::destroy_all).
    pub async fn destroy_all_but(&self, subject: &str, keep: &RecordKey) -> Result<usize, Error> {
        self.end(subject, |entry| !entry.has(keep), Enrolled::AndUnlisted)
            .await
    }

    async fn end(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        others: Enrolled,
    ) -> Result<usize, Error> {
        let meter = Meter::default();
        let end = async {
            let vault = self.vault(&meter)?;
            let ended = vault.end_enrolled(subject, which, others).await?;
            vault.report_ended(Cause::Operator, ended);
            Ok(ended)
        };
        end.await.map_err(|error| self.blame(error))
    }

    fn vault<'a>(&'a self, meter: &'a Meter) -> Result<Vault<'a>, Error> {
        if !self.settings.never_waits {
            store::check_runtime()?;
        }
        Ok(Vault {
            settings: &self.settings,
            clock: &self.clock,
            meter,
            report: &self.report,
        })
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
