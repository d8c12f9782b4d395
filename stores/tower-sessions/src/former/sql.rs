//! The rows of tower-sessions-sqlx-store, in any database with a driver in sqlx.

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Pool, Type,
};
use time::OffsetDateTime;

use super::{
    Rows,
    list::{Ids, List},
    packed::{pack, unpack},
};
use crate::{
    failure::Failure,
    row::Row,
    version::{parse, text},
};

pub(super) struct SqlRows<DB: Database> {
    pool: Pool<DB>,
    load: String,
    save: String,
    delete: String,
    list: String,
}

impl<DB: Database> SqlRows<DB> {
    /// Takes the table's name, with its schema if it has one.
    pub(super) fn new(pool: Pool<DB>, table: &[&str]) -> Self {
        let quote = if DB::NAME == "MySQL" { '`' } else { '"' };
        let quoted = |name: &&str| {
            let doubled = name.replace(quote, &String::from_iter([quote, quote]));
            format!("{quote}{doubled}{quote}")
        };
        let table = table.iter().map(quoted).collect::<Vec<_>>().join(".");
        let places: [&str; 3] = match DB::NAME {
            "PostgreSQL" => ["$1", "$2", "$3"],
            _ => ["?"; 3],
        };
        let [one, two, three] = places;
        Self {
            pool,
            load: format!("SELECT data FROM {table} WHERE id = {one}"),
            save: format!(
                "UPDATE {table} SET data = {one}, expiry_date = {two} WHERE id = {three}"
            ),
            delete: format!("DELETE FROM {table} WHERE id = {one}"),
            list: format!("SELECT id FROM {table} WHERE id > {one} ORDER BY id LIMIT "),
        }
    }
}

#[async_trait]
impl<DB> Rows for SqlRows<DB>
where
    DB: Database<Arguments: IntoArguments<DB>>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'v> String: Decode<'v, DB> + Encode<'v, DB> + Type<DB>,
    for<'v> Vec<u8>: Decode<'v, DB> + Encode<'v, DB> + Type<DB>,
    for<'v> OffsetDateTime: Encode<'v, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    fn parse(&self, text: &str) -> Option<i128> {
        parse(text)
    }

    async fn load(&self, id: i128) -> Result<Option<Row>, Failure> {
        let load = sqlx::query_scalar(AssertSqlSafe(self.load.clone())).bind(text(id));
        let bytes: Option<Vec<u8>> = load
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| Failure::backend(&error))?;
        let row = bytes.map(|bytes| unpack(&bytes)).transpose()?;
        Ok(row.filter(|row| row.expires > OffsetDateTime::now_utc()))
    }

    async fn save(&self, row: Row) -> Result<(), Failure> {
        let save = sqlx::query(AssertSqlSafe(self.save.clone()))
            .bind(pack(&row)?)
            .bind(row.expires)
            .bind(text(row.id));
        save.execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| Failure::backend(&error))
    }

    async fn delete(&self, id: i128) -> Result<(), Failure> {
        let delete = sqlx::query(AssertSqlSafe(self.delete.clone())).bind(text(id));
        delete
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| Failure::backend(&error))
    }

    fn list(&self) -> Option<&dyn List> {
        Some(self)
    }
}

#[async_trait]
impl<DB> List for SqlRows<DB>
where
    DB: Database<Arguments: IntoArguments<DB>>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'v> String: Decode<'v, DB> + Encode<'v, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    async fn ids(&self, from: &str, limit: usize) -> Result<Ids, Failure> {
        let sql = format!("{}{limit}", self.list);
        let list = sqlx::query_scalar(AssertSqlSafe(sql)).bind(from.to_owned());
        let texts: Vec<String> = list
            .fetch_all(&self.pool)
            .await
            .map_err(|error| Failure::backend(&error))?;
        let ids = texts.iter().filter_map(|text| parse(text)).collect();
        let is_last = texts.len() < limit;
        let next = texts.into_iter().last().filter(|_| !is_last);
        Ok(Ids { ids, next })
    }
}
