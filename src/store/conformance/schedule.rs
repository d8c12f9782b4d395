//! Who is polled when: operations that overtake each other, and operations that are given up.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// Numbers that look random and are the same in every run (SplitMix64).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// An operation under way. All of a schedule have results of one type.
pub(super) type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

enum Slot<'a, T> {
    Running(Step<'a, T>),
    Done(T),
}

impl<T> Slot<'_, T> {
    fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::Running(_) => None,
        }
    }
}

/// Runs operations against each other: one of them, whichever the numbers say, is polled at a time.
pub(super) async fn interleave<T, const N: usize>(
    numbers: &mut Numbers,
    steps: [Step<'_, T>; N],
) -> Result<[T; N], String> {
    let mut slots = steps.map(Slot::Running);
    poll_fn(|cx| {
        let mut running: Vec<_> = slots
            .iter_mut()
            .filter(|slot| matches!(slot, Slot::Running(_)))
            .collect();
        let left = running.len();
        let chosen = numbers.below(left.max(1));
        let finished = running
            .get_mut(chosen)
            .is_some_and(|slot| advance(slot, cx));
        if left <= usize::from(finished) {
            return Poll::Ready(());
        }
        // Another one is polled next, whether it was woken or not: none is forgotten.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    let done: Vec<T> = slots.into_iter().filter_map(Slot::done).collect();
    done.try_into()
        .map_err(|_| "an operation has no result".to_owned())
}

fn advance<T>(slot: &mut Slot<'_, T>, cx: &mut Context<'_>) -> bool {
    let Slot::Running(step) = slot else {
        return false;
    };
    let Poll::Ready(result) = step.as_mut().poll(cx) else {
        return false;
    };
    *slot = Slot::Done(result);
    true
}

/// Gives the operation up when it waits for the `waits`th time, counted from 0; `None` if it came
/// to that.
pub(super) async fn give_up<T>(waits: usize, operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = pin!(operation);
    let mut left = waits;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match operation.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
