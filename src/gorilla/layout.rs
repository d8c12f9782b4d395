//! How gorilla's server-side stores lay out their sessions.

use std::time::Duration;

/// How one of gorilla's server-side stores lays out its sessions: what is in the cookie, and what
/// is on the server.
///
/// | Go store | Cookie | On the server |
/// |---|---|---|
/// | boj/redistore | a [signed](Self::signed_ids) ID | a [payload](GoData::Payload) |
/// | rbcervilla/redisstore | a [bare](Self::bare_ids) ID | a [payload](GoData::Payload) |
/// | antonlindstrom/pgstore | a [signed](Self::signed_ids) ID | a [text](GoData::Text) |
/// | gorilla's `FilesystemStore` | a [signed](Self::signed_ids) ID | a [text](GoData::Text), [written in place](Self::written_in_place) |
///
/// silverback's stores have these layouts built in. You need one only to write your own
/// [`GoRecords`](crate::GoRecords).
#[derive(Clone, Copy, Debug)]
pub struct GoLayout {
    pub(crate) ids: GoIds,
    pub(crate) data: GoData,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) lasts: Option<Duration>,
    pub(crate) is_written_in_place: bool,
}

/// What the server keeps of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GoData {
    /// Text of gorilla/securecookie, as in a cookie of `CookieStore`: signed, and encrypted if
    /// there is a block key.
    Text,
    /// A bare gob or JSON, as [`GoPayload`](super::GoPayload) says.
    Payload,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GoIds {
    /// A text of gorilla/securecookie with an ID of 32 bytes.
    Signed,
    /// A bare ID of 64 bytes.
    Bare,
}

impl GoLayout {
    /// Makes a layout whose cookies hold an ID of 32 bytes, signed by gorilla/securecookie.
    ///
    /// ```
    /// use silverback::gorilla::{GoData, GoLayout};
    ///
    /// let pgstore = GoLayout::signed_ids(GoData::Text);
    /// ```
    #[must_use]
    pub const fn signed_ids(data: GoData) -> Self {
        Self::of(GoIds::Signed, data)
    }

    /// Makes a layout whose cookies hold a bare ID of 64 bytes. Nobody can guess an ID, but anyone
    /// can make one up, so a session opens only if the server has it.
    ///
    /// ```
    /// use silverback::gorilla::{GoData, GoLayout};
    ///
    /// let redisstore = GoLayout::bare_ids(GoData::Payload);
    /// ```
    #[must_use]
    pub const fn bare_ids(data: GoData) -> Self {
        Self::of(GoIds::Bare, data)
    }

    const fn of(ids: GoIds, data: GoData) -> Self {
        Self {
            ids,
            data,
            max_bytes: None,
            lasts: None,
            is_written_in_place: false,
        }
    }

    /// Limits the bytes of a [payload](GoData::Payload). By default only the limit of
    /// [gobs](super::gob#limits) applies.
    /// [`SecureCookie::max_length`](super::SecureCookie::max_length) limits a [text](GoData::Text).
    ///
    /// ```
    /// use silverback::gorilla::{GoData, GoLayout};
    ///
    /// let redistore = GoLayout::signed_ids(GoData::Payload).max_bytes(4_096);
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// Sets how long the server keeps a session whose cookie ends with the browser, which is Go's
    /// `MaxAge` of 0. The default is [`SecureCookie::max_age`](super::SecureCookie::max_age).
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::gorilla::{GoData, GoLayout};
    ///
    /// let twenty_minutes = Duration::from_secs(1_200);
    /// let redistore = GoLayout::signed_ids(GoData::Payload).default_max_age(twenty_minutes);
    /// ```
    #[must_use]
    pub const fn default_max_age(mut self, age: Duration) -> Self {
        self.lasts = Some(age);
        self
    }

    /// States that Go writes records in place, so a load may find half of one. A
    /// [text](GoData::Text) that does not open is then loaded again, for up to an eighth of a second.
    ///
    /// ```
    /// use silverback::gorilla::{GoData, GoLayout};
    ///
    /// let files = GoLayout::signed_ids(GoData::Text).written_in_place();
    /// ```
    #[must_use]
    pub const fn written_in_place(mut self) -> Self {
        self.is_written_in_place = true;
        self
    }
}
