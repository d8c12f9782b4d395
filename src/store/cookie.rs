//! Sessions without a store: each travels in its own cookie.

/// Keeps the whole session in its cookie, encrypted unless asked otherwise.
///
/// Nothing is kept on the server, so it works on any number of machines without a database. These
/// are its limits:
///
/// | | In a cookie alone | With [`revocation`](crate::SessionConfig::revocation) |
/// |---|---|---|
/// | after `destroy` or `renew` | the browser forgets the old cookie; a copy stays valid until its timeouts end it | a copy is worth nothing |
/// | a request that overlaps a logout or login, and writes | its response can undo either | is [`Gone`](crate::ErrorKind::Gone), and sets no cookie |
/// | a request that overlaps, and only reads | can undo either, if it refreshes the cookie | sets no cookie |
/// | two requests that change the session | the last response wins, the other change is lost | the same |
/// | an older cookie of a session that has not ended | is accepted, with what was in it | the same |
/// | list and end a user's sessions | no | yes |
/// | a kept handle, as of a WebSocket | never learns of the end | learns of it by [`load`](crate::Session::load) |
/// | store calls | none | one to open it, one before a cookie is set |
///
/// [Who wins](crate#who-wins) has all cases. Keep logins in a store, or give them `revocation`; a
/// cookie alone is for what may come back, such as a theme or a language.
///
/// **Size.** A session fits if its `Set-Cookie` header is at most 4,096 bytes, name and attributes
/// counted: about 2,900 bytes of values. An insert beyond that is
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the browser keeps the cookie it has,
/// unless [`overflow`](crate::SessionConfig::overflow) names a store for such sessions.
///
/// **Idle timeout.** A request that only reads reissues the cookie from half of the
/// [idle timeout](crate::SessionConfig::idle_timeout) on, and from a tenth on with `revocation`. So a
/// session in a cookie alone can end after half of the timeout without a *write*: a visitor who reads
/// a page after 11 of 24 hours and comes back 14 hours later is logged out. The reason is that a
/// late response of a reader puts an old state in the place of a newer one.
///
/// **Two cookies.** If two cookies of one name are valid, nobody can tell in a cookie alone which
/// session is the living one, and neither counts
/// ([`Rejection::Ambiguous`](crate::Rejection::Ambiguous)). After a deploy that changes path, domain
/// or `Partitioned`, name the
/// [`former_attributes`](crate::SessionConfig::former_attributes).
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
