//! CPU time of a request or of another operation.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::subject::Subject;

/// How much is done; `--quick` does less.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) is_full: bool,
    pub(crate) rounds: usize,
    /// How long a round of one subject takes, about, in nanoseconds.
    pub(crate) round: f64,
    /// How many sessions are in a store at the most.
    pub(crate) sessions: usize,
    /// How many times one and two threads run in turn, and how long.
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

/// Nanoseconds that each costs above its bare service.
///
/// The subjects take turns, each right after its bare service, so that a machine that is busy for a
/// while is so for all of them.
pub(crate) fn time(subjects: &mut [Subject], effort: Effort) -> Vec<f64> {
    let calls: Vec<u32> = subjects
        .iter_mut()
        .map(|subject| calls(subject, effort))
        .collect();
    let mut times = vec![(Vec::new(), Vec::new()); subjects.len()];
    for _ in 0..effort.rounds {
        for ((subject, calls), (bare, ours)) in subjects.iter_mut().zip(&calls).zip(&mut times) {
            subject.time(calls.div_ceil(10)); // warms up, after whatever the one before has left
            bare.push(subject.time_bare(*calls));
            ours.push(subject.time(*calls));
        }
    }
    times
        .into_iter()
        .map(|(bare, ours)| fast(ours) - fast(bare))
        .collect()
}

/// How many requests fill a round.
fn calls(subject: &mut Subject, effort: Effort) -> u32 {
    subject.time(5);
    (effort.round / subject.time(5)).clamp(1.0, 250.0) as u32
}

/// The slowest of the fastest tenth: what else runs on the machine only ever adds.
pub(crate) fn fast(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 10).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds of this thread's CPU time for each of so many operations.
pub(crate) fn each(operations: usize, work: impl FnOnce()) -> f64 {
    let start = cpu_time();
    work();
    (cpu_time() - start).as_nanos() as f64 / operations as f64
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
