//! Whether a store answers. One log line tells when it stops, and one when it is back.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::event;

/// The health of a store, as seen by this process's calls.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Checked first, so that a healthy store costs no lock.
    is_down: AtomicBool,
    outage: Mutex<Option<Outage>>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Instant,
    last_failure: Instant,
    failures: u64,
}

/// A store is back once no call has failed for this long, so sporadic failures are one outage.
const QUIET: Duration = Duration::from_secs(1);

impl Health {
    /// Notes that a call got an answer, even a refusal.
    pub(crate) fn answered(&self, store: &'static str) {
        if self.is_down.load(Ordering::Relaxed) {
            self.may_be_back(store);
        }
    }

    #[cold]
    fn may_be_back(&self, store: &'static str) {
        let now = Instant::now();
        let is_quiet = |outage: &mut Outage| now - outage.last_failure >= QUIET;
        let mut current = self.outage();
        let Some(outage) = current.take_if(is_quiet) else {
            return;
        };
        // Under the lock, so that it agrees with the outage whatever other calls do.
        self.is_down.store(false, Ordering::Relaxed);
        drop(current);
        let (event, failures) = ("store_available", outage.failures);
        let seconds = (now - outage.since).as_secs();
        event!(
            WARN,
            event,
            store,
            seconds,
            failures,
            "the store answers again"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = (event, store, failures, seconds);
    }

    /// Notes that a call got no answer.
    #[cold]
    pub(crate) fn failed(&self, store: &'static str, error: &(dyn std::error::Error + 'static)) {
        let now = Instant::now();
        let mut outage = self.outage();
        let is_known = outage.is_some();
        let known = outage.get_or_insert(Outage {
            since: now,
            last_failure: now,
            failures: 0,
        });
        (known.last_failure, known.failures) = (now, known.failures + 1);
        self.is_down.store(true, Ordering::Relaxed);
        drop(outage);
        if !is_known {
            let event = "store_unavailable";
            event!(ERROR, event, store, error, "the store does not answer");
            #[cfg(not(feature = "tracing"))]
            let _ = (event, store, error);
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
