//! Why a cookie was not accepted.

use std::fmt;

use crate::text::words;

/// Why the request's cookie was not accepted.
///
/// The visitor gets an empty session. The reason is for your application and its log. Do not reveal
/// it to the client, who could use it as an oracle.
///
/// serde uses a word for each, for a log or a test: [`NotFound`](Self::NotFound) is `"not_found"`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rejection {
    /// It is not a token of this crate: its alphabet, length, version, times or contents are wrong.
    Malformed,
    /// It names a key that is not in use, or was revoked.
    UnknownKey,
    /// Its tag does not match: it was changed, or made for another name, purpose or application.
    Tampered,
    /// It holds a session and was issued further in the future than
    /// [`clock_skew`](crate::CookieStore::clock_skew) allows.
    NotYetValid,
    /// Its idle timeout or absolute timeout has passed, or it was made before
    /// [`not_before`](crate::SessionConfig::not_before).
    Expired,
    /// Several valid cookies came under one name, and nothing shows safely which one counts.
    Ambiguous,
    /// The store has no such session: it was destroyed, renewed, swept or lost, or has expired and
    /// left nothing behind.
    NotFound,
    /// The store's record cannot be read: it is damaged.
    Corrupt,
    /// The session in this cookie was destroyed or renewed, or all sessions of its subject were,
    /// and the store remembers that.
    Revoked,
    /// The session was renewed less than a minute ago. The browser has not received the new ID yet,
    /// or somebody else has the old one. A write of the request fails with
    /// [`ErrorKind::Gone`](crate::ErrorKind::Gone), unless the request renews.
    Renewed,
    /// The session was destroyed less than a minute ago. A write of the request fails with
    /// [`ErrorKind::Gone`](crate::ErrorKind::Gone), unless the request renews.
    Ended,
}

words!(Rejection {
    Malformed = "malformed",
    UnknownKey = "unknown_key",
    Tampered = "tampered",
    NotYetValid = "not_yet_valid",
    Expired = "expired",
    Ambiguous = "ambiguous",
    NotFound = "not_found",
    Corrupt = "corrupt",
    Revoked = "revoked",
    Renewed = "renewed",
    Ended = "ended",
});

impl Rejection {
    /// Returns whether the session existed and is over.
    pub(crate) fn is_of_end(self) -> bool {
        match self {
            Self::Expired
            | Self::NotFound
            | Self::Corrupt
            | Self::Revoked
            | Self::Renewed
            | Self::Ended => true,
            Self::Malformed
            | Self::UnknownKey
            | Self::Tampered
            | Self::NotYetValid
            | Self::Ambiguous => false,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a session token",
            Self::UnknownKey => "sealed with a key that is not in use",
            Self::Tampered => "the tag does not match",
            Self::NotYetValid => "issued in the future",
            Self::Expired => "expired",
            Self::Ambiguous => "several different valid cookies under one name",
            Self::NotFound => "no such session in the store",
            Self::Corrupt => "the stored record cannot be read",
            Self::Revoked => "ended, as the store remembers",
            Self::Renewed => "renewed a moment ago",
            Self::Ended => "destroyed a moment ago",
        })
    }
}
