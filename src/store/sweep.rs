//! Removing what is over, for stores whose server does not.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time};

use super::{Store, StoreError};

/// A store that is swept: expired records take room in it until somebody removes them.
///
/// Any number of tasks and processes may sweep at once. What they do for each other is left out or
/// done twice, and harms nothing. Start a [`Sweeper`] to have it done in the background, or call
/// [`sweep`](Self::sweep) from a job of your own.
///
/// ```
/// use silverback::{MemoryStore, store::Sweep};
///
/// # #[tokio::main]
/// # async fn main() {
/// let store = MemoryStore::new();
/// let swept = store.sweep_some(1_000).await;
/// assert!(swept.is_finished() && swept.failed() == 0);
/// # }
/// ```
///
/// A database removes a thousand records by `DELETE ... WHERE expires <= now() LIMIT 1000`, and is
/// finished when that finds fewer.
pub trait Sweep: Store {
    /// Looks at so many records at most, and removes those of them that are expired. The next call
    /// goes on where this one ended. A limit of 0 is one of 1.
    ///
    /// No error ends it: [`Swept`] counts them.
    fn sweep_some(&self, limit: usize) -> impl Future<Output = Swept> + Send;

    /// Looks at every record, and removes those that were expired when this began.
    fn sweep(&self) -> impl Future<Output = Swept> + Send;
}

/// A shared store is swept as the store is.
impl<S: Sweep> Sweep for Arc<S> {
    fn sweep_some(&self, limit: usize) -> impl Future<Output = Swept> + Send {
        S::sweep_some(self, limit)
    }

    fn sweep(&self) -> impl Future<Output = Swept> + Send {
        S::sweep(self)
    }
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    examined: u64,
    removed: u64,
    failed: u64,
    error: Option<StoreError>,
    finished: bool,
}

impl Swept {
    /// Says that so many records were looked at, and that so many of them were removed.
    #[must_use]
    pub fn new(examined: u64, removed: u64) -> Self {
        Self {
            examined,
            removed,
            ..Self::default()
        }
    }

    /// Says that a record could not be looked at or removed, or none at all.
    #[must_use]
    pub fn failure(error: StoreError) -> Self {
        Self {
            failed: 1,
            error: Some(error),
            ..Self::default()
        }
    }

    /// Says that the sweep came to its end.
    #[must_use]
    pub fn finished(self) -> Self {
        Self {
            finished: true,
            ..self
        }
    }

    /// Adds what came after this.
    pub fn add(&mut self, next: Self) {
        self.examined += next.examined;
        self.removed += next.removed;
        self.failed += next.failed;
        self.error = self.error.take().or(next.error);
        self.finished |= next.finished;
    }

    /// Counts the records that were looked at; with files, also those that are none.
    #[must_use]
    pub const fn examined(&self) -> u64 {
        self.examined
    }

    /// Counts those that were removed.
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// Counts those that could not be looked at or removed. The sweep went on.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first of the errors behind [`failed`](Self::failed).
    #[must_use]
    pub const fn error(&self) -> Option<&StoreError> {
        self.error.as_ref()
    }

    /// Says whether the sweep came to its end. The next one begins anew.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }
}

/// A background task that sweeps a store. It stops when this is dropped.
///
/// ```
/// use std::time::Duration;
/// use silverback::{MemoryStore, store::Sweeper};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let store = MemoryStore::new();
/// let sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
/// // Serve until you are told to stop.
/// sweeper.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "sweeping stops when the sweeper is dropped"]
pub struct Sweeper {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// The sweeper's steps: a few milliseconds each.
const BATCH: usize = 1_000;

impl Sweeper {
    /// Starts a task that sweeps the store now and then again after each `interval`, 1,000 records
    /// at a time. After a step that failed as a whole, the task waits for the interval too.
    ///
    /// # Errors
    ///
    /// Outside of a Tokio runtime. The runtime needs its timer too.
    pub fn start(store: impl Sweep, interval: Duration) -> io::Result<Self> {
        let (stop, mut stopped) = watch::channel(());
        let task = Handle::try_current()
            .map_err(io::Error::other)?
            .spawn(async move {
                loop {
                    let swept = store.sweep_some(BATCH).await;
                    let is_over = swept.is_finished() || swept.examined() == 0;
                    let pause = if is_over { interval } else { Duration::ZERO };
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
