//! Sessions that travel in their own cookies, with or without the help of a store.

use std::{fmt, time::Duration};

use super::{DynStore, Store};

/// Keeps the whole session in its cookie, encrypted by default.
///
/// The server stores nothing, so this works on any number of machines without a database. These are
/// its limits:
///
/// | | In a cookie alone | With [`revocation`](Self::revocation) |
/// |---|---|---|
/// | after `destroy` or `renew` | the browser forgets the old cookie; a copy stays valid until its timeouts end it | a copy is worthless |
/// | a request that overlaps a logout or login, and writes | its response can undo either | is [`Gone`](crate::ErrorKind::Gone), and sets no cookie |
/// | a request that overlaps, and only reads | can undo either, if it refreshes the cookie | sets no cookie |
/// | two requests that change the session | the last response wins, the other change is lost | the same |
/// | an older cookie of a session that has not ended | is accepted, with what was in it | the same |
/// | list and end a user's sessions | no | yes |
/// | a kept handle, such as a WebSocket's | never learns of the end | learns of it by [`load`](crate::Session::load) |
/// | store calls | none | one to open it, one before a cookie is set |
///
/// [Who wins](crate#who-wins) has all cases. Keep logins in a store, or give them `revocation`. A
/// cookie alone is for data that an old cookie may bring back, such as a theme or a language.
///
/// **Size.** A session fits if its `Set-Cookie` header is at most 4,096 bytes, name and attributes
/// included: about 2,900 bytes of values. An insert beyond that is
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the browser keeps the cookie that it
/// has, unless [`overflow`](Self::overflow) names a store for such sessions.
///
/// **Idle timeout.** A request that only reads reissues the cookie in the second half of the [idle
/// timeout](crate::SessionConfig::idle_timeout), or after a tenth of it with `revocation`. So a
/// session in a cookie alone can end after half of the timeout without a *write*: a visitor who
/// reads a page after 11 of 24 hours and comes back 14 hours later is logged out. If readers
/// reissued the cookie earlier, their late responses could replace a newer state by an old one.
///
/// **Two cookies.** If two cookies of one name are valid, and the session is in a cookie alone,
/// nobody can tell which of them is newer, and neither counts
/// ([`Rejection::Ambiguous`](crate::Rejection::Ambiguous)). After a deploy that changes path,
/// domain or `Partitioned`, name the
/// [`former_attributes`](crate::SessionConfig::former_attributes).
///
/// # Behind a proxy
///
/// A cookie that is accepted here can be too large for a proxy's defaults. nginx answers 502 if the
/// head of a response is larger than 4 KiB (8 KiB on some platforms), which a cookie with 2,800
/// bytes of values reaches. It answers 400 if the `Cookie` field of a request is larger than 8 KiB,
/// which three full cookies reach, and then not even a logout gets through. Give the proxy more
/// room:
///
/// ```nginx
/// large_client_header_buffers 4 32k; # requests: one field per buffer
/// proxy_buffer_size 16k;             # the head of a response
/// proxy_buffers 8 16k;
/// ```
///
/// If the cookies of a request, or those that one response sets, reach 7 KiB, the log has a `WARN`
/// (with the feature `tracing`). Then move the largest session to a store, or bound it with
/// [`overflow`](Self::overflow) and [`up_to`](Self::up_to): a session in a store has a cookie of
/// about 200 bytes.
///
/// ```
/// use silverback::{CookieStore, Keys, SessionConfig};
///
/// let keys = Keys::generate()?;
/// let encrypted = SessionConfig::cookie("account", keys.clone());
/// let readable = SessionConfig::new("theme", CookieStore::new().signed(), keys);
/// # Ok::<(), silverback::KeyError>(())
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
    ///
    /// ```
    /// use silverback::{CookieStore, Keys, SessionConfig};
    ///
    /// // The same as `SessionConfig::cookie("account", keys)`.
    /// let account = SessionConfig::new("account", CookieStore::new(), Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs the cookies without encrypting them: visitors can read what is in them, but not change
    /// it.
    ///
    /// ```
    /// use silverback::{CookieStore, Keys, SessionConfig};
    ///
    /// let theme = SessionConfig::new("theme", CookieStore::new().signed(), Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.is_signed = true;
        self
    }

    /// Remembers in `store` which sessions in a cookie have ended. A copy of the cookie is then
    /// worthless after a logout or a renewal, an overlapping request undoes neither, and a
    /// [subject](crate::Session::set_subject)'s sessions can be listed and ended. By default
    /// nothing is remembered.
    ///
    /// **What is kept.** The store keeps a hash of each ended ID, how and when it ended, and the
    /// hash of the new ID after a renewal, but no values. An entry stays as long as the session
    /// could be valid: until the absolute timeout after its creation, or
    /// [`persist_up_to`](crate::SessionConfig::persist_up_to) after its end, whichever is later.
    /// With the defaults that is 30 days. For the first 60 seconds it is a
    /// [mark](crate::Session::renew).
    ///
    /// **What it costs.** Opening a session costs one lookup, and so does each cookie that is set,
    /// so a session that has ended meanwhile is [`ErrorKind::Gone`](crate::ErrorKind::Gone). One
    /// with a subject asks for the subject's list in the same call. With a store that waits,
    /// [`load`](crate::Session::load) the session first. If the store fails, opening the session is
    /// an error, never an empty or a valid session.
    ///
    /// **Stores that forget.** A full [`MemoryStore`](crate::MemoryStore) that has to drop an end
    /// refuses all sessions created before that end was set, as
    /// [`Rejection::Revoked`](crate::Rejection::Revoked). It forgets everything when its process
    /// ends: copies of ended cookies are valid again. So keep ends that matter in a store that
    /// outlives a restart. A store that [may forget](crate::store::Limits::may_forget) is a
    /// [`ConfigError::ForgetfulStore`](crate::ConfigError::ForgetfulStore) when the layer is built,
    /// unless you [allow it](crate::SessionConfig::allow_forgetful_stores).
    ///
    /// Sessions in a store do not need this. The store may be the same as for
    /// [`overflow`](Self::overflow), or one that other sessions use.
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

    /// Keeps sessions that outgrow their cookie in `store`. By default they are
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
    ///
    /// A session stays in its cookie while it fits, with the limits of any session in a cookie. One
    /// that does not fit is saved in the store, and from then on the cookie refers to it. It stays
    /// there, however small it gets, until it is [renewed](crate::Session::renew) or ends. A
    /// renewal puts it where it fits, unless you [`save`](crate::Session::save) it before the
    /// response. [`up_to`](Self::up_to) moves sessions earlier.
    ///
    /// If several requests outgrow one cookie at the same time, all their changes are kept. A
    /// cookie from before the session had a record, such as one of a late response, still holds a
    /// session: the last response wins, and the next change that does not fit is merged into the
    /// record. A renewal that comes with such a cookie, as a login beside the request that outgrew
    /// it, takes the record along as well. A copy of such a cookie outlives a logout of the record,
    /// unless you configure [`revocation`](Self::revocation) as well. Both may have the same store:
    /// if you give both clones of one [`DynStore`], a single call asks for the record and the end.
    ///
    /// A renewal writes to the store even if the session is in its cookie, and takes room there for
    /// 60 seconds. A request that comes late with the renewed cookie, and outgrows it in this time,
    /// is [`Gone`](crate::ErrorKind::Gone). If the store fails, the renewal goes on with what is in
    /// the cookie, and leaves behind a record that it cannot find.
    ///
    /// With a store that waits, [`load`](crate::Session::load) the session first.
    /// [`max_bytes`](crate::SessionConfig::max_bytes) bounds the session wherever it is. A change
    /// beyond that is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). If you turn `overflow`
    /// off later, the sessions in the store are lost.
    ///
    /// ```
    /// # use silverback::{CookieStore, Keys, MemoryStore, SessionConfig};
    /// let cookies = CookieStore::new().overflow(MemoryStore::new()).up_to(2_000);
    /// let cart = SessionConfig::new("cart", cookies, Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn overflow(mut self, store: impl Store) -> Self {
        self.overflow = Some(DynStore::new(store));
        self
    }

    /// Bounds the bytes of a session in its cookie, if it can [`overflow`](Self::overflow). Without
    /// `overflow` it is an error when the layer is built.
    ///
    /// The bytes are counted before they are encrypted and encoded, which makes them a third
    /// longer. What does not fit into a `Set-Cookie` header of 4,096 bytes overflows in any case.
    ///
    /// ```
    /// # use silverback::{CookieStore, MemoryStore};
    /// let cookies = CookieStore::new().overflow(MemoryStore::new()).up_to(1_000);
    /// ```
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.up_to = Some(bytes);
        self
    }

    /// Allows the clocks of your machines to differ by this much, at most an hour. The default is
    /// 60 seconds.
    ///
    /// A cookie that holds its session and comes from a clock further ahead is refused as
    /// [`Rejection::NotYetValid`](crate::Rejection::NotYetValid). A session in a store needs no
    /// such allowance: the times in its record decide.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{CookieStore, Keys, SessionConfig};
    /// let cookies = CookieStore::new().clock_skew(Duration::from_secs(300));
    /// let theme = SessionConfig::new("theme", cookies, Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
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
