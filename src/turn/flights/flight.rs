//! One operation that outlived its first poll.

use std::{
    any::Any,
    fmt,
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{Arc, PoisonError, TryLockError},
    task::{Context, Poll, Waker},
};

use tokio::runtime::{EnterGuard, Handle};

use super::waiting::Waiting;
use crate::{
    error::Error,
    lock,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

type Operation = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Flight {
    /// Locked while it is polled. `None` once it has ended.
    operation: Mutex<Option<Operation>>,
    has_ended: AtomicBool,
    /// The runtime in which it started. Its timers live there, whichever caller polls it.
    runtime: Option<Handle>,
    /// The thread that polls or drops it.
    poller: AtomicUsize,
    /// Its owner dropped it while another caller was polling it.
    is_cancelled: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// A caller has found the operation locked.
    is_contended: AtomicBool,
    pub(super) waiting: Arc<Waiting>,
}

impl Flight {
    pub(super) fn new(operation: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            operation: Mutex::new(Some(Box::pin(operation))),
            has_ended: AtomicBool::new(false),
            runtime: Handle::try_current().ok(),
            poller: AtomicUsize::new(0),
            is_cancelled: AtomicBool::new(false),
            panic: Mutex::new(None),
            is_contended: AtomicBool::new(false),
            waiting: Arc::default(),
        }
    }

    /// Takes no lock: a waiting caller must find the lock held by a caller that polls, which wakes
    /// the others afterwards.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        // First of all: a caller that ends the operation or releases the lock after this wakes
        // everyone registered by then.
        self.waiting.register(cx.waker());
        if self.has_ended() {
            return Poll::Ready(Ok(()));
        }
        let Some(mut operation) = self.try_operation() else {
            return self.wait();
        };
        // Without an operation the flight is about to end, and then wakes this caller.
        let Some(running) = operation.take() else {
            return self.wait();
        };
        if self.is_cancelled.load(Ordering::SeqCst) {
            self.end(operation, running);
            return Poll::Ready(Ok(()));
        }
        // Dropped after the lock is released.
        let mut finish = Finish {
            flight: self,
            has_ended: true,
        };
        let poll = self.poll_locked(operation, running);
        finish.has_ended = poll.is_ready();
        poll.map(Ok)
    }

    /// # Errors
    ///
    /// If this very thread polls or drops the operation.
    fn wait(&self) -> Poll<Result<(), Error>> {
        if self.poller.load(Ordering::SeqCst) == lock::thread_id() {
            return Poll::Ready(Err(lock::deadlock_error()));
        }
        Poll::Pending
    }

    /// Enters the runtime in which the flight started.
    fn enter(&self) -> Option<EnterGuard<'_>> {
        // For tokio, shuttle's threads are one, in which guards must nest.
        let runtime = self
            .runtime
            .as_ref()
            .filter(|_| cfg!(not(all(test, shuttle))));
        runtime.map(Handle::enter)
    }

    /// Polls an operation that was taken out of the lock, so that one that panics is not polled
    /// again.
    fn poll_locked(
        &self,
        mut operation: MutexGuard<'_, Option<Operation>>,
        mut running: Operation,
    ) -> Poll<()> {
        let _entered = self.enter();
        self.poller.store(lock::thread_id(), Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.waiting));
        let poll = || running.as_mut().poll(&mut Context::from_waker(&waker));
        // A panic belongs to the owner, not to a caller that helps.
        let poll = panic::catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            Poll::Ready(())
        });
        self.poller.store(0, Ordering::SeqCst);
        if poll.is_pending() {
            *operation = Some(running);
        }
        poll
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Drops the operation, now or after the poll of another caller.
    fn cancel(&self) {
        if self.has_ended() {
            return;
        }
        self.is_cancelled.store(true, Ordering::SeqCst);
        let Some(mut operation) = self.try_operation() else {
            return;
        };
        if let Some(running) = operation.take() {
            self.end(operation, running);
        }
    }

    /// Ends the flight early. The operation is dropped outside the lock, before the next one
    /// starts.
    fn end(&self, operation: MutexGuard<'_, Option<Operation>>, running: Operation) {
        let _finish = Finish {
            flight: self,
            has_ended: true,
        };
        drop(operation);
        let _entered = self.enter();
        self.poller.store(lock::thread_id(), Ordering::SeqCst);
        // The owner is gone, so nobody is left to panic.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(running)));
        self.poller.store(0, Ordering::SeqCst);
    }

    /// Returns `None` while another caller polls the operation. It wakes this one afterwards.
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

/// Wakes the waiting callers when an operation has ended, even by a panic, or when they can poll it
/// themselves: the event that woke this caller may have woken them while the lock was held.
struct Finish<'a> {
    flight: &'a Flight,
    has_ended: bool,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let is_contended = self.flight.is_contended.swap(false, Ordering::SeqCst);
        self.flight
            .has_ended
            .fetch_or(self.has_ended, Ordering::SeqCst);
        if self.has_ended || is_contended {
            self.flight.waiting.wake_all();
        }
    }
}

/// A flight that ends when this is dropped.
pub(super) struct Owned(pub(super) Arc<Flight>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Waits for a flight to end, and drives it.
pub(super) struct Wait(pub(super) Arc<Flight>);

/// A flight may have been cancelled while this caller held its lock, so it is cancelled again.
impl Drop for Wait {
    fn drop(&mut self) {
        if self.0.is_cancelled.load(Ordering::SeqCst) {
            self.0.cancel();
        }
    }
}

impl Future for Wait {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
