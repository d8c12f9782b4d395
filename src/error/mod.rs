//! What can go wrong: at start-up ([`ConfigError`]), during a request ([`Error`]), and with a
//! visitor's cookie ([`Rejection`], which is not an error for the visitor).

mod config;
mod rejection;

use std::{error, fmt, sync::Arc};

pub use self::{config::ConfigError, rejection::Rejection};
use crate::crypto::RandomError;

pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

/// An operation on a session failed.
///
/// [`kind`](Self::kind) says how, [`source`](error::Error::source) why. Neither prints a session's
/// values, its ID or a key. Clones are cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    session: Option<Box<str>>,
    /// The key of the value.
    value: Option<Box<str>>,
    source: Option<BoxError>,
    more: Vec<Error>,
    /// The session was being read, so nothing was written.
    is_of_load: bool,
    /// The error is in the log already.
    is_logged: bool,
}

/// How an operation on a session failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session is in a store that waits, and was used before
    /// [`Session::load`](crate::Session::load).
    NotLoaded,
    /// The response's head has been sent, so the change could not be kept. A session in a store can
    /// be [loaded](crate::Session::load) again, changed, and [saved](crate::Session::save).
    AlreadyCommitted,
    /// No [`SessionLayer`](crate::SessionLayer) wraps the service.
    MissingLayer,
    /// No session of that name is configured.
    UnknownName,
    /// Two layers, or a layer and [`Sessions::open`](crate::Sessions::open), use one name for their
    /// sessions or cookies.
    NameTaken,
    /// [`Sessions::open`](crate::Sessions::open) was called with the name of a session that has
    /// another cookie, store or audience, or other keys.
    SettingsDiffer,
    /// The attributes set at run time contradict each other. The [source](error::Error::source) is
    /// the [`ConfigError`].
    InvalidAttributes,
    /// [`Sessions::open`](crate::Sessions::open), or `Browser::session` in a test, was called with
    /// settings that cannot work. The [source](error::Error::source) is the [`ConfigError`].
    InvalidSettings,
    /// The value cannot be written as JSON, or would read back differently.
    SerializeFailed,
    /// The stored value is not of the requested type.
    DeserializeFailed,
    /// Another request saved first, and the closure of a [`try_update`](crate::Session::try_update)
    /// failed on its values. The source is the closure's error. Nothing was saved.
    UpdateRefused,
    /// The session would outgrow its cookie or its limit. Sizes are in bytes.
    TooLarge {
        /// The size that it would have.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Other requests kept changing the session first, until the retries were used up.
    Conflict,
    /// The session was destroyed, renewed or expired while this request was changing it, or was
    /// destroyed or renewed less than a minute before the request. Nothing was saved. See [what to
    /// answer](crate#login-and-logout) and [Who wins](crate#who-wins).
    Gone,
    /// The session is, or can be, in its cookie. Only a response can set a cookie, so nothing can
    /// be saved [at the end of a body](crate::Session::save_at_end). A browser can send an old
    /// cookie again, so no request can [take](crate::Session::take) a value for itself alone.
    NeedsStore,
    /// The subject is empty or longer than 256 bytes.
    InvalidSubject,
    /// Sessions in a cookie can be listed and ended only if a store remembers which have ended:
    /// configure [`revocation`](crate::CookieStore::revocation).
    NeedsRevocation,
    /// The store may drop records before their end, so it cannot list a subject's sessions: see
    /// [`allow_forgetful_stores`](crate::SessionConfig::allow_forgetful_stores).
    ForgetfulStore,
    /// The session's record is [encrypted](crate::SessionConfig::encrypt_records) under its ID,
    /// which only the cookie has. Without a request it can be ended, but neither read nor changed.
    RecordsEncrypted,
    /// The store's clock is so far ahead of the session's that the record would expire at once, and
    /// each request would start a new session. Give both the same [`Clock`](crate::Clock).
    ClocksDiffer,
    /// The store failed. A save may still have happened. This is also the error if a save got no
    /// answer and eight other saves have followed: nothing shows whether it happened, and it is not
    /// repeated.
    StoreFailed,
    /// The cookie or the record was written by a later release, which may be running beside this
    /// one. It is neither read nor replaced. The same applies to a record that is being moved, in a
    /// store that is used without its [`MigratingStore`](crate::store::MigratingStore).
    LaterFormat,
    /// The operating system gave no random bytes.
    RandomFailed,
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self::build(kind, None)
    }

    #[cold]
    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self::build(kind, Some(source.into()))
    }

    /// Nobody can tell whether a save was done: its answer was lost, and the record no longer holds
    /// its id, if it ever did.
    pub(crate) fn in_doubt() -> Self {
        let cause = "the answer to a save was lost, and others have saved so often since that nothing \
                     shows whether it happened";
        Self::with_source(ErrorKind::StoreFailed, cause)
    }

    fn build(kind: ErrorKind, source: Option<BoxError>) -> Self {
        Self(Arc::new(Inner {
            kind,
            session: None,
            value: None,
            source,
            more: Vec::new(),
            is_of_load: false,
            is_logged: false,
        }))
    }

    /// Names the session that failed.
    pub(crate) fn of(self, session: &str) -> Self {
        self.change(|inner| inner.session = Some(session.into()))
    }

    /// Names the value that failed, by its key.
    pub(crate) fn of_value(self, key: &str) -> Self {
        self.change(|inner| inner.value = Some(key.into()))
    }

    /// Notes that the operation was a read, so that repeating it does nothing twice.
    pub(crate) fn of_load(self) -> Self {
        self.change(|inner| inner.is_of_load = true)
    }

    pub(crate) fn is_of_load(&self) -> bool {
        self.0.is_of_load
    }

    /// Notes that the error is in the log.
    pub(crate) fn logged(self) -> Self {
        self.change(|inner| inner.is_logged = true)
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.0.is_logged
    }

    /// Returns the error and its causes in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = error::Error::source(self);
        while let Some(error) = cause {
            sentence.push_str(": ");
            sentence.push_str(&error.to_string());
            cause = error.source();
        }
        sentence
    }

    /// Combines all failures of a batch into one error.
    pub(crate) fn batch(failures: Vec<Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        Some(first.change(|inner| inner.more = failures.collect()))
    }

    /// Adds another failure of the same batch.
    pub(crate) fn and(self, other: Self) -> Self {
        self.change(|inner| inner.more.push(other))
    }

    #[cold]
    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// Returns how the operation failed.
    ///
    /// ```
    /// # use silverback::{ErrorKind, Session};
    /// fn add(session: &Session, item: &str) -> Result<&'static str, silverback::Error> {
    ///     match session.insert("item", item) {
    ///         Err(error) if matches!(error.kind(), ErrorKind::TooLarge { .. }) => Ok("your cart is full"),
    ///         inserted => inserted.map(|()| "added"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the name of the session that failed, if one did.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # #[derive(serde::Deserialize)]
    /// # struct User;
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// let error = session.get::<String>("user").unwrap_err();
    /// assert_eq!(error.session(), Some("account"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// Returns the key of the value that could not be read or written, if that was the failure.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// let error = session.get::<String>("user").unwrap_err();
    /// assert_eq!(error.value_key(), Some("user"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn value_key(&self) -> Option<&str> {
        self.0.value.as_deref()
    }

    /// Iterates over all failures of a batch: this one, then the others in the order of saving.
    ///
    /// ```
    /// # use silverback::Sessions;
    /// async fn save(sessions: &Sessions) {
    ///     if let Err(error) = sessions.save_all().await {
    ///         for failure in error.failures() {
    ///             eprintln!("{}: {failure}", failure.session().unwrap_or("?"));
    ///         }
    ///     }
    /// }
    /// ```
    pub fn failures(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.0.more)
    }
}

impl ErrorKind {
    /// Returns whether the program is set up in a way that cannot work, for any client and any
    /// content of the stores.
    pub(crate) fn is_misuse(self) -> bool {
        matches!(
            self,
            Self::NotLoaded
                | Self::MissingLayer
                | Self::UnknownName
                | Self::NameTaken
                | Self::SettingsDiffer
                | Self::InvalidSettings
                | Self::ClocksDiffer
        )
    }

    /// Returns whether another request was faster, which is nobody's fault.
    #[cfg(feature = "tracing")]
    pub(crate) fn is_of_race(self) -> bool {
        matches!(self, Self::Gone | Self::Conflict | Self::UpdateRefused)
    }

    /// Returns whether the program must change, so that a retry is pointless.
    pub(crate) fn is_mistake(self) -> bool {
        !matches!(
            self,
            Self::Gone
                | Self::Conflict
                | Self::StoreFailed
                | Self::LaterFormat
                | Self::RandomFailed
        )
    }

    /// Returns what happened and what to do, to follow the session's name.
    fn sentence(self) -> &'static str {
        match self {
            Self::NotLoaded => {
                "used before it was loaded: call `session.load().await?` first, or use an extractor"
            }
            Self::AlreadyCommitted => {
                "the response has been sent: change the session before the handler returns, or load one \
                 in a store again, change it and save it"
            }
            Self::MissingLayer => {
                "no `SessionLayer` is around this handler: add `.layer(SessionLayer::new(..))` after the \
                 routes and the middleware that use sessions"
            }
            Self::UnknownName => "no `SessionLayer` around this handler has a session of this name",
            Self::NameTaken => {
                "another session has this name, or a cookie of the same name, in this `SessionLayer` or in one \
                 around it: rename one of the two"
            }
            Self::SettingsDiffer => {
                "a session of this name exists with another store, cookie or audience, or with other keys: \
                 open it with a clone of its settings, or under another name"
            }
            Self::InvalidAttributes => "the cookie's attributes contradict each other or its name",
            Self::InvalidSettings => "the settings cannot work",
            Self::SerializeFailed => "the value cannot be stored as JSON without loss",
            Self::DeserializeFailed => "the stored value is not of the requested type",
            Self::TooLarge { .. } => "too large",
            Self::Conflict => "other requests kept changing it: try again",
            Self::Gone => "it has ended or was renewed meanwhile, and nothing was saved",
            Self::InvalidSubject => "a subject must have 1 to 256 bytes",
            Self::NeedsRevocation => {
                "a session in a cookie needs a `CookieStore` with `.revocation(store)` to have a subject"
            }
            Self::NeedsStore => {
                "it can be in its cookie, and `take` and `save_at_end` need a session in a store: only a \
                 response can save a cookie, and a copy of one can be used again"
            }
            Self::UpdateRefused => {
                "another request saved first, and an update failed on the newer value"
            }
            Self::ForgetfulStore => {
                "the store may forget which sessions a subject has: use another, or add \
                 `.allow_forgetful_stores()` to the settings"
            }
            Self::RecordsEncrypted => {
                "its record is encrypted, and only its cookie has the key: it can be ended, but not read or changed"
            }
            Self::ClocksDiffer => {
                "a record would expire as soon as it is written: give the store the layer's `Clock` too, by \
                 its `clock`, or give neither one"
            }
            Self::StoreFailed => "the store failed",
            Self::LaterFormat => "a later release wrote it, and this one cannot read it",
            Self::RandomFailed => "the operating system gave no random bytes",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(session) = self.session() {
            write!(f, "session {session:?}: ")?;
        }
        if let Some(key) = self.value_key() {
            write!(f, "value {key:?}: ")?;
        }
        match self.kind() {
            ErrorKind::TooLarge { size, limit } => write!(
                f,
                "it would take {size} bytes, and its limit is {limit}: store less in it, or keep it where \
                 there is more room, for a cookie by `CookieStore::overflow`"
            ),
            kind => f.write_str(kind.sentence()),
        }?;
        match self.0.more.len() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 other error)"),
            others => write!(f, " (and {others} other errors)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("message", &self.to_string())
            .field("kind", &self.kind())
            .field("session", &self.session())
            .field("source", &self.0.source)
            .field("more", &self.0.more)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<RandomError> for Error {
    fn from(_: RandomError) -> Self {
        Self::new(ErrorKind::RandomFailed)
    }
}
