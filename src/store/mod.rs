//! Where sessions are kept: the stores of this crate, and the [`Store`] trait for your own.
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
//! it has only a few operations, each of them atomic. There is deliberately no "insert or update":
//! a slow request must not bring back a session that was deleted.
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
//! A layer takes it like any other: `SessionConfig::new("cart", MyStore::default(), keys)`.
//!
//! If the store's server does not remove expired records, implement [`Sweep`] too. To let operators
//! look through the store, implement [`Browse`].
//!
//! # A store on a server
//!
//! A store on a network also has to get these right:
//!
//! **Errors.** A failed connection or a lost answer is [`StoreError::Unavailable`], never `None`:
//! `None` logs the visitor out. What the server refuses is [`StoreError::Refused`]. Bytes that are
//! not a record, a value of another type (Redis says `WRONGTYPE`) and a head that cannot be read
//! are [`StoreError::Corrupt`]. A record in a later format of your store is `Refused` and stays.
//! A `delete` without a version removes all of them like any record.
//!
//! **Who retries.** The session does. It asks once more after `Unavailable` if half of the time is
//! left, and recognises a write that happened the first time. Do not repeat a write whose answer
//! was lost: the second would be refused because of what the first did. If your client repeats
//! writes all the same, say so in [`Limits::may_repeat`]. Do repeat what the server says it did not
//! do: a deadlock (1213), a lock timeout (1205), a failed certification, a serialization failure,
//! `MOVED`.
//!
//! **Deadlines.** The session gives up after
//! [`store_timeout`](crate::SessionConfig::store_timeout), five seconds by default, and drops the
//! future. Give your client a shorter limit, for connecting and for waiting for a pool too: by
//! default clients wait ten seconds, thirty, or forever.
//!
//! **Dropped futures.** The server executes a command that was sent, even if nobody waits for the
//! answer. Make each method one command, one script or one transaction: it may be cancelled between
//! two commands. A shared connection stays usable. A pooled one whose answer was not read must not
//! go back to the pool.
//!
//! **Ends.** [`Expiry::after`] is for the server's own expiry. [`Expiry::at`] is stored beside the
//! data and returned by [`Record::expires`], since the clocks of the two machines may differ: an
//! end computed from the server's remaining time is wrong by the difference. An `update` and a
//! `touch` set the server's expiry too. An end may have passed already (`after` is zero): the write
//! succeeds and leaves no record, although many servers refuse that number or take it for "never".
//! It may be one second away: round up. The latest is the last second of the year 9999. If the
//! server cannot express it, it may keep the record as long as it can. A store without a server,
//! which uses a clock of this process, takes the end from [`Expiry::checked_at`]: with two
//! different clocks, a record would be over as soon as it is written, and no request would find it.
//!
//! **Versions.** A key never has the same version twice, even if its record is deleted and created
//! again, and across restarts, failovers and restored backups. [`Version::random`] guarantees that.
//! A server's counter may not: memcached's tokens begin at 1 again, and Redis scripts draw the same
//! `math.random` after each start. Compare the whole version: a [`MigratingStore`] flips one of its
//! first two bits where it must not match.
//!
//! **Reads.** [`Read::Current`] asks the machine that has every answered write: the primary and not
//! a replica, past every cache, on Galera with `wsrep_sync_wait=1`, in DynamoDB with
//! `ConsistentRead`. Otherwise "log out everywhere" misses a session for good, not for a moment.
//!
//! **Replication.** Where the primary answers before its replicas have the write, a failover loses
//! the last writes. Losing an end brings its session back. Wait for a replica (`WAIT 1`) where the
//! server can, and document what is lost where it cannot. A store that drops records on its own
//! says so in [`Limits::may_forget`].
//!
//! **Many keys.** [`load_many`](Store::load_many) and [`delete_many`](Store::delete_many) are one
//! round trip: `MGET`, `= ANY($1)`, a pipeline. In a cluster, ask each node once, all at the same
//! time.
//!
//! # Testing a store
//!
//! With the feature `conformance` in your `[dev-dependencies]`, one line in a test file runs the
//! whole contract against your store, each rule as a test:
//! `silverback::store_conformance!(MyStore::default());`. `store::conformance` also says how to
//! check a server's expiry, two processes and an outage.

mod backend;
mod browse;
mod budget;
mod calls;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod cookie;
mod dynamic;
mod error;
#[cfg(all(feature = "filesystem", unix))]
mod filesystem;
mod followers;
mod lines;
mod memory;
mod migrate;
mod record;
mod sweep;

pub use bytes::Bytes;

#[cfg(feature = "testing")]
pub(crate) use self::error::all_failed;
#[cfg(all(feature = "filesystem", unix))]
pub use self::filesystem::{Durability, FilesystemOptions, FilesystemStore};
pub use self::{
    backend::{Backend, IntoBackend},
    browse::{Browse, Cursor, Listed, Page, count_sessions},
    contract::Store,
    cookie::CookieStore,
    dynamic::DynStore,
    error::StoreError,
    memory::{Evicted, MemoryStore},
    migrate::{Migrated, MigratingStore, Migration},
    record::{Expiry, Limits, Read, Record, RecordKind, Version},
    sweep::{Sweep, Sweeper, Swept},
};
pub(crate) use self::{
    budget::{Budget, Meter, check_runtime},
    calls::{Calls, Reserve, Sent, WriteAnswer},
    dynamic::poll_once,
    followers::{Followers, Watch},
    lines::{Lead, Line, Waited},
};
pub use crate::id::RecordKey;
