//! Concurrent futures, in an order that a seed determines.

use std::{env, future::poll_fn, ops::Range, pin::pin, task::Poll};

/// The seeds to try: thirty times as many if `SILVERBACK_SOAK` is set.
pub(crate) fn rounds(short: u64) -> Range<u64> {
    0..if env::var_os("SILVERBACK_SOAK").is_some() {
        short * 30
    } else {
        short
    }
}

/// A small generator, so that a seed determines the schedule.
pub(crate) fn next(seed: &mut u64) -> u8 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as u8
}

/// Runs a future, and skips its turn at random.
pub(crate) async fn now_and_then<T>(mut seed: u64, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        if !next(&mut seed).is_multiple_of(3) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
    .await
}

/// Polls a future at most `polls` times, then drops it. Returns `None` if it was not ready.
pub(crate) async fn cut_off<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        cx.waker().wake_by_ref();
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Like [`cut_off`], after more polls than any future here needs.
pub(crate) async fn until_it_hangs<T>(future: impl Future<Output = T>) -> Option<T> {
    cut_off(1_000, future).await
}

/// Runs futures side by side.
pub(crate) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    poll_fn(|cx| {
        futures.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                done.push(output);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done
}
