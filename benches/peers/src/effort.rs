//! The sizes of the measurements.

/// `--quick` does less.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) is_full: bool,
    pub(crate) rounds: usize,
    pub(crate) calls: u32,
    /// Calls whose instructions are counted.
    pub(crate) counted_calls: u32,
    /// Cycles of [`crate::cycles`] in a round.
    pub(crate) cycles: u32,
    /// Rounds of [`crate::end_to_end`].
    pub(crate) loads: usize,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        is_full: true,
        rounds: 201,
        calls: 200,
        counted_calls: 3,
        cycles: 1000,
        loads: 15,
    };
    pub(crate) const QUICK: Self = Self {
        is_full: false,
        rounds: 21,
        calls: 50,
        counted_calls: 1,
        cycles: 100,
        loads: 3,
    };
}
