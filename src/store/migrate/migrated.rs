//! The result of a step of a migration.

use crate::store::StoreError;

/// The result of a step of a [`Migration`](super::Migration).
#[derive(Debug, Default)]
pub struct Migrated {
    pub(super) examined: u64,
    pub(super) moved: u64,
    /// Other processes changed these first, so they still have to be moved.
    pub(super) left: u64,
    pub(super) failed: u64,
    error: Option<StoreError>,
    finished: bool,
    complete: bool,
}

impl Migrated {
    /// Makes the result of a step that looked at `examined` records and moved `moved` of them, for
    /// a move from something other than a [`Store`](crate::store::Store).
    ///
    /// ```
    /// use silverback::store::Migrated;
    ///
    /// let step = Migrated::new(1_000, 12);
    /// assert_eq!((step.examined(), step.moved()), (1_000, 12));
    /// ```
    #[must_use]
    pub fn new(examined: u64, moved: u64) -> Self {
        Self {
            examined,
            moved,
            ..Self::default()
        }
    }

    /// Makes the result of a step that could not move a record, or examine any.
    ///
    /// ```
    /// use silverback::store::{Migrated, StoreError};
    ///
    /// let step = Migrated::failure(StoreError::unavailable("the server does not answer"));
    /// assert_eq!(step.failed(), 1);
    /// ```
    #[must_use]
    pub fn failure(error: StoreError) -> Self {
        Self {
            failed: 1,
            error: Some(error),
            ..Self::default()
        }
    }

    /// Marks the step as the last one of a migration, and sets whether that is
    /// [complete](Self::is_complete).
    ///
    /// ```
    /// use silverback::store::Migrated;
    ///
    /// let last = Migrated::new(10, 0).finished(true);
    /// assert!(last.is_finished() && last.is_complete());
    /// ```
    #[must_use]
    pub fn finished(self, is_complete: bool) -> Self {
        Self {
            finished: true,
            complete: is_complete,
            ..self
        }
    }

    /// Returns how many records the step looked at, in either store.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// assert_eq!(store.migration().step(1_000).await.examined(), 0);
    /// # }
    /// ```
    #[must_use]
    pub const fn examined(&self) -> u64 {
        self.examined
    }

    /// Returns how many records the step moved, or finished moving.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// assert_eq!(store.migration().step(1_000).await.moved(), 0);
    /// # }
    /// ```
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns how many records could not be moved. They stay where they were, and in use. The
    /// [migration](super::Migration) tries them again in its next round.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// assert_eq!(store.migration().step(1_000).await.failed(), 0);
    /// # }
    /// ```
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first error of the step.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// assert!(store.migration().step(1_000).await.error().is_none());
    /// # }
    /// ```
    #[must_use]
    pub const fn error(&self) -> Option<&StoreError> {
        self.error.as_ref()
    }

    /// Returns whether the migration has ended: a whole round found nothing to do, or could do
    /// nothing.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// let mut migration = store.migration();
    /// while !migration.step(1_000).await.is_finished() {}
    /// # }
    /// ```
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns whether the migration has ended with every record in the new store, as if it had
    /// always been there.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// let mut migration = store.migration();
    /// let last = loop {
    ///     let step = migration.step(1_000).await;
    ///     if step.is_finished() {
    ///         break step;
    ///     }
    /// };
    /// assert!(last.is_complete());
    /// # }
    /// ```
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Adds the result of the next step.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::{Migrated, MigratingStore}};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// let (mut all, mut migration) = (Migrated::default(), store.migration());
    /// while !all.is_finished() {
    ///     all.add(migration.step(1_000).await);
    /// }
    /// # }
    /// ```
    pub fn add(&mut self, next: Self) {
        self.examined += next.examined;
        self.moved += next.moved;
        self.left += next.left;
        self.failed += next.failed;
        self.error = self.error.take().or(next.error);
        self.finished |= next.finished;
        self.complete |= next.complete;
    }

    pub(super) fn note(&mut self, done: Result<bool, StoreError>) {
        match done {
            Ok(true) => self.moved += 1,
            Ok(false) => self.left += 1,
            Err(error) => {
                self.failed += 1;
                self.error.get_or_insert(error);
            }
        }
    }
}
