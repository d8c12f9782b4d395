//! When a session ends by itself.

use std::time::Duration;

use super::{SessionConfig, Timeouts};
#[cfg(doc)]
use crate::CookieStore;
use crate::clock::Timestamp;

impl SessionConfig {
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
    /// shorter timeout applies to existing sessions in cookies at once. One in a store keeps the
    /// longer one until it is next changed or [touched](crate::Session::touch); a read does not
    /// shorten it, since a clock that is wrong for a while should end no session.
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
    /// # use silverback::{Keys, SessionConfig, Timeouts};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::cookie("account", keys).timeouts(Timeouts::LOW_RISK);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.idle_timeout(timeouts.idle)
            .absolute_timeout(timeouts.absolute)
    }

    /// Limits [`persist_for`](crate::Session::persist_for). The default is the longest of 30 days,
    /// [`max_age`](Self::max_age) and [`absolute_timeout`](Self::absolute_timeout), and the maximum
    /// is 400 days.
    ///
    /// A longer time is cut to the limit, even one that was granted before you lowered it. With
    /// [`revocation`](CookieStore::revocation) or a [subject](crate::Session::set_subject), a store
    /// remembers for this long that a session has ended, so an unnecessarily high limit costs room.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, SessionConfig};
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
    /// # use silverback::{Keys, MemoryStore, SessionConfig, Timestamp};
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
}
