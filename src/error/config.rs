//! Why a layer cannot be built.

use std::{error, fmt, time::Duration};

/// A session's settings cannot work. Building the layer fails with this error.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cookie's name is empty, or has a character that RFC 6265 does not allow in one.
    InvalidName(String),
    /// The cookie's name is so long that no room is left for the value.
    NameTooLong {
        /// The name.
        name: String,
        /// The most bytes that it may have.
        limit: usize,
    },
    /// The session's name begins with a prefix of cookie names. The cookie gets its prefix by
    /// itself.
    PrefixedName(String),
    /// Cookies with the [`former_attributes`](crate::SessionConfig::former_attributes) had this
    /// name, but new ones have another, so nobody would stay logged in.
    FormerName(String),
    /// Two sessions of one layer have this name.
    DuplicateName(String),
    /// The cookies of two sessions of one layer have this name.
    DuplicateCookie(String),
    /// `Path` must start with `/`, be at most 1,024 printable ASCII characters, and have no `;` or
    /// space.
    InvalidPath(String),
    /// `Domain` must be a host name of at most 253 characters.
    InvalidDomain(String),
    /// The name's prefix (`__Secure-`, `__Host-`, `__Http-`, `__Host-Http-`) needs another
    /// attribute.
    PrefixUnmet {
        /// The cookie's name.
        name: String,
        /// What the prefix needs.
        needs: &'static str,
    },
    /// `SameSite=None` and `Partitioned` work only with `Secure`.
    NeedsSecure {
        /// The attribute that needs it.
        attribute: &'static str,
    },
    /// Browsers cut a `Max-Age` of more than 400 days.
    MaxAgeTooLong {
        /// The method of [`SessionConfig`](crate::SessionConfig) that was called.
        setting: &'static str,
    },
    /// An idle timeout beyond the absolute timeout would never be reached. A `Max-Age` can be the
    /// idle timeout.
    IdleLongerThanAbsolute {
        /// The idle timeout.
        idle: Duration,
        /// The absolute timeout.
        absolute: Duration,
    },
    /// A first idle timeout beyond the idle timeout would keep sessions of one-time visitors longer
    /// than others.
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
        /// The sessions for which it does nothing.
        session: &'static str,
    },
    /// The cookies of a session that is shared with Go's gorilla/sessions cannot carry this
    /// setting.
    NotInGorilla {
        /// The method of [`SessionConfig`](crate::SessionConfig) or
        /// [`CookieStore`](crate::CookieStore) that was called.
        setting: &'static str,
    },
    /// Clocks that differ by more than an hour are wrong.
    ClockSkewTooLong,
    /// A timeout, lifetime or `Max-Age` is less than a second: no session would last, and no store
    /// answer in time.
    ZeroDuration {
        /// The method of [`SessionConfig`](crate::SessionConfig) that was called.
        setting: &'static str,
    },
    /// With [`sessions_per_subject`](crate::SessionConfig::sessions_per_subject) of 0, nobody could
    /// log in.
    ZeroSessions,
    /// Sessions of this name are in a cookie, and no store remembers which have ended.
    NeedsRevocation(String),
    /// The ends or the subjects' lists of this session would be kept in a store that may drop them
    /// too early.
    ForgetfulStore(String),
    /// Sessions of this name are in their cookie alone, and have no records.
    NoRecords(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => write!(
                f,
                "{name:?} cannot be a cookie's name: use letters, digits and any of !#$%&'*+-.^_`|~"
            ),
            Self::PrefixedName(name) => write!(
                f,
                "{name:?} is a cookie's name: leave the prefix out of the session's name, and the \
                 cookie gets `__Host-` where its attributes allow it, or set `.cookie_name({name:?})`"
            ),
            Self::FormerName(name) => write!(
                f,
                "cookies with the former attributes are named {name:?}, and new ones are not: set \
                 `.cookie_name({name:?})` or `.former_cookie({name:?}, ..)`, or everybody is logged out"
            ),
            Self::NameTooLong { name, limit } => write!(
                f,
                "a cookie's name of {} bytes leaves no room for its value: use at most {limit}",
                name.len()
            ),
            Self::DuplicateName(name) => write!(
                f,
                "two sessions are named {name:?}: give each session of the layer its own name"
            ),
            Self::DuplicateCookie(name) => write!(
                f,
                "the cookies of two sessions are named {name:?}: give one of them another \
                 `.cookie_name(..)`"
            ),
            Self::InvalidPath(path) => write!(
                f,
                "{path:?} cannot be a cookie's path: start it with `/` and leave out `;`, spaces and control characters"
            ),
            Self::InvalidDomain(domain) => write!(
                f,
                "{domain:?} cannot be a cookie's domain: use a host name such as example.com"
            ),
            Self::PrefixUnmet { name, needs } => write!(
                f,
                "the prefix of {name:?} needs {needs}: change one of the two"
            ),
            Self::NeedsSecure { attribute } => write!(
                f,
                "browsers refuse {attribute} without Secure: add `.secure(true)` or drop it"
            ),
            _ => self.fmt_setting(f),
        }
    }
}

impl ConfigError {
    /// Shows errors of settings other than the cookie's name and attributes.
    fn fmt_setting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxAgeTooLong { setting } => write!(
                f,
                "`{setting}`: browsers cut a Max-Age of more than 400 days: use a shorter one"
            ),
            Self::ZeroDuration { setting } => write!(
                f,
                "`{setting}`: less than a second is too short: use a second or more"
            ),
            Self::ZeroSessions => f.write_str(
                "`sessions_per_subject`: with 0 nobody could log in: use at least 1, or leave it out for 1,000",
            ),
            Self::IdleLongerThanAbsolute { idle, absolute } => write!(
                f,
                "an idle timeout of {} seconds is never reached, since every session ends {} seconds after it \
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
            Self::NoEffect { setting, session } => write!(
                    f,
                    "`.{setting}(..)` does nothing for {session}: leave it out"
            ),
            Self::NotInGorilla { setting: "new" } => f.write_str(
                "gorilla's cookies hold their session: use `SessionConfig::cookie` or a `CookieStore`",
            ),
            Self::NotInGorilla { setting } => write!(
                f,
                "gorilla's cookies cannot carry the effect of `.{setting}(..)`: leave it out"
            ),
            Self::ClockSkewTooLong => f.write_str(
                "`clock_skew`: clocks that differ by more than an hour are wrong: set them right and allow less",
            ),
            Self::ForgetfulStore(name) => write!(
                    f,
                    "the store may forget which sessions {name:?} have ended: use another, or add `.allow_forgetful_stores()`"
            ),
            Self::NoRecords(name) => write!(
                    f,
                    "sessions of the name {name:?} are in their cookie alone: only a request can read them"
            ),
            Self::NeedsRevocation(name) => write!(
                    f,
                    "sessions of the name {name:?} are in a cookie: add `.revocation(store)` to their `CookieStore` to list and end them"
            ),
            _ => f.write_str("the settings contradict each other"),
        }
    }
}

impl error::Error for ConfigError {}
