//! Operations that wait, one at a time: each is driven by everybody who waits for it to end.
//!
//! A lock of futures would be kept by a caller that has polled `save` once and then does something
//! else, and the response would wait for that caller for ever. Here the response polls the `save`
//! itself.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    error::{Error, ErrorKind},
    lock,
};

/// The operation under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Weak<Flight>>);

type Operation = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flight {
    /// Locked while it is polled; `None` once it has ended.
    operation: Mutex<Option<Operation>>,
    /// The thread that polls it.
    pilot: AtomicUsize,
    /// Somebody has found it being polled.
    is_contended: AtomicBool,
    waiting: Arc<Waiting>,
}

/// Whom to wake. It is apart from the operation, which may hold its own waker.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Flights {
    /// Runs an operation when those before it have ended. It is dropped when nobody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let result = Arc::new(Mutex::new(None));
        let landing = Arc::clone(&result);
        let flight = Arc::new(Flight::new(async move {
            let output = operation.await;
            *landing.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        }));
        while let Some(other) = self.start(&flight) {
            Wait(other).await?;
        }
        Wait(flight).await?;
        let result = mem::take(&mut *result.lock().unwrap_or_else(PoisonError::into_inner));
        // It panicked while somebody else polled it.
        result.unwrap_or_else(|| Err(Error::new(ErrorKind::Store)))
    }

    pub(super) fn is_idle(&self) -> bool {
        let flight = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        flight.is_none_or(|flight| flight.has_ended())
    }

    /// Starts a flight, unless another one is under way, which is returned.
    fn start(&self, flight: &Arc<Flight>) -> Option<Arc<Flight>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = current.upgrade().filter(|other| !other.has_ended());
        if other.is_none() {
            *current = Arc::downgrade(flight);
        }
        other
    }
}

impl Flight {
    fn new(operation: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            operation: Mutex::new(Some(Box::pin(operation))),
            pilot: AtomicUsize::new(0),
            is_contended: AtomicBool::new(false),
            waiting: Arc::default(),
        }
    }

    fn has_ended(&self) -> bool {
        match self.operation.try_lock() {
            Ok(operation) => operation.is_none(),
            Err(TryLockError::Poisoned(operation)) => operation.into_inner().is_none(),
            Err(TryLockError::WouldBlock) => false,
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        // Before the lock is tried: who lets go of it wakes all that are registered by then.
        self.waiting.register(cx.waker());
        // Dropped after the lock, also if the operation panics.
        let mut _landing;
        let Some(mut operation) = self.try_operation() else {
            let is_nested = self.pilot.load(Ordering::SeqCst) == lock::thread_id();
            return if is_nested {
                Poll::Ready(Err(lock::waits_for_itself()))
            } else {
                Poll::Pending
            };
        };
        // Taken out, so that one that panics is not polled again.
        let Some(mut running) = operation.take() else {
            return Poll::Ready(Ok(()));
        };
        _landing = Landing {
            flight: self,
            has_landed: true,
        };
        self.pilot.store(lock::thread_id(), Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.waiting));
        let poll = running.as_mut().poll(&mut Context::from_waker(&waker));
        self.pilot.store(0, Ordering::SeqCst);
        if poll.is_pending() {
            *operation = Some(running);
            _landing.has_landed = false;
        }
        poll.map(Ok)
    }

    /// `None` while somebody polls it, who wakes this one afterwards.
    fn try_operation(&self) -> Option<MutexGuard<'_, Option<Operation>>> {
        let try_lock = || match self.operation.try_lock() {
            Ok(operation) => Some(operation),
            Err(TryLockError::Poisoned(operation)) => Some(operation.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        try_lock().or_else(|| {
            self.is_contended.store(true, Ordering::SeqCst);
            try_lock()
        })
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("has_ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}

/// Wakes those who have to know that a flight has ended, also by a panic, or that they can poll it
/// themselves: what woke this one may have found them waiting for the lock.
struct Landing<'a> {
    flight: &'a Flight,
    has_landed: bool,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if self.has_landed || self.flight.is_contended.swap(false, Ordering::SeqCst) {
            self.flight.waiting.wake_all();
        }
    }
}

impl Waiting {
    fn register(&self, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn wake_all(&self) {
        let wakers = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// Waits for a flight to end, and drives it.
struct Wait(Arc<Flight>);

impl Future for Wait {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

#[cfg(test)]
mod tests;
