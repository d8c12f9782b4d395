//! Lines in which requests of this process wait to write one record.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{Arc, OnceLock, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::{RecordKey, StoreError};
use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

/// The lines of a store, one for each record that requests wait for.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    lines: HashMap<RecordKey, Weak<Line>>,
    /// The number of lines at which empty ones are dropped.
    most: usize,
}

/// A line for one record. One request in it leads. The lead is never handed over, since the next
/// request may be a future that nobody polls: the first to be polled takes it.
#[derive(Default)]
pub(crate) struct Line {
    is_led: AtomicBool,
    /// A leader has left, or has done others' work.
    news: Notify,
    failure: Mutex<Failure>,
    /// The state that the requests in the line share.
    shared: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The store's failure of a leader.
#[derive(Debug, Default)]
struct Failure {
    count: u64,
    cause: String,
    /// The line of the requests that have not waited for the leader.
    next: Weak<Line>,
}

/// The lead of a line, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lead(Arc<Line>);

/// How a wait in a line has ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// Another leader has done all the work.
    Done,
    Leads(Lead),
    /// The leader may be a future that nobody polls.
    InVain,
}

/// How long a request waits for a leader.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of empty lines that may be kept.
const SPARE: usize = 64;

impl Lines {
    pub(super) fn of(&self, key: &RecordKey) -> Arc<Line> {
        let mut known = self.known();
        if let Some(line) = known.lines.get(key).and_then(Weak::upgrade) {
            return line;
        }
        if known.lines.len() >= known.most {
            known.lines.retain(|_, line| line.strong_count() > 0);
            known.most = SPARE.max(2 * known.lines.len());
        }
        let line = Arc::default();
        known.lines.insert(*key, Arc::downgrade(&line));
        line
    }

    /// Returns whether a request is in this record's line.
    pub(super) fn is_awaited(&self, key: &RecordKey) -> bool {
        let known = self.known();
        let line = known.lines.get(key);
        line.is_some_and(|line| line.strong_count() > 0)
    }

    /// Starts another line for new requests and returns it. If the store fails the leader of the
    /// old line, the new line learns of it.
    pub(super) fn after(&self, key: &RecordKey, line: &Arc<Line>) -> Arc<Line> {
        let mut known = self.known();
        let current = known.lines.get(key).and_then(Weak::upgrade);
        if let Some(current) = current.filter(|current| !Arc::ptr_eq(current, line)) {
            return current;
        }
        let next = Arc::default();
        known.lines.insert(*key, Arc::downgrade(&next));
        line.failure().next = Arc::downgrade(&next);
        next
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The state that the requests in this line share.
    pub(crate) fn shared<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        let shared = self.shared.get_or_init(|| Box::<T>::default());
        shared.downcast_ref()
    }

    /// Waits for the lead, or until another leader has done all the work.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store fails a leader meanwhile. Otherwise each request
    /// would wait out the store's timeout in turn.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        is_done: impl Fn() -> bool,
    ) -> Result<Waited, StoreError> {
        let before = self.failure().count;
        let wait = async {
            loop {
                // From here on no notification is missed.
                let mut news = pin!(self.news.notified());
                news.as_mut().enable();
                if is_done() {
                    return Ok(Waited::Done);
                }
                if let Some(error) = self.failed_since(before) {
                    return Err(error);
                }
                if let Some(lead) = self.try_lead() {
                    return Ok(Waited::Leads(lead));
                }
                news.await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        waited.unwrap_or(Ok(Waited::InVain))
    }

    fn try_lead(self: &Arc<Self>) -> Option<Lead> {
        let was_led = self.is_led.swap(true, Ordering::SeqCst);
        (!was_led).then(|| Lead(Arc::clone(self)))
    }

    fn failed_since(&self, before: u64) -> Option<StoreError> {
        let failure = self.failure();
        (failure.count > before).then(|| StoreError::unavailable(failure.cause.clone()))
    }

    fn failure(&self) -> MutexGuard<'_, Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    pub(crate) fn line(&self) -> &Line {
        &self.0
    }
}

impl Line {
    /// Tells every request in the line that the store has failed.
    pub(super) fn fail(&self, cause: String) {
        let mut failure = self.failure();
        failure.count += 1;
        failure.cause.clone_from(&cause);
        let next = failure.next.upgrade();
        drop(failure);
        self.news.notify_waiters();
        if let Some(next) = next {
            next.fail(cause);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.0.is_led.store(false, Ordering::SeqCst);
        self.0.news.notify_waiters();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("is_led", &self.is_led)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_in_a_line_fails_with_its_leader() {
        let line = Arc::new(Line::default());
        let Ok(Waited::Leads(_lead)) = line.wait(|| false).await else {
            panic!("nobody led");
        };
        let (waited, ()) = tokio::join!(line.wait(|| false), async {
            line.fail("the cable was cut".to_owned());
        });
        let cause = match waited {
            Err(StoreError::Unavailable(cause)) => cause.to_string(),
            other => panic!("{:?}", other.err()),
        };
        assert_eq!(cause, "the cable was cut");
    }

    #[test]
    fn empty_lines_are_dropped() {
        let key = |n: usize| RecordKey::of(&n.to_be_bytes());
        let lines = Lines::default();
        let kept = lines.of(&key(0));
        for n in 1..10 * SPARE {
            drop(lines.of(&key(n)));
        }
        assert!(lines.known().lines.len() <= SPARE);
        assert!(Arc::ptr_eq(&kept, &lines.of(&key(0))));
    }
}
