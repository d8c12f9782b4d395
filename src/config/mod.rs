//! How one session is kept: its name, store, keys, cookie attributes and lifetimes.

mod build;
mod settings;
mod timeouts;

use std::{fmt, time::Duration};

use cookie::SameSite;

pub(crate) use self::settings::{AttributesTag, Overflow, Settings};
pub use self::timeouts::Timeouts;
use crate::{
    clock::Timestamp,
    cookie::CookieAttributes,
    key::{Key, Keys},
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
/// | [`first_idle_timeout`](Self::first_idle_timeout) | the idle timeout |
/// | [`absolute_timeout`](Self::absolute_timeout) | 14 days |
/// | [`persist_up_to`](Self::persist_up_to) | the longest of 30 days, `max_age` and `absolute_timeout` |
/// | [`not_before`](Self::not_before) | none |
/// | [`clock_skew`](Self::clock_skew) | 60 seconds |
/// | [`encrypt_records`](Self::encrypt_records), [`recent_reads`](Self::recent_reads) | off, off |
/// | [`sessions_per_subject`](Self::sessions_per_subject) | 1,000 |
/// | [`subject_key`](Self::subject_key) | none |
/// | [`overflow`](Self::overflow), [`cookie_bytes`](Self::cookie_bytes) | none, what fits into 4,096 bytes |
/// | [`max_bytes`](Self::max_bytes) | 1 MiB in a store, or what that takes; what fits into 4,096 bytes in a cookie |
///
/// A setting that does nothing for the session is a
/// [`ConfigError::NoEffect`](crate::ConfigError::NoEffect) when the layer is built.
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
    first_idle: Option<Duration>,
    absolute: Option<Duration>,
    persist_up_to: Option<Duration>,
    not_before: Timestamp,
    clock_skew: Option<Duration>,
    max_bytes: Option<usize>,
    encrypts_records: bool,
    reads_recent: bool,
    allows_forgetting: bool,
    revocations: Option<DynStore>,
    sessions_per_subject: Option<usize>,
    subject_key: Option<Key>,
    overflow: Option<DynStore>,
    cookie_bytes: Option<usize>,
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
            first_idle: None,
            absolute: None,
            persist_up_to: None,
            not_before: Timestamp::default(),
            clock_skew: None,
            max_bytes: None,
            encrypts_records: false,
            reads_recent: false,
            allows_forgetting: false,
            revocations: None,
            sessions_per_subject: None,
            subject_key: None,
            overflow: None,
            cookie_bytes: None,
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
    ///
    /// A browser sends a cookie of `/app` to `/app` and `/app/x`, and one of `/app/` to `/app/x`
    /// alone (RFC 6265, section 5.1.4). The layer logs the second.
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
    /// # use silverback::{Keys, SessionConfig, store::MemoryStore};
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
    /// with [`revocation`](Self::revocation) after a tenth of it: a second request before that does
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
    /// [`revocation`](Self::revocation) or a [subject](crate::Session::set_subject), a store
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
    /// # use silverback::{Keys, SessionConfig, Timestamp, store::MemoryStore};
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

    /// Allows the clocks of your machines to differ by this much, at most an hour; 60 seconds
    /// unless you set it.
    ///
    /// A cookie that holds its session and comes from a clock further ahead is refused, as
    /// [`Rejection::NotYetValid`](crate::Rejection::NotYetValid). A session in a store needs no
    /// such allowance, and this setting is an error there: the times in its record decide.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let theme = SessionConfig::cookie("theme", Keys::generate()?).clock_skew(Duration::from_secs(300));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock_skew(mut self, clock_skew: Duration) -> Self {
        self.clock_skew = Some(clock_skew);
        self
    }

    /// Bounds the bytes of a session in a store, or of one that can [`overflow`](Self::overflow)
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
    /// # use silverback::{Keys, SessionConfig, store::MemoryStore};
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
    /// with an evicting policy, for [`revocation`](Self::revocation) and the lists of
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

    /// Remembers in `store` which sessions in a cookie have ended. A copy of the cookie is then worth
    /// nothing after a logout or a renewal, a request that overlaps one undoes nothing, and a
    /// [subject](crate::Session::set_subject)'s sessions can be listed and ended. None is
    /// remembered unless you set it.
    ///
    /// **What is kept.** A hash of each ended ID, how and when it ended, and the hash of the new ID
    /// after a renewal: no values. It stays until the session could not be valid any more, which is
    /// the absolute timeout after it was made, or
    /// [`persist_up_to`](Self::persist_up_to) after its end, whichever is later: 30 days with the
    /// defaults. For the first 60 seconds it is a [mark](crate::Session::renew).
    ///
    /// **What it costs.** One call to open a session, and one before each cookie that is set, so a
    /// session that has ended meanwhile is [`ErrorKind::Gone`](crate::ErrorKind::Gone). One with a
    /// subject asks for the subject's list in the same call. With a store that waits,
    /// [`load`](crate::Session::load) the session first. If the store fails, opening the session is
    /// an error, and never an empty or a valid session.
    ///
    /// **What may forget.** A full [`MemoryStore`](crate::store::MemoryStore) that has to drop an end
    /// refuses all sessions made until that end was set, as
    /// [`Rejection::Revoked`](crate::Rejection::Revoked). When its process ends it forgets all: copies
    /// of ended cookies are valid again, so keep ends that matter in a store that outlives a restart.
    /// A store that [may forget](crate::store::Limits::may_forget) is a
    /// [`ConfigError::ForgetfulStore`](crate::ConfigError::ForgetfulStore) when the layer is built,
    /// unless you [allow it](Self::allow_forgetful_stores).
    ///
    /// Sessions that are kept in a store do not need this, and it is an error there. The store may be
    /// that of [`overflow`](Self::overflow) or of other sessions.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig};
    /// # #[cfg(feature = "filesystem")]
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback::store::FilesystemStore;
    ///
    /// let ends = FilesystemStore::open("sessions")?;
    /// let account = SessionConfig::cookie("account", Keys::generate()?).revocation(ends);
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
    /// [cookie](crate::store::CookieStore), with the same limits. One that does not fit is saved in
    /// the store, and the cookie refers to it from then on. It stays there, however small it gets,
    /// until it is [renewed](crate::Session::renew) or ends: a renewal puts it where it fits, unless
    /// you [`save`](crate::Session::save) it before the response. None overflows unless you set
    /// this, and then what is over [`cookie_bytes`](Self::cookie_bytes).
    ///
    /// If requests outgrow one cookie at the same time, all their changes are kept. A cookie from
    /// before the session had a record, as of a response that was late, is still a session in a
    /// cookie: the last response wins, and the next change that does not fit is merged into the
    /// record. A copy of such a cookie outlives a logout of the record, unless you configure
    /// [`revocation`](Self::revocation) as well; it may have the same store.
    ///
    /// With a store that waits, [`load`](crate::Session::load) the session first.
    /// [`max_bytes`](Self::max_bytes) bounds the session, wherever it is, and a change beyond it is
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). If you turn this off later, the sessions
    /// in the store are lost. For a session in a store it is an error.
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

    /// Bounds the bytes of a session in its cookie if it can [`overflow`](Self::overflow); an error
    /// if not. They are counted before they are encrypted and encoded, which makes them a third
    /// longer. What does not fit into a `Set-Cookie` header of 4,096 bytes overflows in any case.
    #[must_use]
    pub fn cookie_bytes(mut self, cookie_bytes: usize) -> Self {
        self.cookie_bytes = Some(cookie_bytes);
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
    /// # use silverback::{Key, Keys, SessionConfig, store::MemoryStore};
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

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether these settings and those prepared before are of one session: of the same store, keys
    /// and audience.
    pub(crate) fn is_of(&self, settings: &Settings) -> bool {
        settings.backend.is_same(&self.backend) && settings.codec.is_of(&self.keys, &self.audience)
    }

    fn with(mut self, change: impl FnOnce(CookieAttributes) -> CookieAttributes) -> Self {
        self.attributes = change(self.attributes);
        self
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
