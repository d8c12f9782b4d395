//! Sessions that are shared with a Go program, or taken over from one.

use super::{SessionConfig, go::Go};
use crate::gorilla::Gorilla;
#[cfg(doc)]
use crate::{CookieStore, Keys};

impl SessionConfig {
    /// Shares the session with a Go program that keeps it in a cookie: each reads the cookies of
    /// the other.
    ///
    /// Give the format Go's keys, and the session its name, path and domain in Go. Both programs
    /// may change the session while they run side by side; the last response wins, as with any
    /// session in a cookie. Cookies in this crate's own format are read too, with the [`Keys`] of
    /// the session, and written in Go's when they are used. So you can go back from
    /// [`read_gorilla`](Self::read_gorilla).
    ///
    /// The cookie has the session's name, without `__Host-`, unless you set
    /// [`cookie_name`](Self::cookie_name).
    ///
    /// # What Go's format cannot carry
    ///
    /// - **When the session was made.** A cookie holds only the time of its last save. It ends
    ///   [`SecureCookie::max_age`](crate::gorilla::SecureCookie::max_age) after that: 30 days,
    ///   unless you set another. A read saves it again in the second half of that time.
    ///   [`Session::created_at`](crate::Session::created_at) and [`not_before`](Self::not_before)
    ///   are about the last save.
    /// - **An ID.** Nothing can list or end sessions, and
    ///   [`Session::record_key`](crate::Session::record_key) changes with each save. A copy of a
    ///   cookie works until it expires, even after [`destroy`](crate::Session::destroy) and
    ///   [`renew`](crate::Session::renew).
    /// - **Settings made at run time.** [`persist_for`](crate::Session::persist_for),
    ///   [`until_browser_closes`](crate::Session::until_browser_closes) and
    ///   [`set_attributes`](crate::Session::set_attributes) apply to the cookie of this response
    ///   only, like `session.Options` in Go. [`authenticated_at`](crate::Session::authenticated_at)
    ///   is `None` in the next request.
    ///
    /// So [`idle_timeout`](Self::idle_timeout), [`first_idle_timeout`](Self::first_idle_timeout),
    /// [`absolute_timeout`](Self::absolute_timeout), [`persist_up_to`](Self::persist_up_to),
    /// [`audience`](Self::audience), all settings of [`CookieStore`] and any other store are
    /// refused with [`ConfigError::NotInGorilla`](crate::ConfigError::NotInGorilla).
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

    /// Takes over sessions from a Go program that kept them in a cookie. The first use of a session
    /// moves it to where this session is kept, in a cookie or in any store. Its new cookie has this
    /// crate's format, which Go cannot read.
    ///
    /// Give the format Go's keys, and the session its name, path and domain in Go. Once moved, a
    /// session is like any other session of its store. Until then it counts as made when Go last
    /// saved it. It ends [`SecureCookie::max_age`](crate::gorilla::SecureCookie::max_age) or the
    /// [`absolute_timeout`](Self::absolute_timeout) after that, whichever comes first; the idle
    /// timeout begins with the move. Leave the setting in for as long as Go's last cookie is valid.
    ///
    /// The cookie has the session's name, without `__Host-`, unless you set
    /// [`cookie_name`](Self::cookie_name).
    ///
    /// # In a store
    ///
    /// The first request that opens a session makes its record, and the store remembers which
    /// record that is for as long as Go's cookie is valid. So a request that brings the cookie
    /// again, from another tab or because a response was lost, finds the same session, with the
    /// changes of both tabs. Once the record has ended, by a logout, a renewal, a timeout or an
    /// administrator, Go's cookie is refused with
    /// [`Rejection::Revoked`](crate::Rejection::Revoked). A move costs a load and two creates.
    ///
    /// Without a block key, two visitors may have the same cookie: Go makes equal cookies of equal
    /// values in the same second, such as those of new visitors. They must not see each other's
    /// sessions, so each request with such a cookie gets its own record, and the browser keeps the
    /// one whose response comes last. The first of these records to end also ends the cookie, but
    /// not the other records, even if one was made with a stolen cookie. At most 64 are made.
    ///
    /// A store that forgets too early would revive sessions. One that
    /// [may](crate::store::Limits::may_forget) is refused without
    /// [`allow_forgetful_stores`](Self::allow_forgetful_stores). A
    /// [`MemoryStore`](crate::MemoryStore) forgets when the process ends.
    ///
    /// # In a cookie
    ///
    /// With [`revocation`](CookieStore::revocation), ending a session also ends the Go cookie it
    /// came from. Two equal cookies are the same session. A [`CookieStore`] with
    /// [`overflow`](CookieStore::overflow) is refused with
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
