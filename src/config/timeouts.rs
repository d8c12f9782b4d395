//! Pairs of timeouts that standards ask for.

use std::time::Duration;

/// Pairs of timeouts that standards ask for.
///
/// | Pair | Idle | In all | From |
/// |---|---|---|---|
/// | [`DEFAULT`](Self::DEFAULT) | 24 hours | 14 days | this crate |
/// | [`LOW_RISK`](Self::LOW_RISK) | 30 minutes | 8 hours | OWASP |
/// | [`HIGH_VALUE`](Self::HIGH_VALUE) | 5 minutes | 4 hours | OWASP |
/// | [`AAL1`](Self::AAL1) | 30 days | 30 days | NIST |
/// | [`AAL2`](Self::AAL2) | 1 hour | 24 hours | NIST |
/// | [`AAL3`](Self::AAL3) | 15 minutes | 12 hours | NIST |
///
/// OWASP's figures are the upper ones of its Session Management Cheat Sheet, NIST's those of SP
/// 800-63B-4 (2025) for its authentication assurance levels.
///
/// NIST counts the total time from the login (section 5.2), this crate from when the session was
/// made. So a visitor who logs in late has less time, never more. To grant all of it,
/// [destroy](crate::Session::destroy) the session at the login and begin another.
/// [`persist_for`](crate::Session::persist_for) goes beyond the pair: bound it with
/// [`persist_up_to`](crate::SessionConfig::persist_up_to), or do not call it.
///
/// ```
/// # use silverback::{Keys, MemoryStore, SessionConfig, Timeouts};
/// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?)
///     .timeouts(Timeouts::AAL2);
/// # Ok::<(), silverback::KeyError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
}

impl Timeouts {
    /// The default: 24 hours idle, 14 days in all.
    pub const DEFAULT: Self = Self::minutes(24 * 60, 14 * 24 * 60);
    /// OWASP's upper figures for applications of low risk: 30 minutes idle, 8 hours in all.
    pub const LOW_RISK: Self = Self::minutes(30, 8 * 60);
    /// OWASP's upper figures for applications of high value: 5 minutes idle, 4 hours in all.
    pub const HIGH_VALUE: Self = Self::minutes(5, 4 * 60);
    /// NIST SP 800-63B-4, section 2.1.3: at most 30 days in all. The section asks for no idle
    /// timeout, so this one is as long.
    pub const AAL1: Self = Self::minutes(30 * 24 * 60, 30 * 24 * 60);
    /// NIST SP 800-63B-4, section 2.2.3: at most 1 hour idle, 24 hours in all.
    pub const AAL2: Self = Self::minutes(60, 24 * 60);
    /// NIST SP 800-63B-4, section 2.3.3: at most 15 minutes idle, 12 hours in all.
    pub const AAL3: Self = Self::minutes(15, 12 * 60);

    /// Makes a pair of your own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::Timeouts;
    ///
    /// let shift = Timeouts::new(Duration::from_secs(3_600), Duration::from_secs(8 * 3_600));
    /// ```
    #[must_use]
    pub const fn new(idle: Duration, absolute: Duration) -> Self {
        Self { idle, absolute }
    }

    const fn minutes(idle: u64, absolute: u64) -> Self {
        Self::new(
            Duration::from_secs(idle * 60),
            Duration::from_secs(absolute * 60),
        )
    }
}
