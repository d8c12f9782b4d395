//! Sessions that travel in their own cookies, with or without help of a store.

use std::{fmt, time::Duration};

use super::{DynStore, Store};

/// Keeps the whole session in its cookie, encrypted unless asked otherwise.
///
/// Nothing is kept on the server, so it works on any number of machines without a database. These
/// are its limits:
///
/// | | In a cookie alone | With [`revocation`](Self::revocation) |
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
/// unless [`overflow`](Self::overflow) names a store for such sessions.
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
/// bound it with [`overflow`](Self::overflow) and
/// [`up_to`](Self::up_to): a session in a store has a cookie of some
/// 200 bytes.
///
/// ```
/// use silverback::{CookieStore, Keys, SessionConfig};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let keys = Keys::generate()?;
/// let encrypted = SessionConfig::cookie("account", keys.clone());
/// let readable = SessionConfig::new("theme", CookieStore::new().signed(), keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CookieStore {
    is_signed: bool,
    pub(crate) overflow: Option<DynStore>,
    pub(crate) up_to: Option<usize>,
    pub(crate) revocation: Option<DynStore>,
    pub(crate) clock_skew: Option<Duration>,
}

impl CookieStore {
    /// Makes a store whose cookies are encrypted and signed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs the cookies only: visitors can read what is in them, but not change it.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.is_signed = true;
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
    /// [`persist_up_to`](crate::SessionConfig::persist_up_to) after its end, whichever is later: 30 days with the
    /// defaults. For the first 60 seconds it is a [mark](crate::Session::renew).
    ///
    /// **What it costs.** One call to open a session, and one before each cookie that is set, so a
    /// session that has ended meanwhile is [`ErrorKind::Gone`](crate::ErrorKind::Gone). One with a
    /// subject asks for the subject's list in the same call. With a store that waits,
    /// [`load`](crate::Session::load) the session first. If the store fails, opening the session is
    /// an error, and never an empty or a valid session.
    ///
    /// **What may forget.** A full [`MemoryStore`](crate::MemoryStore) that has to drop an end
    /// refuses all sessions made until that end was set, as
    /// [`Rejection::Revoked`](crate::Rejection::Revoked). When its process ends it forgets all: copies
    /// of ended cookies are valid again, so keep ends that matter in a store that outlives a restart.
    /// A store that [may forget](crate::store::Limits::may_forget) is a
    /// [`ConfigError::ForgetfulStore`](crate::ConfigError::ForgetfulStore) when the layer is built,
    /// unless you [allow it](crate::SessionConfig::allow_forgetful_stores).
    ///
    /// Sessions that are kept in a store do not need this. The store may be that of
    /// [`overflow`](Self::overflow) or of other sessions.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig};
    /// # #[cfg(feature = "filesystem")]
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback::{CookieStore, FilesystemStore};
    ///
    /// let ends = FilesystemStore::open("sessions")?;
    /// let cookies = CookieStore::new().revocation(ends);
    /// let account = SessionConfig::new("account", cookies, Keys::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn revocation(mut self, store: impl Store) -> Self {
        self.revocation = Some(DynStore::new(store));
        self
    }

    /// Keeps sessions that outgrow their cookie in `store`.
    ///
    /// A session stays in its cookie while it fits, and is then like any other in a
    /// cookie, with the same limits. One that does not fit is saved in
    /// the store, and the cookie refers to it from then on. It stays there, however small it gets,
    /// until it is [renewed](crate::Session::renew) or ends: a renewal puts it where it fits, unless
    /// you [`save`](crate::Session::save) it before the response. None overflows unless you set
    /// this, and then what is over [`up_to`](Self::up_to).
    ///
    /// If requests outgrow one cookie at the same time, all their changes are kept. A cookie from
    /// before the session had a record, as of a response that was late, is still a session in a
    /// cookie: the last response wins, and the next change that does not fit is merged into the
    /// record. A copy of such a cookie outlives a logout of the record, unless you configure
    /// [`revocation`](Self::revocation) as well; it may have the same store.
    ///
    /// With a store that waits, [`load`](crate::Session::load) the session first.
    /// [`max_bytes`](crate::SessionConfig::max_bytes) bounds the session, wherever it is, and a change beyond it is
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). If you turn this off later, the sessions
    /// in the store are lost.
    ///
    /// ```
    /// # use silverback::{CookieStore, Keys, MemoryStore, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let cookies = CookieStore::new().overflow(MemoryStore::new()).up_to(2_000);
    /// let cart = SessionConfig::new("cart", cookies, Keys::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn overflow(mut self, store: impl Store) -> Self {
        self.overflow = Some(DynStore::new(store));
        self
    }

    /// Bounds the bytes of a session in its cookie if it can [`overflow`](Self::overflow); without
    /// that it is an error. They are counted before they are encrypted and encoded, which makes them a third
    /// longer. What does not fit into a `Set-Cookie` header of 4,096 bytes overflows in any case.
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.up_to = Some(bytes);
        self
    }

    /// Allows the clocks of your machines to differ by this much, at most an hour; 60 seconds
    /// unless you set it.
    ///
    /// A cookie that holds its session and comes from a clock further ahead is refused, as
    /// [`Rejection::NotYetValid`](crate::Rejection::NotYetValid). A session in a store needs no
    /// such allowance: the times in its record decide.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{CookieStore, Keys, SessionConfig};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let cookies = CookieStore::new().clock_skew(Duration::from_secs(300));
    /// let theme = SessionConfig::new("theme", cookies, Keys::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock_skew(mut self, clock_skew: Duration) -> Self {
        self.clock_skew = Some(clock_skew);
        self
    }

    pub(crate) const fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// Whether sessions in the one are found by the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.is_signed, &self.overflow, &self.revocation)
            == (other.is_signed, &other.overflow, &other.revocation)
    }
}

impl fmt::Debug for CookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieStore")
            .field("signed", &self.is_signed)
            .field("overflow", &self.overflow.is_some())
            .field("up_to", &self.up_to)
            .field("revocation", &self.revocation.is_some())
            .field("clock_skew", &self.clock_skew)
            .finish()
    }
}
