//! Nanoseconds of a request.

use std::{hint::black_box, time::Instant};

use silverback::KeyError;

use crate::{
    scenarios::{Kind, Scenario},
    subjects::{SUBJECTS, Subject},
};

const ROUNDS: usize = 200;
const CALLS: u32 = 250;

/// The subjects take turns, so that a machine that is busy for a while is so for all of them. What
/// counts is the slowest of the fastest tenth of the rounds: what else runs on the machine only
/// ever adds.
pub(crate) fn time(scenario: &Scenario, kind: Kind) -> Result<[f64; SUBJECTS], KeyError> {
    let mut subjects = Subject::all(scenario, kind)?;
    let mut times: [Vec<f64>; SUBJECTS] = Default::default();
    for _ in 0..ROUNDS {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            times.push(round(subject));
        }
    }
    Ok(times.map(fast))
}

/// Making the request is part of it, and goes when the bare service is subtracted.
fn round(subject: &mut Subject) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        let request = subject.request();
        drop(black_box((subject.call)(request)));
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn fast(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 10).copied().unwrap_or(f64::NAN)
}
