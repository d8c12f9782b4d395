//! The table of Go's pgstore.
//!
//! Its rows have no version, so a write compares the whole text. Two rows may have the same ID:
//! pgstore inserts a row whenever it has found none, so two requests may insert two.

use std::{fmt, time::Duration};

use silverback::{
    GoRecord, GoRecords,
    gorilla::{GoData, GoLayout},
    store::StoreError,
};
use sqlx::{AssertSqlSafe, PgPool, Postgres, query_scalar};

use crate::{InvalidTableName, SqlStore, fault::Fault, retry::retry, table::TableName};

/// The sessions that antonlindstrom/pgstore keeps in PostgreSQL, for
/// [`GorillaRecords`](silverback::GorillaRecords).
///
/// | Column | pgstore | Here |
/// |---|---|---|
/// | `key` | the ID, 52 digits | the same |
/// | `data` | a text of gorilla/securecookie: signed, and encrypted if there is a block key | the same |
/// | `created_on`, `modified_on` | when the row was made and saved, by Go's clock | by the database's clock |
/// | `expires_on` | `MaxAge` after the last save; only pgstore's `Cleanup` reads it | an expired row counts as missing |
///
/// A row that pgstore saves with a `MaxAge` of 0 has already ended by its `expires_on`. As in Go,
/// it counts for as long as its text is valid. A time under the key `expires_on` among the values,
/// from which pgstore takes the row's, is an ordinary value.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use silverback::{
///     GorillaRecords, Keys, SessionConfig, SessionLayer,
///     gorilla::{Gorilla, KeyPair, SecureCookie},
/// };
/// use silverback_sqlx::GorillaPostgres;
/// use sqlx::PgPool;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
/// // Go: pgstore.NewPGStore(os.Getenv("DATABASE_URL"), hashKey, blockKey)
/// let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
/// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
/// let records = GorillaPostgres::new(pool);
/// let records = GorillaRecords::new(records, "account", Gorilla::new(cookies));
/// let account = SessionConfig::cookie("account", keys).write_gorilla(records.session_format());
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(SessionLayer::new(account))
///     .layer(records);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GorillaPostgres {
    store: SqlStore<Postgres>,
    table: String,
}

/// The condition that a row has not ended. A row whose end is not after its last save was given no
/// end.
const LIVES: &str = "coalesce(expires_on > now() OR expires_on <= modified_on, true)";

/// How many rows one statement removes.
const BATCH: i64 = 1_000;

impl GorillaPostgres {
    /// Finds the sessions in the table `http_sessions`, which pgstore makes.
    ///
    /// ```
    /// # use silverback_sqlx::GorillaPostgres;
    /// # use sqlx::PgPool;
    /// fn records(pool: PgPool) -> GorillaPostgres {
    ///     GorillaPostgres::new(pool)
    /// }
    /// ```
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            store: SqlStore::new(pool),
            table: "\"http_sessions\"".to_owned(),
        }
    }

    /// Uses another table, or that of a schema: `app.http_sessions`.
    ///
    /// # Errors
    ///
    /// As [`SqlStore::table`].
    ///
    /// ```
    /// # use silverback_sqlx::{GorillaPostgres, InvalidTableName};
    /// fn of_app(records: GorillaPostgres) -> Result<GorillaPostgres, InvalidTableName> {
    ///     records.table("app.http_sessions")
    /// }
    /// ```
    pub fn table(mut self, name: &str) -> Result<Self, InvalidTableName> {
        self.table = name.parse::<TableName>()?.quoted('"');
        Ok(self)
    }

    /// Bounds how long a call may take. The default is 2 seconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback_sqlx::GorillaPostgres;
    /// fn patient(records: GorillaPostgres) -> GorillaPostgres {
    ///     records.timeout(Duration::from_secs(5))
    /// }
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.store = self.store.timeout(timeout);
        self
    }

    /// Removes expired rows, as pgstore's `Cleanup` does while Go runs. Returns how many.
    ///
    /// # Errors
    ///
    /// If the database fails. Rows removed before the failure stay removed.
    ///
    /// ```
    /// # use silverback::store::StoreError;
    /// # use silverback_sqlx::GorillaPostgres;
    /// async fn nightly(records: &GorillaPostgres) -> Result<(), StoreError> {
    ///     println!("{} sessions were over", records.sweep().await?);
    ///     Ok(())
    /// }
    /// ```
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let table = &self.table;
        let sql = format!(
            "WITH gone AS (DELETE FROM {table} WHERE id = ANY (ARRAY (SELECT id FROM {table} \
             WHERE NOT {LIVES} LIMIT {BATCH} FOR UPDATE SKIP LOCKED)) RETURNING id) \
             SELECT count(*) FROM gone"
        );
        let mut removed = 0;
        loop {
            let some = self.count(&sql, &[], None).await?;
            removed += some.unsigned_abs();
            if some < BATCH {
                return Ok(removed);
            }
        }
    }

    /// Runs a statement and returns how many rows it has changed.
    async fn count(
        &self,
        sql: &str,
        values: &[&[u8]],
        lasts: Option<Duration>,
    ) -> Result<i64, StoreError> {
        let count = retry(|| self.try_count(sql, values, lasts));
        self.store.in_time(count).await
    }

    async fn try_count(
        &self,
        sql: &str,
        values: &[&[u8]],
        lasts: Option<Duration>,
    ) -> Result<i64, Fault> {
        let mut statement = query_scalar(AssertSqlSafe(sql.to_owned()));
        for value in values {
            statement = statement.bind(*value);
        }
        if let Some(lasts) = lasts {
            statement = statement.bind(lasts.as_secs_f64());
        }
        let mut conn = self.store.borrow().await?;
        let count = statement.fetch_one(&mut *conn).await;
        self.store
            .after(conn, count.map_err(SqlStore::<Postgres>::fault))
    }

    async fn try_load(&self, id: &str) -> Result<Option<Vec<u8>>, Fault> {
        let table = &self.table;
        let sql = format!(
            "SELECT data FROM {table} WHERE key = $1 AND {LIVES} \
             ORDER BY modified_on DESC NULLS LAST, id DESC LIMIT 1"
        );
        let load = query_scalar(AssertSqlSafe(sql)).bind(id.as_bytes());
        let mut conn = self.store.borrow().await?;
        let found = load.fetch_optional(&mut *conn).await;
        self.store
            .after(conn, found.map_err(SqlStore::<Postgres>::fault))
    }
}

impl GoRecords for GorillaPostgres {
    fn layout(&self) -> GoLayout {
        GoLayout::signed_ids(GoData::Text)
    }

    async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
        let found = self.store.in_time(retry(|| self.try_load(id))).await?;
        Ok(found.map(GoRecord::new))
    }

    async fn create(&self, id: &str, data: &[u8], lasts: Duration) -> Result<(), StoreError> {
        let table = &self.table;
        let sql = format!(
            "WITH made AS (INSERT INTO {table} (key, data, created_on, modified_on, expires_on) \
             VALUES ($1, $2, now(), now(), now() + $3::float8 * interval '1 second') RETURNING id) \
             SELECT count(*) FROM made"
        );
        let values = [id.as_bytes(), data];
        self.count(&sql, &values, Some(lasts)).await.map(drop)
    }

    /// Removes other rows with the ID, because Go reads any of them.
    async fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> Result<bool, StoreError> {
        let table = &self.table;
        let sql = format!(
            "WITH kept AS (UPDATE {table} SET data = $3, modified_on = now(), \
             expires_on = now() + $4::float8 * interval '1 second' \
             WHERE key = $1 AND data = $2 AND {LIVES} RETURNING id), \
             others AS (DELETE FROM {table} WHERE key = $1 AND EXISTS (SELECT FROM kept) \
             AND id NOT IN (SELECT id FROM kept)) \
             SELECT count(*) FROM kept"
        );
        let values = [id.as_bytes(), old, new];
        Ok(self.count(&sql, &values, Some(lasts)).await? > 0)
    }

    /// Removes all rows with the ID, because Go reads any of them.
    async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        let table = &self.table;
        // Only a condition on the row itself is checked again after a wait for another writer.
        let condition = match expected {
            Some(_) => format!("AND data = $2 AND {LIVES}"),
            None => String::new(),
        };
        let sql = format!(
            "WITH gone AS (DELETE FROM {table} WHERE key = $1 {condition} RETURNING id), \
             others AS (DELETE FROM {table} WHERE key = $1 AND EXISTS (SELECT FROM gone) \
             AND id NOT IN (SELECT id FROM gone)) \
             SELECT count(*) FROM gone"
        );
        let values = [Some(id.as_bytes()), expected];
        let values: Vec<_> = values.into_iter().flatten().collect();
        Ok(self.count(&sql, &values, None).await? > 0)
    }
}

impl fmt::Debug for GorillaPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GorillaPostgres")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
