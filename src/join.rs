//! Futures side by side.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

enum Running<F: Future> {
    Waits(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future<Output: Unpin>> Running<F> {
    /// Says whether it is done.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Waits(future) = self
            && let Poll::Ready(output) = future.as_mut().poll(cx)
        {
            *self = Self::Done(output);
        }
        matches!(self, Self::Done(_))
    }

    fn into_output(self) -> Option<F::Output> {
        match self {
            Self::Done(output) => Some(output),
            Self::Waits(_) => None,
        }
    }
}

/// Runs futures side by side, and returns what they do in the order that they were given in. One
/// alone takes no allocation but that of its output.
pub(crate) async fn all<F: Future<Output: Unpin>>(mut futures: Vec<F>) -> Vec<F::Output> {
    if futures.len() == 1
        && let Some(only) = futures.pop()
    {
        return vec![only.await];
    }
    let futures = futures.into_iter();
    let mut running: Vec<_> = futures.map(|one| Running::Waits(Box::pin(one))).collect();
    poll_fn(|cx| {
        let mut are_done = true;
        for one in &mut running {
            are_done &= one.poll(cx);
        }
        if are_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    let outputs = running.into_iter().filter_map(Running::into_output);
    outputs.collect()
}

#[cfg(test)]
mod tests {
    use std::{future::ready, pin::pin, task::Waker};

    use super::*;

    /// A future that is done at its `n`th poll.
    async fn after(n: usize) -> usize {
        let mut polls = 0;
        poll_fn(move |_| {
            polls += 1;
            if polls < n {
                Poll::Pending
            } else {
                Poll::Ready(n)
            }
        })
        .await
    }

    #[test]
    fn they_run_at_once_and_answer_in_order() {
        for counts in [vec![], vec![1], vec![3], vec![3, 1, 2], vec![1, 1]] {
            let most = counts.iter().copied().max().unwrap_or(1);
            let mut all = pin!(all(counts.iter().copied().map(after).collect()));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 1..most {
                assert_eq!(all.as_mut().poll(&mut cx), Poll::Pending);
            }
            assert_eq!(all.as_mut().poll(&mut cx), Poll::Ready(counts));
        }
        let mut ready = pin!(all(vec![ready(1), ready(2)]));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(ready.as_mut().poll(&mut cx), Poll::Ready(vec![1, 2]));
    }
}
