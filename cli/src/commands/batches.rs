//! What is done a batch at a time, until it is over or somebody interrupts it.

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

/// What batches have done together.
pub(super) trait Tally: Default {
    fn add(&mut self, next: Self);
    fn is_finished(&self) -> bool;
    /// Whether a batch could not begin: the next one could not either.
    fn is_stuck(&self) -> bool;
    /// How far it is.
    fn shown(&self) -> String;
}

/// How it ended, and what was done until then.
pub(super) enum Ended<T> {
    Done(T),
    Interrupted(T),
}

/// Does batch after batch. The answer `None` ends it as well, and so does a failure.
pub(super) async fn run<T: Tally>(
    pause: Duration,
    mut batch: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<Ended<T>>, Failure> {
    let (mut done, mut progress) = (T::default(), Progress::new());
    // From here on, Ctrl-C ends it between two batches.
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
        // A folder that cannot be read is a failure, and a store that fails is counted.
        false
    }

    fn shown(&self) -> String {
        format!("{} in the store, {} over", self.moved(), self.over())
    }
}
