//! How long may be waited for stores.

use std::{error, fmt, panic, pin::pin, task::Poll, time::Duration};

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
        let now = Instant::now();
        self.0.with(|waited| {
            let since = waited.since.unwrap_or(now);
            waited.before + now.saturating_duration_since(since)
        })
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Budget<'_> {
    /// Does this, which waits, as long as there is something left. What is dropped then may have
    /// been done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] of [`Late`] if it takes longer; [`StoreError::Refused`] if the
    /// runtime has no timer.
    pub(crate) async fn wait<T>(self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let (used, now) = self.meter.begin();
        let _counting = Counting(self.meter);
        let left = self.limit.saturating_sub(used);
        if left.is_zero() {
            return Err(self.late());
        }
        // Before anything begins, so that a runtime without a timer is seen first.
        let mut timer = pin!(timer(now.checked_add(left))?);
        let mut work = pin!(work);
        let done = std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
        });
        done.await.ok_or_else(|| self.late())
    }

    /// Whether enough is left to ask a second time.
    pub(super) fn is_half_left(self) -> bool {
        self.meter.waited() <= self.limit / 2
    }

    fn late(self) -> StoreError {
        StoreError::unavailable(Late(self.limit))
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
