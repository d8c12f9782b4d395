//! Work in batches, until it is done or interrupted.

use std::time::Duration;

use silverback::{
    GorillaImported,
    store::{Migrated, StoreError, Swept},
};
use tokio::{
    signal::unix::{self, SignalKind},
    time,
};

use super::progress::Progress;
use crate::{failure::Failure, out};

/// The waits before a batch that could not begin is tried again.
const WAITS: [u64; 4] = [1, 2, 4, 8];

/// The sum of the batches.
pub(super) trait Tally: Default {
    fn add(&mut self, next: Self);
    fn is_finished(&self) -> bool;
    /// Returns why a batch could not begin.
    fn obstacle(&self) -> Option<&StoreError>;
    /// The progress, for people.
    fn shown(&self) -> String;
}

/// How the work ended, and what was done until then.
pub(super) enum Ended<T> {
    Done(T),
    Interrupted(T),
}

/// Runs batch after batch. The answer `None` ends the work as well, and so does a failure.
///
/// A server that does not answer may be about to restart, so a batch that could not begin is tried
/// again a few times.
pub(super) async fn run<T: Tally>(
    pause: Duration,
    mut batch: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<Ended<T>>, Failure> {
    let (mut done, mut progress) = (T::default(), Progress::new());
    // From here on, Ctrl-C ends the work between two batches.
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    let mut waits = WAITS.iter();
    loop {
        let Some(step) = batch().await? else {
            return Ok(None);
        };
        let is_stuck = step.obstacle().is_some();
        let wait = match step.obstacle() {
            Some(StoreError::Unavailable(_)) => waits.next(),
            _ => None,
        };
        let pause = if let Some(wait) = wait {
            out::say(&format!(
                "the store does not answer: trying again in {wait} s"
            ));
            pause.max(Duration::from_secs(*wait))
        } else {
            done.add(step);
            if done.is_finished() || is_stuck {
                return Ok(Some(Ended::Done(done)));
            }
            progress.show(&done.shown());
            waits = WAITS.iter();
            pause
        };
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

    fn obstacle(&self) -> Option<&StoreError> {
        self.error().filter(|_| self.examined() == 0)
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

    fn obstacle(&self) -> Option<&StoreError> {
        self.error().filter(|_| self.examined() == 0)
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

    fn obstacle(&self) -> Option<&StoreError> {
        // A folder that cannot be read is a failure, and failures of the store are counted.
        None
    }

    fn shown(&self) -> String {
        format!("{} in the store, {} over", self.moved(), self.over())
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    /// Runs batches that meet these obstacles, and one that ends the work. Returns the sum and the
    /// number of batches that ran.
    async fn run_past(obstacles: impl IntoIterator<Item = StoreError>) -> (Migrated, usize) {
        let last = iter::once(Migrated::new(2, 1).finished(true));
        let mut steps = obstacles.into_iter().map(Migrated::failure).chain(last);
        let mut count = 0;
        let ended = run(Duration::ZERO, async || {
            count += 1;
            Ok(steps.next())
        });
        match ended.await {
            Ok(Some(Ended::Done(done))) => (done, count),
            _ => unreachable!("the batches were not interrupted"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_tried_again_while_its_store_does_not_answer() {
        let silence = || StoreError::unavailable("it restarts");
        let (done, count) = run_past(WAITS.map(|_| silence())).await;
        assert_eq!((done.moved(), done.failed(), count), (1, 0, 5));
        let (done, count) = run_past([0; 5].map(|_| silence())).await;
        assert_eq!((done.moved(), done.failed(), count), (0, 1, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_refuses_is_asked_once() {
        let (done, count) = run_past([StoreError::Refused("no such table".into())]).await;
        assert_eq!((done.moved(), done.failed(), count), (0, 1, 1));
    }
}
