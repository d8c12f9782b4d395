//! A future taken step by step: in a [`Remote`](super::store::Remote), a step is one operation of
//! the store.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Polls the future this many times; returns its output if it is done by then.
pub(crate) async fn steps<F: Future>(
    future: &mut Pin<&mut F>,
    mut count: usize,
) -> Option<F::Output> {
    poll_fn(|cx| {
        while count > 0 {
            count -= 1;
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// Tries `at` at step 0, 1, 2 and so on, until it says that there is no such step.
///
/// Fails if there are fewer than `least` steps: then the schedule that the test is about was not
/// among them.
pub(crate) async fn at_every_step(least: usize, mut at: impl AsyncFnMut(usize) -> bool) {
    for step in 0..100 {
        if !at(step).await {
            assert!(step >= least, "done after {step} steps");
            return;
        }
    }
    panic!("still not done after 100 steps");
}
