//! How one session is kept: its name, store, keys, cookie attributes and lifetimes.

mod settings;

use std::{fmt, time::Duration};

use cookie::SameSite;

pub(crate) use self::settings::{AttributesTag, Overflow, Settings};
use crate::{
    codec::{Codec, Mode, Purpose},
    cookie::{self as wire, CookieAttributes},
    error::ConfigError,
    key::Keys,
    roster::Rosters,
    store::{Backend, CookieStore, DynStore, Store},
};

/// The settings of one session of a [`SessionLayer`](crate::SessionLayer).
///
/// | Setting | Default |
/// |---|---|
/// | [`path`](Self::path), [`domain`](Self::domain) | `/`, none |
/// | [`secure`](Self::secure), [`http_only`](Self::http_only) | on, on |
/// | [`same_site`](Self::same_site), [`partitioned`](Self::partitioned) | `Lax`, off |
/// | [`max_age`](Self::max_age) | none: until the browser closes |
/// | [`idle_timeout`](Self::idle_timeout) | 24 hours |
/// | [`absolute_timeout`](Self::absolute_timeout) | 14 days |
/// | [`encrypt_records`](Self::encrypt_records) | off |
/// | [`sessions_per_subject`](Self::sessions_per_subject) | 1,000 |
/// | [`overflow`](Self::overflow), [`cookie_bytes`](Self::cookie_bytes) | none, what fits into 4,096 bytes |
/// | [`max_bytes`](Self::max_bytes) | 1 MiB in a store, or what that takes; what fits into 4,096 bytes in a cookie |
///
/// The name is the cookie's name; `__Host-session` makes browsers enforce that only this host can
/// set it. Clones are cheap, and refer to the same store.
#[derive(Clone)]
pub struct SessionConfig {
    name: String,
    backend: Backend,
    keys: Keys,
    audience: String,
    attributes: CookieAttributes,
    former: Vec<CookieAttributes>,
    max_age: Option<Duration>,
    idle: Option<Duration>,
    absolute: Option<Duration>,
    max_bytes: usize,
    encrypts_records: bool,
    revocations: Option<DynStore>,
    sessions_per_subject: usize,
    overflow: Option<DynStore>,
    cookie_bytes: usize,
}

/// Pairs of timeouts that standards ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    idle: Duration,
    absolute: Duration,
}

impl Timeouts {
    /// The default: 24 hours idle, 14 days in all.
    pub const DEFAULT: Self = Self::hours(24, 14 * 24);
    /// OWASP's upper figures for applications of low risk: 30 minutes idle, 8 hours in all.
    pub const LOW_RISK: Self = Self {
        idle: Duration::from_secs(30 * 60),
        absolute: Duration::from_secs(8 * 3_600),
    };
    /// OWASP's upper figures for applications of high value: 5 minutes idle, 4 hours in all.
    pub const HIGH_VALUE: Self = Self {
        idle: Duration::from_secs(5 * 60),
        absolute: Duration::from_secs(4 * 3_600),
    };

    /// Makes a pair of one's own.
    #[must_use]
    pub const fn new(idle: Duration, absolute: Duration) -> Self {
        Self { idle, absolute }
    }

    const fn hours(idle: u64, absolute: u64) -> Self {
        Self::new(
            Duration::from_secs(idle * 3_600),
            Duration::from_secs(absolute * 3_600),
        )
    }
}

impl SessionConfig {
    /// A session kept whole in an encrypted cookie; see [`CookieStore`] for what that can and
    /// cannot do, and for cookies that are signed only.
    #[must_use]
    pub fn cookie(name: impl Into<String>, keys: impl Into<Keys>) -> Self {
        Self::new(name, CookieStore::new(), keys)
    }

    /// A session kept in `store`, with its signed ID in the cookie.
    #[must_use]
    pub fn new(name: impl Into<String>, store: impl Into<Backend>, keys: impl Into<Keys>) -> Self {
        Self {
            name: name.into(),
            backend: store.into(),
            keys: keys.into(),
            audience: String::new(),
            attributes: CookieAttributes::default(),
            former: Vec::new(),
            max_age: None,
            idle: None,
            absolute: None,
            max_bytes: 1 << 20,
            encrypts_records: false,
            revocations: None,
            sessions_per_subject: 1_000,
            overflow: None,
            cookie_bytes: usize::MAX,
        }
    }

    /// Gives the settings to a session of another name, for
    /// [`Sessions::open`](crate::Sessions::open).
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sends the cookie only to this path and those below it.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        self.with(|attributes| attributes.path(path))
    }

    /// Sends the cookie to this host and all below it.
    #[must_use]
    pub fn domain(self, domain: impl Into<String>) -> Self {
        self.with(|attributes| attributes.domain(domain))
    }

    /// Sends the cookie over HTTPS only. Most browsers count `http://localhost` as that, Safari
    /// does not.
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        self.with(|attributes| attributes.secure(secure))
    }

    /// Hides the cookie from scripts.
    #[must_use]
    pub fn http_only(self, http_only: bool) -> Self {
        self.with(|attributes| attributes.http_only(http_only))
    }

    /// Says whether the cookie is sent along when another site leads here.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.with(|attributes| attributes.same_site(same_site))
    }

    /// Keeps a separate cookie for each site that embeds this one (CHIPS).
    #[must_use]
    pub fn partitioned(self, partitioned: bool) -> Self {
        self.with(|attributes| attributes.partitioned(partitioned))
    }

    /// Names attributes that the session's cookies had in an earlier release: browsers that still
    /// have such a cookie are told to drop it, with the next one they get. May be called several
    /// times.
    ///
    /// To a browser, cookies of another path, domain or partition are other cookies, and it sends
    /// both. While the session of one is dead, that does no harm. A session that is kept in its
    /// cookie alone cannot tell, and then neither of two counts until the older one has expired.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, Keys, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let config = SessionConfig::cookie("account", Keys::generate()?)
    ///     .domain("example.com")
    ///     .former_attributes(CookieAttributes::default().path("/shop"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn former_attributes(mut self, attributes: CookieAttributes) -> Self {
        self.former.push(attributes);
        self
    }

    /// For developing over plain HTTP: without `Secure`, so that anybody on the way can read and
    /// use the cookie. dghubble's users know it as the debug configuration.
    ///
    /// It leaves the other attributes alone; a name or attribute that needs `Secure` is then an
    /// error.
    #[must_use]
    pub fn insecure_local_http(self) -> Self {
        self.secure(false)
    }

    /// Lets sessions outlast the browser: `Max-Age`, with `Expires` beside it, at most 400 days.
    ///
    /// It is the idle timeout and the absolute lifetime as well, unless those are set themselves,
    /// so what the browser keeps is what the server accepts. gorilla's `MaxAge` option; a session
    /// changes it with [`persist_for`](crate::Session::persist_for) and
    /// [`until_browser_closes`](crate::Session::until_browser_closes).
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Ends a session that nobody used for this long.
    ///
    /// A request that uses the session starts the time anew; the store or the cookie is told at
    /// most once in a tenth of it. A shorter one applies to sessions that are there when they are
    /// used next; those in a store keep the longer one until then.
    #[must_use]
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Ends a session this long after it was made, however much it is used.
    #[must_use]
    pub fn absolute_timeout(mut self, absolute: Duration) -> Self {
        self.absolute = Some(absolute);
        self
    }

    /// Sets both timeouts at once.
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.idle_timeout(timeouts.idle)
            .absolute_timeout(timeouts.absolute)
    }

    /// Bounds the bytes of a session in a store, or of one that can [`overflow`](Self::overflow)
    /// into one, to at most 128 MiB, and to what the store takes if that is less: its
    /// [`record_bytes`](crate::store::Limits::record_bytes) without the 115 bytes that a record has
    /// besides the session, and 41 more for the seal of
    /// [`encrypt_records`](Self::encrypt_records). A change beyond it is an error. Another session in
    /// a cookie has the cookie's limit.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Encrypts what is put into the store, under a key derived from the session's ID, which only
    /// the cookie has: a stolen store gives away neither IDs nor values, and nobody can change a
    /// record in it unnoticed.
    ///
    /// Records that are there and not encrypted are refused from then on. Sessions in a cookie are
    /// encrypted by their token.
    #[must_use]
    pub fn encrypt_records(mut self) -> Self {
        self.encrypts_records = true;
        self
    }

    /// Remembers in `store` which sessions in a cookie have ended, so that a copy of the cookie is
    /// worth nothing after a logout or a renewal, and a [subject](crate::Session::set_subject)'s
    /// sessions can be listed and ended.
    ///
    /// What is remembered is a hash of the session's ID, until it would have ended by itself; a
    /// session that is opened is looked up, and one with a subject in the subject's list as well.
    /// With a store that waits, it has to be loaded first. Sessions that are kept in a store do not
    /// need this, and ignore it. The store may be that of [`overflow`](Self::overflow) or of other
    /// sessions.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig, store::MemoryStore};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let account = SessionConfig::cookie("account", Keys::generate()?).revocation(MemoryStore::new());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn revocation(mut self, store: impl Store) -> Self {
        self.revocations = Some(DynStore::new(store));
        self
    }

    /// Keeps sessions that outgrow their cookie in `store`; for sessions in a cookie.
    ///
    /// A session stays in its cookie while it fits, and is then like any other in a
    /// [cookie](crate::store::CookieStore). One that does not fit is saved in the store, and the
    /// cookie refers to it from then on. It stays there, however small it gets, until it is
    /// [renewed](crate::Session::renew) or ends: a renewal puts it where it fits, unless you
    /// [`save`](crate::Session::save) it before the response.
    ///
    /// If requests outgrow one cookie at the same time, all their changes are kept. A cookie from
    /// before the session had a record, as of a response that was late, is still a session in a
    /// cookie: the last response wins, and the next change that does not fit is merged into the
    /// record.
    ///
    /// With a store that waits, you load the session first. [`max_bytes`](Self::max_bytes) bounds
    /// the session, wherever it is. If you turn this off later, the sessions in the store are lost.
    /// For a session in a store it does nothing.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig, store::MemoryStore};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let cart = SessionConfig::cookie("cart", Keys::generate()?).overflow(MemoryStore::new()).cookie_bytes(2_000);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn overflow(mut self, store: impl Store) -> Self {
        self.overflow = Some(DynStore::new(store));
        self
    }

    /// Bounds the bytes of a session in its cookie if it can [`overflow`](Self::overflow), and does
    /// nothing if not. They are counted before they are encrypted and encoded, which makes them a
    /// third longer. What does not fit into a `Set-Cookie` header of 4,096 bytes overflows in any
    /// case.
    #[must_use]
    pub fn cookie_bytes(mut self, cookie_bytes: usize) -> Self {
        self.cookie_bytes = cookie_bytes;
        self
    }

    /// Bounds how many sessions a subject has at a time: when one more gets the
    /// [subject](crate::Session::set_subject), those that were not used for longest are ended. With
    /// 1, whoever logs in is logged out everywhere else.
    #[must_use]
    pub fn sessions_per_subject(mut self, limit: usize) -> Self {
        self.sessions_per_subject = limit;
        self
    }

    /// Tells applications apart that share keys and a cookie's name: a token of one is nothing to
    /// another.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    fn with(mut self, change: impl FnOnce(CookieAttributes) -> CookieAttributes) -> Self {
        self.attributes = change(self.attributes);
        self
    }

    /// Checks everything that does not depend on a request, and prepares what can be prepared.
    pub(crate) fn build(&self) -> Result<Settings, ConfigError> {
        for attributes in std::iter::once(&self.attributes).chain(&self.former) {
            attributes.check(&self.name)?;
        }
        self.check_times()?;
        let (mode, purpose) = match self.backend.server() {
            Err(cookie) if cookie.is_signed() => (Mode::Signed, Purpose::Values),
            Err(_) => (Mode::Sealed, Purpose::Values),
            Ok(_) => (Mode::Signed, Purpose::Reference),
        };
        let codec = |mode, purpose| {
            Codec::new(self.keys.clone(), mode, purpose, &self.name, &self.audience)
        };
        let absolute = self
            .absolute
            .or(self.max_age)
            .unwrap_or(Timeouts::DEFAULT.absolute);
        let roster_store = self.backend.server().ok().or(self.revocations.as_ref());
        let rosters = roster_store.map(|store| {
            let codec = codec(Mode::Sealed, Purpose::Roster);
            let memory = absolute.max(wire::MAX_AGE);
            Rosters::new(store.clone(), codec, &self.name, &self.audience, memory)
        });
        let overflow_store = self
            .overflow
            .as_ref()
            .filter(|_| self.backend.server().is_err());
        Ok(Settings {
            name: self.name.as_str().into(),
            finder: wire::Finder::new(&self.name),
            backend: self.backend.clone(),
            codec: codec(mode, purpose),
            tag: Settings::tag_of(&self.attributes.render()),
            rendered: self.attributes.render(),
            former: self.former.iter().map(CookieAttributes::render).collect(),
            attributes: self.attributes.clone(),
            max_age: self.max_age,
            idle: self.idle.or(self.max_age).unwrap_or(Timeouts::DEFAULT.idle),
            absolute,
            max_bytes: self.max_bytes.min(128 << 20),
            encrypts_records: self.encrypts_records,
            revocations: self.revocations.clone(),
            overflow: overflow_store.map(|store| Overflow {
                store: store.clone(),
                codec: codec(Mode::Signed, Purpose::Reference),
                bytes: self.cookie_bytes,
            }),
            rosters,
            sessions_per_subject: self.sessions_per_subject.max(1),
            never_waits: false,
        }
        .checked())
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let mut times = [self.max_age, self.idle, self.absolute]
            .into_iter()
            .flatten();
        if times.any(|time| time < second) {
            return Err(ConfigError::ZeroDuration);
        }
        if self.max_age.is_some_and(|age| age > wire::MAX_AGE) {
            return Err(ConfigError::MaxAgeTooLong);
        }
        Ok(())
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfig")
            .field("name", &self.name)
            .field("backend", &self.backend)
            .field("keys", &self.keys)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}
