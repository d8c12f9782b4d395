//! Moving all records, in the background.

use std::{fmt, mem};

use super::{
    migrated::Migrated,
    pair::{Carried, Pair, Place},
    wire::{self, Form},
};
use crate::{
    join,
    store::{Browse, Cursor, Read, Record, RecordKey, Store, StoreError, record::DELAY},
};

/// A move of all records. [`MigratingStore::migration`](super::MigratingStore::migration) begins
/// one.
///
/// It goes through the old store and then through the new one, and repeats until nothing is left to
/// do.
///
/// ```
/// use silverback::{MemoryStore, store::MigratingStore};
///
/// # #[tokio::main]
/// # async fn main() {
/// let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
/// let (mut migration, mut moved) = (store.migration(), 0);
/// loop {
///     let step = migration.step(1_000).await;
///     moved += step.moved();
///     println!("{moved} records moved");
///     if step.is_finished() {
///         break;
///     }
/// }
/// # }
/// ```
#[must_use]
pub struct Migration<'a, From, To> {
    pair: &'a Pair<From, To>,
    /// The store that the next step goes through.
    stage: Stage,
    cursor: Cursor,
    /// The results since the present round began with `from`.
    round: Migrated,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    From,
    To,
}

impl<From, To> fmt::Debug for Migration<'_, From, To> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("stage", &self.stage)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// The number of records moved at the same time.
const AT_ONCE: usize = 32;

impl<'a, From: Browse, To: Browse> Migration<'a, From, To> {
    pub(super) fn of(pair: &'a Pair<From, To>) -> Self {
        Self {
            pair,
            stage: Stage::From,
            cursor: Cursor::default(),
            round: Migrated::default(),
        }
    }

    /// Examines up to `limit` records, and moves those that have not moved. The next step continues
    /// where this one ended. A limit of 0 counts as 1.
    ///
    /// It never fails: [`Migrated`] counts the errors. If a store did not answer, the step has
    /// examined nothing. Wait a moment then; the next step tries again. If a step is dropped, the
    /// next one repeats it.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::MigratingStore};
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// let step = store.migration().step(1_000).await;
    /// println!("{} of {} records moved", step.moved(), step.examined());
    /// # }
    /// ```
    pub async fn step(&mut self, limit: usize) -> Migrated {
        let mut step = Migrated::default();
        let next = match self.stage {
            Stage::From => self.pair.move_page(&self.cursor, limit, &mut step).await,
            Stage::To => self.pair.settle_page(&self.cursor, limit, &mut step).await,
        };
        match next {
            Ok(Some(next)) => self.cursor = next,
            Ok(None) => self.cursor = Cursor::default(),
            Err(error) => {
                step.note(Err(error));
                return step;
            }
        }
        self.round.moved += step.moved;
        self.round.left += step.left;
        self.round.failed += step.failed;
        if self.cursor == Cursor::default() {
            self.stage = match self.stage {
                Stage::From => Stage::To,
                Stage::To => {
                    let round = mem::take(&mut self.round);
                    if round.moved + round.left == 0 {
                        step = step.finished(round.failed == 0);
                    }
                    Stage::From
                }
            };
        }
        step
    }
}

impl<From: Browse, To: Browse> Pair<From, To> {
    /// Moves the records of a page of `from`, and returns where the next one begins.
    async fn move_page(
        &self,
        cursor: &Cursor,
        limit: usize,
        step: &mut Migrated,
    ) -> Result<Option<Cursor>, StoreError> {
        let page = self.from.browse(cursor, limit).await?;
        let keys: Vec<_> = page.entries.iter().map(|entry| entry.key).collect();
        let records = load(&self.from, &keys, step).await;
        let mut moves = records
            .into_iter()
            .filter(|(_, record)| !matches!(Form::of(record.data()), Form::Moved(_)))
            .map(|(key, record)| self.move_one(key, record))
            .peekable();
        while moves.peek().is_some() {
            for moved in join::all(moves.by_ref().take(AT_ONCE).collect()).await {
                step.note(moved);
            }
        }
        Ok(page.next)
    }

    /// Settles unfinished moves on a page of `to`, and returns where the next one begins.
    async fn settle_page(
        &self,
        cursor: &Cursor,
        limit: usize,
        step: &mut Migrated,
    ) -> Result<Option<Cursor>, StoreError> {
        let page = self.to.browse(cursor, limit).await?;
        let keys: Vec<_> = page.entries.iter().map(|entry| entry.key).collect();
        let records = load(&self.to, &keys, step).await;
        let mut settled = records
            .into_iter()
            .filter(|(_, record)| Form::of(record.data()) != Form::Plain)
            .map(|(key, record)| self.settle_one(key, record))
            .peekable();
        while settled.peek().is_some() {
            for settled in join::all(settled.by_ref().take(AT_ONCE).collect()).await {
                step.note(settled);
            }
        }
        Ok(page.next)
    }

    /// Returns whether the record is moved. `false` if another process interfered and it takes
    /// another round.
    async fn move_one(&self, key: RecordKey, record: Record) -> Result<bool, StoreError> {
        let moving = match Form::of(record.data()) {
            Form::Plain => {
                self.check_size(&record)?;
                self.check_end(&record)?;
                self.begin(&key, record).await?
            }
            // It has begun.
            _ => None,
        };
        let carried = match moving {
            Some(moving) => match self.carry(&key, &moving).await? {
                Carried::Copied(copy) => {
                    let copy = Record::new(moving.data, copy, moving.expires);
                    self.settle(&key, copy).await?;
                    return Ok(true);
                }
                carried => carried,
            },
            None => Carried::Overtaken,
        };
        if let Carried::TakenBack(error) = carried {
            return Err(error);
        }
        match self.find(&key, Read::Current).await? {
            Place::From(_) => return Ok(false),
            Place::Copy(copy) => self.settle(&key, copy).await?,
            Place::To(_) | Place::Nowhere => {}
        }
        Ok(true)
    }

    /// Checks that `to` accepts the record. A record that is too large stays in `from`.
    fn check_size(&self, record: &Record) -> Result<(), StoreError> {
        let (size, limit) = (record.data().len(), self.to.limits().record_bytes);
        let limit = limit.saturating_sub(wire::OVERHEAD);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(())
    }

    /// Checks that a record which its store keeps is not long over by this process's clock. A store
    /// that uses its server's clock would remove it at once.
    fn check_end(&self, record: &Record) -> Result<(), StoreError> {
        let (end, now) = (record.expires(), self.clock.now());
        if now.saturating_since(end) > DELAY {
            return Err(StoreError::refused(
                "by this machine's clock the record ended long ago, so the clock is wrong",
            ));
        }
        Ok(())
    }

    /// Settles a copy, or removes a useless one.
    async fn settle_one(&self, key: RecordKey, record: Record) -> Result<bool, StoreError> {
        match self.find(&key, Read::Current).await? {
            Place::To(_) => {}
            Place::Copy(copy) => self.settle(&key, copy).await?,
            // A save may be about to name the copy, so the record it would replace has to move
            // first.
            Place::From(here) => return self.move_one(key, here).await,
            Place::Nowhere => self.remove(&key, record.version()).await?,
        }
        Ok(true)
    }
}

/// Loads the listed records and counts them.
async fn load<S: Store>(
    store: &S,
    keys: &[RecordKey],
    step: &mut Migrated,
) -> Vec<(RecordKey, Record)> {
    step.examined += keys.len() as u64;
    if keys.is_empty() {
        return Vec::new();
    }
    let loaded = store.load_many(keys, Read::Current).await;
    let mut records = Vec::new();
    for (key, loaded) in keys.iter().zip(loaded) {
        match loaded {
            Ok(record) => records.extend(record.map(|record| (*key, record))),
            Err(error) => step.note(Err(error)),
        }
    }
    records
}
