//! What can be reported of a session.

use crate::error::Rejection;

/// Why sessions have ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// By [`destroy`](crate::Session::destroy).
    Logout,
    /// Nothing was left in it.
    Emptied,
    /// Through another session of its subject.
    Elsewhere,
    /// By [`Subjects`](crate::Subjects) or [`SessionRecords`](crate::SessionRecords).
    Operator,
    /// Its subject has logged in more often than the limit says.
    Limit,
}

impl Cause {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 5] = [
        Self::Logout,
        Self::Emptied,
        Self::Elsewhere,
        Self::Operator,
        Self::Limit,
    ];

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Emptied => "emptied",
            Self::Elsewhere => "elsewhere",
            Self::Operator => "operator",
            Self::Limit => "limit",
        }
    }
}

/// What a request has found when it looked for its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    Found,
    /// No cookie came.
    New,
    Refused(Rejection),
}

/// What a save was for the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Saved {
    /// Its first one.
    Created,
    /// It has got a new ID, as at a login.
    Renewed,
    /// Nothing was left to save.
    Emptied,
    Again,
}
