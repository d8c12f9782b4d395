//! Callers that are polled by hand, and operations for them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Wake,
};

use super::*;

pub(super) type Running = Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>>;

/// Counts how often it is woken.
#[derive(Default)]
pub(super) struct Bell(AtomicUsize);

impl Bell {
    pub(super) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An operation that waits until it is opened from outside.
#[derive(Clone, Default)]
pub(super) struct Gate(pub(super) Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    pub(super) fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        let waker = gate.1.take();
        drop(gate);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) async fn pass(self) {
        std::future::poll_fn(|cx| {
            let mut gate = self.0.lock().unwrap();
            gate.1 = Some(cx.waker().clone());
            if gate.0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Says when it is dropped.
#[derive(Clone, Default)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    pub(super) fn is_dropped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

struct Held(Guard);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// A caller who waits for an operation of its own.
pub(super) struct Caller {
    pub(super) running: Running,
    pub(super) bell: Arc<Bell>,
}

impl Caller {
    pub(super) fn of(
        flights: &Arc<Flights>,
        operation: impl Future<Output = Result<u32, Error>> + Send + 'static,
    ) -> Self {
        let flights = Arc::clone(flights);
        Self {
            running: Box::pin(async move { flights.run(operation).await }),
            bell: Arc::default(),
        }
    }

    /// What has come of it: nothing yet, a number, or an error's kind.
    pub(super) fn poll(&mut self) -> Option<Result<u32, ErrorKind>> {
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.running.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => Some(result.map_err(|error| error.kind())),
            Poll::Pending => None,
        }
    }

    pub(super) fn is_woken(&self) -> bool {
        self.bell.rings() > 0
    }
}

pub(super) fn gated(flights: &Arc<Flights>, number: u32) -> (Caller, Gate, Guard) {
    let (gate, guard) = (Gate::default(), Guard::default());
    let (passing, held) = (gate.clone(), Held(guard.clone()));
    let operation = async move {
        let _held = held;
        passing.pass().await;
        Ok(number)
    };
    (Caller::of(flights, operation), gate, guard)
}

pub(super) fn done(flights: &Arc<Flights>, number: u32) -> Caller {
    Caller::of(flights, std::future::ready(Ok(number)))
}

pub(super) fn panicking(flights: &Arc<Flights>) -> Caller {
    Caller::of(flights, async { panic!("on purpose") })
}

/// `Err` for a panic.
pub(super) fn poll_caught(caller: &mut Caller) -> Result<Option<Result<u32, ErrorKind>>, ()> {
    catch_unwind(AssertUnwindSafe(|| caller.poll())).map_err(drop)
}
