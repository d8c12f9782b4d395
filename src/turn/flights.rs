//! Asynchronous operations on one session, one at a time. Every caller that waits for the current
//! one also drives it.
//!
//! An async mutex would not do: a caller that polls `save` once and then does something else would
//! hold it, and the response would wait for that caller forever. Here the response polls that
//! `save` itself.

mod flight;
mod waiting;

use std::{
    future::Future,
    mem, panic,
    pin::Pin,
    sync::{Arc, PoisonError, Weak},
    task::{Context, Poll},
};

use self::{
    flight::{Flight, Owned, Wait},
    waiting::Waiting,
};
use crate::{
    error::{Error, ErrorKind},
    lock,
    sync::{Mutex, MutexGuard},
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

/// An operation that has not begun. It is boxed, so that the futures of handlers that wait for it
/// stay small.
type Prepared<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

impl Flights {
    /// Runs an operation after those before it have ended. Dropping this future drops the
    /// operation, even while others drive it. If the operation panics, this future panics.
    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Run<'_, T> {
        Run {
            flights: self,
            stage: Stage::Waits(Box::pin(operation), None),
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
        let mut operation = prepared;
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

#[cfg(test)]
mod tests;
