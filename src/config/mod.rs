//! How one session is kept: its name, store, keys, cookie attributes and lifetimes.

mod apply;
mod build;
mod cookie;
mod duration;
mod file;
mod format;
mod go;
#[cfg(feature = "gorilla")]
mod gorilla;
mod lifetime;
mod settings;
mod store;
mod timeouts;
mod value;

use std::{borrow::Cow, fmt, time::Duration};

use self::go::Go;
pub use self::{file::SessionSettings, timeouts::Timeouts};
pub(crate) use self::{
    go::Foreign,
    settings::{Accepted, AttributesTag, CookieValue, Overflow, Payload, Settings},
};
use crate::{
    clock::Timestamp,
    cookie::CookieAttributes,
    key::{Key, Keys},
    name::Named,
    store::{Backend, CookieStore, IntoBackend},
};

/// The settings of one session of a [`SessionLayer`](crate::SessionLayer).
///
/// | Setting | Default |
/// |---|---|
/// | [`cookie_name`](Self::cookie_name) | `__Host-` and the name, where the attributes allow it |
/// | [`attributes`](Self::attributes) | `Path=/`, no `Domain`, `Secure`, `HttpOnly`, `SameSite=Lax` |
/// | [`max_age`](Self::max_age) | none: until the browser closes |
/// | [`idle_timeout`](Self::idle_timeout) | 24 hours |
/// | [`first_idle_timeout`](Self::first_idle_timeout) | the idle timeout |
/// | [`absolute_timeout`](Self::absolute_timeout) | 14 days |
/// | [`persist_up_to`](Self::persist_up_to) | the longest of 30 days, `max_age` and `absolute_timeout` |
/// | [`not_before`](Self::not_before) | none |
/// | [`encrypt_records`](Self::encrypt_records), [`recent_reads`](Self::recent_reads) | off, off |
/// | [`store_timeout`](Self::store_timeout) | 5 seconds |
/// | [`sessions_per_subject`](Self::sessions_per_subject) | 1,000 |
/// | [`subject_key`](Self::subject_key) | none |
/// | [`max_bytes`](Self::max_bytes) | 1 MiB in a store, or what that takes; what fits into 4,096 bytes in a cookie |
///
/// [`CookieStore`] has the settings that only sessions in a cookie have. A setting that does
/// nothing for the session is a [`ConfigError::NoEffect`](crate::ConfigError::NoEffect) when the
/// layer is built.
///
/// A configuration file sets them through [`settings`](Self::settings).
///
/// Handlers ask for a session by its name. Give it as a string or as a
/// [`SessionName`](crate::SessionName), which the compiler checks. Clones are cheap and refer to
/// the same store.
#[derive(Clone)]
pub struct SessionConfig {
    name: String,
    cookie_name: Option<String>,
    backend: Backend,
    keys: Keys,
    audience: String,
    attributes: CookieAttributes,
    former: Vec<CookieAttributes>,
    /// Cookies of other names.
    former_cookies: Vec<(String, CookieAttributes)>,
    max_age: Option<Duration>,
    idle: Option<Duration>,
    first_idle: Option<Duration>,
    absolute: Option<Duration>,
    persist_up_to: Option<Duration>,
    not_before: Timestamp,
    store_timeout: Option<Duration>,
    max_bytes: Option<usize>,
    encrypts_records: bool,
    reads_recent: bool,
    allows_forgetting: bool,
    sessions_per_subject: Option<usize>,
    subject_key: Option<Key>,
    go: Option<Go>,
    /// A setting for sessions in cookies that a file has set for a session in a store.
    without_effect: Option<&'static str>,
}

impl SessionConfig {
    /// Keeps the whole session in an encrypted cookie. [`CookieStore`] says what that can and
    /// cannot do, and how to sign cookies without encrypting them.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig, SessionLayer};
    ///
    /// let keys = Keys::generate()?; // in production: `Keys::from_env("SESSION_KEY")`
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", keys));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn cookie(name: impl Named, keys: impl Into<Keys>) -> Self {
        Self::new(name, CookieStore::new(), keys)
    }

    /// Keeps the session in `store`. The cookie has only its signed ID.
    ///
    /// ```
    /// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
    ///
    /// let keys = Keys::generate()?;
    /// let layer = SessionLayer::new(SessionConfig::new("session", MemoryStore::new(), keys));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a name is given as it is: `Account`, not `&Account`"
    )]
    pub fn new(name: impl Named, store: impl IntoBackend, keys: impl Into<Keys>) -> Self {
        Self {
            name: name.name().to_owned(),
            cookie_name: None,
            backend: store.into_backend(),
            keys: keys.into(),
            audience: String::new(),
            attributes: CookieAttributes::default(),
            former: Vec::new(),
            former_cookies: Vec::new(),
            max_age: None,
            idle: None,
            first_idle: None,
            absolute: None,
            persist_up_to: None,
            not_before: Timestamp::default(),
            store_timeout: None,
            max_bytes: None,
            encrypts_records: false,
            reads_recent: false,
            allows_forgetting: false,
            sessions_per_subject: None,
            subject_key: None,
            go: None,
            without_effect: None,
        }
    }

    /// Gives these settings to a session of another name, for
    /// [`Sessions::open`](crate::Sessions::open). Its cookie has the name that follows from the
    /// session's: a [`cookie_name`](Self::cookie_name) and
    /// [`former_cookie`](Self::former_cookie)s stay with the settings you started from.
    ///
    /// ```
    /// # use silverback::{Error, Session, SessionConfig, Sessions};
    /// async fn cart(sessions: Sessions, carts: &SessionConfig, shop: u32) -> Result<Session, Error> {
    ///     sessions.open(&carts.clone().named(format!("cart-{shop}"))).await
    /// }
    /// ```
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a name is given as it is: `Account`, not `&Account`"
    )]
    pub fn named(mut self, name: impl Named) -> Self {
        self.name = name.name().to_owned();
        self.cookie_name = None;
        self.former_cookies.clear();
        self
    }

    /// Limits how many sessions a [subject](crate::Session::set_subject) has at a time. The default
    /// is 1,000. When the limit is exceeded, the least recently used sessions end. A limit of 1
    /// allows one login at a time. A limit of 0 is an error when the layer is built.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).sessions_per_subject(5);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn sessions_per_subject(mut self, limit: usize) -> Self {
        self.sessions_per_subject = Some(limit);
        self
    }

    /// Names the lists of a [subject](crate::Session::set_subject)'s sessions in the store by a
    /// keyed hash (HMAC-SHA256, RFC 2104) of the subject.
    ///
    /// Without this the hash has no key, so anyone who reads the store can test whether a name or
    /// an e-mail address that they guess has sessions. The key is separate from the session's
    /// [`Keys`], since lists must be found after a rotation. Use one that is in no ring, and the
    /// same one on all machines. Another key finds none of the existing lists, so set it before the
    /// first login, or end all sessions.
    ///
    /// ```
    /// # use silverback::{Key, Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let subjects = Key::generate()?; // and keep it, beside the others
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).subject_key(subjects);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn subject_key(mut self, key: Key) -> Self {
        self.subject_key = Some(key);
        self
    }

    /// Separates applications that share keys and a cookie's name: a cookie of one application is
    /// rejected by the other. The default is empty.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let shop = SessionConfig::cookie("account", keys.clone()).audience("shop");
    /// let staff = SessionConfig::cookie("account", keys).audience("staff");
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The same settings with other keys.
    pub(crate) fn with_keys(&self, keys: Keys) -> Self {
        Self {
            keys,
            ..self.clone()
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of a cookie with these attributes.
    fn cookie_name_of(&self, attributes: &CookieAttributes) -> Cow<'_, str> {
        match &self.cookie_name {
            Some(name) => name.into(),
            // Go's cookies have the session's name.
            None if self.go.is_none() && attributes.allow_host_prefix() => {
                format!("__Host-{}", self.name).into()
            }
            None => self.name.as_str().into(),
        }
    }

    /// Returns whether these settings and the prepared ones describe the same session: the same
    /// cookie, store, keys and audience.
    pub(crate) fn is_of(&self, settings: &Settings) -> bool {
        *self.cookie_name_of(&self.attributes) == *settings.cookie_name
            && settings.backend.is_same(&self.backend)
            && settings.codec.matches(&self.keys, &self.audience)
            && settings.is_shared_as(self.go.as_ref())
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
