//! The sessions of gorilla's stores in Redis.
//!
//! Their values have no version, so a write compares the whole value. That reveals changes by other
//! requests before the write, but not values that Go overwrites afterwards.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Cmd, Pipeline, Value};
use silverback::{
    GoRecord, GoRecords,
    gorilla::{GoData, GoLayout},
    store::StoreError,
};

use crate::{RedisStore, calls::no_answer, error, link::To, script};

/// The sessions that boj/redistore or rbcervilla/redisstore keep in Redis, for
/// [`GorillaRecords`](silverback::GorillaRecords).
///
/// | | [`redistore`](Self::redistore) | [`redisstore`](Self::redisstore) |
/// |---|---|---|
/// | store of Go's | `github.com/boj/redistore` | `github.com/rbcervilla/redisstore` |
/// | cookie | the ID, signed | the ID as it is |
/// | key in Redis | `session_` and the ID | `session:` and the ID |
/// | value in Redis | a gob, or JSON with its `JSONSerializer` | a gob, or JSON by a serializer of yours |
/// | time to live | `MaxAge`, and 20 minutes without one | `MaxAge` |
/// | bytes | 4,096 | as many as a gob may have |
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use silverback::{
///     GorillaRecords, Keys, SessionConfig, SessionLayer,
///     gorilla::{Gorilla, KeyPair, SecureCookie},
/// };
/// use silverback_redis::{GorillaRedis, RedisStore};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
/// // Go: redistore.NewRediStore(10, "tcp", "localhost:6379", "", hashKey, blockKey)
/// let redis = RedisStore::connect("redis://localhost:6379").await?;
/// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
/// let records = GorillaRedis::redistore(redis);
/// let records = GorillaRecords::new(records, "account", Gorilla::new(cookies));
/// let account = SessionConfig::cookie("account", keys).write_gorilla(records.session_format());
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(SessionLayer::new(account))
///     .layer(records);
/// # Ok(())
/// # }
/// ```
///
/// # Bare IDs
///
/// redisstore signs nothing, and its `Save` makes a record under whatever ID the browser sends. So an
/// attacker can plant an ID in a victim's browser and know it after the login. This crate opens an
/// ID only if Redis has it, gives new sessions an ID of its own, and another one to a session that is
/// [renewed](silverback::Session::renew). Renew at each login, and let Rust do the logins first. Against
/// an ID that Go has made a session of and logged in itself, nothing here helps.
///
/// The ID is not bound to the session's name either: give two sessions of one site two
/// [prefixes](Self::prefix).
#[derive(Clone)]
pub struct GorillaRedis {
    store: RedisStore,
    layout: GoLayout,
    prefix: Arc<str>,
}

impl GorillaRedis {
    /// Finds the sessions of boj/redistore in the Redis of this store, whose
    /// [timeout](RedisStore::timeout) and [replicas](RedisStore::wait_replicas) count here too.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::{GorillaRedis, RedisStore};
    /// # async fn f() -> Result<(), StoreError> {
    /// let redis = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// let records = GorillaRedis::redistore(redis);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn redistore(store: RedisStore) -> Self {
        let layout = GoLayout::signed_ids(GoData::Payload);
        let layout = layout.max_bytes(4_096).default_max_age(TWENTY_MINUTES);
        Self::of(store, layout, "session_")
    }

    /// Finds the sessions of rbcervilla/redisstore, in the same way. See [bare IDs](Self#bare-ids).
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::{GorillaRedis, RedisStore};
    /// # async fn f() -> Result<(), StoreError> {
    /// let redis = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// let records = GorillaRedis::redisstore(redis);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn redisstore(store: RedisStore) -> Self {
        let layout = GoLayout::bare_ids(GoData::Payload);
        Self::of(store, layout, "session:")
    }

    fn of(store: RedisStore, layout: GoLayout, prefix: &str) -> Self {
        let prefix = prefix.into();
        Self {
            store,
            layout,
            prefix,
        }
    }

    /// Sets what keys begin with: Go's `SetKeyPrefix` or `KeyPrefix`.
    ///
    /// ```no_run
    /// # use silverback_redis::GorillaRedis;
    /// # fn f(records: GorillaRedis) -> GorillaRedis {
    /// records.prefix("shop_")
    /// # }
    /// ```
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Bounds the bytes of a session: Go's `SetMaxLength`. `None` is Go's 0.
    ///
    /// ```no_run
    /// # use silverback_redis::GorillaRedis;
    /// # fn f(records: GorillaRedis) -> GorillaRedis {
    /// records.max_bytes(64 << 10)
    /// # }
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.layout = self.layout.max_bytes(bytes);
        self
    }

    /// Sets how long Redis keeps a session whose cookie ends with the browser: Go's
    /// `DefaultMaxAge`. As in Go, only a save restarts this time.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use silverback_redis::GorillaRedis;
    /// # fn f(records: GorillaRedis) -> GorillaRedis {
    /// records.default_max_age(Duration::from_secs(3_600))
    /// # }
    /// ```
    #[must_use]
    pub fn default_max_age(mut self, age: Duration) -> Self {
        self.layout = self.layout.default_max_age(age);
        self
    }

    fn name(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}

const TWENTY_MINUTES: Duration = Duration::from_secs(1_200);

/// Redis does not accept zero.
fn seconds(lasts: Duration) -> u64 {
    lasts.as_secs().max(1)
}

/// The answer of `PTTL` for a key without an expiry.
const FOR_EVER: i64 = -1;

/// Reads the answers to `GET` and `PTTL`. The key may expire between the two.
fn record(data: Value, left: Value) -> Result<Option<GoRecord>, StoreError> {
    let record = match data {
        Value::Nil => return Ok(None),
        Value::BulkString(data) => GoRecord::new(data),
        Value::ServerError(failure) => return Err(error::of(failure.into())),
        other => return Err(error::unexpected(&other)),
    };
    match left {
        Value::Int(FOR_EVER) => Ok(Some(record)),
        Value::Int(left @ 1..) => {
            let left = Duration::from_millis(left.unsigned_abs());
            Ok(Some(record.remains(left)))
        }
        Value::Int(_) => Ok(None),
        Value::ServerError(failure) => Err(error::of(failure.into())),
        other => Err(error::unexpected(&other)),
    }
}

/// Returns whether the value was the expected one.
fn done(answer: Result<(), StoreError>) -> Result<bool, StoreError> {
    match answer {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(failure) => Err(failure),
    }
}

impl GoRecords for GorillaRedis {
    fn layout(&self) -> GoLayout {
        self.layout
    }

    async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
        let name = self.name(id);
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("GET").arg(&name).cmd("PTTL").arg(&name);
        let (link, timeout) = (&self.store.link, self.store.timeout);
        let answers = link.run(To::Key(&name), &commands, timeout).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().ok_or_else(no_answer);
        record(next()?, next()?)
    }

    async fn create(&self, id: &str, data: &[u8], lasts: Duration) -> Result<(), StoreError> {
        let name = self.name(id);
        let mut command = redis::cmd("SET");
        command.arg(&name).arg(data).arg("NX");
        command.arg("EX").arg(seconds(lasts));
        match self.store.write(&name, command, true).await? {
            Value::Okay => Ok(()),
            Value::Nil => Err(StoreError::Exists),
            Value::ServerError(failure) => Err(error::of(failure.into())),
            other => Err(error::unexpected(&other)),
        }
    }

    async fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> Result<bool, StoreError> {
        let name = self.name(id);
        let arguments = |command: &mut Cmd| {
            command.arg(old).arg(new).arg(seconds(lasts));
        };
        let swapped = self
            .store
            .call(&script::SWAP, &name, arguments, false)
            .await;
        done(swapped)
    }

    async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        let name = self.name(id);
        if let Some(expected) = expected {
            let arguments = |command: &mut Cmd| {
                command.arg(expected);
            };
            let removed = self.store.call(&script::CUT, &name, arguments, true).await;
            return done(removed);
        }
        let mut command = redis::cmd("DEL");
        command.arg(&name);
        match self.store.write(&name, command, true).await? {
            Value::Int(removed) => Ok(removed > 0),
            Value::ServerError(failure) => Err(error::of(failure.into())),
            other => Err(error::unexpected(&other)),
        }
    }
}

impl fmt::Debug for GorillaRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GorillaRedis")
            .field("layout", &self.layout)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_while_it_is_read_is_none() {
        let read = |left| record(Value::BulkString(b"gob".to_vec()), left);
        let shown = |left| format!("{:?}", read(Value::Int(left)).unwrap());
        assert!(shown(-1).contains("remains: None"), "{}", shown(-1));
        assert!(shown(1).contains("remains: Some(1ms)"), "{}", shown(1));
        for over in [-2, 0] {
            assert_eq!(read(Value::Int(over)).unwrap(), None, "{over}");
        }
        assert_eq!(record(Value::Nil, Value::Int(-2)).unwrap(), None);
        // A missing answer does not mean "for ever".
        read(Value::Nil).unwrap_err();
    }
}
