//! SQLite: one file, one writer at a time, and the clock of this machine.

#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::{fs::OpenOptions, io, path::Path, time::Duration};

use silverback::{
    Clock,
    store::{Expiry, Read, RecordKey, StoreError, Version},
};
use sqlx::{
    AssertSqlSafe, Sqlite, SqliteConnection,
    error::DatabaseError,
    query, query_scalar, raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    SqlStore,
    dialect::{
        Answer, Batch, Entry, Keys, Loaded, Sealed, Table, Write, kept_end, loaded, named, padded,
        version,
    },
    fault::Class,
    table::TableName,
};

impl Sealed for Sqlite {
    type Table = SqliteTable;
}

impl SqlStore<Sqlite> {
    /// Opens a file for sessions alone, or makes it, with a pool of its own: for an application
    /// that has no other database. Processes of one machine may share the file.
    ///
    /// Only its owner can read the file. It is in [WAL mode](https://www.sqlite.org/wal.html) with
    /// `synchronous = NORMAL`: what was saved survives a crash of the process, and a power failure
    /// may lose the last moments. SQLite keeps two more files beside it, whose names end with
    /// `-wal` and `-shm`. None of the three may be on a network file system.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::store::Sweeper;
    /// use silverback_sqlx::SqliteStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = SqliteStore::open("sessions.db").await?;
    /// let sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
    /// # sweeper.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the file cannot be made or read, or is not a database of SQLite.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let store = Self::new(pool);
        store.create_table().await?;
        Ok(store)
    }

    /// Tells the time by another clock, for tests: the one that the layer has. The default is the
    /// system's.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// # use silverback_sqlx::SqliteStore;
    /// # fn f(pool: sqlx::SqlitePool) {
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = SqliteStore::new(pool).clock(clock.clone());
    /// # }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.table.clock = clock;
        self
    }
}

/// In the statements, `?1` is the current time. All placeholders are numbered, because sqlx would
/// give unnumbered ones the first arguments.
#[derive(Clone)]
pub(crate) struct SqliteTable {
    name: TableName,
    quoted: String,
    clock: Clock,
}

impl SqliteTable {
    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }
}

impl Table for SqliteTable {
    type Database = Sqlite;

    fn named(name: TableName) -> Self {
        Self {
            quoted: name.quoted('"'),
            name,
            clock: Clock::system(),
        }
    }

    fn schema(&self) -> Vec<String> {
        let (table, schema) = (&self.quoted, self.name.quoted_schema('"'));
        let (index, alone) = (self.name.index('"'), self.name.alone('"'));
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (\
                 \n    id BLOB NOT NULL PRIMARY KEY,\
                 \n    version BLOB NOT NULL,\
                 \n    data BLOB NOT NULL,\
                 \n    expires INTEGER NOT NULL\
                 \n) STRICT"
            ),
            format!("CREATE INDEX IF NOT EXISTS {schema}{index} ON {alone} (expires)"),
        ]
    }

    async fn create(&self, conn: &mut SqliteConnection) -> Answer<()> {
        for statement in self.schema() {
            raw_sql(AssertSqlSafe(statement))
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }

    fn check_clock(&self, expiry: Expiry) -> Result<(), StoreError> {
        expiry.checked_at(self.clock.now()).map(drop)
    }

    /// The primary codes of <https://www.sqlite.org/rescode.html>. They are the low bytes of the
    /// extended codes.
    fn class(error: &dyn DatabaseError) -> Class {
        const ERROR: i32 = 1;
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        const INTERRUPT: i32 = 9;
        const IO: i32 = 10;
        const CANNOT_OPEN: i32 = 14;
        const SCHEMA: i32 = 17;
        let code = error.code().and_then(|code| code.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            Some(BUSY | LOCKED | SCHEMA) => Class::Passing,
            Some(INTERRUPT | IO | CANNOT_OPEN) => Class::Unavailable,
            Some(ERROR) if error.message().starts_with("no such table") => Class::NoTable,
            _ => Class::Refused,
        }
    }

    async fn load(
        &self,
        conn: &mut SqliteConnection,
        keys: &[RecordKey],
        _: Read,
    ) -> Answer<Vec<Loaded>> {
        let (table, keys) = (&self.quoted, padded(keys));
        let places = places(2, keys.len());
        let sql = format!(
            "SELECT id, version, data, expires FROM {table} WHERE id IN ({places}) AND expires > ?1"
        );
        let mut load = query(AssertSqlSafe(sql)).bind(self.now());
        for key in &keys {
            load = load.bind(key.as_bytes().as_slice());
        }
        let rows = load.fetch_all(conn).await?;
        Ok(rows.iter().filter_map(loaded).collect())
    }

    async fn versions(
        &self,
        conn: &mut SqliteConnection,
        keys: &[RecordKey],
    ) -> Answer<Vec<(RecordKey, Vec<u8>)>> {
        let (table, keys) = (&self.quoted, padded(keys));
        let places = places(2, keys.len());
        let sql =
            format!("SELECT id, version FROM {table} WHERE id IN ({places}) AND expires > ?1");
        let mut look = query(AssertSqlSafe(sql)).bind(self.now());
        for key in &keys {
            look = look.bind(key.as_bytes().as_slice());
        }
        let rows = look.fetch_all(conn).await?;
        Ok(rows.iter().filter_map(version).collect())
    }

    async fn insert(
        &self,
        conn: &mut SqliteConnection,
        key: &RecordKey,
        write: &Write,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "INSERT INTO {table} AS old (id, version, data, expires) VALUES (?2, ?3, ?4, ?5) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, data = excluded.data, \
             expires = excluded.expires WHERE old.expires <= ?1"
        );
        let insert = query(AssertSqlSafe(sql))
            .bind(self.now())
            .bind(key.as_bytes().as_slice())
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry));
        Ok(insert.execute(conn).await?.rows_affected() == 1)
    }

    async fn update(
        &self,
        conn: &mut SqliteConnection,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "UPDATE {table} SET version = ?2, data = ?3, expires = ?4 \
             WHERE id = ?5 AND version = ?6 AND expires > ?1"
        );
        let update = query(AssertSqlSafe(sql))
            .bind(self.now())
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(update.execute(conn).await?.rows_affected() == 1)
    }

    async fn touch(
        &self,
        conn: &mut SqliteConnection,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "UPDATE {table} SET expires = ?2 WHERE id = ?3 AND version = ?4 AND expires > ?1"
        );
        let touch = query(AssertSqlSafe(sql))
            .bind(self.now())
            .bind(kept_end(expiry))
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(touch.execute(conn).await?.rows_affected() == 1)
    }

    async fn delete(
        &self,
        conn: &mut SqliteConnection,
        records: &[(RecordKey, Option<Version>)],
    ) -> Answer<Keys> {
        let (table, records) = (&self.quoted, padded(records));
        let pairs: Vec<_> = (0..records.len())
            .map(|number| format!("({})", places(2 + 2 * number, 2)))
            .collect();
        let pairs = pairs.join(", ");
        let sql = format!(
            "WITH asked (id, version) AS (VALUES {pairs}) \
             DELETE FROM {table} WHERE id IN (SELECT asked.id \
             FROM asked JOIN {table} AS old ON old.id = asked.id \
             WHERE asked.version IS NULL OR asked.version = old.version OR old.expires <= ?1) \
             RETURNING id"
        );
        let mut delete = query_scalar(AssertSqlSafe(sql)).bind(self.now());
        for (key, version) in &records {
            delete = delete.bind(key.as_bytes().as_slice()).bind(
                version
                    .as_ref()
                    .map(|version| version.as_bytes().as_slice()),
            );
        }
        Ok(named(&delete.fetch_all(conn).await?))
    }

    /// Sweepers wait for each other, like all writers.
    async fn sweep(&self, conn: &mut SqliteConnection, limit: i64) -> Answer<Batch> {
        let table = &self.quoted;
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} \
             WHERE expires <= ?1 ORDER BY expires LIMIT ?2)"
        );
        let sweep = query(AssertSqlSafe(sql)).bind(self.now()).bind(limit);
        let removed = sweep.execute(conn).await?.rows_affected();
        Ok(Batch {
            found: removed,
            removed,
        })
    }

    async fn browse(
        &self,
        conn: &mut SqliteConnection,
        after: &[u8],
        limit: i64,
    ) -> Answer<Vec<Entry>> {
        let table = &self.quoted;
        let sql = format!(
            "SELECT id, coalesce(substr(data, 1, 1), x''), expires, length(data) FROM {table} \
             WHERE id > ?1 ORDER BY id LIMIT ?2"
        );
        let page = sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit);
        page.fetch_all(conn).await
    }
}

/// SQLite gives its other files the mode of this file.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).map(drop)
}

/// Readers do not wait for the writer. More of them would find no processor to run on.
const CONNECTIONS: u32 = 8;

/// How long SQLite waits for other writers. After that, the store pauses for a random time and asks
/// again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

fn places(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count)
        .map(|place| format!("?{place}"))
        .collect();
    places.join(", ")
}
