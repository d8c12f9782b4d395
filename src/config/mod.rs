//! How one session is kept: its name, store, keys, cookie attributes and lifetimes.

mod apply;
mod build;
mod duration;
mod file;
mod given;
mod settings;
mod timeouts;

use std::{borrow::Cow, fmt, time::Duration};

pub(crate) use self::settings::{AttributesTag, Overflow, Settings};
pub use self::{file::SessionSettings, timeouts::Timeouts};
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
/// What only sessions in a cookie have is set on [`CookieStore`]. A setting that does nothing for
/// the session is a [`ConfigError::NoEffect`](crate::ConfigError::NoEffect) when the layer is built.
///
/// A configuration file sets them through [`settings`](Self::settings).
///
/// The name is what handlers ask for; give it as a string or as a
/// [`SessionName`](crate::SessionName), which the compiler checks. Clones are cheap, and refer to
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
    /// What a file asked of cookies, of which there are none that hold the session.
    without_effect: Option<&'static str>,
}

impl SessionConfig {
    /// A session kept whole in an encrypted cookie; see [`CookieStore`] for what that can and
    /// cannot do, and for cookies that are signed only.
    #[must_use]
    pub fn cookie(name: impl Named, keys: impl Into<Keys>) -> Self {
        Self::new(name, CookieStore::new(), keys)
    }

    /// A session kept in `store`, with its signed ID in the cookie.
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
            without_effect: None,
        }
    }

    /// Gives the settings to a session of another name, for
    /// [`Sessions::open`](crate::Sessions::open).
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a name is given as it is: `Account`, not `&Account`"
    )]
    pub fn named(mut self, name: impl Named) -> Self {
        self.name = name.name().to_owned();
        self.cookie_name = None;
        self
    }

    /// Calls the cookie this: `__Host-` and the session's name unless you set it, or the name alone
    /// where the [attributes](Self::attributes) have a domain, another path than `/`, or no
    /// `Secure`, with which browsers refuse that prefix (RFC 6265bis, section 4.1.3.2).
    ///
    /// The prefix makes browsers enforce that this host alone has set the cookie, over HTTPS: a
    /// sibling domain cannot plant one. A cookie by another name is another cookie: after a change
    /// of it, and so of attributes that change the default, everybody is logged out. Set the name
    /// that cookies have had until then to prevent that.
    ///
    /// It is a token of at most 256 bytes. The layer refuses two sessions of one cookie name.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).cookie_name("id");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Changes the attributes of the cookie, starting from the strict ones: see
    /// [`CookieAttributes`]. One session changes its own at run time with
    /// [`set_attributes`](crate::Session::set_attributes).
    ///
    /// A browser sends a cookie of `/app` to `/app` and `/app/x`, and one of `/app/` to `/app/x`
    /// alone (RFC 6265, section 5.1.4). The layer logs the second.
    ///
    /// ```
    /// # use silverback::{Keys, SameSite, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let theme = SessionConfig::cookie("theme", Keys::generate()?)
    ///     .attributes(|cookie| cookie.path("/shop").same_site(SameSite::Strict));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attributes(mut self, change: impl FnOnce(CookieAttributes) -> CookieAttributes) -> Self {
        self.attributes = change(self.attributes);
        self
    }

    /// Names attributes that the session's cookies had in an earlier release: browsers that still
    /// have such a cookie are told to drop it, with the next one they get. May be called several
    /// times.
    ///
    /// To a browser, cookies of another path, domain or partition are other cookies (RFC 6265,
    /// section 5.3), and it sends both. A session that a store has a say in needs this only to tidy
    /// up: a cookie whose session is dead does not count. Of one in a cookie alone nobody can tell,
    /// so neither of the two counts
    /// ([`Rejection::Ambiguous`](crate::Rejection::Ambiguous)) until the older one has expired.
    /// Leave the setting in for as long as the longest session lasts.
    ///
    /// Each one adds a `Set-Cookie` header to each response that sets the session's cookie, and to
    /// none beside. None is named unless you do.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, Keys, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let config = SessionConfig::cookie("account", Keys::generate()?)
    ///     .cookie_name("account")
    ///     .attributes(|cookie| cookie.domain("example.com"))
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
        self.attributes(|cookie| cookie.secure(false))
    }

    /// Lets sessions outlast the browser: they end when nobody has used them for `max_age`, at
    /// least a second and at most 400 days. `Expires` stands beside `Max-Age`.
    ///
    /// It is the cookie's `Max-Age` (RFC 6265, section 5.2.2), and the idle timeout unless you set a
    /// shorter one. Both slide: each use puts off the end, and the cookie is sent again at most ten
    /// times per `max_age`. gorilla's `MaxAge` option slides with each save.
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
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let month = Duration::from_secs(30 * 86_400);
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?).max_age(month);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Ends a session that nobody used for this long: 24 hours, or [`max_age`](Self::max_age),
    /// unless you set it.
    ///
    /// Each use restarts the timeout; to save writes, the store or the cookie is told at most ten
    /// times per timeout. A shorter timeout applies to sessions that are there already when they
    /// are used next; those in a store keep the longer one until then.
    #[must_use]
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Ends a session this early if no second request uses it: the idle timeout, unless you set it.
    ///
    /// Most visitors that a crawler or a scanner makes up come once, and so do many people. Each gets
    /// a session if your pages write to it, and a store keeps it for the idle timeout. With this, a
    /// session ends `first` after the request that made it. A second request that uses it restarts
    /// the full [`idle_timeout`](Self::idle_timeout), as [`touch`](crate::Session::touch) does. A
    /// session that was [renewed](crate::Session::renew), has a
    /// [subject](crate::Session::set_subject) or lasts
    /// [for a fixed time](crate::Session::persist_for) has it from the start.
    ///
    /// A session in a cookie alone is sent again by a read only in the second half of `first`, and
    /// with [`revocation`](CookieStore::revocation) after a tenth of it: a second request before that does
    /// not count unless it changes something. So give such a cookie a `first` that is longer than a
    /// first visit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, SessionConfig, store::MemoryStore};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?)
    ///     .idle_timeout(Duration::from_secs(7 * 86_400))
    ///     .first_idle_timeout(Duration::from_secs(3_600));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Longer than the idle timeout, it is a
    /// [`ConfigError::FirstIdleLongerThanIdle`](crate::ConfigError::FirstIdleLongerThanIdle).
    #[must_use]
    pub fn first_idle_timeout(mut self, first: Duration) -> Self {
        self.first_idle = Some(first);
        self
    }

    /// Ends a session this long after it was made, however much it is used: 14 days, or 400 days
    /// with [`max_age`](Self::max_age), unless you set it.
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

    /// Bounds [`persist_for`](crate::Session::persist_for): the longest of 30 days,
    /// [`max_age`](Self::max_age) and [`absolute_timeout`](Self::absolute_timeout), and at most 400
    /// days, unless you set it.
    ///
    /// A longer wish is cut to it, and so is what sessions were granted before you lower it. With
    /// [`revocation`](CookieStore::revocation) or a [subject](crate::Session::set_subject), a store
    /// remembers for this long that a session has ended, so a bound that you need not use costs
    /// room.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let year = Duration::from_secs(365 * 86_400);
    /// let account = SessionConfig::cookie("account", Keys::generate()?).persist_up_to(year);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn persist_up_to(mut self, longest: Duration) -> Self {
        self.persist_up_to = Some(longest);
        self
    }

    /// Refuses every session that was made before `time`, wherever it is kept, as
    /// [`Rejection::Expired`](crate::Rejection::Expired).
    ///
    /// Set it to the present when you restore a store from a backup: sessions that have ended since
    /// the backup was made would come back. Keep it until the longest session from before has
    /// expired. A time in the future keeps everybody out until then.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig, Timestamp};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let restored = Timestamp::from_secs(1_800_000_000); // as `date +%s` prints it
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).not_before(restored);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn not_before(mut self, time: Timestamp) -> Self {
        self.not_before = time;
        self
    }

    /// Bounds how long a request waits for stores, 5 seconds unless you set it: all calls for its
    /// sessions together, with the queues and pauses between them, and without the time of the
    /// handler. A handle that outlives its request, [`Subjects`](crate::Subjects) and
    /// [`SessionRecords`](crate::SessionRecords) may wait as long for each operation.
    ///
    /// After that the operation is an [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed),
    /// whose [answer](crate::Answer) is 503. What the store was asked to do at that moment may have
    /// been done or not.
    ///
    /// A store that reports [`Unavailable`](crate::store::StoreError::Unavailable), after a connection
    /// that failed or an answer that got lost, is asked once more if half of this time is left.
    /// Keep the timeouts of the store's client below that half, and its own retries off, or let the
    /// store [say](crate::store::Limits::may_repeat) that it has them. So that a save is recognised
    /// whose answer was lost, a record carries the ids of its last eight writes, 13 bytes each, for
    /// this time and two seconds, and at least for seven. A session that [never waits](crate::store::Limits::never_waits) for its store has no timeout.
    /// Requests with several sessions count the time once, and each session has its own limit of
    /// it. The shortest is a second. A session in its cookie alone waits for no store, and this setting
    /// is an error there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?)
    ///     .store_timeout(Duration::from_secs(2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = Some(timeout);
        self
    }

    /// Bounds the bytes of a session in a store, or of one that can [`overflow`](CookieStore::overflow)
    /// into one, to at most 128 MiB; 1 MiB unless you set it. What the store takes bounds it too, if
    /// that is less: its [`record_bytes`](crate::store::Limits::record_bytes) without the 115 bytes
    /// that a record has besides the session, and 41 more for the seal of
    /// [`encrypt_records`](Self::encrypt_records). A change beyond it is an error. Another session in
    /// a cookie has the cookie's limit, and this setting is an error there.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Encrypts what is put into the store, under a key derived from the session's ID, which only
    /// the cookie has: a stolen store gives away neither IDs nor values, and nobody can change a
    /// record in it unnoticed.
    ///
    /// Somebody who can write to the store can still put an older record of the same session in
    /// place of the newer one: only a counter outside of the store could tell. Keep what must not
    /// come back, such as a balance, elsewhere.
    ///
    /// Records that are there and not encrypted are refused from then on. Sessions in a cookie are
    /// encrypted by their token, and this setting is an error if they never get a record.
    #[must_use]
    pub fn encrypt_records(mut self) -> Self {
        self.encrypts_records = true;
        self
    }

    /// Lets GET and HEAD requests open a session as a cache or a replica of the store has it:
    /// [`Read::Recent`](crate::store::Read::Recent) instead of `Current`.
    ///
    /// A session that was ended or changed may then be seen as it was for as long as the store lags,
    /// which its own docs say: such a page can miss a write, show a flash again, or show itself to
    /// somebody who has just logged out. Whatever such a request writes is checked against the
    /// present. That there is no session is believed of a current read alone. Other methods, ends,
    /// lists of subjects and sessions that are loaded after the response are always read as they are.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?).recent_reads();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn recent_reads(mut self) -> Self {
        self.reads_recent = true;
        self
    }

    /// Uses a store that [may forget](crate::store::Limits::may_forget), as memcached does or Redis
    /// with an evicting policy, for [`revocation`](CookieStore::revocation) and the lists of
    /// [subjects](crate::Session::set_subject) as well.
    ///
    /// Without this it is refused: the layer is not built with such a store for `revocation`, and
    /// `set_subject` is an error with such a store for sessions. With it, a session that has ended
    /// comes back when the store forgets that, and `destroy_all` misses sessions whose list is gone.
    #[must_use]
    pub fn allow_forgetful_stores(mut self) -> Self {
        self.allows_forgetting = true;
        self
    }

    /// Bounds how many sessions a subject has at a time, 1,000 unless you set it: when one more gets the
    /// [subject](crate::Session::set_subject), those that were not used for longest are ended. With
    /// 1, whoever logs in is logged out everywhere else.
    #[must_use]
    pub fn sessions_per_subject(mut self, limit: usize) -> Self {
        self.sessions_per_subject = Some(limit);
        self
    }

    /// Names the lists of a [subject](crate::Session::set_subject)'s sessions in the store by a
    /// keyed hash (HMAC-SHA256, RFC 2104) of the subject.
    ///
    /// Without this key the hash has none, so anyone who reads the store can test whether a name or
    /// an e-mail address that they guess has sessions. The key is apart from the session's
    /// [`Keys`], as lists have to be found after a rotation: use one that is in no ring, and the
    /// same one on all machines. Another key finds no list that is there, so set it before the first
    /// login, or end all sessions.
    ///
    /// ```
    /// # use silverback::{Key, Keys, MemoryStore, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let subjects = Key::generate()?; // and keep it, beside the others
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).subject_key(subjects);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subject_key(mut self, key: Key) -> Self {
        self.subject_key = Some(key);
        self
    }

    /// Tells applications apart that share keys and a cookie's name: a token of one is nothing to
    /// another.
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

    /// What a cookie of these attributes is called.
    fn cookie_name_of(&self, attributes: &CookieAttributes) -> Cow<'_, str> {
        match &self.cookie_name {
            Some(name) => name.into(),
            None if attributes.allow_host_prefix() => format!("__Host-{}", self.name).into(),
            None => self.name.as_str().into(),
        }
    }

    /// Whether these settings and those prepared before are of one session: of the same cookie,
    /// store, keys and audience.
    pub(crate) fn is_of(&self, settings: &Settings) -> bool {
        *self.cookie_name_of(&self.attributes) == *settings.cookie_name
            && settings.backend.is_same(&self.backend)
            && settings.codec.is_of(&self.keys, &self.audience)
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
