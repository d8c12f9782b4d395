//! Work in batches, until it is done or interrupted.

use std::time::Duration;

use silverback::{
    GorillaImported,
    store::{Migrated, Swept},
};
use tokio::{
    signal::unix::{self, SignalKind},
    time,
};

use super::progress::Progress;
use crate::failure::Failure;

/// The sum of the batches.
pub(super) trait Tally: Default {
    fn add(&mut self, next: Self);
    fn is_finished(&self) -> bool;
    /// Returns whether a batch could not begin, so that the next one could not either.
    fn is_stuck(&self) -> bool;
    /// The progress, for people.
    fn shown(&self) -> String;
}

/// How the work ended, and what was done until then.
pub(super) enum Ended<T> {
    Done(T),
    Interrupted(T),
}

/// Runs batch after batch. The answer `None` ends the work as well, and so does a failure.
pub(super) async fn run<T: Tally>(
    pause: Duration,
    mut batch: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<Ended<T>>, Failure> {
    let (mut done, mut progress) = (T::default(), Progress::new());
    // From here on, Ctrl-C ends the work between two batches.
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    loop {
        let Some(step) = batch().await? else {
            return Ok(None);
        };
        let is_stuck = step.is_stuck();
        done.add(step);
        if done.is_finished() || is_stuck {
            return Ok(Some(Ended::Done(done)));
        }
        progress.show(&done.shown());
        let is_interrupted = tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            () = time::sleep(pause) => false,
        };
        if is_interrupted {
            return Ok(Some(Ended::Interrupted(done)));
        }
    }
}

impl Tally for Migrated {
    fn add(&mut self, next: Self) {
        Self::add(self, next);
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn is_stuck(&self) -> bool {
        self.failed() > 0 && self.examined() == 0
    }

    fn shown(&self) -> String {
        format!("{} looked at, {} moved", self.examined(), self.moved())
    }
}

impl Tally for Swept {
    fn add(&mut self, next: Self) {
        Self::add(self, next);
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn is_stuck(&self) -> bool {
        self.failed() > 0 && self.examined() == 0
    }

    fn shown(&self) -> String {
        format!("{} looked at, {} removed", self.examined(), self.removed())
    }
}

impl Tally for GorillaImported {
    fn add(&mut self, next: Self) {
        Self::add(self, next);
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn is_stuck(&self) -> bool {
        // A folder that cannot be read is a failure, and failures of the store are counted.
        false
    }

    fn shown(&self) -> String {
        format!("{} in the store, {} over", self.moved(), self.over())
    }
}
