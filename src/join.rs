//! Futures side by side.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

enum Running<F: Future> {
    Pending(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future<Output: Unpin>> Running<F> {
    /// Polls the future unless it is done. Returns whether it is done.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Pending(future) = self
            && let Poll::Ready(output) = future.as_mut().poll(cx)
        {
            *self = Self::Done(output);
        }
        matches!(self, Self::Done(_))
    }

    fn into_output(self) -> Option<F::Output> {
        match self {
            Self::Done(output) => Some(output),
            Self::Pending(_) => None,
        }
    }
}

/// Runs futures side by side and returns their outputs in the order of the futures. A single future
/// takes no allocation except for its output.
pub(crate) async fn all<F: Future<Output: Unpin>>(mut futures: Vec<F>) -> Vec<F::Output> {
    if futures.len() == 1
        && let Some(only) = futures.pop()
    {
        return vec![only.await];
    }
    let futures = futures.into_iter();
    let mut running: Vec<_> = futures.map(|one| Running::Pending(Box::pin(one))).collect();
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

/// Runs two futures side by side until both are done, or until the first is done and its output is
/// enough.
pub(crate) async fn both_unless<A: Unpin, B: Unpin>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
    is_enough: impl Fn(&A) -> bool,
) -> (A, Option<B>) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(cx)
        {
            one = Some(output);
        }
        let is_enough = one.as_ref().is_some_and(&is_enough);
        if !is_enough
            && other.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(cx)
        {
            other = Some(output);
        }
        match one.take_if(|_| is_enough || other.is_some()) {
            Some(output) => Poll::Ready((output, other.take())),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{future::ready, pin::pin, task::Waker};

    use super::*;

    /// A future that is ready at its `n`th poll.
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
    fn the_second_is_dropped_if_the_first_is_enough() {
        for (one, other, is_enough, polls, both) in [
            (1, 9, true, 1, false),
            (3, 2, true, 3, true),
            (1, 4, false, 4, true),
            (4, 1, false, 4, true),
        ] {
            let mut two = pin!(both_unless(after(one), after(other), |_| is_enough));
            let mut cx = Context::from_waker(Waker::noop());
            let mut polled = 1;
            let output = loop {
                match two.as_mut().poll(&mut cx) {
                    Poll::Ready(output) => break output,
                    Poll::Pending => polled += 1,
                }
            };
            assert_eq!((output, polled), ((one, both.then_some(other)), polls));
        }
    }

    #[test]
    fn futures_run_side_by_side_and_answer_in_order() {
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
