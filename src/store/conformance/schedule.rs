//! Schedules of polls: operations that overtake each other, and operations that are given up.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::{Instant, sleep};

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

/// An operation under way. All operations of a schedule have results of one type.
pub(super) type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

struct Slot<'a, T> {
    step: Step<'a, T>,
    woken: Arc<Woken>,
    result: Option<T>,
}

/// Whether an operation was woken since its last poll, and the waker of the whole schedule.
struct Woken {
    is_woken: AtomicBool,
    whole: Mutex<Waker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = whole.clone();
        whole.wake();
    }
}

impl<T> Slot<'_, T> {
    fn is_ready(&self) -> bool {
        self.result.is_none() && self.woken.is_woken.load(Ordering::SeqCst)
    }

    fn tell(&self, waker: &Waker) {
        let whole = self.woken.whole.lock();
        whole
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(waker);
    }

    fn poll(&mut self) {
        self.woken.is_woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(result) = self.step.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.result = Some(result);
        }
    }
}

/// Runs operations against each other: polls one woken operation at a time, chosen by the numbers.
/// In every other run all of them begin before any continues, like two requests that read first and
/// write then.
pub(super) async fn interleave<T, const N: usize>(
    numbers: &mut Numbers,
    steps: [Step<'_, T>; N],
) -> Result<[T; N], String> {
    let mut slots = steps.map(|step| Slot {
        step,
        woken: Arc::new(Woken {
            is_woken: AtomicBool::new(true),
            whole: Mutex::new(Waker::noop().clone()),
        }),
        result: None,
    });
    let mut begin_together = numbers.below(2) == 0;
    poll_fn(|cx| {
        slots.iter().for_each(|slot| slot.tell(cx.waker()));
        if std::mem::take(&mut begin_together) {
            slots.iter_mut().for_each(Slot::poll);
        }
        let mut ready: Vec<_> = slots.iter_mut().filter(|slot| slot.is_ready()).collect();
        let chosen = numbers.below(ready.len().max(1));
        if let Some(slot) = ready.get_mut(chosen) {
            slot.poll();
        }
        if slots.iter().any(Slot::is_ready) {
            cx.waker().wake_by_ref();
        }
        if slots.iter().all(|slot| slot.result.is_some()) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    let done: Vec<T> = slots.into_iter().filter_map(|slot| slot.result).collect();
    done.try_into()
        .map_err(|_| "an operation has no result".to_owned())
}

/// Drops the operation at its `waits`th wait, counted from 0. Returns `None` if it got that far.
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

/// Pauses between looks at something that takes its own time. They get longer.
#[derive(Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    /// Pauses, unless there were enough looks and the time is over.
    pub(super) async fn next_within(&mut self, limit: Duration, begun: Instant) -> bool {
        if self.0 >= LOOKS && begun.elapsed() > limit {
            return false;
        }
        sleep(Duration::from_millis(1 << self.0.min(6))).await;
        self.0 += 1;
        true
    }
}

/// The least number of looks, even if the machine stood still until the time was over.
const LOOKS: u32 = 10;
