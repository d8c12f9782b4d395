//! Exhaustive schedules: a test runs once for each step of a future, and something happens there.

use std::pin::pin;

use super::{
    World,
    schedule::until_it_hangs,
    scripted::{ANY, Before, Calls, Fail, Scripted, Wait, When},
};

/// Runs `at` for steps 0, 1, 2 and so on, until it returns that there is no such step.
///
/// Fails if there are fewer than `least` steps: then the test missed the schedules it is about.
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
    /// Fails all of these calls, to either store.
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

/// Runs `first` until just before or after its `n`th call of this store, then `second`, then the
/// rest of `first`. Returns `None` for `second` if there are fewer calls.
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
    // It may have to wait for `first`.
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
