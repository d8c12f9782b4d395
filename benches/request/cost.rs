//! What a request costs above the bare service.

use std::ops::Sub;

use crate::{callgrind::Counts, subjects::SUBJECTS};

/// A part that was not measured is not a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    pub(crate) nanoseconds: f64,
}

/// The two that are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    pub(crate) floor: Cost,
    pub(crate) silverback: Cost,
}

impl Cost {
    const UNKNOWN: Self = Self {
        instructions: f64::NAN,
        allocations: f64::NAN,
        nanoseconds: f64::NAN,
    };

    const fn counted(counts: Counts) -> Self {
        Self {
            instructions: counts.instructions,
            allocations: counts.allocations,
            ..Self::UNKNOWN
        }
    }

    pub(crate) fn parts(self) -> impl Iterator<Item = f64> {
        [self.instructions, self.allocations, self.nanoseconds].into_iter()
    }
}

impl Costs {
    pub(crate) fn new(counts: Option<[Counts; SUBJECTS]>, times: Option<[f64; SUBJECTS]>) -> Self {
        let mut costs = counts.map_or([Cost::UNKNOWN; SUBJECTS], |counts| {
            counts.map(Cost::counted)
        });
        for (cost, time) in costs.iter_mut().zip(times.into_iter().flatten()) {
            cost.nanoseconds = time;
        }
        let [bare, floor, silverback] = costs;
        Self {
            floor: floor - bare,
            silverback: silverback - bare,
        }
    }

    /// Times of different scenarios are too far apart to be subtracted.
    pub(crate) fn without_times(self) -> Self {
        let without = |cost| Cost {
            nanoseconds: f64::NAN,
            ..cost
        };
        Self {
            floor: without(self.floor),
            silverback: without(self.silverback),
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            allocations: self.allocations - other.allocations,
            nanoseconds: self.nanoseconds - other.nanoseconds,
        }
    }
}

impl Sub for Costs {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            floor: self.floor - other.floor,
            silverback: self.silverback - other.silverback,
        }
    }
}
