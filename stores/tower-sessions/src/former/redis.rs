//! The records of tower-sessions-redis-store 0.16.

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue, aio::ConnectionLike, cmd};

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

pub(super) struct RedisRows<C>(pub(super) C);

impl<C: ConnectionLike + Clone + Send + Sync> RedisRows<C> {
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let answer = command.query_async(&mut self.0.clone()).await;
        answer.map_err(|error| Failure::backend(&error))
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> Rows for RedisRows<C> {
    fn parse(&self, text: &str) -> Option<i128> {
        parse(text)
    }

    async fn load(&self, id: i128) -> Result<Option<Row>, Failure> {
        let bytes: Option<Vec<u8>> = self.ask(cmd("GET").arg(text(id))).await?;
        bytes.map(|bytes| unpack(&bytes)).transpose()
    }

    async fn save(&self, row: Row) -> Result<(), Failure> {
        let (name, end) = (text(row.id), row.expires.unix_timestamp());
        let mut set = cmd("SET");
        set.arg(name)
            .arg(pack(&row)?)
            .arg("XX")
            .arg("EXAT")
            .arg(end);
        self.ask(&set).await
    }

    async fn delete(&self, id: i128) -> Result<(), Failure> {
        self.ask(cmd("DEL").arg(text(id))).await
    }

    fn list(&self) -> Option<&dyn List> {
        Some(self)
    }
}

/// Matches keys as long as an ID in base64.
const LIKE_AN_ID: &str = "??????????????????????";

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> List for RedisRows<C> {
    async fn ids(&self, from: &str, limit: usize) -> Result<Ids, Failure> {
        let mut scan = cmd("SCAN");
        scan.arg(if from.is_empty() { "0" } else { from })
            .arg("MATCH")
            .arg(LIKE_AN_ID)
            .arg("COUNT")
            .arg(limit)
            .arg("TYPE")
            .arg("string");
        let (next, keys): (String, Vec<Vec<u8>>) = self.ask(&scan).await?;
        let texts = keys.iter().filter_map(|key| str::from_utf8(key).ok());
        Ok(Ids {
            ids: texts.filter_map(parse).collect(),
            next: Some(next).filter(|next| next != "0"),
        })
    }
}
