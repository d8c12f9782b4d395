//! Databases: the table, its index, and the settings that make writes last.

use std::path::Path;

use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool, query_as, query_scalar};
use tokio::time;

use super::{Report, files, setup, timing};
use crate::{
    dsn::{Dsn, Place},
    failure::chain,
    out,
    stores::PATIENCE,
};

type Answer<T> = Result<T, sqlx::Error>;

/// The table's schema and name. The store has checked them: letters, digits and `_`.
fn table(dsn: &Dsn) -> (Option<&str>, &str) {
    let name = dsn.table.as_deref().unwrap_or("silverback_sessions");
    match name.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, name),
    }
}

/// Examines a database that may fall silent. What it has said until then is in the report.
async fn in_time(
    examine: impl AsyncFnOnce(&mut Report) -> Answer<()>,
    dsn: &Dsn,
    report: &mut Report,
) {
    let found = match time::timeout(PATIENCE, examine(report)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => dsn.hide(&chain(&error)),
        Err(_) => format!("it has not answered within {PATIENCE:?}"),
    };
    report.skipped("database", format!("the server does not say: {found}"));
}

/// Reports whether the sweep has an index, and which indexes nobody uses.
fn indexes(column: &str, is_indexed: bool, unused: &[String], report: &mut Report) {
    report.either(
        is_indexed,
        "index",
        format!(
            "the column `{column}` has {} index",
            if is_indexed { "an" } else { "no" }
        ),
        "create the index from SqlStore::schema: without it, each sweep reads the whole table",
    );
    for name in unused {
        report.change(
            "index",
            format!(
                "{name} has not been used since the server began to count, and slows down each write"
            ),
            format!("DROP INDEX {name}, unless you need it"),
        );
    }
}

fn missing(table: &str, report: &mut Report) {
    let change = "SqlStore::create_table makes it; or correct ?table= in --store";
    report.broken("table", format!("{table} is not there"), change);
}

pub(super) async fn postgres(pool: &PgPool, dsn: &Dsn, report: &mut Report) {
    let examine = async |report: &mut Report| examine_postgres(pool, dsn, report).await;
    in_time(examine, dsn, report).await;
}

async fn examine_postgres(pool: &PgPool, dsn: &Dsn, report: &mut Report) -> Answer<()> {
    let before = out::now();
    let time = query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8");
    timing::skew(time.fetch_one(pool).await?, before, out::now(), report);
    let is_standby: bool = query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(pool)
        .await?;
    if is_standby {
        let change = "name the primary: a standby lacks the latest writes";
        report.broken("database", "the server is a standby", change);
    }
    let synchronous: String = query_scalar("SHOW synchronous_commit")
        .fetch_one(pool)
        .await?;
    report.either(
        synchronous != "off",
        "durability",
        format!("synchronous_commit is {synchronous}"),
        "set it to on: a crash of the server loses the last logouts",
    );
    let (schema, name) = table(dsn);
    let full = schema.map_or(name.to_owned(), |schema| format!("{schema}.{name}"));
    let oid = "SELECT to_regclass($1)::oid::int8";
    let oid: Option<i64> = query_scalar(oid).bind(&full).fetch_one(pool).await?;
    let Some(oid) = oid else {
        missing(&full, report);
        return Ok(());
    };
    let sql = "SELECT i.indexrelid::regclass::text, a.attname = 'sweep_after' AND i.indisvalid, \
               i.indisprimary, coalesce(s.idx_scan, 0)::int8 FROM pg_index i \
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
               LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid \
               WHERE i.indrelid = $1::int8::oid";
    let found: Vec<(String, bool, bool, i64)> = query_as(sql).bind(oid).fetch_all(pool).await?;
    let is_unused = |(_, is_swept_by, is_primary, scans): &&(String, bool, bool, i64)| {
        !is_swept_by && !is_primary && *scans == 0
    };
    let unused: Vec<_> = found
        .iter()
        .filter(is_unused)
        .map(|(name, ..)| name.clone())
        .collect();
    indexes(
        "sweep_after",
        found.iter().any(|(_, is_swept_by, ..)| *is_swept_by),
        &unused,
        report,
    );
    let sql = "SELECT n_live_tup::int8, n_dead_tup::int8 FROM pg_stat_user_tables \
               WHERE relid = $1::int8::oid";
    let rows: Option<(i64, i64)> = query_as(sql).bind(oid).fetch_optional(pool).await?;
    let (live, dead) = rows.unwrap_or_default();
    report.either(
        dead < 10_000 || dead < live,
        "vacuum",
        format!("about {live} rows, and {dead} dead ones"),
        format!("lower autovacuum_vacuum_scale_factor of {full}: dead rows slow reads down"),
    );
    Ok(())
}

pub(super) async fn mysql(pool: &MySqlPool, dsn: &Dsn, report: &mut Report) {
    let examine = async |report: &mut Report| examine_mysql(pool, dsn, report).await;
    in_time(examine, dsn, report).await;
}

async fn examine_mysql(pool: &MySqlPool, dsn: &Dsn, report: &mut Report) -> Answer<()> {
    let before = out::now();
    let time = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE)";
    let time = query_scalar(time).fetch_one(pool).await?;
    timing::skew(time, before, out::now(), report);
    let (read_only, flush): (i64, i64) = query_as(
        "SELECT CAST(@@global.read_only AS SIGNED), \
         CAST(@@global.innodb_flush_log_at_trx_commit AS SIGNED)",
    )
    .fetch_one(pool)
    .await?;
    if read_only != 0 {
        let change = "name the primary: a replica lacks the latest writes";
        report.broken("database", "the server is read-only", change);
    }
    report.either(
        flush == 1,
        "durability",
        format!("innodb_flush_log_at_trx_commit is {flush}"),
        "set it to 1: a power failure loses the last logouts",
    );
    let (schema, name) = table(dsn);
    let sql = "SELECT CAST(engine AS CHAR) FROM information_schema.tables \
               WHERE table_schema = coalesce(?, database()) AND table_name = ?";
    let engine = query_scalar::<_, Option<String>>(sql)
        .bind(schema)
        .bind(name);
    let Some(engine) = engine.fetch_optional(pool).await? else {
        missing(name, report);
        return Ok(());
    };
    let engine = engine.unwrap_or_default();
    report.either(
        engine.eq_ignore_ascii_case("InnoDB"),
        "table",
        format!("the engine is {engine}"),
        format!("ALTER TABLE {name} ENGINE = InnoDB"),
    );
    let sql = "SELECT count(*) FROM information_schema.statistics \
               WHERE table_schema = coalesce(?, database()) AND table_name = ? \
               AND column_name = 'sweep_after' AND seq_in_index = 1";
    let count = query_scalar::<_, i64>(sql).bind(schema).bind(name);
    let is_indexed = count.fetch_one(pool).await? > 0;
    indexes("sweep_after", is_indexed, &[], report);
    Ok(())
}

pub(super) async fn sqlite(pool: &SqlitePool, dsn: &Dsn, report: &mut Report) {
    if let Place::Sqlite(path) = &dsn.place {
        setup::permissions(path, report);
        let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
        files::room(folder.unwrap_or(Path::new(".")), report);
    }
    let examine = async |report: &mut Report| examine_sqlite(pool, dsn, report).await;
    in_time(examine, dsn, report).await;
}

async fn examine_sqlite(pool: &SqlitePool, dsn: &Dsn, report: &mut Report) -> Answer<()> {
    let journal: String = query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
    report.either(
        journal == "wal",
        "journal",
        format!("journal_mode is {journal}"),
        "PRAGMA journal_mode = WAL: otherwise readers and the writer wait for each other",
    );
    let (schema, name) = table(dsn);
    let schema = schema.unwrap_or("main");
    let sql = format!(
        "SELECT count(*) FROM \"{schema}\".sqlite_schema WHERE type = 'table' AND name = ?"
    );
    let count = query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(name);
    if count.fetch_one(pool).await? == 0 {
        missing(name, report);
        return Ok(());
    }
    let sql = "SELECT count(*) FROM pragma_index_list(?1, ?2) AS i \
               JOIN pragma_index_info(i.name, ?2) AS c WHERE c.seqno = 0 AND c.name = 'expires'";
    let count = query_scalar::<_, i64>(sql).bind(name).bind(schema);
    let is_indexed = count.fetch_one(pool).await? > 0;
    indexes("expires", is_indexed, &[], report);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::{Database, Pool, pool::PoolOptions};

    use super::*;

    /// A pool that would try for an hour to connect.
    fn stubborn<DB: Database>(url: &str) -> Pool<DB> {
        let hour = Duration::from_secs(3600);
        let options = PoolOptions::new().max_connections(1).acquire_timeout(hour);
        options.connect_lazy(url).unwrap()
    }

    #[tokio::test]
    async fn a_database_that_says_nothing_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let url = |scheme: &str| format!("{scheme}://{address}/x");
        let dsn = Dsn::parse(&url("postgres")).unwrap();
        let busy = stubborn("sqlite::memory:");
        let held = busy.acquire().await.unwrap();
        // From here on no other thread has work, and the clock moves whenever all wait.
        time::pause();
        let mut reports: [Report; 3] = Default::default();
        let [of_postgres, of_mysql, of_sqlite] = &mut reports;
        let all = async {
            postgres(&stubborn(&url("postgres")), &dsn, of_postgres).await;
            mysql(&stubborn(&url("mysql")), &dsn, of_mysql).await;
            sqlite(&busy, &dsn, of_sqlite).await;
        };
        time::timeout(4 * PATIENCE, all).await.unwrap();
        for report in reports {
            let text = format!("{report:?}");
            assert!(text.contains("not answered within 10s"), "{text}");
        }
        drop(held);
    }
}
