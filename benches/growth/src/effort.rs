//! The sizes of the measurements.

use std::time::Duration;

/// `--quick` does less.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) is_full: bool,
    pub(crate) rounds: usize,
    /// The approximate length of a round of one subject, in nanoseconds.
    pub(crate) round: f64,
    /// The largest number of sessions in a store.
    pub(crate) sessions: usize,
    /// The number of times that one thread and two threads take turns. `sprint` is the length of a
    /// turn.
    pub(crate) sprints: usize,
    pub(crate) sprint: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        is_full: true,
        rounds: 200,
        round: 400_000.0,
        sessions: 1_000_000,
        sprints: 50,
        sprint: Duration::from_millis(40),
    };
    pub(crate) const QUICK: Self = Self {
        is_full: false,
        rounds: 10,
        round: 50_000.0,
        sessions: 10_000,
        sprints: 4,
        sprint: Duration::from_millis(5),
    };
}
