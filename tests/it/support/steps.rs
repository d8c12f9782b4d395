//! Schedules tried one by one: the same test with something happening at each step of a future.

use super::{
    World,
    scripted::{Before, Calls, Fail},
};

/// Tries `at` at step 0, 1, 2 and so on, until it says that there is no such step.
///
/// Fails if there are fewer than `least`: the schedules that the test is about were not among them.
pub(crate) async fn at_every_step(least: usize, mut at: impl AsyncFnMut(usize) -> bool) {
    for step in 0..100 {
        if !at(step).await {
            assert!(step >= least, "done after {step} steps");
            return;
        }
    }
    panic!("still not done after 100 steps");
}

impl World {
    /// Has all of these calls fail, whichever store they are to.
    pub(crate) fn fail(&self, calls: impl Into<Calls>) {
        let calls = calls.into();
        self.records().every(Before, calls, Fail);
        self.ends().every(Before, calls, Fail);
    }

    pub(crate) fn calm(&self) {
        self.records().calm();
        self.ends().calm();
    }
}
