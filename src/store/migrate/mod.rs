//! Moving records from one store to another while sessions are in use.
//!
//! A record is plain in `from`, and in the end plain in `to`. In between its bytes are wrapped
//! (`wire`), and each step is one compare and swap:
//!
//! | Step | `from` | `to` | The record is |
//! |---|---|---|---|
//! | before | plain | nothing, or a useless copy | what `from` has |
//! | 1. `from`: update at the version that was read | **moving**, with the data | the same | what the moving record has |
//! | 2. `to`: create | moving | **copy** of that version of the moving record | the same |
//! | 3. `from`: update at the moving record's version | **moved**, with the copy's version | copy | the copy |
//! | 4. `to`: update at the copy's version | moved | **plain** | what `to` has |
//! | a save instead of 1 to 3: `to`: create | plain | a **copy** of the saved data | what `from` has |
//! | and `from`: update at the version that was read | **moved**, with the copy's version | copy | the copy |
//! | a new record: `from`: create, `to`: create | **moved**, without a version | **plain** | what `to` has |
//! | an end before step 1 | **nothing** | nothing | over |
//! | an end after step 3 | moved | **nothing** | over |
//!
//! - **Any operation that meets a moving record completes its move** to the copy, so nobody waits
//!   for a process that was killed. The next write to the copy makes it plain.
//! - **`from` decides which copy counts**: the one that the moved mark names. A copy is made of one
//!   version of a record in `from`, and no version comes back. So a copy that arrives late, after
//!   the session has ended, does not count.
//! - **A copy is removed only after the record it was made of is gone**, since its mark may be
//!   under way. A save that finds a copy in its way saves in `from`. Step 1 replaces the record, so
//!   a move can remove the copy.
//! - **A save moves its record if its process found the record in `from`** (`seen`). Asking first
//!   would make three round trips out of two.
//! - **A moved mark stays** for ten minutes longer than its record. So a record that has left
//!   `from` is never created there again, and `from` alone says whether a key may still be in it.
//! - **Versions from `from` are handed out with their first bit flipped**, those of copies with
//!   their second, since two stores that count may both have a version 5 of a key.
//! - **A touch in `from` or of a copy is an update**, because a touch may keep the version. Step 1
//!   would then overlook the new end and restore the old one, and the copy would outlive its mark.
//! - **A record that `to` refuses is moved back**, by an update of the moving record.
//!
//! Rosters, marks and ends are records like any other. Each of them is in one place at a time for
//! every process, so neither the order of their moves nor a repeated write matters.

mod create;
mod delete;
mod many;
mod migrated;
mod pair;
mod pass;
mod save;
mod seen;
mod upkeep;
mod wire;

use std::{fmt, sync::atomic::AtomicU8};

use self::{
    create::NewRecords,
    pair::{Pair, Place, of_copy, of_from},
    seen::Seen,
    wire::Form,
};
pub use self::{migrated::Migrated, pass::Migration};
use super::{
    Browse, Bytes, Cursor, Expiry, Limits, Page, Read, Record, RecordKey, Store, StoreError, Sweep,
    Swept, Version,
};
use crate::clock::Clock;

/// Presents two stores as one while sessions move from the first to the second. Everybody stays
/// logged in, and you change the configuration step by step:
///
/// 1. On every server, replace the old store by [`MigratingStore::prepared`]. Nothing moves yet,
///    but each server now recognises a moved record.
/// 2. On every server, replace that by [`MigratingStore::new`]. New sessions are created in the new
///    store, and others move there when they are saved. For the rest, run a
///    [`migration`](Self::migration), or `silverback migrate`, until it is complete.
/// 3. On every server, configure the new store alone.
///
/// A single server begins with the second step. To go back, finish the move first, then do the same
/// with the stores exchanged. The guide "Choosing a store" has the whole procedure.
///
/// ```
/// use silverback::{Keys, MemoryStore, SessionConfig, store::MigratingStore};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// # let (files, redis) = (MemoryStore::new(), MemoryStore::new());
/// let store = MigratingStore::new(files, redis);
/// let account = SessionConfig::new("account", store, Keys::generate()?);
/// # Ok(())
/// # }
/// ```
///
/// It keeps every promise of a [`Store`] if every process that uses one of the two stores uses both
/// through this type. This holds for any number of processes, if any of them is killed at any
/// point, and if answers are lost.
///
/// # What it costs
///
/// Sequential round trips. A record in the new store is *settled* as soon as its move is over, and
/// a new record at once:
///
/// | Operation | In the new store | In the old store, or just moved by a save |
/// |---|---|---|
/// | `load`, `load_many` | 1 | 2 |
/// | `create` | 2 | 2, by a [prepared](Self::prepared) store |
/// | `update` | 1 | 2, which moves the record, or settles it |
/// | `touch` | 1 | 2 |
/// | `delete`, `delete_many` | 2 | 2 |
///
/// Four things take a few more: an operation that meets a record in the middle of its move, a
/// refusal, a load of a session that ended after its move, and a new record under a key that had
/// one before.
///
/// A load moves nothing, since that would take two more round trips. A save moves a record that its
/// process has recently loaded: each migrating store remembers 4,096 of them, in 32 KiB. It leaves
/// other records where they are.
///
/// A move changes the version of a record but not its data. A save that overlaps it conflicts, and
/// is applied again as after any conflict. Both stores have to be reachable.
pub struct MigratingStore<From, To> {
    pair: Pair<From, To>,
    new_records: NewRecords,
    seen: Seen,
    /// Which of the stores has been swept while the other has not.
    swept: AtomicU8,
}

impl<From: Store, To: Store> MigratingStore<From, To> {
    /// Moves records from one store to the other. New records are created in `to`, and others move
    /// there when they are saved. A [`migration`](Self::migration) moves the rest.
    ///
    /// Where several servers use `from`, all of them need a [prepared](Self::prepared) store before
    /// the first one gets this.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::MigratingStore};
    ///
    /// let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// ```
    #[must_use]
    pub fn new(from: From, to: To) -> Self {
        Self {
            pair: Pair {
                from,
                to,
                clock: Clock::system(),
            },
            new_records: NewRecords::InTo,
            seen: Seen::new(),
            swept: AtomicU8::new(0),
        }
    }

    /// Prepares a move: creates new records in `from`, and finds those that other servers have
    /// moved.
    ///
    /// Servers with this store work beside servers with `from` alone, and beside servers with
    /// [`new`](Self::new). Those two must not run at the same time.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::MigratingStore};
    ///
    /// let store = MigratingStore::prepared(MemoryStore::new(), MemoryStore::new());
    /// ```
    #[must_use]
    pub fn prepared(from: From, to: To) -> Self {
        Self {
            new_records: NewRecords::InFrom,
            ..Self::new(from, to)
        }
    }

    /// Uses another clock. For tests: give it the stores'.
    ///
    /// ```
    /// use silverback::{Clock, MemoryStore, Timestamp, store::MigratingStore};
    ///
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let [from, to] = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    /// let store = MigratingStore::new(from, to).clock(clock);
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        let pair = Pair { clock, ..self.pair };
        Self { pair, ..self }
    }

    /// Begins to move all records, a few at each [`step`](Migration::step). Always starts from the
    /// beginning, also after an interruption. Any number may run at once, in any processes.
    ///
    /// ```
    /// use silverback::{MemoryStore, store::MigratingStore};
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    /// let mut migration = store.migration();
    /// while !migration.step(1_000).await.is_finished() {}
    /// # }
    /// ```
    pub fn migration(&self) -> Migration<'_, From, To>
    where
        From: Browse,
        To: Browse,
    {
        Migration::of(&self.pair)
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.limits().record_bytes);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        match Form::of(data) {
            Form::Plain => Ok(()),
            _ => Err(StoreError::refused(
                "this is not a record, but one that is being moved",
            )),
        }
    }

    /// The record of a place, as callers see it.
    fn handed_out(&self, key: &RecordKey, place: Place) -> Option<Record> {
        if self.new_records == NewRecords::InTo {
            self.seen.note(key, matches!(place, Place::From(_)));
        }
        let (record, version): (Record, fn(Version) -> Version) = match place {
            Place::Nowhere => return None,
            Place::From(record) => (record, of_from),
            Place::Copy(record) => (record, of_copy),
            Place::To(record) => return Some(record),
        };
        let (version, expires) = (version(record.version()), record.expires());
        Some(Record::new(record.into_data(), version, expires))
    }
}

impl<From: Store, To: Store> Store for MigratingStore<From, To> {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let place = self.pair.find(key, read).await?;
        Ok(self.handed_out(key, place))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let places = self.pair.find_many(keys, read).await;
        let places = keys.iter().zip(places);
        let loaded = places.map(|(key, place)| Ok(self.handed_out(key, place?)));
        loaded.collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        self.pair.create(self.new_records, key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        if self.seen.has(key) {
            let replaced = of_from(expected);
            let moved = self.pair.save_over(key, replaced, &data, expiry).await?;
            if let Some(version) = moved {
                self.seen.note(key, false);
                return Ok(version);
            }
        }
        match self.pair.save_in_place(key, expected, data, expiry).await? {
            Some(version) => Ok(version),
            None => Err(self.pair.refusal(key).await),
        }
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        match self.pair.touch(key, expected, expiry).await? {
            Some(version) => Ok(version),
            None => Err(self.pair.refusal(key).await),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.pair.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.pair.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        let (from, to) = (self.pair.from.limits(), self.pair.to.limits());
        Limits {
            record_bytes: from
                .record_bytes
                .min(to.record_bytes)
                .saturating_sub(wire::OVERHEAD),
            never_waits: from.never_waits && to.never_waits,
            may_forget: from.may_forget || to.may_forget,
            may_repeat: from.may_repeat || to.may_repeat,
            forgotten_until: from.forgotten_until.max(to.forgotten_until),
        }
    }
}

/// Lists the records of both stores. A record that moves meanwhile may be listed twice.
impl<From: Browse, To: Browse> Browse for MigratingStore<From, To> {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        self.pair.browse(from, limit).await
    }
}

/// Sweeps both stores.
impl<From: Sweep, To: Sweep> Sweep for MigratingStore<From, To> {
    async fn sweep_some(&self, limit: usize) -> Swept {
        self.pair.sweep_some(&self.swept, limit).await
    }

    async fn sweep(&self) -> Swept {
        self.pair.sweep().await
    }
}

impl<From: fmt::Debug, To: fmt::Debug> fmt::Debug for MigratingStore<From, To> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigratingStore")
            .field("from", &self.pair.from)
            .field("to", &self.pair.to)
            .field("new_records", &self.new_records)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
