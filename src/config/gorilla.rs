//! Sessions that are shared with a Go program, or taken over from one.

use super::{SessionConfig, go::Go};
use crate::gorilla::Gorilla;
#[cfg(doc)]
use crate::{CookieStore, Keys};

impl SessionConfig {
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
    #[must_use]
    pub fn write_gorilla(mut self, format: Gorilla) -> Self {
        self.go = Some(Go {
            format,
            writes: true,
        });
        self
    }

    /// Takes sessions over from a Go program that kept them in a cookie: its cookies are read, and
    /// the first use of a session moves it to where this session is kept, in a cookie or in any
    /// store. Its new cookie is of this crate's format, which Go cannot read.
    ///
    /// Give it Go's keys, and the session the name, path and domain that it has in Go. From its
    /// move on, a session has everything that other sessions of its store have. Until then it
    /// counts as made when Go saved it last, and ends at
    /// [`SecureCookie::max_age`](crate::gorilla::SecureCookie::max_age) or the
    /// [`absolute_timeout`](Self::absolute_timeout) after that, whichever comes first; the idle
    /// timeout begins with the move. Leave the setting in for as long as Go's last cookie is valid.
    ///
    /// The cookie is called as the session, without `__Host-`, unless you set
    /// [`cookie_name`](Self::cookie_name).
    ///
    /// # In a store
    ///
    /// The first request that opens a session makes its record, and the store remembers for as long
    /// as Go's cookie is valid which record that is. So whoever brings that cookie again, from
    /// another tab or because a response was lost, finds the same session, with what either tab has
    /// changed. Once the record has ended, by a logout, a renewal, a timeout or an administrator,
    /// Go's cookie is refused with [`Rejection::Revoked`](crate::Rejection::Revoked). A move costs a
    /// load and two creates.
    ///
    /// Without a block key, two visitors may have the same cookie: Go makes equal ones of equal
    /// values in the same second, as of visitors who have just come. They must not see each other's
    /// sessions, so each request with such a cookie gets a record of its own, and the browser keeps
    /// the one whose response comes last. The first of these records that ends, ends the cookie. A
    /// copy made before stays, also if it was made with a stolen cookie. At most 64 are made.
    ///
    /// A store that forgets too early would revive sessions. One that
    /// [may](crate::store::Limits::may_forget) is refused without
    /// [`allow_forgetful_stores`](Self::allow_forgetful_stores), and a
    /// [`MemoryStore`](crate::MemoryStore) forgets when the process ends.
    ///
    /// # In a cookie
    ///
    /// With [`revocation`](CookieStore::revocation), an end is that of Go's cookie too, if the
    /// session came from there. Two cookies that are equal are the same session. A [`CookieStore`]
    /// with [`overflow`](CookieStore::overflow) is a
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
    #[must_use]
    pub fn read_gorilla(mut self, format: Gorilla) -> Self {
        self.go = Some(Go {
            format,
            writes: false,
        });
        self
    }
}
