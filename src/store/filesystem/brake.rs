//! When changes must leave the calling thread.
//!
//! A write into pages in memory takes microseconds, but the kernel promises nothing. It makes
//! writers wait while too much is to be written to the disk (`balance_dirty_pages`), and while a
//! journal has no room. So each change is timed, and after a slow one all of them run on other
//! threads for a while.
//!
//! On a busy machine a change also takes long because the thread lost its processor to another.
//! That is no reason to leave the thread: the kernel counts how long a thread has waited for a
//! processor, and that time is subtracted.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::fs::Fs;

/// A change that takes longer counts as slow.
const SLOW: Duration = Duration::from_millis(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After this many quick changes in a row, the next slow one counts as the first.
const QUICK: u32 = 64;
/// How old the count from before a change may be. Asking costs a tenth of a change.
const LATELY: Duration = Duration::from_micros(500);

/// Times are uptimes in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Brake {
    until: AtomicU64,
    /// The length of the last pause. Zero after many quick changes.
    pause: AtomicU64,
    quick: AtomicU32,
}

/// The start of a change.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) at: Duration,
    /// The total time that the thread had waited for a processor, if the system reports it.
    queued: Option<Duration>,
}

// No other memory depends on these values, so they need no ordering.
impl Brake {
    /// Returns `None` while changes must run elsewhere.
    pub(super) fn start(&self, fs: &impl Fs) -> Option<Start> {
        let at = fs.uptime();
        if self.is_on(at) {
            return None;
        }
        let queued = fs.queued(at, LATELY);
        Some(Start { at, queued })
    }

    /// Notes the end of a change.
    pub(super) fn finish(&self, start: &Start, fs: &impl Fs) {
        let now = fs.uptime();
        let took = now.saturating_sub(start.at);
        if took > SLOW {
            self.finish_slow(start, now, took, fs);
        } else if self.pause.load(Ordering::Relaxed) > 0
            && self.quick.fetch_add(1, Ordering::Relaxed) + 1 >= QUICK
        {
            self.pause.store(0, Ordering::Relaxed);
        }
    }

    #[cold]
    fn finish_slow(&self, start: &Start, now: Duration, took: Duration, fs: &impl Fs) {
        let queued = start.queued.and_then(|before| {
            let after = fs.queued(now, Duration::ZERO)?;
            Some(after.saturating_sub(before))
        });
        if took.saturating_sub(queued.unwrap_or_default()) > SLOW {
            self.pull(now);
        }
    }

    fn pull(&self, now: Duration) {
        // Changes that are slow at the same time wait for the same thing, so they count as one.
        if self.is_on(now) {
            return;
        }
        let last = Duration::from_nanos(self.pause.load(Ordering::Relaxed));
        let pause = (last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.quick.store(0, Ordering::Relaxed);
        self.pause.store(nanos(pause), Ordering::Relaxed);
        self.until.store(nanos(now + pause), Ordering::Relaxed);
    }

    fn is_on(&self, uptime: Duration) -> bool {
        nanos(uptime) < self.until.load(Ordering::Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
