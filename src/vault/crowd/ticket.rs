//! A job that a leader saves for its owner, and its outcome.

use std::{any::Any, mem, sync::PoisonError};

use crate::{
    content::Content,
    error::Error,
    lock,
    state::{Job, Place},
    sync::{Condvar, Mutex, MutexGuard},
};

/// A job to be saved, and what became of it.
pub(super) struct Ticket {
    /// The address of the settings. A leader serves only tickets with its own.
    pub(super) settings: usize,
    slot: Mutex<Slot>,
    /// Notified when the job is given back.
    returned: Condvar,
}

enum Slot {
    Waiting(Job),
    /// A leader is applying the changes, on the thread of this ID.
    Lent(usize),
    Done(Job, Outcome),
    /// The owner has left.
    Left,
}

/// What became of a job.
pub(super) enum Outcome {
    /// Its changes are in this content, at this place.
    Saved(Box<(Content, Place)>),
    /// It was saved, and another request has renewed the session since.
    CarriedAlong,
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
    /// The record was gone at the time of the write. `is_emptied` tells whether the write would
    /// have left it empty.
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

    /// Takes the job out briefly. The borrower must not wait while it has the job.
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

    /// Gives the job back to its ticket. Returns whether the owner is still waiting for it.
    pub(super) fn give_back(&self, job: Job, outcome: Option<Outcome>) -> bool {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Lent(_)) {
            drop(slot);
            // Dropped outside the lock, since the job may hold closures of the application.
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

    /// Takes the job back for good. If a leader is applying it on another thread, this waits until
    /// it has finished. On this very thread the leader cannot finish: one of its closures has
    /// dropped the future that brought the job, and its changes with it.
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
