//! What one of many brings to be saved, and takes back.

use std::{
    any::Any,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    content::Content,
    error::Error,
    lock,
    state::{Job, Place},
};

/// What somebody wants to have saved, and what becomes of it.
pub(super) struct Ticket {
    /// By which settings; others save by themselves.
    pub(super) settings: usize,
    slot: Mutex<Slot>,
    /// It has been given back.
    returned: Condvar,
}

enum Slot {
    Waiting(Job),
    /// A leader applies the changes, on this thread.
    Lent(usize),
    Done(Job, Outcome),
    /// Its owner has left.
    Left,
}

/// What became of one.
pub(super) enum Outcome {
    /// It is in this content, under this version.
    Saved(Box<(Content, Place)>),
    /// It was, and then another request has renewed the session.
    CarriedAlong,
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
    /// There was no record any more when it was to be written, and this is what it was to be.
    Removed {
        is_emptied: bool,
    },
}

impl Ticket {
    pub(super) fn new(settings: usize, job: Job) -> Self {
        Self {
            settings,
            slot: Mutex::new(Slot::Waiting(job)),
            returned: Condvar::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(*self.slot(), Slot::Done(..))
    }

    /// Takes the job out for a moment in which nothing is waited for.
    pub(super) fn lend(&self) -> Option<Job> {
        let mut slot = self.slot();
        match mem::replace(&mut *slot, Slot::Lent(lock::thread_id())) {
            Slot::Waiting(job) => Some(job),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Says whether somebody still waits for it.
    pub(super) fn give_back(&self, job: Job, outcome: Option<Outcome>) -> bool {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Lent(_)) {
            drop(slot);
            // Without the lock: it may have closures of the application.
            drop(job);
            return false;
        }
        *slot = match outcome {
            None => Slot::Waiting(job),
            Some(outcome) => Slot::Done(job, outcome),
        };
        self.returned.notify_all();
        true
    }

    pub(super) fn finish(&self, outcome: impl FnOnce(&mut Job) -> Outcome) {
        if let Some(mut job) = self.lend() {
            let outcome = outcome(&mut job);
            self.give_back(job, Some(outcome));
        }
    }

    pub(super) fn with_waiting(&self, work: impl FnOnce(&mut Job)) {
        if let Slot::Waiting(job) = &mut *self.slot() {
            work(job);
        }
    }

    /// Takes the job back for good. If a leader applies it just now, on another thread, that comes
    /// to its end first. On this very thread it cannot: a closure has dropped the future that
    /// brought it, and its changes with it.
    pub(super) fn take_back(&self) -> Option<(Job, Option<Outcome>)> {
        let mut slot = self.slot();
        loop {
            match mem::replace(&mut *slot, Slot::Left) {
                Slot::Waiting(job) => return Some((job, None)),
                Slot::Done(job, outcome) => return Some((job, Some(outcome))),
                Slot::Lent(thread) if thread != lock::thread_id() => {
                    *slot = Slot::Lent(thread);
                    let waited = self.returned.wait(slot);
                    slot = waited.unwrap_or_else(PoisonError::into_inner);
                }
                Slot::Lent(_) | Slot::Left => return None,
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
