//! How long may be waited for stores.

use std::{
    error, fmt, panic,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::StoreError;
use crate::lock::Monitor;

/// How long the sessions of one request, or one operation of its own, have waited for stores.
#[derive(Debug, Default)]
pub(crate) struct Meter(Monitor<Waited>);

/// Calls that are under way at the same time count once.
#[derive(Debug, Default)]
struct Waited {
    before: Duration,
    under_way: u32,
    calls: u32,
    /// When the first of those that are under way began.
    since: Option<Instant>,
}

/// What may be waited, of which a meter says how much is used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) meter: &'a Meter,
    pub(crate) limit: Duration,
}

/// Counts as long as it is there.
struct Counting<'a>(&'a Meter);

/// The store has not answered in time. What it was asked to do may be done all the same.
#[derive(Debug)]
pub(super) struct Late(Duration);

impl Meter {
    /// For an operation that does nothing but wait for stores, and for others that do: it counts
    /// from now to its end.
    pub(crate) fn running() -> Self {
        let meter = Self::default();
        meter.begin();
        meter
    }

    /// Returns how much was used up before this, and when that was.
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

    /// Counts a call of a store.
    pub(super) fn count(&self) {
        self.0.with(|waited| waited.calls += 1);
    }

    /// How many calls were counted.
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

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<'a> Budget<'a> {
    /// Does this, which may wait, as long as there is something left. What is dropped then may have
    /// been done.
    ///
    /// What is done when it is polled first has waited for nothing: it takes no timer, and does not
    /// count.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] of [`Late`] if it takes longer; [`StoreError::Refused`] if the
    /// runtime has no timer.
    pub(crate) fn wait<F: Future + Unpin>(self, work: F) -> Wait<'a, F> {
        Wait {
            work,
            budget: self,
            patience: None,
        }
    }

    /// Whether enough is left to ask a second time.
    pub(super) fn is_half_left(self) -> bool {
        self.meter.waited() <= self.limit / 2
    }

    fn late(self) -> StoreError {
        StoreError::unavailable(Late(self.limit))
    }
}

/// Somebody waits for this.
#[must_use]
pub(crate) struct Wait<'a, F> {
    work: F,
    budget: Budget<'a>,
    patience: Option<Patience<'a>>,
}

/// How long somebody waits, from when there was something to wait for.
struct Patience<'a> {
    timer: Pin<Box<Sleep>>,
    _counting: Counting<'a>,
}

impl<'a> Patience<'a> {
    fn of(budget: Budget<'a>) -> Result<Self, StoreError> {
        let (used, now) = budget.meter.begin();
        let _counting = Counting(budget.meter);
        let left = budget.limit.saturating_sub(used);
        let timer = Box::pin(timer(now.checked_add(left))?);
        Ok(Self { timer, _counting })
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

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store did not answer within {} s",
            self.0.as_secs_f64()
        )
    }
}

impl error::Error for Late {}

/// How far away a deadline is that no clock can tell.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// # Errors
///
/// [`StoreError::Refused`] with a sentence that says what to change. Tokio tells by a panic alone
/// whether a runtime has a timer; it is caught here, before anything depends on it.
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

/// Whether the runtime has what a store that waits needs.
///
/// # Errors
///
/// [`StoreError::Refused`] with a sentence that says what to change.
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

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn poll<F: Future + Unpin>(wait: Wait<'_, F>) -> Poll<Result<F::Output, StoreError>> {
        pin!(wait).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Outside of a runtime there is no timer.
    #[test]
    fn what_is_done_at_once_takes_no_timer_and_is_not_counted() {
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

    #[test]
    fn nothing_is_asked_when_the_budget_is_used_up() {
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
