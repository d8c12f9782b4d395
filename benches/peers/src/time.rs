//! Nanoseconds of a request.

use crate::subject::{Pair, Subject};

/// How much is done; `--quick` does less.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
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
        rounds: 201,
        calls: 200,
        counted_calls: 3,
        cycles: 1000,
        loads: 15,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 21,
        calls: 50,
        counted_calls: 1,
        cycles: 100,
        loads: 3,
    };
}

/// What each costs above its bare service: the median of the differences of all rounds.
///
/// In a round everyone has a turn, right after its bare service has, and no round begins with the
/// same one as the last: so a machine that is busy for a while is so for all of them.
pub(crate) fn time(pairs: &mut [Pair], effort: Effort) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(effort.rounds); pairs.len()];
    for round in 0..effort.rounds {
        let mut turns: Vec<_> = pairs.iter_mut().zip(&mut times).collect();
        let first = round % turns.len();
        turns.rotate_left(first);
        for (pair, times) in turns {
            let bare = nanoseconds(&mut pair.bare, effort.calls);
            times.push(nanoseconds(&mut pair.subject, effort.calls) - bare);
        }
    }
    times.into_iter().map(median).collect()
}

fn nanoseconds(subject: &mut Subject, calls: u32) -> f64 {
    let time = subject.endpoint.time(subject.field.as_ref(), calls);
    time.as_nanos() as f64 / f64::from(calls)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
