//! Moves among operations of several processes, with kills, lost answers and late writes.

mod bench;
mod cuts;
mod oracle;
mod places;
mod refusals;
mod trips;
mod wires;
mod world;

use std::{env, pin::pin};

use self::{
    wires::Lie,
    world::{Fault, run},
};
use crate::store::poll_once;

fn at_once<T>(done: impl Future<Output = T>) -> T {
    poll_once(pin!(done)).unwrap()
}

/// The number of random schedules to try.
fn worlds(few: u64) -> u64 {
    let given = env::var("SILVERBACK_WORLDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(few)
}

fn first_seed() -> u64 {
    let given = env::var("SILVERBACK_SEED").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    let is_long = env::var_os("SILVERBACK_SOAK").is_some();
    let count = worlds(if is_long { 2_000_000 } else { 4_000 });
    for seed in (first_seed()..).take(usize::try_from(count).unwrap()) {
        if let Err(Fault(fault)) = run(seed, Lie::None) {
            panic!("SILVERBACK_SEED={seed} SILVERBACK_WORLDS=1: {fault}");
        }
    }
}

/// Each step of the protocol has a reason: without it, some schedule goes wrong. Each search begins
/// shortly before the first such schedule.
#[test]
fn each_omitted_step_is_noticed() {
    for (lie, seed) in [
        (Lie::AnyCopyCounts, 200),
        (Lie::CopyOfAnyVersion, 30_500),
        (Lie::NoMark, 1),
        (Lie::NoClaim, 1),
        (Lie::MoveAtAnyVersion, 1),
        (Lie::TouchKeepsVersion, 400),
        (Lie::SameVersions, 1),
        (Lie::CopyOverCopy, 1),
        (Lie::CopyRemovedEarly, 1),
        (Lie::TouchOfCopy, 1),
    ] {
        let found = (seed..seed + 100_000).find(|seed| run(*seed, lie).is_err());
        let seed = found.unwrap_or_else(|| panic!("{lie:?} goes unnoticed"));
        println!("{lie:?} is found by seed {seed}");
    }
}
