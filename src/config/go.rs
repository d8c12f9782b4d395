//! The format of a session that is shared with Go.

use std::time::Duration;

#[cfg(feature = "gorilla")]
pub(crate) use self::format::Go;

#[cfg(not(feature = "gorilla"))]
use crate::codec::Stamp;
use crate::{
    clock::Timestamp,
    content::{Content, Origin},
    id::SessionId,
};

/// A session in a cookie that another library made.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) content: Content,
    /// Whether the content has the values. Otherwise only a record has them.
    pub(crate) is_whole: bool,
    /// The session's ID, if it may be in a cookie. The ID is derived from this cookie, since the
    /// format has none.
    pub(crate) id: Option<SessionId>,
    pub(crate) origin: Origin,
    /// Whether no other visitor can have an equal cookie.
    pub(crate) is_unique: bool,
    /// The time of the last save.
    pub(crate) saved: Timestamp,
    /// When the other library refuses the cookie, whatever the settings are.
    pub(crate) expires: Timestamp,
    pub(crate) current: bool,
}

impl Foreign {
    /// Derives the time of the last save from the end: the save gave the session this long, and is
    /// not in the future.
    pub(crate) fn was_saved(&mut self, now: Timestamp, given: Duration) {
        let saved = self.expires.as_secs().saturating_sub(given.as_secs());
        self.saved = Timestamp::from_secs(saved).min(now);
        self.content.created = self.saved;
    }
}

/// Without the feature there is no such format.
#[cfg(not(feature = "gorilla"))]
#[derive(Clone, Debug)]
pub(crate) enum Go {}

#[cfg(not(feature = "gorilla"))]
impl Go {
    pub(crate) const fn writes(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn lasts(&self) -> Duration {
        match *self {}
    }

    pub(crate) const fn open(
        &self,
        _: &str,
        _: &[u8],
        _: bool,
        _: Timestamp,
    ) -> Result<Foreign, crate::error::Rejection> {
        match *self {}
    }

    pub(crate) const fn seal(
        &self,
        _: &str,
        _: &Content,
        _: &Stamp,
        _: bool,
    ) -> Result<String, crate::error::Error> {
        match *self {}
    }

    pub(crate) const fn carries_end(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn is_kept(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn kept_len(
        &self,
        _: &Content,
    ) -> Result<(usize, usize), crate::error::Error> {
        match *self {}
    }
}

#[cfg(feature = "gorilla")]
mod format {
    use std::time::Duration;

    use super::Foreign;
    use crate::{
        clock::Timestamp,
        codec::Stamp,
        content::{Content, Origin},
        error::{Error, ErrorKind, Rejection},
        gorilla::{GoId, Gorilla, OpenedCookie, SecureCookieError, Unfit},
    };

    /// The payload of a cookie, or of the carried session that an outer layer put in its place.
    enum GoCookie {
        Session(Content),
        /// The session's ID alone.
        Elsewhere,
    }

    /// How a session is shared with Go.
    #[derive(Clone, Debug)]
    pub(crate) struct Go {
        pub(in crate::config) format: Gorilla,
        /// Whether new cookies have Go's format. Otherwise only received cookies may have it.
        pub(in crate::config) writes: bool,
    }

    impl Go {
        pub(crate) const fn writes(&self) -> bool {
            self.writes
        }

        /// How long a cookie lasts. Go still accepts one of exactly the greatest age.
        pub(crate) fn lasts(&self) -> Duration {
            let age = self.format.cookies.lasts();
            age.map_or(Duration::MAX, |age| {
                age.saturating_add(Duration::from_secs(1))
            })
        }

        /// Opens a cookie. `in_record` says whether its session belongs in a record.
        pub(crate) fn open(
            &self,
            name: &str,
            value: &[u8],
            in_record: bool,
            now: Timestamp,
        ) -> Result<Foreign, Rejection> {
            let opened = self.decode(name, value, now)?;
            let origin = Origin::new(opened.digest);
            // The clocks of Go's servers may be ahead.
            let saved = opened.saved.min(now);
            let (mut content, is_whole) = match opened.payload {
                GoCookie::Session(content) => (content, true),
                GoCookie::Elsewhere if !in_record => return Err(Rejection::NotFound),
                GoCookie::Elsewhere => (Content::new(saved), false),
            };
            content.created = saved;
            if !self.writes {
                content.go = None;
            }
            Ok(Foreign {
                content,
                is_whole,
                id: (!in_record).then(|| origin.token_id()),
                origin,
                is_unique: opened.is_unique,
                saved,
                expires: match self.format.carries_end() {
                    true => opened.saved,
                    false => saved.saturating_add(self.lasts()),
                },
                current: opened.is_current,
            })
        }

        fn decode(
            &self,
            name: &str,
            value: &[u8],
            now: Timestamp,
        ) -> Result<OpenedCookie<GoCookie>, Rejection> {
            // `open` replaces the time of the content once it is known.
            let read = |payload: Vec<u8>| match Content::of_go(&payload, &self.format, now) {
                Some(content) => Some(GoCookie::Session(content)),
                None => self.is_id(&payload).then_some(GoCookie::Elsewhere),
            };
            self.format.open(name, value, now, read).map_err(refused)
        }

        /// Returns whether this is the payload of a session whose values are elsewhere.
        fn is_id(&self, payload: &[u8]) -> bool {
            match self.is_kept() {
                true => payload.is_empty(),
                false => GoId::of_gob(payload, GoId::SIGNED).is_some(),
            }
        }

        /// # Errors
        ///
        /// [`ErrorKind::SerializeFailed`], [`ErrorKind::TooLarge`], [`ErrorKind::RandomFailed`].
        pub(crate) fn seal(
            &self,
            name: &str,
            content: &Content,
            stamp: &Stamp,
            has_existed: bool,
        ) -> Result<String, Error> {
            let payload = content.to_go(&self.format).map_err(unfit)?;
            let (id, saved) = (stamp.token_id, stamp.issued);
            let sealed = self.format.seal(name, id, has_existed, &payload, saved);
            sealed.map_err(|error| match error {
                SecureCookieError::TooLongToEncode(size) => {
                    let limit = self.format.cookies.longest().unwrap_or(usize::MAX);
                    Error::new(ErrorKind::TooLarge { size, limit })
                }
                error => Error::with_source(ErrorKind::RandomFailed, error),
            })
        }

        /// Returns whether cookies hold the session's end rather than its last save.
        pub(crate) fn carries_end(&self) -> bool {
            self.format.carries_end()
        }

        /// Returns whether the cookie belongs to an outer layer.
        pub(crate) fn is_kept(&self) -> bool {
            self.format.is_kept()
        }

        /// Returns the length of the cookie's value, or of what an outer layer keeps instead, and
        /// the longest allowed.
        pub(crate) fn kept_len(&self, content: &Content) -> Result<(usize, usize), Error> {
            let payload = content.to_go(&self.format).map_err(unfit)?;
            Ok(self.format.kept_len(payload.len()))
        }
    }

    fn unfit(error: Unfit) -> Error {
        Error::with_source(ErrorKind::SerializeFailed, error.what)
    }

    fn refused(error: SecureCookieError) -> Rejection {
        match error {
            SecureCookieError::InvalidMac => Rejection::Tampered,
            SecureCookieError::Expired => Rejection::Expired,
            SecureCookieError::TooNew => Rejection::NotYetValid,
            _ => Rejection::Malformed,
        }
    }
}
