//! Everyone who waits for an operation.

use std::{
    mem,
    sync::{Arc, PoisonError},
    task::{Wake, Waker},
};

use crate::sync::Mutex;

/// The wakers of everyone who waits. Shared apart from the operation, which may hold a waker of its
/// own: that would be a cycle.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    pub(super) fn register(&self, waker: &Waker) {
        // Cloned and dropped outside the lock: a waker runs code of the application.
        let mut waker = Some(waker.clone());
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |waker: &Waker| wakers.iter().any(|other| other.will_wake(waker));
        if let Some(new) = waker.take_if(|waker| !is_known(waker)) {
            wakers.push(new);
        }
    }

    pub(super) fn wake_all(&self) {
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
