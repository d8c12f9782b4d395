//! How long a request may wait for stores.

use std::{
    error, fmt, panic,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::StoreError;
use crate::lock::Monitor;

/// How long the sessions of one request, or a single operation, have waited for stores.
#[derive(Debug, Default)]
pub(crate) struct Meter(Monitor<Waited>);

/// Overlapping calls count once.
#[derive(Debug, Default)]
struct Waited {
    before: Duration,
    under_way: u32,
    calls: u32,
    /// When the first of the calls under way began.
    since: Option<Instant>,
}

/// The longest that stores may take. The meter knows how much of it is used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) meter: &'a Meter,
    pub(crate) limit: Duration,
}

/// Counts as long as it exists.
struct MeterGuard<'a>(&'a Meter);

/// The error of a store that has not answered in time. The operation may have happened all the
/// same.
#[derive(Debug)]
pub(super) struct Timeout(Duration);

impl Meter {
    /// For an operation that only waits for stores, or for other operations that do. The meter runs
    /// from now to its end.
    pub(crate) fn running() -> Self {
        let meter = Self::default();
        meter.begin();
        meter
    }

    /// Returns how much was used up before now, and the present time.
    fn begin(&self) -> (Duration, Instant) {
        let now = Instant::now();
        self.0.with(|waited| {
            waited.under_way += 1;
            let since = *waited.since.get_or_insert(now);
            (waited.before + now.saturating_duration_since(since), now)
        })
    }

    fn end(&self) {
        let now = Instant::now();
        self.0.with(|waited| {
            waited.under_way = waited.under_way.saturating_sub(1);
            if waited.under_way == 0
                && let Some(since) = waited.since.take()
            {
                waited.before += now.saturating_duration_since(since);
            }
        });
    }

    /// Counts a call to a store.
    pub(super) fn count(&self) {
        self.0.with(|waited| waited.calls += 1);
    }

    /// The number of calls counted.
    pub(crate) fn calls(&self) -> u32 {
        self.0.with(|waited| waited.calls)
    }

    fn waited(&self) -> Duration {
        self.0.with(|waited| {
            let under_way = waited.since.map(|since| since.elapsed());
            waited.before + under_way.unwrap_or_default()
        })
    }
}

impl Drop for MeterGuard<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<'a> Budget<'a> {
    /// Runs `work`, which may wait, while the budget lasts. Work that is dropped at the deadline
    /// may have happened.
    ///
    /// Work that is done at the first poll has not waited: it takes no timer and does not count.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with [`Timeout`] if it takes longer; [`StoreError::Refused`] if the
    /// runtime has no timer.
    pub(crate) fn wait<F: Future + Unpin>(self, work: F) -> Wait<'a, F> {
        Wait {
            work,
            budget: self,
            patience: None,
        }
    }

    /// Returns whether enough is left to ask a second time.
    pub(super) fn is_half_left(self) -> bool {
        self.meter.waited() <= self.limit / 2
    }

    fn late(self) -> StoreError {
        StoreError::unavailable(Timeout(self.limit))
    }
}

/// A wait that the budget limits.
#[must_use]
pub(crate) struct Wait<'a, F> {
    work: F,
    budget: Budget<'a>,
    patience: Option<Patience<'a>>,
}

/// The rest of a budget, from the first moment that there was something to wait for.
struct Patience<'a> {
    timer: Pin<Box<Sleep>>,
    _guard: MeterGuard<'a>,
}

impl<'a> Patience<'a> {
    fn of(budget: Budget<'a>) -> Result<Self, StoreError> {
        let (used, now) = budget.meter.begin();
        let _guard = MeterGuard(budget.meter);
        let left = budget.limit.saturating_sub(used);
        let timer = Box::pin(timer(now.checked_add(left))?);
        Ok(Self { timer, _guard })
    }
}

impl<F: Future + Unpin> Future for Wait<'_, F> {
    type Output = Result<F::Output, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let budget = this.budget;
        if this.patience.is_none() && budget.meter.waited() >= budget.limit {
            return Poll::Ready(Err(budget.late()));
        }
        if let Poll::Ready(done) = Pin::new(&mut this.work).poll(cx) {
            return Poll::Ready(Ok(done));
        }
        let patience = match &mut this.patience {
            Some(patience) => patience,
            none => none.insert(Patience::of(budget)?),
        };
        ready!(patience.timer.as_mut().poll(cx));
        Poll::Ready(Err(budget.late()))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store did not answer within {} s",
            self.0.as_secs_f64()
        )
    }
}

impl error::Error for Timeout {}

/// The distance of a deadline that is beyond the clock's range.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// # Errors
///
/// [`StoreError::Refused`] with advice on what to change. Only a panic of Tokio's reveals that a
/// runtime has no timer, so it is caught here, before anything depends on the timer.
fn timer(deadline: Option<Instant>) -> Result<Sleep, StoreError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(StoreError::refused(
            "a store that waits needs tokio: run this in its runtime",
        ));
    }
    let deadline = deadline.unwrap_or_else(|| Instant::now() + FAR);
    panic::catch_unwind(|| tokio::time::sleep_until(deadline)).map_err(|_| {
        StoreError::refused(
            "a store that waits needs tokio's timer: build the runtime with `enable_time`",
        )
    })
}

/// Checks that the runtime has what a store that waits needs.
///
/// # Errors
///
/// [`StoreError::Refused`] with advice on what to change.
pub(crate) fn check_runtime() -> Result<(), StoreError> {
    timer(None).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Pending, pending, ready},
        pin::pin,
        task::Waker,
    };

    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn poll<F: Future + Unpin>(wait: Wait<'_, F>) -> Poll<Result<F::Output, StoreError>> {
        pin!(wait).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Outside of a runtime there is no timer.
    #[test]
    fn immediate_work_takes_no_timer_and_is_not_counted() {
        let (meter, limit) = (Meter::default(), LIMIT);
        let budget = Budget {
            meter: &meter,
            limit,
        };
        assert!(matches!(
            poll(budget.wait(ready(7))),
            Poll::Ready(Ok::<i32, _>(7))
        ));
        assert_eq!(meter.waited(), Duration::ZERO);
        let waits: Pending<()> = pending();
        let refused = poll(budget.wait(waits));
        assert!(matches!(refused, Poll::Ready(Err(StoreError::Refused(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_at_the_same_time_count_once() {
        let second = Duration::from_secs(1);
        let meter = Meter::running();
        for _ in 0..2 {
            meter.begin();
            advance(second).await;
            meter.end();
        }
        advance(second).await;
        assert_eq!(meter.waited(), 3 * second);
        meter.end();
        advance(second).await;
        assert_eq!(meter.waited(), 3 * second);
    }

    #[test]
    fn a_used_up_budget_asks_nothing() {
        let (meter, limit) = (Meter::default(), Duration::ZERO);
        let budget = Budget {
            meter: &meter,
            limit,
        };
        let asked = std::future::poll_fn(|_| -> Poll<()> { panic!("it was asked") });
        let late = poll(budget.wait(pin!(asked)));
        assert!(matches!(late, Poll::Ready(Err(StoreError::Unavailable(_)))));
    }
}
