//! The sessions of one subject, a user most often: listing them and ending them, in a request or
//! outside.

use std::{cmp::Reverse, fmt, sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Timestamp},
    config::SessionConfig,
    error::{ConfigError, Error, ErrorKind},
    id::RecordKey,
    index::{Entry, Index, Listing, damaged},
    named::Named,
    store::Version,
    trace,
};

/// How often a change of a listing is tried again after a conflict.
const RETRIES: u32 = 128;

/// Finds and ends the sessions of a subject, without a request: for administrators, and for "log
/// out everywhere" after a password was reset by mail.
///
/// A session belongs to a subject from [`Session::set_subject`](crate::Session::set_subject) on. In
/// a request, [`Session::subject_sessions`](crate::Session::subject_sessions) and
/// [`Session::destroy_others`](crate::Session::destroy_others) do the same for the current
/// session's subject.
///
/// ```
/// # use silverback::{Error, SessionConfig, Subjects, store::MemoryStore};
/// # async fn f(keys: silverback::Keys) -> Result<(), Box<dyn std::error::Error>> {
/// let config = SessionConfig::new("account", MemoryStore::new(), keys);
/// let subjects = Subjects::new(&config)?; // and `config` goes into the layer
///
/// for session in subjects.list("user-7").await? {
///     println!("{} since {:?}, last seen {:?}", session.note(), session.created(), session.last_used());
/// }
/// let ended = subjects.destroy_all("user-7").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What is kept where
///
/// The list of a subject's sessions is one record in the store of the sessions, or for sessions in
/// a cookie in that of [`revocation`](SessionConfig::revocation). It is encrypted with the
/// session's keys, and found by a hash of the subject: who steals the store can check whether a
/// name he guesses has a list, and nothing more. Each session name has lists of its own.
///
/// # Limits
///
/// A session is in the list before it is saved with its subject, so
/// [`destroy_all`](Self::destroy_all) ends every session that there is when it is called, those of
/// requests under way included. It cannot keep somebody from logging in again: change the password
/// first. If the store fails just when a session that is there gets its subject, the session may be
/// in the list without it.
///
/// A list that is damaged is started anew, with an error for whoever wants to see or end what was
/// in it. So is one that is lost, as when a [`MemoryStore`](crate::store::MemoryStore) was full,
/// but without an error: sessions in a store are in the list again when they have been used for an
/// hour.
///
/// A subject has at most 1,000 sessions, or as many as
/// [`sessions_per_subject`](SessionConfig::sessions_per_subject) says.
#[derive(Clone)]
pub struct Subjects {
    named: Arc<Named>,
    clock: Clock,
}

/// A session as the list of its subject has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubjectSession {
    entry: Entry,
    current: bool,
}

impl SubjectSession {
    /// Returns what the session is called, as [`Session::id`](crate::Session::id).
    #[must_use]
    pub fn id(&self) -> RecordKey {
        self.entry.key
    }

    /// Returns when the session got its subject: usually when the user logged in.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.entry.since
    }

    /// Returns when the session was made: usually when the visitor came.
    #[must_use]
    pub fn created(&self) -> Timestamp {
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

/// What a listing is told about a session.
pub(crate) struct Listed<'a> {
    pub(crate) key: RecordKey,
    /// What it is listed as up to now, if that is another key.
    pub(crate) before: Option<RecordKey>,
    /// What the application notes; `None` for what it noted before.
    pub(crate) note: Option<&'a str>,
    /// When it was listed first, for one that may have been ended meanwhile; `None` for one that
    /// begins.
    pub(crate) since: Option<Timestamp>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    /// How long it may go on, and be saved, without being listed again.
    pub(crate) interval: Duration,
    /// It is to be written anew, with the active key.
    pub(crate) reseals: bool,
}

impl Listed<'_> {
    /// Whether the list says all that already.
    fn is_known(&self, known: &Entry, now: Timestamp) -> bool {
        self.note.is_none()
            && !self.reseals
            && known.key == self.key
            && now.saturating_since(known.last_used) < self.interval
            && known.expires.saturating_add(self.interval) > self.expires
    }
}

impl Subjects {
    /// Takes the settings that the layer has; the store is told apart by them and their clones.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NeedsRevocation`] for sessions in a cookie that nothing remembers the end of;
    /// otherwise what [`SessionLayer::try_new`](crate::SessionLayer::try_new) would say.
    pub fn new(config: &SessionConfig) -> Result<Self, ConfigError> {
        let subjects = Self::of(Arc::new(config.build()?), Clock::system());
        subjects.ok_or_else(|| ConfigError::NeedsRevocation(config.name().to_owned()))
    }

    /// `None` if nothing remembers which sessions have ended.
    pub(crate) fn of(named: Arc<Named>, clock: Clock) -> Option<Self> {
        named.index.is_some().then_some(Self { named, clock })
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
    /// [`ErrorKind::Store`] if the store fails or the list is damaged.
    pub async fn list(&self, subject: &str) -> Result<Vec<SubjectSession>, Error> {
        self.list_beside(subject, None)
            .await
            .map_err(|error| self.blame(error))
    }

    /// Ends one session of the subject; says whether the subject had it. A session of another
    /// subject is left alone, so the ID may come from a form, by [`RecordKey::parse`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the session may still be there.
    pub async fn destroy(&self, subject: &str, session: &RecordKey) -> Result<bool, Error> {
        let destroyed = self
            .end(subject, |entry| entry.key == *session, false)
            .await;
        destroyed
            .map(|ended| ended > 0)
            .map_err(|error| self.blame(error))
    }

    /// Ends all sessions of the subject, and returns how many there were in the list.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if some may still be there; it can be called again.
    pub async fn destroy_all(&self, subject: &str) -> Result<usize, Error> {
        self.end(subject, |_| true, true)
            .await
            .map_err(|error| self.blame(error))
    }

    /// Ends all sessions of the subject but this one, if it is in the list.
    ///
    /// # Errors
    ///
    /// As for [`destroy_all`](Self::destroy_all).
    pub async fn destroy_all_but(&self, subject: &str, keep: &RecordKey) -> Result<usize, Error> {
        self.end(subject, |entry| entry.key != *keep, true)
            .await
            .map_err(|error| self.blame(error))
    }
}

impl Subjects {
    pub(crate) async fn list_beside(
        &self,
        subject: &str,
        current: Option<&RecordKey>,
    ) -> Result<Vec<SubjectSession>, Error> {
        let listing = self.load(subject).await?;
        if listing.is_damaged {
            return Err(damaged());
        }
        let mut sessions = Vec::new();
        for entry in listing.entries {
            if !entry.ended && self.named.is_alive(&entry.key).await? {
                let mut session = SubjectSession {
                    current: current == Some(&entry.key),
                    entry,
                };
                if session.current {
                    session.entry.last_used = self.clock.now();
                }
                sessions.push(session);
            }
        }
        sessions.sort_by_key(|session| (!session.current, Reverse(session.entry.last_used)));
        Ok(sessions)
    }

    /// Ends the sessions of the list that `which` picks, and says how many; `unlisted` are those in
    /// a cookie that got their subject before now and are not in the list.
    pub(crate) async fn end(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        unlisted: bool,
    ) -> Result<usize, Error> {
        let (mut ended, mut is_whole) = (0, true);
        self.change(subject, |listing| {
            let picked = listing
                .entries
                .iter_mut()
                .filter(|entry| !entry.ended && which(entry));
            ended = picked.map(|entry| entry.ended = true).count();
            is_whole = !listing.is_damaged;
            if unlisted && self.named.may_be_in_cookie() {
                listing.raise(self.clock.now());
            }
            Ok(())
        })
        .await?;
        // Sessions in a cookie have been ended all the same, by `not_before`.
        if is_whole || (unlisted && self.named.server().is_none()) {
            Ok(ended)
        } else {
            Err(damaged())
        }
    }

    /// Lists a session, and returns since when it counts as listed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session was ended through its subject.
    pub(crate) async fn add(
        &self,
        subject: &str,
        session: &Listed<'_>,
    ) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        let before = session.before.unwrap_or(session.key);
        if session.since.is_some()
            && self.load(subject).await?.get(&before).is_none()
            && !self.named.is_alive(&before).await?
        {
            return Err(Error::new(ErrorKind::Gone));
        }
        let listing = self.change(subject, |listing| {
            let is_over = session
                .since
                .is_some_and(|since| !listing.admits(since, &before));
            if is_over || listing.is_ended(&session.key) {
                return Err(Error::new(ErrorKind::Gone));
            }
            let known = listing
                .get(&session.key)
                .or_else(|| listing.get(&before))
                .cloned();
            if known
                .as_ref()
                .is_some_and(|known| session.is_known(known, now))
            {
                return Ok(());
            }
            let (since, note) = match (session.note, known) {
                (Some(note), _) => (now, note.to_owned()),
                (None, Some(known)) => (known.since, known.note),
                // The list got lost.
                (None, None) => (session.created, String::new()),
            };
            listing.remove(&session.key);
            let (key, created, expires) = (session.key, session.created, session.expires);
            listing.entries.push(Entry {
                key,
                created,
                since,
                last_used: now,
                expires,
                note,
                ended: false,
            });
            listing.make_room(self.named.sessions_per_subject, &[session.key, before]);
            Ok(())
        });
        Ok(listing.await?.not_before)
    }

    /// Whether the session is in the list, and not being ended.
    pub(crate) async fn has(&self, subject: &str, key: &RecordKey) -> Result<bool, Error> {
        Ok(self.load(subject).await?.get(key).is_some())
    }

    /// Takes a session from the list that goes on without its subject; `false` if it is not there,
    /// or marked, because it has been ended.
    pub(crate) async fn leave(&self, subject: &str, key: &RecordKey) -> Result<bool, Error> {
        let mut may_go = true;
        self.change(subject, |listing| {
            may_go = listing.get(key).is_some();
            if may_go {
                listing.remove(key);
            }
            Ok(())
        })
        .await?;
        Ok(may_go)
    }

    /// Takes a session that has ended, or has another subject, from the list.
    ///
    /// A failure does no harm: a session that has ended is not shown, and the entry goes when it
    /// would have expired.
    pub(crate) async fn remove(&self, subject: &str, key: &RecordKey) {
        let removed = self.change(subject, |listing| {
            listing.remove(key);
            Ok(())
        });
        if let Err(error) = removed.await {
            trace::left_behind(&self.named.name, &error);
        }
    }

    pub(crate) async fn load(&self, subject: &str) -> Result<Listing, Error> {
        let index = self.index()?;
        Ok(index.load(&index.key(subject), self.clock.now()).await?.0)
    }

    /// Changes a listing, and ends the sessions that are marked in it, in that order: a session
    /// that is about to be made finds itself marked, and one that is there is removed. A mark that
    /// was left by somebody who was cut off is seen to as well.
    async fn change(
        &self,
        subject: &str,
        change: impl FnMut(&mut Listing) -> Result<(), Error>,
    ) -> Result<Listing, Error> {
        let listing = self.write(subject, change).await?;
        let (mut done, mut failure) = (Vec::new(), None);
        for entry in listing.entries.iter().filter(|entry| entry.ended) {
            match self.named.end(&entry.key, self.clock.now()).await {
                Ok(_) => done.push(entry.key),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !done.is_empty() {
            let is_done = |entry: &Entry| entry.ended && done.contains(&entry.key);
            self.write(subject, |listing| {
                listing.entries.retain(|entry| !is_done(entry));
                Ok(())
            })
            .await?;
        }
        failure.map_or(Ok(listing), Err)
    }

    /// Changes a listing by compare and swap; says what it has become.
    async fn write(
        &self,
        subject: &str,
        mut change: impl FnMut(&mut Listing) -> Result<(), Error>,
    ) -> Result<Listing, Error> {
        let index = self.index()?;
        let (server, key) = (index.server(), index.key(subject));
        let mut turn = None;
        for attempt in 0..RETRIES {
            let now = self.clock.now();
            let (mut listing, version) = index.load(&key, now).await?;
            let before = listing.clone();
            change(&mut listing)?;
            if listing == before && !listing.is_damaged {
                return Ok(listing);
            }
            if listing.is_damaged && version.is_none() {
                server.delete(&key).await?;
            }
            match index.store(&key, version, &listing, now).await {
                Ok(()) => return Ok(listing),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::TooLarge { .. })
                        && before.entries.len() > 1 =>
                {
                    self.shorten(&key, version, before).await?;
                }
                Err(error) => return Err(error),
            }
            if turn.is_none() {
                turn = server.turn(&key).await;
            } else {
                server.back_off(attempt).await?;
            }
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// Ends the half of the sessions that were not used for longest, so that a list that its store
    /// finds too long keeps nobody out.
    async fn shorten(
        &self,
        key: &RecordKey,
        version: Option<Version>,
        mut listing: Listing,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        listing.entries.sort_by_key(|entry| entry.last_used);
        let half = listing.entries.len() / 2;
        let ended: Vec<Entry> = listing.entries.drain(..half).collect();
        for entry in ended {
            self.named.end(&entry.key, now).await?;
        }
        match self.index()?.store(key, version, &listing, now).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            _ => Ok(()),
        }
    }

    fn index(&self) -> Result<&Index, Error> {
        self.named
            .index
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::NeedsRevocation))
    }

    fn blame(&self, error: Error) -> Error {
        error.of(&self.named.name)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subjects")
            .field("session", &self.named.name)
            .finish_non_exhaustive()
    }
}
