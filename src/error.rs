//! What can go wrong: at start-up ([`ConfigError`]), while a request is served ([`Error`]), and
//! with a visitor's cookie ([`Rejection`], which is not an error for the visitor).

use std::{error, fmt, sync::Arc, time::Duration};

use crate::{crypto::RandomError, text::words};

pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

/// An operation on a session failed.
///
/// [`kind`](Self::kind) says in which way, [`source`](error::Error::source) what caused it. Neither
/// prints a session's values, its ID or a key. Clones are cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    session: Option<Box<str>>,
    /// The key of the value.
    value: Option<Box<str>>,
    source: Option<BoxError>,
    more: Vec<Error>,
    /// Nothing was written: the session was being read.
    is_of_load: bool,
    /// The log has it already.
    is_told: bool,
}

/// The way in which an operation on a session failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session is kept in a store that waits and was used before
    /// [`Session::load`](crate::Session::load).
    NotLoaded,
    /// The response's headers have gone out, so the change could not be kept. A session in a store
    /// can be [loaded](crate::Session::load) again, changed, and [saved](crate::Session::save).
    AlreadyCommitted,
    /// No [`SessionLayer`](crate::SessionLayer) wraps the service.
    MissingLayer,
    /// No session of that name is configured.
    UnknownName,
    /// Two layers, or a layer and [`Sessions::open`](crate::Sessions::open), use one name.
    NameTaken,
    /// [`Sessions::open`](crate::Sessions::open) was called with the name of a session that has
    /// another store, other keys or another audience.
    SettingsDiffer,
    /// The attributes asked for at run time do not go together; the
    /// [source](error::Error::source) is the [`ConfigError`].
    InvalidAttributes,
    /// [`Sessions::open`](crate::Sessions::open) was called with settings that cannot work; the
    /// [source](error::Error::source) is the [`ConfigError`].
    InvalidSettings,
    /// The value could not be turned into JSON, or would not read back as what it was.
    SerializeFailed,
    /// The stored value is not of the type asked for.
    DeserializeFailed,
    /// Another request saved first, and on what it left the closure of a
    /// [`try_update`](crate::Session::try_update) failed. The source is the closure's error. Nothing
    /// was saved.
    UpdateRefused,
    /// The session would outgrow its cookie or its limit; sizes in bytes.
    TooLarge {
        /// What it would take.
        size: usize,
        /// What there is.
        limit: usize,
    },
    /// Other requests kept changing the session until the retries were used up.
    Conflict,
    /// The session was destroyed, renewed or expired while this request was changing it, or was
    /// destroyed or renewed less than a minute before the request. Nothing was saved. See
    /// [what to answer](crate#login-and-logout), and [Who wins](crate#who-wins).
    Gone,
    /// The session is, or can be, in its cookie. Only a response can bring one, so nothing can be
    /// saved [at the end of a body](crate::Session::save_at_end); and an old one can be sent again, so
    /// nothing can be [taken](crate::Session::take) by one request alone.
    NeedsStore,
    /// The subject is empty or longer than 256 bytes.
    InvalidSubject,
    /// Sessions in a cookie can only be listed and ended if something remembers which have ended:
    /// configure [`revocation`](crate::CookieStore::revocation).
    NeedsRevocation,
    /// The store may drop what it was told before its end, so it cannot list a subject's sessions:
    /// see [`allow_forgetful_stores`](crate::SessionConfig::allow_forgetful_stores).
    ForgetfulStore,
    /// The session's record is [encrypted](crate::SessionConfig::encrypt_records) under its ID,
    /// which only the cookie has: without a request it can be ended, and neither read nor changed.
    RecordsEncrypted,
    /// The store failed.
    StoreFailed,
    /// The cookie, or what the store has, was written by a later release, which may be running
    /// beside this one. It is neither read nor replaced.
    LaterFormat,
    /// The operating system gave no random bytes.
    RandomFailed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self::build(kind, None)
    }

    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self::build(kind, Some(source.into()))
    }

    fn build(kind: ErrorKind, source: Option<BoxError>) -> Self {
        Self(Arc::new(Inner {
            kind,
            session: None,
            value: None,
            source,
            more: Vec::new(),
            is_of_load: false,
            is_told: false,
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

    /// Notes that nothing was to be written, so that whoever asks again does nothing twice.
    pub(crate) fn of_load(self) -> Self {
        self.change(|inner| inner.is_of_load = true)
    }

    pub(crate) fn is_of_load(&self) -> bool {
        self.0.is_of_load
    }

    /// Notes that the log has it.
    pub(crate) fn told(self) -> Self {
        self.change(|inner| inner.is_told = true)
    }

    pub(crate) fn is_told(&self) -> bool {
        self.0.is_told
    }

    /// The error and its causes in one sentence.
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

    /// Makes one error of all failures of a batch.
    pub(crate) fn batch(failures: Vec<Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        Some(first.change(|inner| inner.more = failures.collect()))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// Returns the way in which the operation failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the name of the session that failed, where one is to blame.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// Returns the key of the value that could not be read or written, where one is to blame.
    #[must_use]
    pub fn value_key(&self) -> Option<&str> {
        self.0.value.as_deref()
    }

    /// Iterates over all failures of a batch save: this one, then the others in the order of
    /// saving.
    pub fn failures(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.0.more)
    }
}

impl ErrorKind {
    /// Whether the program is put together in a way that cannot work, whoever comes and whatever
    /// the stores hold.
    pub(crate) fn is_misuse(self) -> bool {
        matches!(
            self,
            Self::NotLoaded
                | Self::MissingLayer
                | Self::UnknownName
                | Self::NameTaken
                | Self::SettingsDiffer
                | Self::InvalidSettings
        )
    }

    /// Whether another request was faster, which is nobody's fault.
    #[cfg(feature = "tracing")]
    pub(crate) fn is_of_race(self) -> bool {
        matches!(self, Self::Gone | Self::Conflict | Self::UpdateRefused)
    }

    /// Whether the program has to be changed, and not only asked again.
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

    /// What happened and what to do, behind the session's name.
    fn sentence(self) -> &'static str {
        match self {
            Self::NotLoaded => {
                "used before it was loaded: call `session.load().await?` first, or take it by an extractor"
            }
            Self::AlreadyCommitted => {
                "the response is on its way: change the session before the handler returns, or load one \
                 that is kept in a store again, and save it"
            }
            Self::MissingLayer => {
                "no `SessionLayer` is around this handler: add `.layer(SessionLayer::new(..))` after the \
                 routes and the middleware that use sessions"
            }
            Self::UnknownName => "no `SessionLayer` around this handler has a session of this name",
            Self::NameTaken => {
                "a `SessionLayer` further out has a session of this name: give one of the two another name"
            }
            Self::SettingsDiffer => {
                "a session of this name is there, with another store, other keys or another audience: \
                 open it with a clone of its settings, or under another name"
            }
            Self::InvalidAttributes => "the cookie's attributes do not go together",
            Self::InvalidSettings => "the settings cannot work",
            Self::SerializeFailed => "the value cannot be kept as JSON without loss",
            Self::DeserializeFailed => "the value is not of the type asked for",
            Self::TooLarge { .. } => "too large",
            Self::Conflict => "other requests kept changing it: try again",
            Self::Gone => "it ended while this request was changing it, and nothing was saved",
            Self::InvalidSubject => "a subject must have 1 to 256 bytes",
            Self::NeedsRevocation => {
                "a session in a cookie needs a `CookieStore` with `.revocation(store)` to have a subject"
            }
            Self::NeedsStore => {
                "it can be in its cookie, and `take` and `save_at_end` need one in a store: only a response \
                 can save a cookie, and a copy of it can be used again"
            }
            Self::UpdateRefused => {
                "another request saved first, and an update fails on what it left"
            }
            Self::ForgetfulStore => {
                "the store may forget which sessions a subject has: use another, or add \
                 `.allow_forgetful_stores()` to the settings"
            }
            Self::RecordsEncrypted => {
                "its record is encrypted, and only its cookie has the key: it can be ended, and not read or changed"
            }
            Self::StoreFailed => "the store failed",
            Self::LaterFormat => "a later release has written it, and this one cannot read it",
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
                "it would take {size} bytes, and its limit is {limit}: keep less in it, or keep it in a store \
                 that takes more"
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

/// Why the cookie that came with the request was not accepted.
///
/// The visitor gets an empty session. This is for the application and its log; none of it should be
/// told to the client, who could use it as an oracle.
///
/// serde has a word for each, for a log or a test: `"not_found"` is [`NotFound`](Self::NotFound).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rejection {
    /// It is not a token of ours: wrong alphabet, length, version, times or inside.
    Malformed,
    /// It names a key that is not in use here, or one that was revoked.
    UnknownKey,
    /// Its tag does not fit: it was changed, or made for another name, purpose or application.
    Tampered,
    /// It holds a session and was issued further in the future than
    /// [`clock_skew`](crate::CookieStore::clock_skew) allows.
    NotYetValid,
    /// Its idle timeout or absolute lifetime is over, or it was made before
    /// [`not_before`](crate::SessionConfig::not_before).
    Expired,
    /// Several different valid cookies came under one name, and no order among them is safe.
    Ambiguous,
    /// The store has no such session (any more): it was destroyed, renewed, swept or lost, or has
    /// expired and the store says no more about it.
    NotFound,
    /// The store's record cannot be read: it is damaged or of a newer version.
    Corrupt,
    /// The session in this cookie was destroyed or renewed, or all of its subject were, and that is
    /// remembered.
    Revoked,
    /// The session was renewed less than a minute ago: the browser has not heard of its new ID, or
    /// somebody else has the old one. What the request writes is
    /// [`ErrorKind::Gone`], unless it renews.
    Renewed,
    /// The session was destroyed less than a minute ago. What the request writes is
    /// [`ErrorKind::Gone`], unless it renews.
    Ended,
}

words!(Rejection {
    Malformed = "malformed",
    UnknownKey = "unknown_key",
    Tampered = "tampered",
    NotYetValid = "not_yet_valid",
    Expired = "expired",
    Ambiguous = "ambiguous",
    NotFound = "not_found",
    Corrupt = "corrupt",
    Revoked = "revoked",
    Renewed = "renewed",
    Ended = "ended",
});

impl Rejection {
    /// Whether there was a session, which is over.
    pub(crate) fn is_of_end(self) -> bool {
        match self {
            Self::Expired
            | Self::NotFound
            | Self::Corrupt
            | Self::Revoked
            | Self::Renewed
            | Self::Ended => true,
            Self::Malformed
            | Self::UnknownKey
            | Self::Tampered
            | Self::NotYetValid
            | Self::Ambiguous => false,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a session token",
            Self::UnknownKey => "sealed with a key that is not in use",
            Self::Tampered => "the tag does not fit",
            Self::NotYetValid => "issued in the future",
            Self::Expired => "expired",
            Self::Ambiguous => "several different valid cookies under one name",
            Self::NotFound => "no such session in the store",
            Self::Corrupt => "the stored record cannot be read",
            Self::Revoked => "ended before its time",
            Self::Renewed => "renewed a moment ago",
            Self::Ended => "destroyed a moment ago",
        })
    }
}

/// A session is configured in a way that cannot work; found when the layer is built.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cookie's name is empty or has a character that RFC 6265 does not allow in one.
    InvalidName(String),
    /// The name is so long that no room is left for the value.
    NameTooLong {
        /// The name.
        name: String,
        /// The most bytes it may have.
        limit: usize,
    },
    /// The session's name begins with a prefix of cookies' names, which the cookie gets by itself.
    PrefixedName(String),
    /// Cookies of [`former_attributes`](crate::SessionConfig::former_attributes) had this name, and
    /// new ones have another, so nobody would stay logged in.
    FormerName(String),
    /// Two sessions of one layer have the same name, or their cookies have.
    DuplicateName(String),
    /// `Path` must start with `/`, be at most 1,024 printable ASCII characters, and have no `;` or
    /// space.
    InvalidPath(String),
    /// `Domain` must be a host name of at most 253 characters.
    InvalidDomain(String),
    /// The name's prefix (`__Secure-`, `__Host-`, `__Http-`, `__Host-Http-`) asks for another
    /// attribute.
    PrefixUnmet {
        /// The cookie's name.
        name: String,
        /// What the prefix asks for.
        needs: &'static str,
    },
    /// `SameSite=None` and `Partitioned` work with `Secure` only.
    NeedsSecure {
        /// The attribute that is the reason.
        attribute: &'static str,
    },
    /// Browsers cut a `Max-Age` of more than 400 days.
    MaxAgeTooLong {
        /// The method of [`SessionConfig`](crate::SessionConfig) that was called.
        setting: &'static str,
    },
    /// An idle timeout, or a `Max-Age` that is the idle timeout, beyond the absolute one would never
    /// be reached.
    IdleLongerThanAbsolute {
        /// The idle timeout.
        idle: Duration,
        /// The absolute timeout.
        absolute: Duration,
    },
    /// A first idle timeout beyond the idle timeout would keep sessions that nobody comes back to for
    /// longer than others.
    FirstIdleLongerThanIdle {
        /// The first idle timeout.
        first: Duration,
        /// The idle timeout, or a shorter `Max-Age`.
        idle: Duration,
    },
    /// A setting does nothing for this session.
    NoEffect {
        /// The method of [`SessionConfig`](crate::SessionConfig) or
        /// [`CookieStore`](crate::CookieStore) that was called.
        setting: &'static str,
        /// For which sessions it does nothing.
        session: &'static str,
    },
    /// Clocks that differ by more than an hour are wrong.
    ClockSkewTooLong,
    /// A timeout, lifetime or `Max-Age` of less than a second ends every session at once.
    ZeroDuration {
        /// The method of [`SessionConfig`](crate::SessionConfig) that was called.
        setting: &'static str,
    },
    /// Sessions of this name are in a cookie, and nothing remembers which have ended.
    NeedsRevocation(String),
    /// The ends or the subjects of sessions of this name are to be kept in a store that may drop
    /// them before their time.
    ForgetfulStore(String),
    /// Sessions of this name are in their cookie alone, and have no records.
    NoRecords(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => {
                write!(
                    f,
                    "{name:?} cannot be a cookie's name: use letters, digits and any of !#$%&'*+-.^_`|~"
                )
            }
            Self::PrefixedName(name) => {
                write!(
                    f,
                    "{name:?} is a cookie's name: leave the prefix out of the session's name, and the \
                     cookie gets `__Host-` where its attributes allow it, or set `.cookie_name({name:?})`"
                )
            }
            Self::FormerName(name) => {
                write!(
                    f,
                    "cookies of the former attributes are called {name:?}, and others now: set \
                     `.cookie_name({name:?})`, or everybody is logged out"
                )
            }
            Self::NameTooLong { name, limit } => {
                write!(
                    f,
                    "a cookie's name of {} bytes leaves no room for its value: use at most {limit}",
                    name.len()
                )
            }
            Self::DuplicateName(name) => {
                write!(
                    f,
                    "two sessions are named {name:?}: give each session of the layer its own name"
                )
            }
            Self::InvalidPath(path) => write!(
                f,
                "{path:?} cannot be a cookie's path: start it with `/` and leave out `;`, spaces and control characters"
            ),
            Self::InvalidDomain(domain) => {
                write!(
                    f,
                    "{domain:?} cannot be a cookie's domain: use a host name such as example.com"
                )
            }
            Self::PrefixUnmet { name, needs } => write!(
                f,
                "the prefix of {name:?} asks for {needs}: change one of the two"
            ),
            Self::NeedsSecure { attribute } => {
                write!(
                    f,
                    "browsers refuse {attribute} without Secure: add `.secure(true)` or drop it"
                )
            }
            _ => self.fmt_setting(f),
        }
    }
}

impl ConfigError {
    /// What is wrong with another setting than the cookie's name and attributes.
    fn fmt_setting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxAgeTooLong { setting } => write!(
                f,
                "`{setting}`: browsers cut a Max-Age of more than 400 days: use a shorter one"
            ),
            Self::ZeroDuration { setting } => write!(
                f,
                "`{setting}`: a timeout of less than a second ends every session at once: use a longer one"
            ),
            Self::IdleLongerThanAbsolute { idle, absolute } => write!(
                f,
                "an idle timeout of {} seconds is never reached, as every session ends {} seconds after it \
                 was made: use a shorter one, or a longer `.absolute_timeout(..)`",
                idle.as_secs(),
                absolute.as_secs()
            ),
            Self::FirstIdleLongerThanIdle { first, idle } => write!(
                f,
                "a first idle timeout of {} seconds is beyond the idle timeout of {}: use a shorter one",
                first.as_secs(),
                idle.as_secs()
            ),
            Self::NoEffect { setting, session } => {
                write!(
                    f,
                    "`.{setting}(..)` does nothing for {session}: leave it out"
                )
            }
            Self::ClockSkewTooLong => f.write_str(
                "`clock_skew`: clocks that differ by more than an hour are wrong: set them right and allow less",
            ),
            Self::ForgetfulStore(name) => {
                write!(
                    f,
                    "the store may forget which sessions {name:?} have ended: use another, or add `.allow_forgetful_stores()`"
                )
            }
            Self::NoRecords(name) => {
                write!(
                    f,
                    "the sessions {name:?} are in their cookie alone: only a request can read them"
                )
            }
            Self::NeedsRevocation(name) => {
                write!(
                    f,
                    "the sessions {name:?} are in a cookie: add `.revocation(store)` to their `CookieStore` to list and end them"
                )
            }
            _ => f.write_str("the settings do not go together"),
        }
    }
}

impl error::Error for ConfigError {}
