//! Sweeping in the background.

use std::{io, time::Duration};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time};

use super::store::FilesystemStore;

/// A background task that removes expired sessions from a [`FilesystemStore`]; it stops when this
/// is dropped.
#[derive(Debug)]
#[must_use = "sweeping stops when the sweeper is dropped"]
pub struct Sweeper {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// The sweeper's steps: a few milliseconds each.
const BATCH: usize = 1_000;

impl FilesystemStore {
    /// Starts a task that [sweeps](Self::sweep) now and then again after each `interval`, 1,000
    /// files at a time.
    ///
    /// # Errors
    ///
    /// Outside of a Tokio runtime. The runtime needs its timer too.
    pub fn sweeper(&self, interval: Duration) -> io::Result<Sweeper> {
        Sweeper::start(self.clone(), interval, BATCH)
    }
}

impl Sweeper {
    pub(super) fn start(
        store: FilesystemStore,
        interval: Duration,
        batch: usize,
    ) -> io::Result<Self> {
        let (stop, mut stopped) = watch::channel(());
        let task = Handle::try_current()
            .map_err(io::Error::other)?
            .spawn(async move {
                loop {
                    let pause = if store.sweep_some(batch).await.is_finished() {
                        interval
                    } else {
                        Duration::ZERO
                    };
                    // Ends when a word is sent, and when nobody is left to send one.
                    if time::timeout(pause, stopped.changed()).await.is_ok() {
                        break;
                    }
                }
            });
        Ok(Self { stop, task })
    }

    /// Stops the sweeping and waits until it has stopped: nothing is removed from then on.
    pub async fn stop(self) {
        drop(self.stop);
        // It fails if the runtime is about to end, or has no timer: then it has stopped as well.
        let _ = self.task.await;
    }
}
