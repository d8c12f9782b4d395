//! The facts about a session that are reported.

use crate::error::Rejection;

/// Why sessions have ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// By [`destroy`](crate::Session::destroy).
    Logout,
    /// The session became empty.
    Emptied,
    /// Through another session of its subject.
    Elsewhere,
    /// By [`Subjects`](crate::Subjects) or [`SessionRecords`](crate::SessionRecords).
    Operator,
    /// The subject has more logins than the limit allows.
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

/// What a request found when it opened its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    Found,
    /// No cookie came.
    New,
    Refused(Rejection),
}

/// The effect of a save on the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Saved {
    /// The session is new.
    Created,
    /// The session has a new ID, as after a login.
    Renewed,
    /// The session became empty and is gone.
    Emptied,
    /// The session was saved before.
    Again,
}

/// Each name stands once, so that none lacks its count.
macro_rules! swaps {
    ($($swap:ident = $word:literal,)+) => {
        /// What a compare and swap of a record is for.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Swap {
            $($swap,)+
        }

        impl Swap {
            #[cfg(feature = "metrics")]
            pub(super) const ALL: [Self; [$($word),+].len()] = [$(Self::$swap),+];

            #[cfg(any(feature = "metrics", feature = "tracing"))]
            pub(crate) const fn word(self) -> &'static str {
                match self {
                    $(Self::$swap => $word,)+
                }
            }
        }
    };
}

swaps! {
    Save = "save",
    SaveTogether = "save together",
    Touch = "touch",
    Remove = "remove",
    Renew = "renew",
    Destroy = "destroy",
    Roster = "roster",
    Outgrow = "outgrow",
    TakeIn = "take_in",
}
