//! Waiting for a future on a thread of shuttle.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use shuttle::thread::{self, Thread};

struct Alarm {
    thread: Thread,
    has_rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let alarm = Arc::new(Alarm {
        thread: thread::current(),
        has_rung: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !alarm.has_rung.swap(false, Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Polls a future that is then left alone.
pub(super) fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) {
    let _ = future.poll(&mut Context::from_waker(Waker::noop()));
}
