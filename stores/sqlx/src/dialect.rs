//! The differences between the databases.

use std::collections::HashSet;

use silverback::store::{Bytes, Expiry, Read, Record, RecordKey, StoreError, Version};
use sqlx::{ColumnIndex, Decode, Type, error::DatabaseError};

use crate::{fault::Class, table::TableName};

/// A database that an [`SqlStore`](crate::SqlStore) can use: `sqlx::Postgres`, `sqlx::MySql` and
/// `sqlx::Sqlite`, each with its feature. Nothing else implements this.
#[expect(
    private_bounds,
    reason = "what a table does is nobody's business but the store's"
)]
pub trait Dialect: sqlx::Database + Sealed {}

/// A database and its table.
pub(crate) trait Sealed: sqlx::Database {
    type Table: Table<Database = Self>;
}

impl<DB: Sealed> Dialect for DB {}

pub(crate) type Answer<T> = Result<T, sqlx::Error>;

/// The statements about one table, each of them atomic. Everything else, including what their
/// answers mean, is the same for all databases.
///
/// "Living" records are those that have not ended.
pub(crate) trait Table: Clone + Send + Sync + 'static {
    type Database: sqlx::Database;

    fn named(name: TableName) -> Self;

    /// Returns the statements that make the table.
    fn schema(&self) -> Vec<String>;

    /// Makes the table if it is missing. Others may do the same at the same time.
    fn create(&self, conn: &mut Connection<Self>) -> impl Future<Output = Answer<()>> + Send;

    /// Asks the server for its properties that the store depends on. Several calls may ask at the
    /// same time.
    fn get_ready(
        &self,
        _conn: &mut Connection<Self>,
        _record_bytes: usize,
    ) -> impl Future<Output = Result<(), crate::fault::Fault>> + Send {
        async { Ok(()) }
    }

    /// Returns whether a statement may not yet see the writes of another connection. `versions`
    /// always does, and so do the statements after it on its connection.
    fn lags(&self) -> bool {
        false
    }

    /// Refuses an end from a clock that differs too much, if the database uses a clock of this
    /// process.
    fn check_clock(&self, _: Expiry) -> Result<(), StoreError> {
        Ok(())
    }

    /// Classifies an error of the server.
    fn class(error: &dyn DatabaseError) -> Class;

    /// Loads the living records under these keys, in any order, each once.
    fn load(
        &self,
        conn: &mut Connection<Self>,
        keys: &[RecordKey],
        read: Read,
    ) -> impl Future<Output = Answer<Vec<Loaded>>> + Send;

    /// Returns the versions of the living records under these keys.
    fn versions(
        &self,
        conn: &mut Connection<Self>,
        keys: &[RecordKey],
    ) -> impl Future<Output = Answer<Vec<(RecordKey, Vec<u8>)>>> + Send;

    /// Makes a record unless there is a living one. Returns whether it did. If it did not, that
    /// does not prove a living one.
    fn insert(
        &self,
        conn: &mut Connection<Self>,
        key: &RecordKey,
        write: &Write,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Replaces a living record of this version. Returns whether it did.
    fn update(
        &self,
        conn: &mut Connection<Self>,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Moves the end of a living record of this version. Returns whether it did.
    fn touch(
        &self,
        conn: &mut Connection<Self>,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Removes the records that have these versions or have ended, and returns their keys. A
    /// database that only counts what it removes returns no key unless it has removed them all.
    fn delete(
        &self,
        conn: &mut Connection<Self>,
        records: &[(RecordKey, Option<Version>)],
    ) -> impl Future<Output = Answer<Keys>> + Send;

    /// Removes up to `limit` records that have ended, in the order of their ends.
    fn sweep(
        &self,
        conn: &mut Connection<Self>,
        limit: i64,
    ) -> impl Future<Output = Answer<Batch>> + Send;

    /// Lists up to `limit` records with greater keys, in the order of keys.
    fn browse(
        &self,
        conn: &mut Connection<Self>,
        after: &[u8],
        limit: i64,
    ) -> impl Future<Output = Answer<Vec<Entry>>> + Send;
}

pub(crate) type Connection<T> = <<T as Table>::Database as sqlx::Database>::Connection;

/// The content of a record to be written.
pub(crate) struct Write {
    pub(crate) version: Version,
    pub(crate) data: Bytes,
    pub(crate) expiry: Expiry,
}

/// A record that was found, or why it could not be read.
pub(crate) type Loaded = (RecordKey, Result<Record, StoreError>);

pub(crate) type Keys = HashSet<RecordKey>;

/// The keys in a column of ids.
pub(crate) fn named(ids: &[Vec<u8>]) -> Keys {
    let keys = ids.iter().filter_map(|id| id.as_slice().try_into().ok());
    keys.map(RecordKey::from_bytes).collect()
}

/// The numbers of records that a sweep found and removed.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) found: u64,
    pub(crate) removed: u64,
}

/// A row of a page: the key, the first byte of the data, the end, the data's length.
pub(crate) type Entry = (Vec<u8>, Vec<u8>, i64, i64);

/// The end by the application's clock as a column stores it. No column can hold the last possible
/// time.
pub(crate) fn kept_end(expiry: Expiry) -> i64 {
    i64::try_from(expiry.at.as_secs()).unwrap_or(i64::MAX)
}

/// How long from now a record is kept, in seconds. 5,000 years fit into each database's type for
/// times.
///
/// The end of a record that is over already is a day ago. The database takes a statement's time at
/// its beginning, so a load that has just begun would still find a record whose end is now.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn kept_life(expiry: Expiry) -> i64 {
    const MOST: u64 = 5_000 * 365 * 86_400;
    const OVER: i64 = -86_400;
    if expiry.after.is_zero() {
        return OVER;
    }
    expiry.after.as_secs().min(MOST).cast_signed()
}

/// Reads a row of id, version, data and end. Returns `None` if the id is not a record's.
pub(crate) fn loaded<R>(row: &R) -> Option<Loaded>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let id: &[u8] = row.try_get(0).ok()?;
    let key = RecordKey::from_bytes(id.try_into().ok()?);
    Some((key, record(row).map_err(StoreError::Corrupt)))
}

fn record<R>(row: &R) -> Result<Record, Box<dyn std::error::Error + Send + Sync>>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let version: &[u8] = row.try_get(1)?;
    let version = <[u8; 16]>::try_from(version).map_err(|_| "the version is not of 16 bytes")?;
    let data: &[u8] = row.try_get(2)?;
    let end: i64 = row.try_get(3)?;
    let end = u64::try_from(end).map_err(|_| "the end is before 1970")?;
    Ok(Record::new(
        Bytes::copy_from_slice(data),
        Version::from_bytes(version),
        silverback::Timestamp::from_secs(end),
    ))
}

/// Reads a row of id and version.
pub(crate) fn version<R>(row: &R) -> Option<(RecordKey, Vec<u8>)>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let id: &[u8] = row.try_get(0).ok()?;
    let key = RecordKey::from_bytes(id.try_into().ok()?);
    let version: &[u8] = row.try_get(1).unwrap_or_default();
    Some((key, version.to_vec()))
}

/// Pads a list to the length of a prepared statement, which is a power of two, so that the database
/// keeps few of them. The last item fills the rest.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) fn padded<T: Copy>(things: &[T]) -> Vec<T> {
    let mut padded = things.to_vec();
    if let Some(last) = things.last() {
        padded.resize(things.len().next_power_of_two(), *last);
    }
    padded
}
