//! One attempt of each call, and the meaning of the statements' answers.

use std::collections::{HashMap, HashSet};

use silverback::store::{Expiry, Read, Record, RecordKey, StoreError, Version};

use crate::{
    SqlStore,
    dialect::{Dialect, Table, Write},
    fault::Fault,
};

/// One attempt of each call.
impl<DB: Dialect> SqlStore<DB> {
    pub(crate) async fn try_load(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Result<HashMap<RecordKey, Result<Record, StoreError>>, Fault> {
        let mut conn = self.borrow().await?;
        let found = self.table.load(&mut conn, keys, read).await;
        let found = self.after(conn, found.map_err(Self::fault))?;
        Ok(found.into_iter().collect())
    }

    pub(crate) async fn try_create(
        &self,
        key: &RecordKey,
        write: &Write,
    ) -> Result<Version, Fault> {
        let mut conn = self.borrow().await?;
        let created = self.create_on(&mut conn, key, write).await;
        self.after(conn, created)
    }

    pub(crate) async fn try_update(
        &self,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> Result<Version, Fault> {
        let mut conn = self.borrow().await?;
        let updated = self.update_on(&mut conn, key, expected, write).await;
        self.after(conn, updated)
    }

    pub(crate) async fn try_touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, Fault> {
        let mut conn = self.borrow().await?;
        let touched = self.touch_on(&mut conn, key, expected, expiry).await;
        self.after(conn, touched)
    }

    pub(crate) async fn try_delete(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Result<HashSet<RecordKey>, Fault> {
        let mut conn = self.borrow().await?;
        let left = self.delete_on(&mut conn, records).await;
        self.after(conn, left)
    }
}

/// The meaning of the statements' answers.
impl<DB: Dialect> SqlStore<DB> {
    async fn create_on(
        &self,
        conn: &mut DB::Connection,
        key: &RecordKey,
        write: &Write,
    ) -> Result<Version, Fault> {
        for _ in 0..LOOKS {
            let inserted = self.table.insert(conn, key, write).await;
            if inserted.map_err(Self::fault)? {
                return Ok(write.version);
            }
            if self.version(conn, key).await?.is_some() {
                return Err(StoreError::Exists.into());
            }
        }
        Err(changing())
    }

    async fn update_on(
        &self,
        conn: &mut DB::Connection,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> Result<Version, Fault> {
        for _ in 0..LOOKS {
            let updated = self.table.update(conn, key, expected, write).await;
            if updated.map_err(Self::fault)? {
                return Ok(write.version);
            }
            self.expect(conn, key, expected).await?;
        }
        Err(changing())
    }

    async fn touch_on(
        &self,
        conn: &mut DB::Connection,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, Fault> {
        for _ in 0..LOOKS {
            let touched = self.table.touch(conn, key, expected, expiry).await;
            if touched.map_err(Self::fault)? {
                return Ok(expected);
            }
            self.expect(conn, key, expected).await?;
        }
        Err(changing())
    }

    /// # Errors
    ///
    /// Why a statement found no living record with this version. If the record has the version
    /// after all, that is not an error: the statement has not seen it yet.
    async fn expect(
        &self,
        conn: &mut DB::Connection,
        key: &RecordKey,
        expected: Version,
    ) -> Result<(), Fault> {
        match self.version(conn, key).await? {
            None => Err(StoreError::Gone.into()),
            Some(version) if version == expected.as_bytes() => Ok(()),
            Some(_) => Err(StoreError::Conflict.into()),
        }
    }

    async fn version(
        &self,
        conn: &mut DB::Connection,
        key: &RecordKey,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let found = self.table.versions(conn, &[*key]).await;
        let first = found.map_err(Self::fault)?.into_iter().next();
        Ok(first.map(|(_, version)| version))
    }

    /// Removes the records. Returns the keys of the living ones that remain because they have other
    /// versions than expected.
    ///
    /// A missing record is an answer only if the statement sees the writes of others. If it does,
    /// it has removed whatever was under a key without an expected version, and must not be
    /// repeated: it would remove what was created since.
    async fn delete_on(
        &self,
        conn: &mut DB::Connection,
        records: &[(RecordKey, Option<Version>)],
    ) -> Result<HashSet<RecordKey>, Fault> {
        let (mut due, mut kept) = (records.to_vec(), HashSet::new());
        for _ in 0..LOOKS {
            let deleted = self.table.delete(conn, &due).await;
            let gone = deleted.map_err(Self::fault)?;
            due.retain(|(key, expected)| {
                !gone.contains(key) && (self.table.lags() || expected.is_some())
            });
            if due.is_empty() {
                return Ok(kept);
            }
            let looks: Vec<_> = keys(&due).into_iter().collect();
            let left = self.table.versions(conn, &looks).await;
            let left: HashMap<_, _> = left.map_err(Self::fault)?.into_iter().collect();
            due.retain(|record| is_to_go(record, &left));
            let again = keys(&due);
            kept.extend(left.into_keys().filter(|key| !again.contains(key)));
            if due.is_empty() {
                return Ok(kept);
            }
        }
        Err(changing())
    }
}

fn keys(records: &[(RecordKey, Option<Version>)]) -> HashSet<RecordKey> {
    records.iter().map(|(key, _)| *key).collect()
}

fn is_to_go(
    (key, expected): &(RecordKey, Option<Version>),
    left: &HashMap<RecordKey, Vec<u8>>,
) -> bool {
    left.get(key)
        .is_some_and(|found| expected.is_none_or(|expected| found == expected.as_bytes()))
}

/// Retries after a pause, on another connection.
fn changing() -> Fault {
    Fault::Passing(sqlx::Error::Protocol(
        "the record changed whenever it was looked at".to_owned(),
    ))
}

/// How often to repeat a statement on its connection if it has not yet seen the writes of others.
/// Once is enough, unless the record changes meanwhile.
const LOOKS: usize = 3;
