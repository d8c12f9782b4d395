//! Removing expired records, for stores whose server does not.

use std::{any, future::Future, io, mem, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time};

use super::{Store, StoreError, check_runtime};
use crate::trace;

/// A store that has to be swept: its expired records take up room until they are removed.
///
/// Any number of tasks and processes may sweep at once. Doing the same work twice does no harm.
/// Start a [`Sweeper`] to sweep in the background, or call [`sweep`](Self::sweep) from a job of
/// your own.
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
    /// Looks at up to `limit` records, and removes those that have expired. The next call continues
    /// where this one ended. A limit of 0 counts as 1.
    ///
    /// It never fails: [`Swept`] counts the errors.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::Sweep};
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let store = MemoryStore::new();
    /// while !store.sweep_some(1_000).await.is_finished() {
    ///     tokio::task::yield_now().await; // let others have a turn
    /// }
    /// # }
    /// ```
    fn sweep_some(&self, limit: usize) -> impl Future<Output = Swept> + Send;

    /// Looks at every record, and removes those that had expired when the sweep began.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::Sweep};
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let swept = MemoryStore::new().sweep().await;
    /// println!("{} of {} records removed", swept.removed(), swept.examined());
    /// # }
    /// ```
    fn sweep(&self) -> impl Future<Output = Swept> + Send;
}

/// A shared store is swept like the store itself.
impl<S: Sweep> Sweep for Arc<S> {
    fn sweep_some(&self, limit: usize) -> impl Future<Output = Swept> + Send {
        S::sweep_some(self, limit)
    }

    fn sweep(&self) -> impl Future<Output = Swept> + Send {
        S::sweep(self)
    }
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    examined: u64,
    removed: u64,
    failed: u64,
    error: Option<StoreError>,
    finished: bool,
}

impl Swept {
    /// Makes the result of a sweep that looked at `examined` records and removed `removed` of them.
    ///
    /// ```
    /// use silverback::store::Swept;
    ///
    /// let swept = Swept::new(1_000, 12);
    /// assert_eq!((swept.examined(), swept.removed()), (1_000, 12));
    /// ```
    #[must_use]
    pub fn new(examined: u64, removed: u64) -> Self {
        Self {
            examined,
            removed,
            ..Self::default()
        }
    }

    /// Makes the result of a sweep that failed: it could not examine or remove a record, or any
    /// record.
    ///
    /// ```
    /// use silverback::store::{StoreError, Swept};
    ///
    /// let swept = Swept::failure(StoreError::unavailable("the server does not answer"));
    /// assert_eq!(swept.failed(), 1);
    /// ```
    #[must_use]
    pub fn failure(error: StoreError) -> Self {
        Self {
            failed: 1,
            error: Some(error),
            ..Self::default()
        }
    }

    /// Marks the sweep as complete.
    ///
    /// ```
    /// use silverback::store::Swept;
    ///
    /// assert!(Swept::new(10, 1).finished().is_finished());
    /// ```
    #[must_use]
    pub fn finished(self) -> Self {
        Self {
            finished: true,
            ..self
        }
    }

    /// The same result, with more left to sweep.
    pub(super) fn unfinished(self) -> Self {
        Self {
            finished: false,
            ..self
        }
    }

    /// Adds the result of the next step.
    ///
    /// ```
    /// use silverback::store::Swept;
    ///
    /// let mut swept = Swept::new(1_000, 12);
    /// swept.add(Swept::new(500, 3).finished());
    /// assert_eq!(swept.removed(), 15);
    /// assert!(swept.is_finished());
    /// ```
    pub fn add(&mut self, next: Self) {
        self.examined += next.examined;
        self.removed += next.removed;
        self.failed += next.failed;
        self.error = self.error.take().or(next.error);
        self.finished |= next.finished;
    }

    /// Has the log say that records were left, since they take up more and more room.
    fn report(&self, store: &'static str) {
        if let Some(error) = &self.error {
            trace::left_expired(store, self.failed, error);
        }
    }

    /// Returns how many records the sweep looked at. In a folder, files that are not records count
    /// too.
    ///
    /// ```
    /// # use silverback::store::Swept;
    /// assert_eq!(Swept::new(1_000, 12).examined(), 1_000);
    /// ```
    #[must_use]
    pub const fn examined(&self) -> u64 {
        self.examined
    }

    /// Returns how many records the sweep removed.
    ///
    /// ```
    /// # use silverback::store::Swept;
    /// assert_eq!(Swept::new(1_000, 12).removed(), 12);
    /// ```
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// Returns how many records the sweep could not look at or remove. It continued with the
    /// others.
    ///
    /// ```
    /// # use silverback::store::Swept;
    /// fn report(swept: &Swept) {
    ///     if let Some(error) = swept.error() {
    ///         eprintln!("{} records were not swept, the first because: {error}", swept.failed());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first of the errors behind [`failed`](Self::failed).
    ///
    /// ```
    /// # use silverback::store::Swept;
    /// assert!(Swept::new(1_000, 12).error().is_none());
    /// ```
    #[must_use]
    pub const fn error(&self) -> Option<&StoreError> {
        self.error.as_ref()
    }

    /// Returns whether the sweep is complete. The next one starts from the beginning.
    ///
    /// ```
    /// # use silverback::store::Swept;
    /// assert!(!Swept::new(1_000, 12).is_finished());
    /// ```
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
    /// Starts a task that sweeps the store now and after each `interval`, 1,000 records at a time.
    /// After a step that failed as a whole, the task also waits for the interval. An event reports
    /// what could not be removed, once per round through the store.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::{MemoryStore, store::Sweeper};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// let store = MemoryStore::new();
    /// let sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Outside of a Tokio runtime, or if the runtime has no timer.
    pub fn start(store: impl Sweep, interval: Duration) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let needed = "a sweeper needs tokio's timer: build the runtime with `enable_time`";
        check_runtime().map_err(|_| io::Error::other(needed))?;
        let (stop, mut stopped) = watch::channel(());
        let task = runtime.spawn(async move {
            let mut round = Swept::default();
            loop {
                let swept = store.sweep_some(BATCH).await;
                let is_over = swept.is_finished() || swept.examined() == 0;
                round.add(swept);
                if is_over {
                    mem::take(&mut round).report(any::type_name_of_val(&store));
                }
                let pause = if is_over { interval } else { Duration::ZERO };
                // Ends on a message, and when the sender is gone.
                if time::timeout(pause, stopped.changed()).await.is_ok() {
                    break;
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// Stops the sweeping and waits for its end: nothing is removed from then on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{MemoryStore, store::Sweeper};
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// # let sweeper = Sweeper::start(MemoryStore::new(), Duration::from_secs(600))?;
    /// sweeper.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(self) {
        drop(self.stop);
        // An error means that the runtime ends or the store has panicked, so the task has stopped
        // too.
        let _ = self.task.await;
    }
}
