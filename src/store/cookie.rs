//! The store that is none: the session travels in its own cookie.

/// Keeps the whole session in its cookie, encrypted unless asked otherwise.
///
/// Nothing is kept on the server, so it scales to any number of machines, and it has the limits
/// that come with that:
///
/// - A session fits if its `Set-Cookie` header is at most 4,096 bytes, name and attributes counted:
///   about 2,900 bytes of values. An insert beyond that is an error, and the cookie the browser has stays as it is,
///   unless [`overflow`](crate::SessionConfig::overflow) names a store for such sessions.
/// - `destroy` and `renew` tell the browser to forget the old cookie. A copy somebody made before
///   stays valid until the session's timeouts end it, unless
///   [`revocation`](crate::SessionConfig::revocation) remembers which sessions have ended. Without
///   it nobody can list a user's sessions or end them from elsewhere either.
/// - Of two requests that change the session at the same time, the last response wins.
///
/// # Behind a proxy
///
/// A cookie that is accepted here can be too much for a proxy's defaults. nginx answers 502 if the
/// head of a response is larger than 4 KiB (8 KiB on some platforms), which a cookie of 2,800 bytes
/// of values brings about, and 400 if the `Cookie` field of a request is larger than 8 KiB, which
/// takes three full cookies. Then not even a logout gets through. The cure is more room:
///
/// ```nginx
/// large_client_header_buffers 4 32k; # requests: one field per buffer
/// proxy_buffer_size 16k;             # the head of a response
/// proxy_buffers 8 16k;
/// ```
///
/// If the cookies of a request, or those that one response sets, have 7 KiB or more, you get an
/// event of level `WARN` (with the feature `tracing`). Then move the largest session to a store, or
/// bound it with [`overflow`](crate::SessionConfig::overflow) and
/// [`cookie_bytes`](crate::SessionConfig::cookie_bytes): a session in a store has a cookie of some
/// 200 bytes.
///
/// ```
/// use silverback::{Keys, SessionConfig, store::CookieStore};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let keys = Keys::generate()?;
/// let encrypted = SessionConfig::cookie("account", keys.clone());
/// let readable = SessionConfig::new("theme", CookieStore::new().signed(), keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CookieStore {
    signed: bool,
}

impl CookieStore {
    /// Makes a store whose cookies are encrypted and signed.
    #[must_use]
    pub const fn new() -> Self {
        Self { signed: false }
    }

    /// Signs the cookies only: visitors can read what is in them, but not change it.
    #[must_use]
    pub const fn signed(self) -> Self {
        Self { signed: true }
    }

    pub(crate) const fn is_signed(self) -> bool {
        self.signed
    }
}
