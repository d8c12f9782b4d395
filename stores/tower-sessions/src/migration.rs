//! Moving all sessions of a former store, in the background.

use std::fmt;

use silverback::store::{Migrated, Store, StoreError};

use crate::{
    failure::Failure,
    former::{Former, List},
    store::TowerSessionStore,
};

/// A move of all sessions of a [`Former`] store. [`TowerSessionStore::migration`] begins one.
///
/// ```no_run
/// use silverback::store::{Migrated, Store};
/// use silverback_tower_sessions::TowerSessionStore;
///
/// async fn move_all(store: &TowerSessionStore<impl Store>) -> Option<Migrated> {
///     let mut all = Migrated::default();
///     let mut migration = store.migration()?;
///     while !all.is_finished() {
///         all.add(migration.step(1_000).await);
///     }
///     Some(all)
/// }
/// ```
#[must_use]
pub struct FormerMigration<'a, S> {
    store: &'a TowerSessionStore<S>,
    former: &'a Former,
    list: &'a dyn List,
    next: String,
    has_failed: bool,
}

impl<'a, S: Store> FormerMigration<'a, S> {
    /// Returns `None` if the former store cannot be listed.
    pub(crate) fn new(store: &'a TowerSessionStore<S>, former: &'a Former) -> Option<Self> {
        Some(Self {
            store,
            former,
            list: former.list()?,
            next: String::new(),
            has_failed: false,
        })
    }

    /// Examines about `limit` sessions of the former store, and moves those that have not moved.
    /// The next step continues where this one ended. A limit of 0 counts as 1.
    ///
    /// It never fails: [`Migrated`] counts the errors. A session that could not be moved stays
    /// where it is, and in use. If the former store did not answer, the step has examined nothing,
    /// and the next one tries again. If a step is dropped, the next one repeats it.
    ///
    /// ```no_run
    /// # use silverback::store::Store;
    /// # use silverback_tower_sessions::FormerMigration;
    /// # async fn f(mut migration: FormerMigration<'_, impl Store>) {
    /// let step = migration.step(1_000).await;
    /// println!("{} of {} sessions moved", step.moved(), step.examined());
    /// # }
    /// ```
    pub async fn step(&mut self, limit: usize) -> Migrated {
        let listed = self.list.ids(&self.next, limit.max(1)).await;
        let (ids, next) = match listed {
            Ok(listed) => (listed.ids, listed.next),
            Err(failure) => return Migrated::failure(of(failure)),
        };
        let mut step = Migrated::default();
        for id in ids {
            step.add(match self.store.move_one(self.former, id).await {
                Ok(is_moved) => Migrated::new(1, is_moved.into()),
                Err(failure) => {
                    let mut failed = Migrated::new(1, 0);
                    failed.add(Migrated::failure(of(failure)));
                    failed
                }
            });
        }
        self.has_failed |= step.failed() > 0;
        let is_last = next.is_none();
        self.next = next.unwrap_or_default();
        match is_last {
            true => step.finished(!self.has_failed),
            false => step,
        }
    }
}

fn of(failure: Failure) -> StoreError {
    match failure {
        Failure::Encode(why) => StoreError::refused(why),
        Failure::Decode(why) => StoreError::Corrupt(why.into()),
        Failure::Backend(why) => StoreError::unavailable(why),
    }
}

impl<S> fmt::Debug for FormerMigration<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormerMigration").finish_non_exhaustive()
    }
}
