//! Pairs of timeouts that standards ask for.

use std::time::Duration;

/// Pairs of timeouts that standards ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
}

impl Timeouts {
    /// The default: 24 hours idle, 14 days in all.
    pub const DEFAULT: Self = Self::hours(24, 14 * 24);
    /// OWASP's upper figures for applications of low risk: 30 minutes idle, 8 hours in all.
    pub const LOW_RISK: Self = Self {
        idle: Duration::from_secs(30 * 60),
        absolute: Duration::from_secs(8 * 3_600),
    };
    /// OWASP's upper figures for applications of high value: 5 minutes idle, 4 hours in all.
    pub const HIGH_VALUE: Self = Self {
        idle: Duration::from_secs(5 * 60),
        absolute: Duration::from_secs(4 * 3_600),
    };

    /// Makes a pair of one's own.
    #[must_use]
    pub const fn new(idle: Duration, absolute: Duration) -> Self {
        Self { idle, absolute }
    }

    const fn hours(idle: u64, absolute: u64) -> Self {
        Self::new(
            Duration::from_secs(idle * 3_600),
            Duration::from_secs(absolute * 3_600),
        )
    }
}
