//! The outcome of a rule that was not broken.

use std::fmt;

/// The outcome of a rule that the store did not break.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The store keeps the rule, as far as the tests can see.
    Passed,
    /// The rule was not checked.
    Skipped(Skip),
}

impl Verdict {
    /// Returns whether the rule was checked and holds.
    ///
    /// ```
    /// use silverback::store::conformance::{Verdict, Violation};
    ///
    /// fn is_kept(checked: &Result<Verdict, Violation>) -> bool {
    ///     checked.as_ref().is_ok_and(Verdict::is_passed)
    /// }
    /// ```
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Returns why the rule was not checked. `None` if it was.
    ///
    /// ```
    /// use silverback::store::conformance::Verdict;
    ///
    /// fn report(verdict: &Verdict) -> String {
    ///     match verdict.skipped() {
    ///         Some(reason) => format!("skipped: {reason}"),
    ///         None => "ok".to_owned(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn skipped(&self) -> Option<&Skip> {
        match self {
            Self::Passed => None,
            Self::Skipped(skip) => Some(skip),
        }
    }
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Passed
    }
}

/// Why a rule was not checked, such as "no redis-server here".
///
/// An expression of [`store_conformance!`](crate::store_conformance) that finds no server returns
/// one. Its tests then print it, and fail if the environment has `CI`.
///
/// ```
/// use silverback::{MemoryStore, store::conformance::Skip};
///
/// async fn connect() -> Result<MemoryStore, Skip> {
///     let server = std::env::var("SERVER").map_err(|_| Skip::new("SERVER is not set"))?;
///     # drop(server);
///     // ..
///     Ok(MemoryStore::new())
/// }
///
/// silverback::store_conformance!(connect().await);
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Skip(String);

impl Skip {
    /// Makes a reason from a sentence.
    ///
    /// ```
    /// use silverback::store::conformance::Skip;
    ///
    /// fn server() -> Result<String, Skip> {
    ///     std::env::var("MY_SERVER").map_err(|_| Skip::new("MY_SERVER is not set"))
    /// }
    /// ```
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints the same as `Display`.
impl fmt::Debug for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a rule needs besides a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    Clock,
    RealTime,
    Peer,
    Silence,
    Cut,
    /// Either silence or a cut.
    Outage,
    Garbage,
    RoundTrips,
    TimeLeft,
    NeverWaits,
}

impl Need {
    /// What the author of a store can provide, and by which method.
    pub(super) const GIVEN: [(Self, &'static str); 6] = [
        (Self::Peer, "peer"),
        (Self::Silence, "silence"),
        (Self::Cut, "cut"),
        (Self::Garbage, "garbage"),
        (Self::RoundTrips, "round_trips"),
        (Self::TimeLeft, "time_left"),
    ];

    pub(super) fn missing(self) -> Skip {
        Skip::new(match self {
            Self::Clock => "the store is given no clock",
            Self::RealTime => "the store is told the time, and other rules check its ends",
            Self::Peer => "no second handle is given: `Subject::peer`",
            Self::Silence => "nothing makes the server silent: `Subject::silence`",
            Self::Cut => "nothing cuts the server off: `Subject::cut`",
            Self::Outage => "nothing makes the server fail: `Subject::silence`, `Subject::cut`",
            Self::Garbage => "nothing puts garbage under a key: `Subject::garbage`",
            Self::RoundTrips => "nothing counts round trips: `Subject::round_trips`",
            Self::TimeLeft => {
                "nothing says how long the server keeps a record: `Subject::time_left`"
            }
            Self::NeverWaits => "the store does not say that it never waits",
        })
    }
}
