//! Asynchronous operations on one session, one at a time. Every caller that waits for the current
//! one also drives it.
//!
//! An async mutex would not do: a caller that polls `save` once and then does something else would
//! hold it, and the response would wait for that caller forever. Here the response polls that
//! `save` itself.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::runtime::Handle;

use crate::{
    error::{Error, ErrorKind},
    lock,
};

/// The operation under way, if any.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Current>);

#[derive(Debug)]
enum Current {
    /// An operation is in its first poll. Most finish there and need nothing shared.
    First(First),
    /// The last operation that outlived its first poll. If it has ended or is gone, nothing is
    /// under way.
    Flight(Weak<Flight>),
}

impl Default for Current {
    fn default() -> Self {
        Self::Flight(Weak::new())
    }
}

#[derive(Debug)]
struct First {
    /// The thread that polls it.
    poller: usize,
    /// Other callers. After the first poll they can poll the operation themselves or have their
    /// turn.
    waiting: Option<Arc<Waiting>>,
}

type Operation = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flight {
    /// Locked while it is polled. `None` once it has ended.
    operation: Mutex<Option<Operation>>,
    has_ended: AtomicBool,
    /// The runtime in which it started. Its timers live there, whoever polls it.
    runtime: Option<Handle>,
    /// The thread that polls or drops it.
    poller: AtomicUsize,
    /// Its owner dropped it while another caller was polling it.
    is_cancelled: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// A caller has found the operation locked.
    is_contended: AtomicBool,
    waiting: Arc<Waiting>,
}

/// The wakers of everyone who waits. Shared apart from the operation, which may hold a waker of its
/// own: that would be a cycle.
#[derive(Debug, Default)]
struct Waiting(Mutex<Vec<Waker>>);

/// An operation that has not begun. It is boxed, so that the futures of handlers that wait for it
/// stay small.
pub(super) struct Prepared<T>(Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>);

impl<T> Prepared<T> {
    pub(super) fn of(operation: impl Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        Self(Box::pin(operation))
    }
}

impl Flights {
    /// Runs an operation after those before it have ended. Dropping this future drops the
    /// operation, even while others drive it. If the operation panics, this future panics.
    pub(super) fn run<T: Send + 'static>(&self, prepared: Prepared<T>) -> Run<'_, T> {
        Run {
            flights: self,
            stage: Stage::Waits(prepared, None),
        }
    }

    pub(super) fn look(&self) -> Look {
        let flight = match &*self.current() {
            Current::First(_) => {
                return Look {
                    is_idle: false,
                    _flight: None,
                };
            }
            Current::Flight(flight) => flight.upgrade(),
        };
        Look {
            is_idle: flight.as_ref().is_none_or(|flight| flight.has_ended()),
            _flight: flight,
        }
    }

    /// Gives an operation its turn, unless another is under way.
    fn begin(&self, cx: &Context<'_>) -> Begun<'_> {
        let poller = lock::thread_id();
        let mut registered = None;
        loop {
            // Dropped after the lock is released, like a `Look`.
            let latest;
            let mut current = self.current();
            let waiting = match &mut *current {
                Current::First(first) if first.poller == poller => return Begun::WaitsForItself,
                Current::First(first) => Arc::clone(first.waiting.get_or_insert_default()),
                Current::Flight(flight) => {
                    latest = flight.upgrade();
                    if let Some(other) = &latest
                        && !other.has_ended()
                    {
                        return Begun::Behind(Wait(Arc::clone(other)));
                    }
                    let waiting = None;
                    *current = Current::First(First { poller, waiting });
                    let (flights, next) = (self, Weak::new());
                    return Begun::Now(FirstPoll { flights, next });
                }
            };
            drop(current);
            // The end of the first poll wakes everyone registered by then. That includes this
            // caller if it registered before this look.
            if registered.is_some_and(|known| Arc::ptr_eq(&known, &waiting)) {
                return Begun::Pending;
            }
            waiting.register(cx.waker());
            registered = Some(waiting);
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operation is under way. Drop it outside any lock: it may be the last owner of an
/// operation, which holds values of the application.
pub(super) struct Look {
    /// No operation is under way.
    pub(super) is_idle: bool,
    _flight: Option<Arc<Flight>>,
}

enum Begun<'a> {
    Now(FirstPoll<'a>),
    /// Another operation is under way. This one waits for it and drives it.
    Behind(Wait),
    /// Another operation is in its first poll.
    Pending,
    /// This very thread is polling that operation.
    WaitsForItself,
}

/// The first poll of an operation.
struct FirstPoll<'a> {
    flights: &'a Flights,
    /// What is under way after it.
    next: Weak<Flight>,
}

impl Drop for FirstPoll<'_> {
    fn drop(&mut self) {
        let next = Current::Flight(mem::take(&mut self.next));
        let before = mem::replace(&mut *self.flights.current(), next);
        if let Current::First(First {
            waiting: Some(waiting),
            ..
        }) = before
        {
            waiting.wake_all();
        }
    }
}

/// See [`Flights::run`].
#[must_use]
pub(super) struct Run<'a, T> {
    flights: &'a Flights,
    stage: Stage<T>,
}

enum Stage<T> {
    /// The operation waits for its turn, perhaps behind another.
    Waits(Prepared<T>, Option<Wait>),
    Flies(Owned, Arc<Landing<T>>),
    Over,
}

/// Where an operation that outlived its first poll leaves its result.
type Landing<T> = Mutex<Option<Result<T, Error>>>;

impl<T: Send + 'static> Future for Run<'_, T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // An operation that panics is not polled again.
        match mem::replace(&mut this.stage, Stage::Over) {
            Stage::Waits(prepared, behind) => this.start(prepared, behind, cx),
            Stage::Flies(flight, landing) => {
                if flight.0.poll(cx)?.is_pending() {
                    this.stage = Stage::Flies(flight, landing);
                    return Poll::Pending;
                }
                if let Some(panic) = flight.0.take_panic() {
                    panic::resume_unwind(panic);
                }
                let landed = landing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                Poll::Ready(landed.unwrap_or_else(nothing))
            }
            Stage::Over => Poll::Ready(nothing()),
        }
    }
}

impl<T: Send + 'static> Run<'_, T> {
    fn start(
        &mut self,
        prepared: Prepared<T>,
        mut behind: Option<Wait>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Error>> {
        let first_poll = loop {
            if let Some(other) = &behind
                && other.0.poll(cx)?.is_pending()
            {
                break None;
            }
            match self.flights.begin(cx) {
                Begun::Now(first_poll) => break Some(first_poll),
                Begun::Behind(other) => behind = Some(other),
                Begun::Pending => break None,
                Begun::WaitsForItself => return Poll::Ready(Err(lock::deadlock_error())),
            }
        };
        let Some(mut first_poll) = first_poll else {
            self.stage = Stage::Waits(prepared, behind);
            return Poll::Pending;
        };
        // Dropped before the next operation has its turn.
        let Prepared(mut operation) = prepared;
        if let Poll::Ready(output) = operation.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        let landing = Arc::new(Landing::default());
        let landed = Arc::clone(&landing);
        let flight = Arc::new(Flight::new(async move {
            let output = operation.await;
            *landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        }));
        // The operation holds this caller's waker. A poll by another caller replaces it.
        flight.waiting.register(cx.waker());
        first_poll.next = Arc::downgrade(&flight);
        self.stage = Stage::Flies(Owned(flight), landing);
        Poll::Pending
    }
}

fn nothing<T>() -> Result<T, Error> {
    Err(Error::new(ErrorKind::StoreFailed))
}

impl Flight {
    fn new(operation: impl Future<Output = ()> + Send + 'static) -> Self {
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
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
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

    /// Polls an operation that was taken out of the lock, so that one that panics is not polled
    /// again.
    fn poll_locked(
        &self,
        mut operation: MutexGuard<'_, Option<Operation>>,
        mut running: Operation,
    ) -> Poll<()> {
        let _entered = self.runtime.as_ref().map(Handle::enter);
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

    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
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
        let _entered = self.runtime.as_ref().map(Handle::enter);
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

impl Waiting {
    fn register(&self, waker: &Waker) {
        // Cloned and dropped outside the lock: a waker runs code of the application.
        let mut waker = Some(waker.clone());
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |waker: &Waker| wakers.iter().any(|other| other.will_wake(waker));
        if let Some(new) = waker.take_if(|waker| !is_known(waker)) {
            wakers.push(new);
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

/// A flight that ends when this is dropped.
struct Owned(Arc<Flight>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Waits for a flight to end, and drives it.
struct Wait(Arc<Flight>);

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

#[cfg(test)]
mod tests;
