//! Tasks that use one session at the same time, in random orders of their threads. shuttle chooses
//! which thread runs next at each lock and atomic of `sync`:
//!
//! ```sh
//! RUSTFLAGS='--cfg shuttle' cargo test --lib sync::
//! ```
//!
//! `SILVERBACK_SOAK` multiplies the number of orders by thirty. `SILVERBACK_SEED` repeats the order of
//! a failure.

mod executor;
mod judge;
mod network;
mod plan;
mod play;

use std::env;

use shuttle::{Config, Runner, scheduler::RandomScheduler};

use self::{
    judge::judge,
    network::with_network,
    plan::{Act, Kind, Plan},
    play::play,
};

/// The bytes of the stack of each thread.
const STACK: usize = 1 << 18;

/// Lets tasks do these things, in many orders.
fn explore(kind: Kind, acts: &'static [Act]) {
    let mut config = Config::new();
    config.stack_size = STACK;
    let runner = Runner::new(scheduler(), config);
    with_network(|network| {
        runner.run(move || {
            let plan = Plan::of(kind, acts);
            let end = network.run(|| play(&plan));
            if let Err(wrong) = judge(&plan, &end) {
                panic!("{wrong}: {plan:?} {end:?}");
            }
        });
    });
}

fn scheduler() -> RandomScheduler {
    if let Ok(seed) = env::var("SILVERBACK_SEED") {
        return RandomScheduler::new_from_seed(seed.parse().unwrap(), 1);
    }
    let is_long = env::var_os("SILVERBACK_SOAK").is_some();
    RandomScheduler::new(if is_long { 9_000 } else { 300 })
}

#[test]
fn changes_and_saves() {
    const ACTS: &[Act] = &[Act::Insert, Act::Count, Act::Save, Act::InsertAndSave];
    Kind::ALL.into_iter().for_each(|kind| explore(kind, ACTS));
}

#[test]
fn abandoned_saves() {
    const ACTS: &[Act] = &[Act::Insert, Act::Save, Act::DropSave, Act::KeepSave];
    Kind::ALL.into_iter().for_each(|kind| explore(kind, ACTS));
}

#[test]
fn renewals() {
    const ACTS: &[Act] = &[Act::Insert, Act::Count, Act::Save, Act::Renew];
    Kind::ALL.into_iter().for_each(|kind| explore(kind, ACTS));
}

#[test]
fn loads() {
    const ACTS: &[Act] = &[Act::Count, Act::InsertAndSave, Act::Renew, Act::Load];
    Kind::ALL.into_iter().for_each(|kind| explore(kind, ACTS));
}

#[test]
fn logouts() {
    const ACTS: &[Act] = &[Act::InsertAndSave, Act::Count, Act::Renew, Act::Destroy];
    Kind::ALL.into_iter().for_each(|kind| explore(kind, ACTS));
}
