//! How gorilla's stores on servers lay out their sessions.

use std::time::Duration;

/// How a store of gorilla's on a server lays out its sessions: what is in the cookie, and what on
/// the server.
///
/// | Store of Go's | Cookie | On the server |
/// |---|---|---|
/// | boj/redistore | a [signed](Self::signed_ids) ID | a [payload](GoData::Payload) |
/// | rbcervilla/redisstore | a [bare](Self::bare_ids) ID | a [payload](GoData::Payload) |
/// | antonlindstrom/pgstore | a [signed](Self::signed_ids) ID | a [text](GoData::Text) |
/// | gorilla's `FilesystemStore` | a [signed](Self::signed_ids) ID | a [text](GoData::Text), [written in place](Self::written_in_place) |
///
/// The stores of silverback have these layouts ready. You need one to write a
/// [`GoRecords`](crate::GoRecords) of your own.
#[derive(Clone, Copy, Debug)]
pub struct GoLayout {
    pub(crate) ids: GoIds,
    pub(crate) data: GoData,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) lasts: Option<Duration>,
    pub(crate) is_written_in_place: bool,
}

/// What of a session is on the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GoData {
    /// Text of gorilla/securecookie, as in a cookie of `CookieStore`: signed, and encrypted if
    /// there is a block key.
    Text,
    /// A gob or JSON, as [`GoPayload`](super::GoPayload) says, and nothing around it.
    Payload,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GoIds {
    /// A text of gorilla/securecookie with an ID of 32 bytes.
    Signed,
    /// An ID of 64 bytes as it is.
    Bare,
}

impl GoLayout {
    /// Makes a layout whose cookies have an ID of 32 bytes, signed by gorilla/securecookie.
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

    /// Makes a layout whose cookies have an ID of 64 bytes as it is. Nobody can guess one, and
    /// anyone can choose one: a session is opened only if the server has it.
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

    /// Bounds the bytes of a [payload](GoData::Payload). The default is no bound but that of the
    /// [gob](super::gob#limits). For a [text](GoData::Text) there is
    /// [`SecureCookie::max_length`](super::SecureCookie::max_length).
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

    /// Sets how long the server keeps a session whose cookie ends with the browser, as Go's `MaxAge`
    /// of 0 makes it. The default is [`SecureCookie::max_age`](super::SecureCookie::max_age).
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

    /// Says that Go writes a record in place, so that a load may find half of it. A
    /// [text](GoData::Text) that cannot be opened is then loaded again, for some milliseconds.
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
