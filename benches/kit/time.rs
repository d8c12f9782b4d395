//! CPU time, on a machine that does other things as well.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::subject::Subject;

/// What this thread has had of the processor so far, in user space and in the kernel.
pub fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// What all threads of this process have had.
pub fn process_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Nanoseconds of this thread's CPU time for each of so many operations.
pub fn each(operations: u32, work: impl FnOnce()) -> f64 {
    let start = thread_time();
    work();
    (thread_time() - start).as_nanos() as f64 / f64::from(operations)
}

/// How long it takes by the clock.
pub fn wall_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Nanoseconds that each subject costs above its bare service: the fastest tenth of the rounds of
/// either, subtracted.
///
/// In a round everyone has a turn, right after its bare service has, and no round begins with the
/// same one as the last: so a machine that is busy for a while is so for all of them.
pub fn above_bare(pairs: &mut [Pair], rounds: usize, calls: u32) -> Vec<f64> {
    let mut times = vec![(Vec::new(), Vec::new()); pairs.len()];
    for round in 0..rounds {
        let mut turns: Vec<_> = pairs.iter_mut().zip(&mut times).collect();
        let first = round % turns.len().max(1);
        turns.rotate_left(first);
        for (pair, (bare, own)) in turns {
            let calls = pair.calls.unwrap_or(calls);
            // Warms up, after whatever the one before has left.
            pair.subject.time(calls.div_ceil(10));
            bare.push(pair.bare.time(calls));
            own.push(pair.subject.time(calls));
        }
    }
    times
        .into_iter()
        .map(|(bare, own)| fast(own) - fast(bare))
        .collect()
}

/// What is timed, beside its bare service, which gets the same requests.
pub struct Pair {
    pub bare: Subject,
    pub subject: Subject,
    /// How many requests make a round, if not as many as of others.
    pub calls: Option<u32>,
}

/// The slowest of the fastest tenth: what else runs on the machine only ever adds.
pub fn fast(times: Vec<f64>) -> f64 {
    percentile(times, 10)
}

pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50)
}

pub fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

pub fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

/// Microseconds of CPU time per call of each, in rounds in which they take turns.
pub fn cpu_per_call<const N: usize>(
    rounds: usize,
    calls: u32,
    mut subjects: [&mut dyn FnMut(); N],
) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            times.push(each(calls, || (0..calls).for_each(|_| subject())) / 1_000.0);
        }
    }
    times.map(fast)
}

/// Microseconds on the clock of each call, of subjects that take turns.
pub fn wall_of_calls<const N: usize>(
    calls: usize,
    mut subjects: [&mut dyn FnMut(); N],
) -> [Vec<f64>; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(calls));
    for _ in 0..calls {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            times.push(micros(wall_of(&mut *subject).0));
        }
    }
    times
}
