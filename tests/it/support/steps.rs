//! Schedules tried one by one: the same test with something happening at each step of a future.

use std::pin::pin;

use super::{
    World,
    schedule::until_it_hangs,
    scripted::{ANY, Before, Calls, Fail, Scripted, Wait, When},
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

/// Runs `first` up to its `n`th call of this store, before the call or after it, then `second`, and
/// then the rest. `None` for `second` if there are fewer calls.
pub(crate) async fn in_between<T, U>(
    (store, n, when): (&Scripted, usize, When),
    first: impl Future<Output = T>,
    second: impl Future<Output = U>,
) -> (T, Option<U>) {
    store.nth(n, when, ANY, Wait);
    let (mut first, mut second) = (pin!(first), pin!(second));
    tokio::select! {
        done = &mut first => {
            store.calm();
            return (done, None);
        }
        () = store.reached() => {}
    }
    // It may have to wait for the first one.
    let done = until_it_hangs(&mut second).await;
    store.go();
    match done {
        Some(done) => (first.await, Some(done)),
        None => {
            let (first, second) = tokio::join!(first, second);
            (first, Some(second))
        }
    }
}
