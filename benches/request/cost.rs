//! The cost of a request above the bare service.

use std::ops::Sub;

use kit::{
    count::{Counts, Tracee},
    scenario::Scenario,
    sessions::Kind,
    time::{Pair, above_bare},
};

use crate::subjects::{Subjects, has_floor};

const ROUNDS: usize = 200;
const CALLS: u32 = 250;
/// The number of requests stepped through, of which the median counts.
const STEPPED: u32 = 3;

/// A part that was not measured is NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) counts: Counts,
    pub(crate) nanoseconds: f64,
}

/// The two costs that are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    pub(crate) floor: Option<Cost>,
    pub(crate) silverback: Cost,
}

impl Cost {
    pub(crate) const fn counted(counts: Counts) -> Self {
        Self {
            counts,
            nanoseconds: f64::NAN,
        }
    }

    pub(crate) const fn parts(self) -> [f64; 3] {
        let Counts {
            instructions,
            allocations,
        } = self.counts;
        [instructions, allocations, self.nanoseconds]
    }
}

impl Costs {
    /// The costs from the counts of the bare service, the floor if there is one, and silverback.
    pub(crate) fn of_counts(counts: &[Counts]) -> Option<Self> {
        let (bare, above) = counts.split_first()?;
        let above: Vec<_> = above
            .iter()
            .map(|counts| Cost::counted(*counts - *bare))
            .collect();
        Some(Self {
            floor: above.first().copied().filter(|_| above.len() > 1),
            silverback: *above.last()?,
        })
    }

    /// The counts alone. Times of different scenarios are measured too far apart to be subtracted.
    pub(crate) fn without_times(self) -> Self {
        let without = |cost: Cost| Cost::counted(cost.counts);
        Self {
            floor: self.floor.map(without),
            silverback: without(self.silverback),
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            counts: self.counts - other.counts,
            nanoseconds: self.nanoseconds - other.nanoseconds,
        }
    }
}

impl Sub for Costs {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            floor: self.floor.zip(other.floor).map(|(one, other)| one - other),
            silverback: self.silverback - other.silverback,
        }
    }
}

/// Counts natively, in a process that is stepped through.
pub(crate) fn count(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn std::error::Error>> {
    let tracee = Tracee::start(&["--subjects", "step", scenario.name, kind.name()])?;
    let subjects = if has_floor(scenario) { 3 } else { 2 };
    let counts = (0..subjects)
        .map(|_| tracee.median(STEPPED))
        .collect::<Result<Vec<_>, _>>()?;
    tracee.finish()?;
    Ok(Costs::of_counts(&counts).ok_or("nothing was counted")?)
}

/// Answers `requests` requests with each subject, in the process that is stepped through.
pub(crate) fn run(scenario: &Scenario, kind: Kind, requests: u32, mark: &dyn Fn()) {
    for mut subject in Subjects::new(scenario, kind).into_all() {
        subject.answer(scenario, requests, mark);
    }
}

/// Answers as many requests as [`count`] steps through.
pub(crate) fn run_counted(scenario: &Scenario, kind: Kind, mark: &dyn Fn()) {
    run(scenario, kind, STEPPED, mark);
}

/// Adds the nanoseconds of CPU time to the costs.
pub(crate) fn time(scenario: &Scenario, kind: Kind, costs: &mut Costs) {
    let pair = |subject| {
        let subject = subject?;
        Some(Pair {
            bare: Subjects::new(scenario, kind).bare,
            subject,
            calls: None,
        })
    };
    let Subjects {
        floor, silverback, ..
    } = Subjects::new(scenario, kind);
    let mut pairs: Vec<_> = [pair(Some(silverback)), pair(floor)]
        .into_iter()
        .flatten()
        .collect();
    let mut times = above_bare(&mut pairs, ROUNDS, CALLS).into_iter();
    costs.silverback.nanoseconds = times.next().unwrap_or(f64::NAN);
    if let Some(floor) = &mut costs.floor {
        floor.nanoseconds = times.next().unwrap_or(f64::NAN);
    }
}
