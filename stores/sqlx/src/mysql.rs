//! MySQL, MariaDB, and Galera clusters: the server's clock, in UTC.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use silverback::store::{Expiry, Read, RecordKey, StoreError, Version};
use sqlx::{
    AssertSqlSafe, MySql, MySqlConnection, Row as _, error::DatabaseError,
    mysql::MySqlDatabaseError, query, raw_sql,
};

use crate::{
    SqlStore,
    dialect::{
        Answer, Batch, Entry, Keys, Loaded, Sealed, Table, Write, kept_end, kept_life, loaded,
        named, padded, version,
    },
    fault::{Class, Fault},
    table::TableName,
};

impl Sealed for MySql {
    type Table = MySqlTable;
}

/// Times are in UTC: those of a session's time zone come twice in an hour of autumn.
#[derive(Clone)]
pub(crate) struct MySqlTable {
    name: TableName,
    quoted: String,
    server: Arc<OnceLock<Server>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Server {
    MySql,
    MariaDb,
    Galera,
}

impl Table for MySqlTable {
    type Database = MySql;

    fn named(name: TableName) -> Self {
        Self {
            quoted: name.quoted('`'),
            name,
            server: Arc::default(),
        }
    }

    fn schema(&self) -> Vec<String> {
        let (table, index) = (&self.quoted, self.name.index('`'));
        vec![format!(
            "CREATE TABLE IF NOT EXISTS {table} (\
             \n    id BINARY(32) NOT NULL PRIMARY KEY,\
             \n    version BINARY(16) NOT NULL,\
             \n    data LONGBLOB NOT NULL,\
             \n    app_expires BIGINT NOT NULL,\
             \n    expires DATETIME(6) NOT NULL,\
             \n    sweep_after DATETIME(6) NOT NULL,\
             \n    INDEX {index} (sweep_after)\
             \n) ENGINE = InnoDB"
        )]
    }

    async fn create(&self, conn: &mut MySqlConnection) -> Answer<()> {
        for statement in self.schema() {
            raw_sql(AssertSqlSafe(statement))
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }

    async fn get_ready(
        &self,
        conn: &mut MySqlConnection,
        record_bytes: usize,
    ) -> Result<(), Fault> {
        let look = "SHOW VARIABLES WHERE Variable_name IN \
                    ('autocommit', 'max_allowed_packet', 'version', 'wsrep_on')";
        let variables = sqlx::query_as(look).fetch_all(conn).await;
        let variables: Vec<(String, String)> = variables.map_err(SqlStore::<MySql>::fault)?;
        let variables = variables.into_iter().collect();
        let server = server(&variables, record_bytes).map_err(StoreError::refused)?;
        self.server.get_or_init(|| server);
        Ok(())
    }

    /// A node of a cluster may have to apply yet what another one has answered.
    fn lags(&self) -> bool {
        self.server.get() == Some(&Server::Galera)
    }

    /// A transaction that two nodes of a cluster commit at once is a deadlock to one of them.
    fn class(error: &dyn DatabaseError) -> Class {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        match error.map(MySqlDatabaseError::number) {
            Some(
                CHECKREAD | LOCK_WAIT_TIMEOUT | LOCK_DEADLOCK | TRANSACTION_ROLLBACK_DURING_COMMIT,
            ) => Class::Passing,
            Some(
                OPTION_PREVENTS_STATEMENT | CANT_EXECUTE_IN_READ_ONLY_TRANSACTION | READ_ONLY_MODE,
            ) => Class::NotPrimary,
            Some(NO_SUCH_TABLE) => Class::NoTable,
            Some(
                CON_COUNT
                | OUT_OF_RESOURCES
                | UNKNOWN_COM
                | SERVER_SHUTDOWN
                | ERROR_DURING_COMMIT
                | TOO_MANY_USER_CONNECTIONS
                | QUERY_INTERRUPTED
                | CONNECTION_KILLED
                | STATEMENT_TIMEOUT
                | QUERY_TIMEOUT
                | SERVER_OFFLINE_MODE
                | RUN_HOOK_ERROR
                | SERVER_ISNT_AVAILABLE
                | SESSION_WAS_KILLED
                | CLIENT_INTERACTION_TIMEOUT
                | CLIENT_ERROR_FIRST..=CLIENT_ERROR_LAST
                | PROXY_ERROR_FIRST..,
            ) => Class::Unavailable,
            _ => Class::Refused,
        }
    }

    async fn load(
        &self,
        conn: &mut MySqlConnection,
        keys: &[RecordKey],
        read: Read,
    ) -> Answer<Vec<Loaded>> {
        let (table, keys) = (&self.quoted, padded(keys));
        let (wait, places) = (self.wait(read), places(keys.len()));
        let sql = format!(
            "{wait}SELECT id, version, data, app_expires FROM {table} \
             WHERE id IN ({places}) AND expires > UTC_TIMESTAMP(6)"
        );
        let mut load = query(AssertSqlSafe(sql));
        for key in &keys {
            load = load.bind(key.as_bytes().as_slice());
        }
        let rows = load.fetch_all(conn).await?;
        Ok(rows.iter().filter_map(loaded).collect())
    }

    async fn versions(
        &self,
        conn: &mut MySqlConnection,
        keys: &[RecordKey],
    ) -> Answer<Vec<(RecordKey, Vec<u8>)>> {
        let (table, keys) = (&self.quoted, padded(keys));
        let (wait, places) = (self.wait(Read::Current), places(keys.len()));
        let sql = format!(
            "{wait}SELECT id, version FROM {table} \
             WHERE id IN ({places}) AND expires > UTC_TIMESTAMP(6)"
        );
        let mut look = query(AssertSqlSafe(sql));
        for key in &keys {
            look = look.bind(key.as_bytes().as_slice());
        }
        let rows = look.fetch_all(conn).await?;
        Ok(rows.iter().filter_map(version).collect())
    }

    /// An expired record is replaced by a second statement: with `ON DUPLICATE KEY UPDATE` and the
    /// counts that sqlx asks for, an insert and no change look the same.
    async fn insert(
        &self,
        conn: &mut MySqlConnection,
        key: &RecordKey,
        write: &Write,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "INSERT INTO {table} (id, version, data, app_expires, expires, sweep_after) \
             VALUES (?, ?, ?, ?, {END}, {END})"
        );
        let insert = query(AssertSqlSafe(sql))
            .bind(key.as_bytes().as_slice())
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(kept_life(write.expiry))
            .bind(kept_life(write.expiry));
        match insert.execute(&mut *conn).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                self.replace_expired(conn, key, write).await
            }
            Err(error) => Err(error),
        }
    }

    async fn update(
        &self,
        conn: &mut MySqlConnection,
        key: &RecordKey,
        expected: Version,
        write: &Write,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "UPDATE {table} SET version = ?, data = ?, app_expires = ?, \
             expires = {END}, sweep_after = LEAST(sweep_after, {END}) \
             WHERE id = ? AND version = ? AND expires > UTC_TIMESTAMP(6)"
        );
        let update = query(AssertSqlSafe(sql))
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(kept_life(write.expiry))
            .bind(kept_life(write.expiry))
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(update.execute(conn).await?.rows_affected() == 1)
    }

    async fn touch(
        &self,
        conn: &mut MySqlConnection,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "UPDATE {table} SET app_expires = ?, \
             expires = {END}, sweep_after = LEAST(sweep_after, {END}) \
             WHERE id = ? AND version = ? AND expires > UTC_TIMESTAMP(6)"
        );
        let touch = query(AssertSqlSafe(sql))
            .bind(kept_end(expiry))
            .bind(kept_life(expiry))
            .bind(kept_life(expiry))
            .bind(key.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice());
        Ok(touch.execute(conn).await?.rows_affected() == 1)
    }

    /// The list of keys leads to the rows, and the pairs after it choose among them.
    ///
    /// A single MariaDB names the rows that it removes. MySQL counts them, and so does a cluster: a
    /// statement that names them gets no answer there if it loses against another node's. A
    /// transaction that looks first would name them too, but the connection of a call that is given
    /// up would go back to the pool with it.
    async fn delete(
        &self,
        conn: &mut MySqlConnection,
        records: &[(RecordKey, Option<Version>)],
    ) -> Answer<Keys> {
        let asked: Keys = records.iter().map(|(key, _)| *key).collect();
        let (table, records) = (&self.quoted, padded(records));
        let places = places(records.len());
        let pairs = " OR id = ? AND version = COALESCE(?, version)".repeat(records.len());
        let mut sql = format!(
            "DELETE FROM {table} WHERE id IN ({places}) \
             AND (expires <= UTC_TIMESTAMP(6){pairs})"
        );
        let is_named = self.server.get() == Some(&Server::MariaDb);
        if is_named {
            sql += " RETURNING id";
        }
        let mut delete = query(AssertSqlSafe(sql));
        for (key, _) in &records {
            delete = delete.bind(key.as_bytes().as_slice());
        }
        for (key, version) in &records {
            delete = delete.bind(key.as_bytes().as_slice()).bind(
                version
                    .as_ref()
                    .map(|version| version.as_bytes().as_slice()),
            );
        }
        if is_named {
            let rows = delete.fetch_all(conn).await?;
            let ids: Result<Vec<_>, _> = rows.iter().map(|row| row.try_get(0)).collect();
            return Ok(named(&ids?));
        }
        let deleted = delete.execute(conn).await?.rows_affected();
        let is_all = deleted == asked.len() as u64;
        Ok(if is_all { asked } else { Keys::new() })
    }

    /// Looks first, without locks, and writes by keys then: a range of ends would be locked with the
    /// gap after it, into which others write. Like PostgreSQL, the index learns the ends of those
    /// that live on.
    async fn sweep(&self, conn: &mut MySqlConnection, limit: i64) -> Answer<Batch> {
        let table = &self.quoted;
        let sql = format!(
            "SELECT id FROM {table} WHERE sweep_after <= UTC_TIMESTAMP(6) \
             ORDER BY sweep_after LIMIT ?"
        );
        let look = sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit);
        let ids: Vec<Vec<u8>> = look.fetch_all(&mut *conn).await?;
        let found = ids.len() as u64;
        if found == 0 {
            return Ok(Batch { found, removed: 0 });
        }
        let ids: Vec<_> = ids.iter().map(Vec::as_slice).collect();
        let ids = padded(&ids);
        let places = places(ids.len());
        let by_ids = async |conn: &mut MySqlConnection, sql| {
            let mut write = query(AssertSqlSafe(sql));
            for id in &ids {
                write = write.bind(*id);
            }
            write.execute(conn).await
        };
        let sql =
            format!("DELETE FROM {table} WHERE id IN ({places}) AND expires <= UTC_TIMESTAMP(6)");
        let removed = by_ids(conn, sql).await?.rows_affected();
        if removed < found {
            let sql = format!("UPDATE {table} SET sweep_after = expires WHERE id IN ({places})");
            by_ids(conn, sql).await?;
        }
        Ok(Batch { found, removed })
    }

    async fn browse(
        &self,
        conn: &mut MySqlConnection,
        after: &[u8],
        limit: i64,
    ) -> Answer<Vec<Entry>> {
        let table = &self.quoted;
        let sql = format!(
            "SELECT id, LEFT(data, 1), app_expires, LENGTH(data) FROM {table} \
             WHERE id > ? ORDER BY id LIMIT ?"
        );
        let page = sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit);
        page.fetch_all(conn).await
    }
}

impl MySqlTable {
    /// What has the node wait for all that the cluster has answered.
    fn wait(&self, read: Read) -> &'static str {
        match read {
            Read::Current if self.lags() => "SET STATEMENT wsrep_sync_wait = 1 FOR ",
            _ => "",
        }
    }

    async fn replace_expired(
        &self,
        conn: &mut MySqlConnection,
        key: &RecordKey,
        write: &Write,
    ) -> Answer<bool> {
        let table = &self.quoted;
        let sql = format!(
            "UPDATE {table} SET version = ?, data = ?, app_expires = ?, \
             expires = {END}, sweep_after = {END} \
             WHERE id = ? AND expires <= UTC_TIMESTAMP(6)"
        );
        let replace = query(AssertSqlSafe(sql))
            .bind(write.version.as_bytes().as_slice())
            .bind(write.data.as_ref())
            .bind(kept_end(write.expiry))
            .bind(kept_life(write.expiry))
            .bind(kept_life(write.expiry))
            .bind(key.as_bytes().as_slice());
        Ok(replace.execute(conn).await?.rows_affected() == 1)
    }
}

/// Says which server this is.
///
/// # Errors
///
/// A sentence if the server's settings do not do for this store.
fn server(variables: &HashMap<String, String>, record_bytes: usize) -> Result<Server, String> {
    let number = |name| {
        variables
            .get(name)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let packet = number("max_allowed_packet").unwrap_or(u64::MAX);
    if packet < (record_bytes as u64).saturating_add(PACKET_OVERHEAD) {
        return Err(format!(
            "records of {record_bytes} bytes do not fit into the server's `max_allowed_packet` of \
             {packet}: raise it, or lower the store's `max_record_bytes`"
        ));
    }
    if variables.get("autocommit").is_some_and(|on| on == "OFF") {
        return Err(
            "the server's `autocommit` is off, so nothing that is saved would be committed: turn it \
             on for the pool's connections"
                .to_owned(),
        );
    }
    let is_galera = variables.get("wsrep_on").is_some_and(|on| on == "ON");
    let is_mariadb = variables
        .get("version")
        .is_some_and(|version| version.contains("MariaDB"));
    match (is_galera, is_mariadb) {
        (false, false) => Ok(Server::MySql),
        (false, true) => Ok(Server::MariaDb),
        (true, true) => Ok(Server::Galera),
        (true, false) => {
            Err("of the clusters with Galera this store knows those of MariaDB alone".to_owned())
        }
    }
}

/// The time that is so many seconds from now.
const END: &str = "UTC_TIMESTAMP(6) + INTERVAL ? SECOND";

/// The rest of the longest statement: its text and the other arguments.
const PACKET_OVERHEAD: u64 = 4_096;

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

// The numbers of <https://mariadb.com/docs/server/reference/error-codes/mariadb-error-codes>, under
// their names there. MySQL has the same up to 1863.
const CHECKREAD: u16 = 1020;
const CON_COUNT: u16 = 1040;
const OUT_OF_RESOURCES: u16 = 1041;
/// "WSREP has not yet prepared node for application use".
const UNKNOWN_COM: u16 = 1047;
const SERVER_SHUTDOWN: u16 = 1053;
const NO_SUCH_TABLE: u16 = 1146;
const ERROR_DURING_COMMIT: u16 = 1180;
const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const LOCK_DEADLOCK: u16 = 1213;
/// That of `read_only`.
const OPTION_PREVENTS_STATEMENT: u16 = 1290;
const QUERY_INTERRUPTED: u16 = 1317;
const CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: u16 = 1792;
/// MySQL's number for a server that only answers reads.
const READ_ONLY_MODE: u16 = 1836;
const CONNECTION_KILLED: u16 = 1927;
const STATEMENT_TIMEOUT: u16 = 1969;
/// Errors of clients, such as "lost connection": a proxy passes on those of its own connections to
/// servers.
const CLIENT_ERROR_FIRST: u16 = 2000;
const CLIENT_ERROR_LAST: u16 = 2999;
/// MySQL's number for the same.
const QUERY_TIMEOUT: u16 = 3024;
const SERVER_OFFLINE_MODE: u16 = 3032;
/// A member of Group Replication has left the group, or the group has no majority.
const RUN_HOOK_ERROR: u16 = 3100;
/// The group has certified another transaction.
const TRANSACTION_ROLLBACK_DURING_COMMIT: u16 = 3101;
const SERVER_ISNT_AVAILABLE: u16 = 3168;
const SESSION_WAS_KILLED: u16 = 3169;
/// What MySQL leaves on a connection that it closes because of `wait_timeout`.
const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
/// ProxySQL's own errors, such as "max connect timeout reached".
const PROXY_ERROR_FIRST: u16 = 9000;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Result<Server, String> {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        server(&variables.collect(), 1 << 20)
    }

    #[test]
    fn a_server_is_told_by_its_settings() {
        let mariadb = ("version", "10.11.19-MariaDB");
        let packet = ("max_allowed_packet", "16777216");
        let of_mariadb = |wsrep| asked(&[mariadb, packet, ("wsrep_on", wsrep)]);
        assert_eq!(asked(&[]), Ok(Server::MySql));
        assert_eq!(of_mariadb("OFF"), Ok(Server::MariaDb));
        assert_eq!(of_mariadb("ON"), Ok(Server::Galera));
        assert_eq!(asked(&[("version", "8.4.3"), packet]), Ok(Server::MySql));
        let other = asked(&[("version", "8.0.36-28.1"), ("wsrep_on", "ON")]);
        assert!(other.unwrap_err().contains("MariaDB alone"));
    }

    #[test]
    fn statements_have_to_be_committed() {
        assert_eq!(asked(&[("autocommit", "ON")]), Ok(Server::MySql));
        let off = asked(&[("autocommit", "OFF")]).unwrap_err();
        assert!(off.contains("autocommit"), "{off}");
    }

    #[test]
    fn a_packet_has_room_for_the_largest_record() {
        for (packet, does) in [("1052672", true), ("1052671", false), ("1048576", false)] {
            let answer = asked(&[("max_allowed_packet", packet)]);
            assert_eq!(answer.is_ok(), does, "{packet}: {answer:?}");
        }
    }
}
