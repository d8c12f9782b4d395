//! PostgreSQL: the server's clock, arrays of keys, and sweepers that step aside for each other.

use silverback::store::{Expiry, Read, RecordKey, Version};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, error::DatabaseError, postgres::PgArguments, query,
    query::Query, query_scalar, raw_sql,
};

use crate::{
    dialect::{
        Answer, Batch, Entry, Keys, Loaded, Sealed, Table, Write, kept_end, kept_life, loaded,
        named, version,
    },
    fault::Class,
    table::TableName,
};

impl Sealed for Postgres {
    type Table = PostgresTable;
}

/// `now()` is when the statement's transaction began, which is the statement's own. Unlike
/// `clock_timestamp()` it can be looked up in an index.
#[derive(Clone)]
pub(crate) struct PostgresTable {
    name: TableName,
    quoted: String,
}

impl Table for PostgresTable {
    type Database = Postgres;

    fn named(name: TableName) -> Self {
        Self {
            quoted: name.quoted('"'),
            name,
        }
    }

    fn schema(&self) -> Vec<String> {
        let (table, index) = (&self.quoted, self.name.index('"'));
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (\
                 \n    id bytea NOT NULL PRIMARY KEY,\
                 \n    version bytea NOT NULL,\
                 \n    data bytea NOT NULL,\
                 \n    app_expires bigint NOT NULL,\
                 \n    expires timestamptz NOT NULL,\
                 \n    sweep_after timestamptz NOT NULL\
                 \n)"
            ),
            format!("CREATE INDEX IF NOT EXISTS {index} ON {table} (sweep_after)"),
        ]
    }

    /// `IF NOT EXISTS` looks first and makes then, so of several servers that start at once some
    /// are told that the table, its type or its index is there. And `CREATE INDEX` locks the table
    /// before it looks.
    async fn create(&self, conn: &mut PgConnection) -> Answer<()> {
        for _ in 0..STARTS {
            if self.exists(conn).await? {
                return Ok(());
            }
            for statement in self.schema() {
                match raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await {
                    Err(sqlx::Error::Database(error)) if is_there(&*error) => {}
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
        }
        Ok(())
    }

    fn class(error: &dyn DatabaseError) -> Class {
        let code = error.code().unwrap_or_default();
        match &*code {
            SERIALIZATION_FAILURE | DEADLOCK_DETECTED | LOCK_NOT_AVAILABLE => Class::Passing,
            READ_ONLY_SQL_TRANSACTION => Class::NotPrimary,
            UNDEFINED_TABLE => Class::NoTable,
            INVALID_STATEMENT_NAME | DUPLICATE_STATEMENT => Class::Mixed,
            IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            | TRANSACTION_TIMEOUT
            | STATEMENT_COMPLETION_UNKNOWN
            | OUT_OF_MEMORY
            | TOO_MANY_CONNECTIONS
            | QUERY_CANCELED
            | ADMIN_SHUTDOWN
            | CRASH_SHUTDOWN
            | CANNOT_CONNECT_NOW
            | IDLE_SESSION_TIMEOUT
            | SYSTEM_ERROR
            | IO_ERROR
            | INTERNAL_ERROR => Class::Unavailable,
            code if code.starts_with(CONNECTION_EXCEPTION) => Class::Unavailable,
            _ => Class::Refused,
        }
    }

    /// The pool is that of the primary, which has one kind of read.
    async fn load(
        &self,
        conn: &mut PgConnection,
        keys: &[RecordKey],
        _: Read,
    ) -> Answer<Vec<Loaded>> {
        let load = self.living("id, version, data, app_expires", keys);
        let rows = load.fetch_all(conn).await?;
        Ok(rows.iter().filter_map(loaded).collect())
    }

    async fn versions(
        &self,
        conn: &mut PgConnection,
        keys: &[RecordKey],
    ) -> Answer<Vec<(RecordKey, Vec<u8>)>> {
        let rows = self.living("id, version", keys).fetch_all(conn).await?;
        Ok(rows.iter().filter_map(version).collect())
    }

    async fn insert(
        &self,
        conn: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
    ) -> Answer<bool> {
        let (table, end) = (&self.quoted, end("$5"));
        let sql = format!(
            "INSERT INTO {table} AS old (id, version, data, app_expires, expires, sweep_after) \
             VALUES ($1, $2, $3, $4, {end}, {end}) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, data = excluded.data, \
             app_expires = excluded.app_expires, expires = excluded.expires, \
             sweep_after = excluded.sweep_after WHERE old.expires <= now()"
        );
        let insert = query(AssertSqlSafe(sql))
            .bind(key.as_bytes().as_slice())
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(kept_life(write.expiry) as f64);
        Ok(insert.execute(conn).await?.rows_affected() == 1)
    }

    async fn update(
        &self,
        conn: &mut PgConnection,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> Answer<bool> {
        let (table, end) = (&self.quoted, end("$4"));
        let sql = format!(
            "UPDATE {table} SET version = $1, data = $2, app_expires = $3, \
             expires = {end}, sweep_after = LEAST(sweep_after, {end}) \
             WHERE id = $5 AND version = $6 AND expires > now()"
        );
        let update = query(AssertSqlSafe(sql))
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(kept_life(write.expiry) as f64)
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(update.execute(conn).await?.rows_affected() == 1)
    }

    async fn touch(
        &self,
        conn: &mut PgConnection,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Answer<bool> {
        let (table, end) = (&self.quoted, end("$2"));
        let sql = format!(
            "UPDATE {table} SET app_expires = $1, \
             expires = {end}, sweep_after = LEAST(sweep_after, {end}) \
             WHERE id = $3 AND version = $4 AND expires > now()"
        );
        let touch = query(AssertSqlSafe(sql))
            .bind(kept_end(expiry))
            .bind(kept_life(expiry) as f64)
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(touch.execute(conn).await?.rows_affected() == 1)
    }

    /// The rows are locked in the order of their keys, so that two who delete the same ones do not
    /// wait for each other in a circle, which PostgreSQL notices after a second only.
    async fn delete(
        &self,
        conn: &mut PgConnection,
        records: &[(RecordKey, Option<Version>)],
    ) -> Answer<Keys> {
        let table = &self.quoted;
        if let [(key, expected)] = records {
            return self.delete_one(conn, key, *expected).await;
        }
        let sql = format!(
            "WITH found AS (SELECT old.id FROM {table} AS old \
             JOIN unnest($1::bytea[], $2::bytea[]) AS asked (id, version) ON asked.id = old.id \
             WHERE asked.version IS NULL OR asked.version = old.version OR old.expires <= now() \
             ORDER BY old.id FOR UPDATE OF old) \
             DELETE FROM {table} WHERE id IN (SELECT id FROM found) RETURNING id"
        );
        let ids = records.iter().map(|(key, _)| key.as_bytes().as_slice());
        let versions = records.iter().map(|(_, version)| {
            version
                .as_ref()
                .map(|version| version.as_bytes().as_slice())
        });
        let delete = query_scalar(AssertSqlSafe(sql))
            .bind(ids.collect::<Vec<_>>())
            .bind(versions.collect::<Vec<_>>());
        Ok(named(&delete.fetch_all(conn).await?))
    }

    /// Ends move with each write, and the index leads to where they were. Of the records that live
    /// on, the index learns the ends, so that the next sweep does not find them.
    async fn sweep(&self, conn: &mut PgConnection, limit: i64) -> Answer<Batch> {
        let table = &self.quoted;
        let sql = format!(
            "WITH due AS (SELECT id, expires <= now() AS is_over FROM {table} \
             WHERE sweep_after <= now() ORDER BY sweep_after LIMIT $1 FOR UPDATE SKIP LOCKED), \
             removed AS (DELETE FROM {table} \
             WHERE id = ANY (ARRAY (SELECT id FROM due WHERE is_over)) RETURNING id), \
             kept AS (UPDATE {table} SET sweep_after = expires \
             WHERE id = ANY (ARRAY (SELECT id FROM due WHERE NOT is_over))) \
             SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM removed)"
        );
        let sweep = sqlx::query_as(AssertSqlSafe(sql)).bind(limit);
        let (found, removed): (i64, i64) = sweep.fetch_one(conn).await?;
        Ok(Batch {
            found: found.cast_unsigned(),
            removed: removed.cast_unsigned(),
        })
    }

    async fn browse(
        &self,
        conn: &mut PgConnection,
        after: &[u8],
        limit: i64,
    ) -> Answer<Vec<Entry>> {
        let table = &self.quoted;
        let sql = format!(
            "SELECT id, substring(data FROM 1 FOR 1), app_expires, octet_length(data)::bigint \
             FROM {table} WHERE id > $1 ORDER BY id LIMIT $2"
        );
        let page = sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit);
        page.fetch_all(conn).await
    }
}

impl PostgresTable {
    /// Asks for the living records under these keys.
    ///
    /// One key is no array: PostgreSQL guesses that an array has ten items, so a plan made for the
    /// real one looks cheaper, and it makes such a plan for each call. The plan for a key is kept.
    fn living(&self, columns: &str, keys: &[RecordKey]) -> Query<'_, Postgres, PgArguments> {
        let table = &self.quoted;
        let id = match keys {
            [_] => "= $1",
            _ => "= ANY ($1)",
        };
        let sql = format!("SELECT {columns} FROM {table} WHERE id {id} AND expires > now()");
        let look = query(AssertSqlSafe(sql));
        match keys {
            [key] => look.bind(key.as_bytes().as_slice()),
            keys => look.bind(keys.iter().map(RecordKey::as_bytes).collect::<Vec<_>>()),
        }
    }

    /// Removes one record, without an array, as in [`living`](Self::living).
    async fn delete_one(
        &self,
        conn: &mut PgConnection,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Answer<Keys> {
        let table = &self.quoted;
        let sql = format!(
            "DELETE FROM {table} WHERE id = $1 \
             AND ($2::bytea IS NULL OR version = $2 OR expires <= now()) RETURNING id"
        );
        let version = expected
            .as_ref()
            .map(|version| version.as_bytes().as_slice());
        let delete = query_scalar(AssertSqlSafe(sql))
            .bind(key.as_bytes().as_slice())
            .bind(version);
        Ok(named(&delete.fetch_all(conn).await?))
    }

    async fn exists(&self, conn: &mut PgConnection) -> Answer<bool> {
        let index = format!("{}{}", self.name.quoted_schema('"'), self.name.index('"'));
        let look = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL";
        let look = query_scalar(look).bind(&self.quoted).bind(index);
        look.fetch_one(conn).await
    }
}

/// The time that is so many seconds from now.
fn end(seconds: &str) -> String {
    format!("now() + {seconds}::float8 * interval '1 second'")
}

/// Says whether somebody else has just made what was to be made.
fn is_there(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(
        &*code,
        UNIQUE_VIOLATION | DUPLICATE_TABLE | DUPLICATE_OBJECT
    )
}

/// How often making the table is tried beside others.
const STARTS: usize = 5;

// The codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const CONNECTION_EXCEPTION: &str = "08";
const UNIQUE_VIOLATION: &str = "23505";
const READ_ONLY_SQL_TRANSACTION: &str = "25006";
const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: &str = "25P03";
const TRANSACTION_TIMEOUT: &str = "25P04";
const INVALID_STATEMENT_NAME: &str = "26000";
const SERIALIZATION_FAILURE: &str = "40001";
const STATEMENT_COMPLETION_UNKNOWN: &str = "40003";
const DEADLOCK_DETECTED: &str = "40P01";
const UNDEFINED_TABLE: &str = "42P01";
const DUPLICATE_STATEMENT: &str = "42P05";
const DUPLICATE_TABLE: &str = "42P07";
const DUPLICATE_OBJECT: &str = "42710";
const OUT_OF_MEMORY: &str = "53200";
const TOO_MANY_CONNECTIONS: &str = "53300";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const QUERY_CANCELED: &str = "57014";
const ADMIN_SHUTDOWN: &str = "57P01";
const CRASH_SHUTDOWN: &str = "57P02";
const CANNOT_CONNECT_NOW: &str = "57P03";
const IDLE_SESSION_TIMEOUT: &str = "57P05";
/// pgcat's code for all of its errors, such as a pool without a free connection.
const SYSTEM_ERROR: &str = "58000";
const IO_ERROR: &str = "58030";
/// Supavisor's code for nearly all of its errors, such as a lost connection to the server. From
/// PostgreSQL it may pass too, after a change of the table for example.
const INTERNAL_ERROR: &str = "XX000";
