//! Time on the clock, and time on the processor.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What this thread, or this process, has had of the processor so far, in user space and in the
/// kernel.
fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

pub(crate) fn cpu_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = cpu(ClockId::ThreadCPUTime);
    let done = work();
    (cpu(ClockId::ThreadCPUTime) - before, done)
}

pub(crate) async fn process_cpu_of<T>(work: impl AsyncFnOnce() -> T) -> (Duration, T) {
    let before = cpu(ClockId::ProcessCPUTime);
    let done = work().await;
    (cpu(ClockId::ProcessCPUTime) - before, done)
}

pub(crate) fn wall_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed(), done)
}

/// Microseconds of processor time per call of each subject. They take turns, so that a machine that
/// is busy for a while is so for all of them, and the slowest of the fastest tenth of the rounds
/// counts.
pub(crate) fn cpu_per_call<const N: usize>(
    rounds: usize,
    calls: u32,
    mut subjects: [&mut dyn FnMut(); N],
) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            let (time, ()) = cpu_of(|| (0..calls).for_each(|_| subject()));
            times.push(micros(time) / f64::from(calls));
        }
    }
    times.map(|times| percentile(times, 10))
}

/// Microseconds on the clock of each call, sorted, of subjects that take turns.
pub(crate) fn wall_of_calls<const N: usize>(
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

pub(crate) fn percentile(mut times: Vec<f64>, percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}
