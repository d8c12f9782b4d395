//! How one session is kept: its name, store, keys, cookie attributes and lifetimes.

mod apply;
mod build;
mod duration;
mod file;
mod given;
mod go;
mod settings;
mod timeouts;

use std::{borrow::Cow, fmt, time::Duration};

use self::go::Go;
pub use self::{file::SessionSettings, timeouts::Timeouts};
pub(crate) use self::{
    go::Foreign,
    settings::{Accepted, AttributesTag, CookieValue, Overflow, Payload, Settings},
};
#[cfg(feature = "gorilla")]
use crate::gorilla::Gorilla;
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
    /// What a file asked of cookies, of which there are none that hold the session.
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
    /// [`Sessions::open`](crate::Sessions::open).
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

    /// Sets the cookie's name. By default it is `__Host-` and the session's name, or the session's
    /// name alone where the [attributes](Self::attributes) have a domain, a path other than `/`, or
    /// no `Secure`: browsers refuse the prefix with these (RFC 6265bis, section 4.1.3.2).
    ///
    /// The prefix makes browsers enforce that only this host, over HTTPS, has set the cookie. A
    /// sibling domain cannot plant one. A cookie of another name is another cookie, so a change of
    /// the name logs everybody out. So does a change of attributes that changes the default. To
    /// prevent that, set the name that cookies have had until then, or name the
    /// [`former_cookie`](Self::former_cookie).
    ///
    /// The name is a token of at most 256 bytes. The layer refuses two sessions of one cookie name.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).cookie_name("id");
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Changes the attributes of the cookie, starting from the strict defaults: see
    /// [`CookieAttributes`]. One session changes its own at run time with
    /// [`set_attributes`](crate::Session::set_attributes).
    ///
    /// A browser sends a cookie of the path `/app` to `/app` and `/app/x`. It sends one of `/app/`
    /// to `/app/x` alone (RFC 6265, section 5.1.4); the layer logs a warning about such a path.
    ///
    /// ```
    /// # use silverback::{Keys, SameSite, SessionConfig};
    /// let theme = SessionConfig::cookie("theme", Keys::generate()?)
    ///     .attributes(|cookie| cookie.path("/shop").same_site(SameSite::Strict));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn attributes(mut self, change: impl FnOnce(CookieAttributes) -> CookieAttributes) -> Self {
        self.attributes = change(self.attributes);
        self
    }

    /// Names attributes that the session's cookies had in an earlier release. A browser that still
    /// has such a cookie is told to drop it with the next one that it gets. Call this once for each
    /// set of attributes. By default there is none.
    ///
    /// To a browser, cookies of another path, domain or partition are other cookies (RFC 6265,
    /// section 5.3), and it sends both. Where a store knows which sessions live, a cookie of a dead
    /// session does not count, and this setting only tidies up. A session in a cookie alone needs
    /// it: nobody can tell which of the two is newer, so neither counts
    /// ([`Rejection::Ambiguous`](crate::Rejection::Ambiguous)) until the older one has expired.
    /// Leave the setting in for as long as the longest session lasts.
    ///
    /// Each one adds a `Set-Cookie` header to each response that sets the session's cookie, and to
    /// no other.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, Keys, SessionConfig};
    /// let config = SessionConfig::cookie("account", Keys::generate()?)
    ///     .cookie_name("account")
    ///     .attributes(|cookie| cookie.domain("example.com"))
    ///     .former_attributes(CookieAttributes::default().path("/shop"));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn former_attributes(mut self, attributes: CookieAttributes) -> Self {
        self.former.push(attributes);
        self
    }

    /// Reads the session from a cookie of another name too, which had these attributes: one that it
    /// had in an earlier release, or will have in the next. Call this once for each. By default
    /// there is none.
    ///
    /// A browser that comes with such a cookie gets one of the present name when the session is
    /// used. A session in a cookie alone gets it with its next change, or in the second half of its
    /// idle timeout. The other cookie is removed by each response that sets the session's cookie.
    /// If cookies of both names are valid, the one whose session lives counts. Two that live are
    /// [`Rejection::Ambiguous`](crate::Rejection::Ambiguous).
    ///
    /// A release that does not know the new name finds no session in it. So change a name in two
    /// deploys: the first one reads the new name and keeps the old, the second one writes the new
    /// name and reads the old. Leave the setting in for as long as the longest session lasts, and
    /// no longer: where the other name has no `__Host-`, a sibling domain can plant such a cookie.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, Keys, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// // From `account` of a whole domain to `__Host-account` of this host. First deploy:
    /// let config = SessionConfig::cookie("account", keys.clone())
    ///     .cookie_name("account")
    ///     .attributes(|cookie| cookie.domain("example.com"))
    ///     .former_cookie("__Host-account", CookieAttributes::default());
    /// // Second deploy:
    /// let config = SessionConfig::cookie("account", keys)
    ///     .former_cookie("account", CookieAttributes::default().domain("example.com"));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn former_cookie(mut self, name: impl Into<String>, attributes: CookieAttributes) -> Self {
        self.former_cookies.push((name.into(), attributes));
        self
    }

    /// Sends the cookie over plain HTTP too, without `Secure`: for development. Anyone on the way
    /// can read and use such a cookie. dghubble/sessions calls this the debug configuration.
    ///
    /// The other attributes stay. A name or an attribute that needs `Secure` is then an error.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let mut account = SessionConfig::cookie("account", keys);
    /// if cfg!(debug_assertions) {
    ///     account = account.insecure_local_http();
    /// }
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn insecure_local_http(self) -> Self {
        self.attributes(|cookie| cookie.secure(false))
    }

    /// Lets sessions outlast the browser. They end when nobody has used them for `max_age`: at
    /// least a second and at most 400 days. The cookie says `Expires` beside `Max-Age`.
    ///
    /// This is the cookie's `Max-Age` (RFC 6265, section 5.2.2), and the idle timeout unless you
    /// set a shorter one. Both slide: each use puts off the end, and the cookie is sent again at
    /// most ten times per `max_age`. gorilla's `MaxAge` option slides with each save.
    ///
    /// Unless you set an [`absolute_timeout`](Self::absolute_timeout), the session ends 400 days
    /// after it was made, the longest that browsers keep a cookie (RFC 6265bis, section 5.5).
    ///
    /// One session changes this for itself with [`persist_for`](crate::Session::persist_for), which
    /// does not slide, and [`until_browser_closes`](crate::Session::until_browser_closes).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let month = Duration::from_secs(30 * 86_400);
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?).max_age(month);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Ends a session that nobody has used for this long. The default is 24 hours, or
    /// [`max_age`](Self::max_age).
    ///
    /// Each use restarts the timeout. To save writes, a store records this at most ten times per
    /// timeout. A session kept in the cookie alone is reissued only in the second half of it. A
    /// shorter timeout applies to existing sessions when they are next used; those in a store keep
    /// the longer one until then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys)
    ///     .idle_timeout(Duration::from_secs(30 * 60));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Ends a session this early if no second request uses it. The default is the idle timeout.
    ///
    /// Crawlers and scanners come once, and so do many people. Each gets a session if your pages
    /// write to it, and a store keeps it for the idle timeout. With this, a session ends `first`
    /// after the request that made it. A second request that uses it restarts the full
    /// [`idle_timeout`](Self::idle_timeout), as [`touch`](crate::Session::touch) does. A session
    /// has the full one from the start if it was [renewed](crate::Session::renew), has a
    /// [subject](crate::Session::set_subject) or lasts [for a fixed
    /// time](crate::Session::persist_for).
    ///
    /// A read sends a session in a cookie alone again only in the second half of `first`, and one
    /// with [`revocation`](CookieStore::revocation) after a tenth of it. A second request before
    /// that does not count unless it changes something. So give such a cookie a `first` that is
    /// longer than a first visit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?)
    ///     .idle_timeout(Duration::from_secs(7 * 86_400))
    ///     .first_idle_timeout(Duration::from_secs(3_600));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// A `first` longer than the idle timeout is a
    /// [`ConfigError::FirstIdleLongerThanIdle`](crate::ConfigError::FirstIdleLongerThanIdle).
    #[must_use]
    pub fn first_idle_timeout(mut self, first: Duration) -> Self {
        self.first_idle = Some(first);
        self
    }

    /// Ends a session this long after it was made, however much it is used. The default is 14 days,
    /// or 400 days with [`max_age`](Self::max_age).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys)
    ///     .absolute_timeout(Duration::from_secs(12 * 3_600));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn absolute_timeout(mut self, absolute: Duration) -> Self {
        self.absolute = Some(absolute);
        self
    }

    /// Sets both timeouts at once, such as a pair that a standard asks for: see [`Timeouts`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # use silverback::Timeouts;
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::cookie("account", keys).timeouts(Timeouts::LOW_RISK);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.idle_timeout(timeouts.idle)
            .absolute_timeout(timeouts.absolute)
    }

    /// Bounds [`persist_for`](crate::Session::persist_for). The default is the longest of 30 days,
    /// [`max_age`](Self::max_age) and [`absolute_timeout`](Self::absolute_timeout), and the upper
    /// limit is 400 days.
    ///
    /// A longer wish is cut to it. So is what sessions were granted before you lower it. With
    /// [`revocation`](CookieStore::revocation) or a [subject](crate::Session::set_subject), a store
    /// remembers for this long that a session has ended, so a bound that you do not need costs
    /// room.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let year = Duration::from_secs(365 * 86_400);
    /// let account = SessionConfig::cookie("account", Keys::generate()?).persist_up_to(year);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn persist_up_to(mut self, longest: Duration) -> Self {
        self.persist_up_to = Some(longest);
        self
    }

    /// Refuses every session that was made before `time`, wherever it is kept, as
    /// [`Rejection::Expired`](crate::Rejection::Expired).
    ///
    /// Set it to the present when you restore a store from a backup. Otherwise sessions that have
    /// ended since the backup come back. Keep it until the longest session from before has expired.
    /// A time in the future keeps everybody out until then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # use silverback::Timestamp;
    /// # let keys = Keys::generate()?;
    /// let restored = Timestamp::from_secs(1_800_000_000); // as `date +%s` prints it
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).not_before(restored);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn not_before(mut self, time: Timestamp) -> Self {
        self.not_before = time;
        self
    }

    /// Bounds how long a request waits for stores. The default is 5 seconds and the minimum one. It
    /// counts all calls for the request's sessions together, with the queues and pauses between
    /// them, and not the time of the handler. A handle that outlives its request,
    /// [`Subjects`](crate::Subjects) and [`SessionRecords`](crate::SessionRecords) may wait this
    /// long for each operation.
    ///
    /// After that the operation is an [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed),
    /// whose [answer](crate::Answer) is 503. What the store was doing at that moment may have
    /// happened or not.
    ///
    /// A store reports [`Unavailable`](crate::store::StoreError::Unavailable) after a failed
    /// connection or a lost answer. It is then asked once more if half of this time is left. Keep
    /// the timeouts of the store's client below that half and its own retries off, or let the store
    /// [say](crate::store::Limits::may_repeat) that it has them. A record carries the ids of its
    /// last eight writes, 13 bytes each, so that a save whose answer was lost is recognised. It
    /// does so for this time and two seconds, and for at least seven. A session that [never
    /// waits](crate::store::Limits::never_waits) for its store has no timeout.
    ///
    /// Requests with several sessions count the time once, and each session has its own limit of
    /// it. A session in its cookie alone waits for no store; this setting is an error there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?)
    ///     .store_timeout(Duration::from_secs(2));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = Some(timeout);
        self
    }

    /// Bounds the bytes of a session in a store, and of one that can
    /// [`overflow`](CookieStore::overflow) into one. The default is 1 MiB and the maximum 128 MiB.
    ///
    /// The store bounds it too: its [`record_bytes`](crate::store::Limits::record_bytes) has to
    /// hold the session, 115 bytes beside it, and 41 more for the seal of
    /// [`encrypt_records`](Self::encrypt_records). A change beyond the limit is
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). Any other session in a cookie has the
    /// cookie's limit; this setting is an error there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), keys).max_bytes(16 << 10); // 16 KiB
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Encrypts what goes into the store, under a key derived from the session's ID. Only the
    /// cookie has that. A stolen store reveals neither IDs nor values, and nobody can change a
    /// record in it unnoticed.
    ///
    /// Anyone who can write to the store can still replace a record by an older one of the same
    /// session: only a counter outside of the store could tell. Keep what must not come back, such
    /// as a balance, elsewhere.
    ///
    /// Unencrypted records from before are refused. Sessions in a cookie are encrypted by their
    /// token; this setting is an error if they never get a record.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).encrypt_records();
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn encrypt_records(mut self) -> Self {
        self.encrypts_records = true;
        self
    }

    /// Lets GET and HEAD requests open a session as a cache or a replica of the store has it:
    /// [`Read::Recent`](crate::store::Read::Recent) instead of `Current`.
    ///
    /// Such a request may see a session as it was before it was changed or ended, for as long as
    /// the store lags. The store's docs say how long. The page can miss a write, show a flash
    /// again, or show itself to somebody who has just logged out. What such a request writes is
    /// checked against the present. Only a current read decides that there is no session. Other
    /// methods, ends, lists of subjects and sessions that are loaded after the response always read
    /// what is current.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?).recent_reads();
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn recent_reads(mut self) -> Self {
        self.reads_recent = true;
        self
    }

    /// Allows a store that [may forget](crate::store::Limits::may_forget), such as memcached or
    /// Redis with an evicting policy, for [`revocation`](CookieStore::revocation) and for the lists
    /// of [subjects](crate::Session::set_subject).
    ///
    /// Without this, the layer refuses such a store for `revocation`, and `set_subject` is an error
    /// if the sessions are in such a store. With it, a session that has ended comes back when the
    /// store forgets its end, and `destroy_all` misses sessions whose list is gone.
    ///
    /// ```
    /// # use silverback::store::Store;
    /// # use silverback::{CookieStore, Keys, SessionConfig};
    /// # fn f(memcached: impl Store, keys: Keys) {
    /// let account = SessionConfig::new("account", CookieStore::new().revocation(memcached), keys)
    ///     .allow_forgetful_stores();
    /// # }
    /// ```
    #[must_use]
    pub fn allow_forgetful_stores(mut self) -> Self {
        self.allows_forgetting = true;
        self
    }

    /// Limits how many sessions a [subject](crate::Session::set_subject) has at a time. The default
    /// is 1,000. When the limit is exceeded, the least recently used sessions end. A limit of 1
    /// allows one login at a time.
    ///
    /// ```
    /// # use std::time::Duration;
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
    /// an e-mail address that they guess has sessions. The key is apart from the session's
    /// [`Keys`], since lists have to be found after a rotation. Use one that is in no ring, and the
    /// same one on all machines. Another key finds none of the existing lists, so set it before the
    /// first login, or end all sessions.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # use silverback::Key;
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
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
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

    /// Shares the session with a Go program that keeps it in a cookie, both ways: it reads that
    /// program's cookies, and writes such as that program reads.
    ///
    /// Give it Go's keys, and the session the name, path and domain that it has in Go. Both
    /// programs may change the session as long as they run side by side; the last response wins, as
    /// with any session in a cookie. Cookies of this crate's own format are read as well, with the
    /// [`Keys`] of the session, and written as Go's when they are used. So you can go back from
    /// [`read_gorilla`](Self::read_gorilla).
    ///
    /// The cookie is called as the session, without `__Host-`, unless you set
    /// [`cookie_name`](Self::cookie_name).
    ///
    /// # What Go's format cannot carry
    ///
    /// - **When the session was made.** A cookie has the time of its last save and nothing else. It
    ///   ends [`SecureCookie::max_age`](crate::gorilla::SecureCookie::max_age) after that: 30 days,
    ///   unless you say otherwise. A read saves it again in the second half of that.
    ///   [`Session::created_at`](crate::Session::created_at) and
    ///   [`not_before`](Self::not_before) are about the last save.
    /// - **An ID.** Nothing can list or end sessions, and
    ///   [`Session::record_key`](crate::Session::record_key) changes with each save. A copy of a
    ///   cookie works until its time is over, also after [`destroy`](crate::Session::destroy) and
    ///   [`renew`](crate::Session::renew).
    /// - **What was said at run time.** [`persist_for`](crate::Session::persist_for),
    ///   [`until_browser_closes`](crate::Session::until_browser_closes) and
    ///   [`set_attributes`](crate::Session::set_attributes) are about the cookie of this response,
    ///   as `session.Options` is in Go. [`authenticated_at`](crate::Session::authenticated_at) is
    ///   `None` in the next request.
    ///
    /// So [`idle_timeout`](Self::idle_timeout), [`first_idle_timeout`](Self::first_idle_timeout),
    /// [`absolute_timeout`](Self::absolute_timeout), [`persist_up_to`](Self::persist_up_to),
    /// [`audience`](Self::audience) and all settings of [`CookieStore`] are a
    /// [`ConfigError::NotInGorilla`](crate::ConfigError::NotInGorilla), and so is another store.
    ///
    /// ```
    /// use silverback::{
    ///     Keys, SessionConfig, SessionLayer,
    ///     gorilla::{Gorilla, KeyPair, SecureCookie},
    /// };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
    /// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
    /// let account = SessionConfig::cookie("account", keys).write_gorilla(Gorilla::new(cookies));
    /// let layer = SessionLayer::try_new(account)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "gorilla")]
    #[must_use]
    pub fn write_gorilla(mut self, format: Gorilla) -> Self {
        self.go = Some(Go {
            format,
            writes: true,
        });
        self
    }

    /// Takes sessions over from a Go program that kept them in a cookie: its cookies are read, and
    /// the first use of a session moves it into a cookie of this crate's format, which Go cannot
    /// read.
    ///
    /// Give it Go's keys, and the session the name, path and domain that it has in Go. From its
    /// move on, a session has everything that a session in a cookie has. Until then it counts as
    /// made when Go saved it last, and ends at
    /// [`SecureCookie::max_age`](crate::gorilla::SecureCookie::max_age) or the
    /// [`absolute_timeout`](Self::absolute_timeout) after that, whichever comes first; the idle
    /// timeout begins with the move. Leave the setting in for as long as Go's last cookie is valid.
    ///
    /// With [`revocation`](CookieStore::revocation), an end is that of Go's cookie too, if the
    /// session came from there. Two cookies that Go has made with the same values in the same
    /// second, without a block key, are the same cookie and so the same session.
    ///
    /// The cookie is called as the session, without `__Host-`, unless you set
    /// [`cookie_name`](Self::cookie_name). A session in another store than a [`CookieStore`], or in
    /// one with [`overflow`](CookieStore::overflow), is a
    /// [`ConfigError::NotInGorilla`](crate::ConfigError::NotInGorilla).
    ///
    /// ```
    /// use silverback::{
    ///     Keys, SessionConfig, SessionLayer,
    ///     gorilla::{Gorilla, KeyPair, SecureCookie},
    /// };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
    /// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
    /// let account = SessionConfig::cookie("account", keys).read_gorilla(Gorilla::new(cookies));
    /// let layer = SessionLayer::try_new(account)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "gorilla")]
    #[must_use]
    pub fn read_gorilla(mut self, format: Gorilla) -> Self {
        self.go = Some(Go {
            format,
            writes: false,
        });
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

    /// What a cookie of these attributes is called.
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

    /// Whether these settings and those prepared before are of one session: of the same cookie,
    /// store, keys and audience.
    pub(crate) fn is_of(&self, settings: &Settings) -> bool {
        *self.cookie_name_of(&self.attributes) == *settings.cookie_name
            && settings.backend.is_same(&self.backend)
            && settings.codec.is_of(&self.keys, &self.audience)
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
