//! Where sessions are kept: the stores of this crate, and the [`Store`] trait for one's own.
//!
//! | Store | Keeps a session | Shared by | Never waits |
//! |---|---|---|---|
//! | [`CookieStore`] | whole in its cookie | every server that has the keys | yes |
//! | [`MemoryStore`] | in this process | one process | yes |
//! | [`FilesystemStore`] (feature `filesystem`) | in a file each | processes of one machine | no |
//!
//! # Writing a store
//!
//! A store moves opaque bytes under a [`RecordKey`]. It never sees a cookie, a key or a value, so
//! it has few things to do, each of them atomic. There is deliberately no "insert or update" among
//! them: a session that was deleted must not come back because a slow request saves it.
//!
//! ```
//! use std::{collections::HashMap, sync::{Mutex, MutexGuard}};
//! use silverback::{Clock, Timestamp, store::{
//!     Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
//! }};
//!
//! #[derive(Default)]
//! struct MyStore(Mutex<HashMap<RecordKey, Record>>);
//!
//! type Records<'a> = MutexGuard<'a, HashMap<RecordKey, Record>>;
//!
//! impl MyStore {
//!     fn records(&self) -> Records<'_> {
//!         let mut records = self.0.lock().unwrap();
//!         records.retain(|_, record| !record.is_expired());
//!         records
//!     }
//!
//!     /// The end by the clock of this store, which is the system's.
//!     fn end(&self, expiry: Expiry) -> Result<Timestamp, StoreError> {
//!         expiry.checked_at(Clock::system().now())
//!     }
//!
//!     /// The records, if the one under `key` has the expected version.
//!     fn expect(&self, key: &RecordKey, expected: Version) -> Result<Records<'_>, StoreError> {
//!         let records = self.records();
//!         match records.get(key) {
//!             None => Err(StoreError::Gone),
//!             Some(record) if record.version() == expected => Ok(records),
//!             Some(_) => Err(StoreError::Conflict),
//!         }
//!     }
//! }
//!
//! impl Store for MyStore {
//!     async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
//!         Ok(self.records().get(key).cloned())
//!     }
//!
//!     async fn load_many(&self, keys: &[RecordKey], _: Read) -> Vec<Result<Option<Record>, StoreError>> {
//!         let records = self.records();
//!         keys.iter().map(|key| Ok(records.get(key).cloned())).collect()
//!     }
//!
//!     async fn create(&self, key: &RecordKey, data: Bytes, expiry: Expiry) -> Result<Version, StoreError> {
//!         let mut records = self.records();
//!         if records.contains_key(key) {
//!             return Err(StoreError::Exists);
//!         }
//!         let (version, end) = (Version::random()?, self.end(expiry)?);
//!         records.insert(*key, Record::new(data, version, end));
//!         Ok(version)
//!     }
//!
//!     async fn update(
//!         &self,
//!         key: &RecordKey,
//!         expected: Version,
//!         data: Bytes,
//!         expiry: Expiry,
//!     ) -> Result<Version, StoreError> {
//!         let mut records = self.expect(key, expected)?;
//!         let (version, end) = (Version::random()?, self.end(expiry)?);
//!         records.insert(*key, Record::new(data, version, end));
//!         Ok(version)
//!     }
//!
//!     async fn touch(&self, key: &RecordKey, expected: Version, expiry: Expiry) -> Result<Version, StoreError> {
//!         let mut records = self.expect(key, expected)?;
//!         let end = self.end(expiry)?;
//!         if let Some(record) = records.get_mut(key) {
//!             *record = Record::new(record.clone().into_data(), expected, end);
//!         }
//!         Ok(expected)
//!     }
//!
//!     async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
//!         match expected.map(|version| self.expect(key, version)) {
//!             None => drop(self.records().remove(key)),
//!             Some(Ok(mut records)) => drop(records.remove(key)),
//!             Some(Err(StoreError::Gone)) => {}
//!             Some(Err(error)) => return Err(error),
//!         }
//!         Ok(())
//!     }
//!
//!     async fn delete_many(&self, records: &[(RecordKey, Option<Version>)]) -> Vec<Result<(), StoreError>> {
//!         let mut results = Vec::new();
//!         for (key, expected) in records {
//!             results.push(self.delete(key, *expected).await);
//!         }
//!         results
//!     }
//!
//!     fn limits(&self) -> Limits {
//!         Limits { never_waits: true, ..Limits::default() }
//!     }
//! }
//! ```
//!
//! A layer takes it as it takes any other: `SessionConfig::new("cart", MyStore::default(), keys)`.
//!
//! A store whose server does not remove what is expired is a [`Sweep`] too, and one that operators may
//! look through is a [`Browse`].
//!
//! # A store on a server
//!
//! What goes wrong there has a right answer each:
//!
//! **Errors.** A failed connection or a lost answer is [`StoreError::Unavailable`], never `None`:
//! `None` logs the visitor out. What the server refuses is [`StoreError::Refused`]. Bytes that are no
//! record, a value of another type (Redis says `WRONGTYPE`) and a head that cannot be read are
//! [`StoreError::Corrupt`]; a `delete` without a version removes them like any record.
//!
//! **Who retries.** The session does: what is `Unavailable` is asked once more, if half of the time
//! is left, and a write is recognised if it was done the first time. Do not send a write again whose
//! answer you have lost: the second would be refused for what the first one did. A client that does it
//! all the same is told by [`Limits::may_repeat`]. Send again what the server says it did not do: a deadlock (1213), a lock
//! timeout (1205), a failed certification, a serialization failure, `MOVED`.
//!
//! **Deadlines.** The session gives up after
//! [`store_timeout`](crate::SessionConfig::store_timeout), five seconds unless set, and drops the
//! future. Give your client a shorter limit, for connecting and for waiting for a pool too: clients
//! wait ten seconds, thirty, or for ever.
//!
//! **Dropped futures.** A command that was sent will be executed, whoever waits for it. So each
//! method is one command, one script or one transaction; between two commands it may end. A shared
//! connection goes on. One from a pool whose answer was not read must not go back to the pool.
//!
//! **Ends.** [`Expiry::after`] is for the server's own expiry, [`Expiry::at`] is kept beside the data
//! and given back by [`Record::expires`]: the clocks of the two machines may differ. An end computed
//! from what the server has left is wrong by as much. An `update` and a `touch` set the server's
//! expiry too. An end may have come already (`after` is zero): the write succeeds and leaves no
//! record, although many servers refuse that number or take it for "never". It may be one second
//! away: round up. The latest is the last second of the year 9999; if the server cannot say it, it
//! may keep the record as long as it can. A store that has no server, and goes by a clock of this
//! process, takes the end from [`Expiry::checked_at`]: a session by another clock would be over as
//! soon as it is written, and no request would find it.
//!
//! **Versions.** No key ever has a version twice, in none of its lives, through restarts, failovers
//! and restored backups. [`Version::random`] is that. A server's counter may not be: memcached's
//! tokens begin at 1 again, and Redis scripts draw the same `math.random` after each start.
//!
//! **Reads.** [`Read::Current`] asks the one who has every write that was answered: the primary and
//! no replica, past every cache, on Galera with `wsrep_sync_wait=1`, in DynamoDB with
//! `ConsistentRead`. Else "log out everywhere" forgets a session for good, not for a moment.
//!
//! **Replication.** Where the primary answers before its replicas have the write, a failover loses
//! what was written last: updates, and also ends, so that a session is there again. Wait for a
//! replica (`WAIT 1`) where the server can, and say what is lost where it cannot. A store that drops
//! records by itself says [`Limits::may_forget`].
//!
//! **Many keys.** [`load_many`](Store::load_many) and [`delete_many`](Store::delete_many) are one
//! round trip: `MGET`, `= ANY($1)`, a pipeline. A cluster is asked once a node, at the same time.
//!
//! # Testing a store
//!
//! With the feature `conformance`, among the `[dev-dependencies]`, one line in a test file runs the
//! whole contract against it, each rule as a test:
//! `silverback::store_conformance!(MyStore::default());`. See `store::conformance`, also for what it
//! takes to check a server's expiry, two processes and an outage.

mod backend;
mod browse;
mod budget;
mod calls;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cookie;
mod dynamic;
mod error;
#[cfg(all(feature = "filesystem", unix))]
mod filesystem;
mod followers;
mod lines;
mod memory;
mod record;
mod sweep;

use std::{future::Future, sync::Arc};

pub use bytes::Bytes;

#[cfg(feature = "testing")]
pub(crate) use self::error::all_failed;
#[cfg(all(feature = "filesystem", unix))]
pub use self::filesystem::{Durability, FilesystemOptions, FilesystemStore};
pub use self::{
    backend::{Backend, IntoBackend},
    browse::{Browse, Cursor, Listed, Page},
    cookie::CookieStore,
    dynamic::DynStore,
    error::StoreError,
    memory::{Evicted, MemoryStore},
    record::{Expiry, Limits, Read, Record, RecordKind, Version},
    sweep::{Sweep, Sweeper, Swept},
};
pub(crate) use self::{
    budget::{Budget, Meter, check_runtime},
    calls::{Calls, Reserve, Sent, Told},
    dynamic::now,
    followers::{Followers, Watch},
    lines::{Lead, Line, Waited},
};
pub use crate::id::RecordKey;

/// A place that keeps sessions on the server's side. See the [module docs](self) for one written
/// out.
///
/// To choose one of several at run time, make a [`DynStore`] of each.
///
/// Every method is one atomic operation: of two concurrent calls for one key, one happens before
/// the other. A method that is cancelled (its future dropped) has happened wholly or not at all.
/// The methods for many records do to each what the method for one does, in any order, and answer
/// in the order in which they were asked.
///
/// A record whose time has come (its [`Expiry`] is now or earlier) is as good as deleted: it is not
/// loaded, updated or touched. Removing it is the store's own business.
///
/// Every method is required, so that a store which wraps another forgets none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of sessions",
    label = "does not implement `silverback::store::Store`",
    note = "stores are `CookieStore`, `MemoryStore`, `FilesystemStore`, and what implements `Store`"
)]
pub trait Store: Send + Sync + 'static {
    /// Returns the record under `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the record is damaged; any other if the store cannot tell whether
    /// there is one. "I could not look" must never be reported as `None`: it would log the visitor
    /// out.
    fn load(
        &self,
        key: &RecordKey,
        read: Read,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Returns what [`load`](Self::load) does for each key, in the order of the keys. A store on a
    /// network asks its server once.
    fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> impl Future<Output = Vec<Result<Option<Record>, StoreError>>> + Send;

    /// Puts a new record under `key`, in the place of an expired one if there is one, and returns
    /// its version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is a record, which stays as it is; any other if it was not
    /// kept.
    fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Replaces the record under `key` if its version is still `expected`, and returns the new
    /// version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if there is no record: it must not be made. [`StoreError::Conflict`] if
    /// it has another version; it stays as it is. Any other if the old record is still there.
    fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Changes when the record expires, if its version is still `expected`; the data stays. Returns
    /// the version that the record has from then on: `expected`, or a new one where the server
    /// makes one.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Removes the record under `key`; with an `expected` version, only if it has that one. That
    /// there is none is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it has another version than expected; it stays. Any other if the
    /// record may still be there.
    fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Does what [`delete`](Self::delete) does to each record, and answers in their order. A store
    /// on a network asks its server once.
    fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> impl Future<Output = Vec<Result<(), StoreError>>> + Send;

    /// Says what the store takes, and what can be relied on.
    fn limits(&self) -> Limits;
}

/// A shared store is a store.
impl<S: Store> Store for Arc<S> {
    fn load(
        &self,
        key: &RecordKey,
        read: Read,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
        S::load(self, key, read)
    }

    fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> impl Future<Output = Vec<Result<Option<Record>, StoreError>>> + Send {
        S::load_many(self, keys, read)
    }

    fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::create(self, key, data, expiry)
    }

    fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::update(self, key, expected, data, expiry)
    }

    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::touch(self, key, expected, expiry)
    }

    fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::delete(self, key, expected)
    }

    fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> impl Future<Output = Vec<Result<(), StoreError>>> + Send {
        S::delete_many(self, records)
    }

    fn limits(&self) -> Limits {
        S::limits(self)
    }
}
