//! The cookie's name and attributes, now and before.

use super::SessionConfig;
use crate::cookie::CookieAttributes;

impl SessionConfig {
    /// Sets the cookie's name. By default it is `__Host-` and the session's name, or the session's
    /// name alone where the [attributes](Self::attributes) have a domain, a path other than `/`, or
    /// no `Secure`: browsers refuse the prefix with these (RFC 6265bis, section 4.1.3.2).
    ///
    /// The prefix makes browsers enforce that only this host, over HTTPS, has set the cookie. A
    /// sibling domain cannot plant one. A cookie of another name is another cookie, so a change of
    /// the name logs everybody out. So does a change of attributes that changes the default. To
    /// prevent that, set the name that the cookies have had so far, or add a
    /// [`former_cookie`](Self::former_cookie).
    ///
    /// The name is a token of at most 256 bytes. The layer refuses two sessions with the same
    /// cookie name.
    ///
    /// ```
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
    /// A browser sends a cookie with the path `/app` to `/app` and `/app/x`, but one with `/app/`
    /// only to `/app/x` (RFC 6265, section 5.1.4). The layer logs a warning about such a path.
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
    /// has such a cookie is told to drop it when it gets the next one. Call this once for each set
    /// of attributes. By default there is none.
    ///
    /// To a browser, a cookie with another path, domain or partition is another cookie (RFC 6265,
    /// section 5.3), and it sends both. Where a store knows which sessions are alive, a cookie of a
    /// dead session does not count, and this setting only tidies up. A session in a cookie alone
    /// needs it: nobody can tell which of the two is newer, so neither counts
    /// ([`Rejection::Ambiguous`](crate::Rejection::Ambiguous)) until the older one has expired.
    /// Leave the setting in for as long as the longest session lasts.
    ///
    /// Each former set of attributes adds a `Set-Cookie` header to each response that sets the
    /// session's cookie, and to no other.
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

    /// Reads the session from a cookie with another name and these attributes, too: the one of an
    /// earlier release, or of the next. Call this once for each. By default there is none.
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

    /// Sends the cookie over plain HTTP too, without `Secure`: for development. Anyone on the
    /// network path can read and use such a cookie. dghubble/sessions calls this the debug
    /// configuration.
    ///
    /// The other attributes stay. A name or an attribute that needs `Secure` is then an error.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig};
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
}
