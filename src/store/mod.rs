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
//! it has four things to do, each of them atomic, and there is deliberately no "insert or update"
//! among them: a session that was deleted must not come back because a slow request saves it.
//!
//! ```
//! use std::{collections::HashMap, sync::Mutex};
//! use silverback::{
//!     Timestamp,
//!     store::{Bytes, Record, RecordKey, Store, StoreError, Version},
//! };
//!
//! #[derive(Default)]
//! struct MyStore(Mutex<HashMap<RecordKey, Record>>);
//!
//! impl Store for MyStore {
//!     async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
//!         Ok(self.0.lock().unwrap().get(key).filter(|record| !record.is_expired()).cloned())
//!     }
//!
//!     async fn create(&self, key: &RecordKey, data: Bytes, expires: Timestamp) -> Result<Version, StoreError> {
//!         let mut records = self.0.lock().unwrap();
//!         if records.get(key).is_some_and(|record| !record.is_expired()) {
//!             return Err(StoreError::Exists);
//!         }
//!         records.insert(*key, Record::new(data, Version::FIRST, expires));
//!         Ok(Version::FIRST)
//!     }
//!
//!     async fn update(
//!         &self,
//!         key: &RecordKey,
//!         expected: Version,
//!         data: Bytes,
//!         expires: Timestamp,
//!     ) -> Result<Version, StoreError> {
//!         let mut records = self.0.lock().unwrap();
//!         let record = records.get_mut(key).filter(|record| !record.is_expired()).ok_or(StoreError::Gone)?;
//!         if record.version() != expected {
//!             return Err(StoreError::Conflict);
//!         }
//!         *record = Record::new(data, expected.next(), expires);
//!         Ok(expected.next())
//!     }
//!
//!     async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
//!         self.0.lock().unwrap().remove(key);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! A layer takes it as it takes any other: `SessionConfig::new("cart", MyStore::default(), keys)`.
//!
//! # Testing a store
//!
//! With the feature `conformance`, among the `[dev-dependencies]`, one line in a test file runs the
//! whole contract against it, each rule as a test:
//! `silverback::store_conformance!(MyStore::default());`. See `store::conformance`.

mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cookie;
#[cfg(all(feature = "filesystem", unix))]
mod filesystem;
mod memory;

use std::{error, fmt, future::Future, sync::Arc};

pub use bytes::Bytes;

pub(crate) use self::backend::{DynStore, check_runtime, now};
#[cfg(all(feature = "filesystem", unix))]
pub use self::filesystem::{Durability, FilesystemOptions, FilesystemStore, Sweeper, Swept};
pub use self::{backend::Backend, cookie::CookieStore, memory::MemoryStore};
pub use crate::id::RecordKey;
use crate::{
    clock::{Clock, Timestamp},
    error::{BoxError, Error, ErrorKind},
};

/// A place that keeps sessions on the server's side. See the [module docs](self) for one written
/// out.
///
/// To choose one of several at run time, make a [`Backend`] of each.
///
/// Every method is one atomic operation: of two concurrent calls for one key, one happens before
/// the other. A method that is cancelled (its future dropped) has happened wholly or not at all.
///
/// A record whose time has come (`expires` is now or earlier) is as good as deleted: it is not
/// loaded, updated or touched. Removing it is the store's own business.
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
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

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
        expires: Timestamp,
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
        expires: Timestamp,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send;

    /// Removes the record under `key`; that there is none is no error.
    ///
    /// # Errors
    ///
    /// Any, if the record may still be there.
    fn delete(&self, key: &RecordKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Changes when the record expires, if its version is still `expected`; data and version stay.
    ///
    /// The provided method loads the record and updates it, and so changes its version. Most stores
    /// can do it in one step.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            let record = self.load(key).await?.ok_or(StoreError::Gone)?;
            self.update(key, expected, record.into_data(), expires)
                .await
                .map(drop)
        }
    }

    /// Says whether every method is done when it is first polled, as with data in this process's
    /// memory.
    ///
    /// Sessions of such a store need no [`load`](crate::Session::load) and allocate no future. The
    /// default is `false`. If it is `true` and a method waits all the same, its session fails.
    fn never_waits(&self) -> bool {
        false
    }
}

/// A shared store is a store.
impl<S: Store> Store for Arc<S> {
    fn load(
        &self,
        key: &RecordKey,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
        S::load(self, key)
    }

    fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::create(self, key, data, expires)
    }

    fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send {
        S::update(self, key, expected, data, expires)
    }

    fn delete(&self, key: &RecordKey) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::delete(self, key)
    }

    fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::touch(self, key, expected, expires)
    }

    fn never_waits(&self) -> bool {
        S::never_waits(self)
    }
}

/// What a store keeps of one session.
#[derive(Clone, Eq, PartialEq)]
pub struct Record {
    data: Bytes,
    version: Version,
    expires: Timestamp,
}

impl Record {
    /// Makes a record of what the store has kept.
    #[must_use]
    pub fn new(data: impl Into<Bytes>, version: Version, expires: Timestamp) -> Self {
        Self {
            data: data.into(),
            version,
            expires,
        }
    }

    /// Returns the session's bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns the session's bytes without copying them.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// Returns the version that an [`update`](Store::update) has to expect.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns when the record is over.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Says whether the record is over by the system's clock.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.is_expired_at(Clock::system().now())
    }

    /// Says whether the record is over at this time, for a store that takes a [`Clock`].
    #[must_use]
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

/// Shows no data.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("len", &self.data.len())
            .field("version", &self.version)
            .field("expires", &self.expires)
            .finish()
    }
}

/// Which state of a record it is; changes with every [`update`](Store::update).
///
/// A store that has versions of its own (a revision, a CAS token) uses those; another counts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version(u64);

impl Version {
    /// The version of a new record, for a store that counts.
    pub const FIRST: Self = Self(1);

    /// Makes a version of the store's own number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the version after this one, for a store that counts.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Why a store did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is a record under this key already.
    Exists,
    /// The record has another version than expected.
    Conflict,
    /// There is no such record (any more).
    Gone,
    /// The record is larger than the store takes; sizes in bytes.
    TooLarge {
        /// What was asked for.
        size: usize,
        /// What the store takes.
        limit: usize,
    },
    /// The record is damaged or written in a format of the future.
    Corrupt(BoxError),
    /// The store, or the way to it, failed.
    Backend(BoxError),
}

impl StoreError {
    /// Makes an error of what the store's client reports, or of a sentence.
    #[must_use]
    pub fn backend(source: impl Into<BoxError>) -> Self {
        Self::Backend(source.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the record exists already"),
            Self::Conflict => f.write_str("the record has another version"),
            Self::Gone => f.write_str("the record does not exist"),
            Self::TooLarge { size, limit } => {
                write!(f, "a record of {size} bytes is over the limit of {limit}")
            }
            Self::Corrupt(_) => f.write_str("the record is damaged"),
            Self::Backend(_) => f.write_str("the store failed"),
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Corrupt(source) | Self::Backend(source) => Some(&**source),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::new(ErrorKind::Conflict),
            StoreError::Gone => Self::new(ErrorKind::Gone),
            StoreError::TooLarge { size, limit } => Self::new(ErrorKind::TooLarge { size, limit }),
            other => Self::with_source(ErrorKind::Store, other),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::backend(error)
    }
}
