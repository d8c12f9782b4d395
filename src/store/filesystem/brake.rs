//! When changes may not be made on the thread that asks for them.
//!
//! A write into pages that are in memory takes microseconds, but the kernel promises nothing. It
//! makes writers wait while too much is to be written to the disk (`balance_dirty_pages`), and
//! while a journal has no room. So each change is timed, and after a slow one all are made on other
//! threads for a while.
//!
//! On a busy machine a change also takes long because the thread had to leave the processor to
//! another one. The kernel counts for how long a thread has waited for a processor, but asking
//! costs a tenth of a change. So that is asked only in the time after a slow change.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::fs::Fs;

/// A change that takes longer is slow.
const SLOW: Duration = Duration::from_millis(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// So many quick changes one after the other, and the next slow one counts as the first.
const QUICK: u32 = 64;
/// For how long after a slow change the thread's time without a processor is counted.
const WATCH: Duration = Duration::from_secs(60);

/// Times are uptimes in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Brake {
    until: AtomicU64,
    /// How long the last pause was; zero after many quick changes.
    pause: AtomicU64,
    quick: AtomicU32,
    watched_until: AtomicU64,
}

/// When a change began.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) at: Duration,
    /// How long the thread had waited for a processor by then, if that is watched.
    queued: Option<Duration>,
}

// Nothing else depends on what these tell, so they need no order.
impl Brake {
    /// `None` while changes are to be made elsewhere.
    pub(super) fn start(&self, fs: &impl Fs) -> Option<Start> {
        let at = fs.uptime();
        let is_before = |time: &AtomicU64| nanos(at) < time.load(Ordering::Relaxed);
        if is_before(&self.until) {
            return None;
        }
        let queued = is_before(&self.watched_until)
            .then(|| fs.queued())
            .flatten();
        Some(Start { at, queued })
    }

    /// Notes that a change is done.
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
        self.watched_until
            .store(nanos(now + WATCH), Ordering::Relaxed);
        let queued = start.queued.and_then(|before| {
            let after = fs.queued()?;
            Some(after.saturating_sub(before))
        });
        if took.saturating_sub(queued.unwrap_or_default()) > SLOW {
            self.pull(now);
        }
    }

    fn pull(&self, now: Duration) {
        // Changes that are slow at the same time wait for the same thing, and count as one.
        if nanos(now) < self.until.load(Ordering::Relaxed) {
            return;
        }
        let last = Duration::from_nanos(self.pause.load(Ordering::Relaxed));
        let pause = (last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.quick.store(0, Ordering::Relaxed);
        self.pause.store(nanos(pause), Ordering::Relaxed);
        self.until.store(nanos(now + pause), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
