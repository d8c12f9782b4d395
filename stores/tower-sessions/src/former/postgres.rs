//! The rows of tower-sessions-sqlx-store 0.15 in PostgreSQL.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    Rows,
    packed::{pack, unpack},
};
use crate::{
    failure::Failure,
    row::Row,
    version::{parse, text},
};

pub(super) struct PostgresRows {
    pool: PgPool,
    /// With its schema, both quoted.
    table: String,
}

impl PostgresRows {
    pub(super) fn new(pool: PgPool, schema: &str, table: &str) -> Self {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        Self {
            pool,
            table: format!("{}.{}", quoted(schema), quoted(table)),
        }
    }
}

#[async_trait]
impl Rows for PostgresRows {
    fn parse(&self, text: &str) -> Option<i128> {
        parse(text)
    }

    async fn load(&self, id: i128) -> Result<Option<Row>, Failure> {
        let table = &self.table;
        let sql = format!("SELECT data FROM {table} WHERE id = $1 AND expiry_date > now()");
        let load = sqlx::query_scalar(AssertSqlSafe(sql)).bind(text(id));
        let bytes: Option<Vec<u8>> = load
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| Failure::backend(&error))?;
        bytes.map(|bytes| unpack(&bytes)).transpose()
    }

    async fn save(&self, row: Row) -> Result<(), Failure> {
        let table = &self.table;
        let sql = format!(
            "UPDATE {table} SET data = $2, expiry_date = to_timestamp($3::float8) WHERE id = $1"
        );
        let end = row.expires.unix_timestamp() as f64;
        let save = sqlx::query(AssertSqlSafe(sql))
            .bind(text(row.id))
            .bind(pack(&row)?)
            .bind(end);
        save.execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| Failure::backend(&error))
    }

    async fn delete(&self, id: i128) -> Result<(), Failure> {
        let sql = format!("DELETE FROM {} WHERE id = $1", self.table);
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(text(id));
        delete
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| Failure::backend(&error))
    }
}
