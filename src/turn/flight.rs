//! Operations that wait, one at a time: each is driven by every caller who waits for it to end.
//!
//! A lock of futures would be kept by a caller that has polled `save` once and then does something
//! else, and the response would wait for that caller for ever. Here the response polls the `save`
//! itself.

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

/// The operation under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Current>);

#[derive(Debug)]
enum Current {
    /// An operation is polled for the first time. Most are done then, and need nothing to share.
    First(First),
    /// Has ended, or is gone, if nothing is under way.
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
    /// Others, who can poll it themselves after that, or have their turn.
    waiting: Option<Arc<Waiting>>,
}

type Operation = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flight {
    /// Locked while it is polled; `None` once it has ended.
    operation: Mutex<Option<Operation>>,
    has_ended: AtomicBool,
    /// The runtime in which it started. Its timers are there, no matter who polls it.
    runtime: Option<Handle>,
    /// The thread that polls or drops it.
    poller: AtomicUsize,
    /// Its owner has dropped it while another caller polled it.
    is_cancelled: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Another caller has found it being polled.
    is_contended: AtomicBool,
    waiting: Arc<Waiting>,
}

/// Whom to wake. It is apart from the operation, which may hold its own waker.
#[derive(Debug, Default)]
struct Waiting(Mutex<Vec<Waker>>);

/// An operation that has not begun. The type of its future is hidden, so that those of handlers who
/// wait for it do not grow with it.
pub(super) struct Prepared<T>(Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>);

impl<T> Prepared<T> {
    pub(super) fn of(operation: impl Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        Self(Box::pin(operation))
    }
}

impl Flights {
    /// Runs an operation when those before it have ended. It is dropped with this future, also
    /// while others drive it; if it panics, this future does.
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

    /// Gives an operation its turn, unless another one is under way.
    fn begin(&self, cx: &Context<'_>) -> Begun<'_> {
        let poller = lock::thread_id();
        let mut registered = None;
        loop {
            // Dropped behind the lock, as a `Look` is.
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
            // Who ends the first poll after this look wakes all that are registered by then.
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

/// What is under way. It is dropped without a lock: it may be the last to hold an operation, whose
/// values are the application's.
pub(super) struct Look {
    /// No operation is.
    pub(super) is_idle: bool,
    _flight: Option<Arc<Flight>>,
}

enum Begun<'a> {
    Now(FirstPoll<'a>),
    /// Another operation is under way, which this one waits for and drives.
    Behind(Wait),
    /// Another one is polled for the first time.
    Pending,
    /// That is by this very thread.
    WaitsForItself,
}

/// The first poll of an operation.
struct FirstPoll<'a> {
    flights: &'a Flights,
    /// What is under way after that.
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
    /// Perhaps for the end of another one.
    Waits(Prepared<T>, Option<Wait>),
    Flies(Owned, Arc<Landing<T>>),
    Over,
}

/// What has come of an operation that was not done at its first poll.
type Landing<T> = Mutex<Option<Result<T, Error>>>;

impl<T: Send + 'static> Future for Run<'_, T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // What panics is not polled again.
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
                Begun::WaitsForItself => return Poll::Ready(Err(lock::waits_for_itself())),
            }
        };
        let Some(mut first_poll) = first_poll else {
            self.stage = Stage::Waits(prepared, behind);
            return Poll::Pending;
        };
        // Dropped before the next one has its turn.
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
        // The operation knows this one's waker. Others who poll it give it another.
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

    /// It takes no lock: who waits must find that held by a caller who polls, and wakes others
    /// afterwards.
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        // Before anything is looked at: who ends it or lets go of the lock after that wakes all
        // that are registered by then.
        self.waiting.register(cx.waker());
        if self.has_ended() {
            return Poll::Ready(Ok(()));
        }
        let Some(mut operation) = self.try_operation() else {
            return self.wait();
        };
        // If there is none it is about to end, and wakes this one then.
        let Some(running) = operation.take() else {
            return self.wait();
        };
        if self.is_cancelled.load(Ordering::SeqCst) {
            self.end(operation, running);
            return Poll::Ready(Ok(()));
        }
        // Dropped after the lock.
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
    /// If it is this very thread that polls or drops the operation.
    fn wait(&self) -> Poll<Result<(), Error>> {
        if self.poller.load(Ordering::SeqCst) == lock::thread_id() {
            return Poll::Ready(Err(lock::waits_for_itself()));
        }
        Poll::Pending
    }

    /// Polls what was taken out, so that one that panics is not polled again.
    fn poll_locked(
        &self,
        mut operation: MutexGuard<'_, Option<Operation>>,
        mut running: Operation,
    ) -> Poll<()> {
        let _entered = self.runtime.as_ref().map(Handle::enter);
        self.poller.store(lock::thread_id(), Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.waiting));
        let poll = || running.as_mut().poll(&mut Context::from_waker(&waker));
        // A panic is its owner's, not of a caller who helps.
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

    /// Drops the operation, now or when another caller who polls it is done with that.
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

    /// Ends without the rest of the operation, which is dropped without the lock, and before the
    /// next one starts.
    fn end(&self, operation: MutexGuard<'_, Option<Operation>>, running: Operation) {
        let _finish = Finish {
            flight: self,
            has_ended: true,
        };
        drop(operation);
        let _entered = self.runtime.as_ref().map(Handle::enter);
        self.poller.store(lock::thread_id(), Ordering::SeqCst);
        // A panic is of nobody who is left.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(running)));
        self.poller.store(0, Ordering::SeqCst);
    }

    /// `None` while another caller polls it, who wakes this one afterwards.
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

/// Wakes those who have to know that an operation has ended, also by a panic, or that they can poll
/// it themselves: what woke this one may have found them waiting for the lock.
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
        // Cloned and dropped without the lock: a waker is code of the application.
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

/// A flight that ends with this.
struct Owned(Arc<Flight>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Waits for a flight to end, and drives it.
struct Wait(Arc<Flight>);

/// The last to look at one that was cancelled while it was polled.
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
