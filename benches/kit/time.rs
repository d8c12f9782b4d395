//! CPU time, on a machine that has other work too.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::subject::Subject;

/// The CPU time of this thread so far, in user space and in the kernel.
pub fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// The CPU time of all threads of this process so far.
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

/// Nanoseconds of this thread's CPU time for each of the operations in `work`.
pub fn each(operations: u32, work: impl FnOnce()) -> f64 {
    let start = thread_time();
    work();
    (thread_time() - start).as_nanos() as f64 / f64::from(operations)
}

/// The CPU time that this thread spends on `work`.
pub fn cpu_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = thread_time();
    let done = work();
    (thread_time() - start, done)
}

/// The time that `work` takes on the clock.
pub fn wall_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Nanoseconds that each subject costs above its bare service: of each, the slowest of the fastest
/// tenth of its rounds, subtracted.
///
/// In a round each subject has a turn, right after its bare service, and each round begins with the
/// next subject. So a machine that is busy for a while slows all of them down.
pub fn above_bare(pairs: &mut [Pair], rounds: usize, calls: u32) -> Vec<f64> {
    let mut times = vec![(Vec::new(), Vec::new()); pairs.len()];
    for round in 0..rounds {
        let mut turns: Vec<_> = pairs.iter_mut().zip(&mut times).collect();
        let first = round % turns.len().max(1);
        turns.rotate_left(first);
        for (pair, (bare, own)) in turns {
            let calls = pair.calls.unwrap_or(calls);
            // Warms up the caches, which the previous subject has filled.
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

/// A timed subject beside its bare service, which gets the same requests.
pub struct Pair {
    pub bare: Subject,
    pub subject: Subject,
    /// The number of requests in a round, if it differs from the other subjects'.
    pub calls: Option<u32>,
}

/// The slowest of the fastest tenth: other work on the machine can only add time.
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

/// Microseconds of CPU time per call of each subject. They take turns in each round.
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

/// Microseconds on the clock of each call of each subject. They take turns.
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
