//! The former sessions of tower-sessions.

mod cookie;
mod layer;
mod list;
#[cfg(any(feature = "redis-1", feature = "sqlx"))]
mod packed;
#[cfg(feature = "redis-1")]
mod redis;
#[cfg(feature = "sqlx")]
mod sql;

use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use async_trait::async_trait;

#[cfg(feature = "sqlx")]
use ::sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Type};
#[cfg(feature = "sqlx")]
use ::time::OffsetDateTime;

pub use self::layer::{FormerSessionService, FormerSessions};
pub(crate) use self::list::List;
use crate::{failure::Failure, row::Row};

/// A store of tower-sessions that you are leaving: any type that implements its `SessionStore`, or
/// the data of `tower-sessions-redis-store` or `tower-sessions-sqlx-store`.
///
/// [`FormerSessions`] and [`TowerSessionStore::moving_from`](crate::TowerSessionStore::moving_from)
/// read it. For the data of these two crates, you need neither them nor their clients any more.
#[derive(Clone)]
pub struct Former {
    rows: Arc<dyn Rows>,
    timeout: Duration,
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// A `SessionStore` of either version.
#[async_trait]
pub(crate) trait Rows: Send + Sync + 'static {
    /// The ID in a cookie's value.
    fn parse(&self, text: &str) -> Option<i128>;
    async fn load(&self, id: i128) -> Result<Option<Row>, Failure>;
    async fn save(&self, row: Row) -> Result<(), Failure>;
    async fn delete(&self, id: i128) -> Result<(), Failure>;

    /// The store itself, if it can be listed.
    fn list(&self) -> Option<&dyn List> {
        None
    }
}

impl Former {
    /// Takes a store for tower-sessions 0.14.
    ///
    /// ```
    /// use silverback_tower_sessions::Former;
    ///
    /// let former = Former::v0_14(tower_sessions::MemoryStore::default());
    /// ```
    #[cfg(feature = "v0_14")]
    #[cfg_attr(docsrs, doc(cfg(feature = "v0_14")))]
    #[must_use]
    pub fn v0_14(store: impl tower_sessions_core_0_14::SessionStore) -> Self {
        Self::of(crate::version::v0_14::Of(store))
    }

    /// Takes a store for tower-sessions 0.15.
    ///
    /// ```
    /// use silverback_tower_sessions::Former;
    /// # use tower_sessions_0_15 as tower_sessions;
    ///
    /// let former = Former::v0_15(tower_sessions::MemoryStore::default());
    /// ```
    #[cfg(feature = "v0_15")]
    #[cfg_attr(docsrs, doc(cfg(feature = "v0_15")))]
    #[must_use]
    pub fn v0_15(store: impl tower_sessions_core_0_15::SessionStore) -> Self {
        Self::of(crate::version::v0_15::Of(store))
    }

    /// Takes the records of `tower-sessions-redis-store` in Redis or Valkey: MessagePack under the
    /// bare ID.
    ///
    /// ```no_run
    /// use silverback_tower_sessions::Former;
    ///
    /// # async fn f() -> redis::RedisResult<()> {
    /// let client = redis::Client::open("redis://127.0.0.1")?;
    /// let former = Former::redis(client.get_multiplexed_async_connection().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis-1")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-1")))]
    #[must_use]
    pub fn redis(
        connection: impl ::redis::aio::ConnectionLike + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::of(self::redis::RedisRows(connection))
    }

    /// Takes the rows of `tower-sessions-sqlx-store` in PostgreSQL, MySQL or SQLite. Your sqlx
    /// needs the driver.
    ///
    /// The crate's default names for the table are `["tower_sessions", "session"]` in PostgreSQL
    /// and MySQL, and `["tower_sessions"]` in SQLite.
    ///
    /// ```no_run
    /// use silverback_tower_sessions::Former;
    /// use sqlx::PgPool;
    ///
    /// # async fn f() -> sqlx::Result<()> {
    /// let pool = PgPool::connect("postgres://localhost/shop").await?;
    /// let former = Former::sqlx(pool, &["tower_sessions", "session"]);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "sqlx")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlx")))]
    #[must_use]
    pub fn sqlx<DB>(pool: ::sqlx::Pool<DB>, table: &[&str]) -> Self
    where
        DB: Database<Arguments: IntoArguments<DB>>,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
        for<'v> String: Decode<'v, DB> + Encode<'v, DB> + Type<DB>,
        for<'v> Vec<u8>: Decode<'v, DB> + Encode<'v, DB> + Type<DB>,
        for<'v> OffsetDateTime: Encode<'v, DB> + Type<DB>,
        usize: ColumnIndex<DB::Row>,
    {
        Self::of(sql::SqlRows::new(pool, table))
    }

    /// Sets how long a request waits for each answer of the store: 5 seconds unless set. Stores of
    /// tower-sessions have no limit of their own, or a long one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback_tower_sessions::Former;
    ///
    /// fn impatient(former: Former) -> Former {
    ///     former.timeout(Duration::from_secs(2))
    /// }
    /// ```
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    #[cfg_attr(
        not(any(
            feature = "redis-1",
            feature = "sqlx",
            feature = "v0_14",
            feature = "v0_15"
        )),
        expect(dead_code, reason = "there is no store")
    )]
    fn of(rows: impl Rows) -> Self {
        Self {
            rows: Arc::new(rows),
            timeout: TIMEOUT,
        }
    }

    /// Waits for an answer. A store that answers at once needs no timer.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut call = pin!(call);
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return done;
        }
        let answered = tokio::time::timeout(self.timeout, call).await;
        answered.unwrap_or_else(|_| {
            let sentence = format!("the former store did not answer within {:?}", self.timeout);
            Err(Failure::Backend(sentence))
        })
    }

    pub(crate) fn parse(&self, text: &str) -> Option<i128> {
        self.rows.parse(text)
    }

    pub(crate) async fn load(&self, id: i128) -> Result<Option<Row>, Failure> {
        self.in_time(self.rows.load(id)).await
    }

    pub(crate) async fn save(&self, row: Row) -> Result<(), Failure> {
        self.in_time(self.rows.save(row)).await
    }

    pub(crate) async fn delete(&self, id: i128) -> Result<(), Failure> {
        self.in_time(self.rows.delete(id)).await
    }

    pub(crate) fn list(&self) -> Option<&dyn List> {
        self.rows.list()
    }
}

impl fmt::Debug for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Former").finish_non_exhaustive()
    }
}
