//! The store.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Cmd, Pipeline, Value};
use silverback::store::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, RecordKind, Store, StoreError, Version,
};

use crate::{
    calls::{deleted, is_unknown, loaded, no_answer, repeated},
    error,
    link::{Link, To},
    record::{self, HEAD},
    script::{self, By},
};

/// Keeps sessions in Redis or Valkey. Clones are the same store.
///
/// The [crate's documentation](crate) says what it guarantees.
///
/// ```no_run
/// use silverback::{Keys, SessionConfig};
/// use silverback_redis::RedisStore;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?.prefix("shop:");
/// let sessions = SessionConfig::new("session", store, Keys::generate()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) link: Arc<Link>,
    prefix: Arc<str>,
    pub(crate) timeout: Duration,
    record_bytes: usize,
    may_forget: bool,
    pub(crate) confirmed: Option<Confirmed>,
}

/// How writes that must not be lost are confirmed.
#[derive(Clone)]
pub(crate) struct Confirmed {
    /// `WAIT` blocks a connection, so these writes have their own.
    pub(crate) link: Arc<Link>,
    pub(crate) replicas: u32,
    pub(crate) within: Duration,
}

/// The longest string value, by the default of the server's `proto-max-bulk-len`.
const LARGEST: usize = (512 << 20) - HEAD;

impl RedisStore {
    pub(crate) fn new(link: Link, may_forget: bool) -> Self {
        Self {
            link: Arc::new(link),
            prefix: "silverback:".into(),
            timeout: Duration::from_secs(2),
            record_bytes: 16 << 20,
            may_forget,
            confirmed: None,
        }
    }

    /// Sets the prefix of the store's keys. The 64 hexadecimal digits of the [`RecordKey`] follow
    /// it. The default is `silverback:`. Give each application on a shared server its own prefix.
    ///
    /// In a cluster, braces in it put every session on one server: `{shop}:` is a hash tag.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = RedisStore::connect("redis://127.0.0.1:6379").await?.prefix("shop:");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Bounds how long a call may take. After that it is [`StoreError::Unavailable`]. The default
    /// is 2 seconds, which leaves room in a request's budget of 5 seconds for a second attempt. A
    /// connection that does not answer in this time is replaced.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// # use std::time::Duration;
    /// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// let store = store.timeout(Duration::from_millis(800));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds the bytes of a record. The default is 16 MiB and the maximum 512 MiB, which is the
    /// server's own limit.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = RedisStore::connect("redis://127.0.0.1:6379").await?.record_bytes(64 << 10);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.record_bytes = bytes.min(LARGEST);
        self
    }

    /// Waits until this many replicas confirm each write that a failover must not lose: new
    /// records, deletions, and what remembers that a session has ended or was renewed. Other
    /// updates do not wait. The default is none.
    ///
    /// `WAIT` is sent with the write, in the same round trip, on a connection for such writes
    /// alone. If too few have confirmed `within` this time, the call is
    /// [`StoreError::Unavailable`]: the write stands, and a failover may lose it. Choose a time
    /// shorter than the [`timeout`](Self::timeout).
    ///
    /// These writes take turns on their connection. While a replica is missing, each of them waits
    /// for all of `within`, and most of several at once end by the `timeout` instead. Whether those
    /// have happened is unknown.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// # use std::time::Duration;
    /// let store = RedisStore::connect("redis://10.0.0.1").await?;
    /// let store = store.wait_replicas(1, Duration::from_millis(500));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wait_replicas(mut self, replicas: u32, within: Duration) -> Self {
        self.confirmed = (replicas > 0).then(|| Confirmed {
            link: Arc::new(self.link.another()),
            replicas,
            within,
        });
        self
    }

    pub(crate) fn may_forget(&mut self, may_forget: bool) {
        self.may_forget = may_forget;
    }

    /// Returns the name of a record in Redis.
    pub(crate) fn name(&self, key: &RecordKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Returns the record of a name in Redis, or `None` if the name does not belong to this store.
    pub(crate) fn key(&self, name: &str) -> Option<RecordKey> {
        name.strip_prefix(&*self.prefix)?.parse().ok()
    }

    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 1);
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('*');
        pattern
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        if data.len() > self.record_bytes {
            return Err(StoreError::TooLarge {
                size: data.len(),
                limit: self.record_bytes,
            });
        }
        Ok(())
    }
}

/// Returns whether a failover must not lose this update: it records that something has ended.
fn is_end(data: &[u8]) -> bool {
    RecordKind::of(data) != Some(RecordKind::Session)
}

/// Returns whether this update ends or renews a session.
fn is_mark(data: &[u8]) -> bool {
    RecordKind::of(data) == Some(RecordKind::Mark)
}

impl Store for RedisStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let name = self.name(key);
        let mut commands = Pipeline::with_capacity(1);
        commands.cmd("GET").arg(&name);
        let answers = self
            .link
            .run(To::Key(&name), &commands, self.timeout)
            .await?;
        loaded(answers.into_iter().next().ok_or_else(no_answer)?)
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        #[cfg(feature = "cluster")]
        if self.link.is_cluster() {
            let loads = keys.iter().map(|key| self.load(key, read));
            return futures_util::future::join_all(loads).await;
        }
        let _ = read;
        let names: Vec<_> = keys.iter().map(|key| self.name(key)).collect();
        let Some(first) = names.first() else {
            return Vec::new();
        };
        // Not `MGET`, which reports a key of another type as missing.
        let mut commands = Pipeline::with_capacity(names.len());
        for name in &names {
            commands.cmd("GET").arg(name);
        }
        match self.link.run(To::Key(first), &commands, self.timeout).await {
            Ok(answers) if answers.len() == keys.len() => answers.into_iter().map(loaded).collect(),
            Ok(_) => repeated(&no_answer(), keys.len()),
            Err(failure) => repeated(&failure, keys.len()),
        }
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let (name, version) = (self.name(key), Version::random()?);
        let value = record::Value {
            version,
            expiry,
            data: &data,
        };
        let after = record::milliseconds(expiry);
        if after > 0 {
            let mut command = redis::cmd("SET");
            command
                .arg(&name)
                .arg(&value)
                .arg("NX")
                .arg("PX")
                .arg(after);
            match self.write(&name, command, true).await? {
                Value::Okay => return Ok(version),
                // The key exists: as a record, or as a value that gives way to one.
                Value::Nil => {}
                Value::ServerError(failure) => return Err(error::of(failure.into())),
                other => return Err(error::unexpected(&other)),
            }
        }
        let arguments = |command: &mut Cmd| {
            command.arg(version.as_bytes()).arg(after).arg(&value);
        };
        self.call(&script::CREATE, &name, arguments, true).await?;
        Ok(version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let (name, version) = (self.name(key), Version::random()?);
        let value = record::Value {
            version,
            expiry,
            data: &data,
        };
        let arguments = |command: &mut Cmd| {
            command
                .arg(expected.as_bytes())
                .arg(version.as_bytes())
                .arg(record::milliseconds(expiry))
                .arg(&value)
                .arg(i32::from(is_mark(&data)));
        };
        self.call(&script::UPDATE, &name, arguments, is_end(&data))
            .await?;
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let arguments = |command: &mut Cmd| {
            command
                .arg(expected.as_bytes())
                .arg(record::milliseconds(expiry))
                .arg(&record::end_of(expiry));
        };
        self.call(&script::TOUCH, &self.name(key), arguments, false)
            .await?;
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let name = self.name(key);
        let Some(version) = expected else {
            let command = Self::deletion(&name, None, By::Hash);
            return deleted(self.write(&name, command, true).await?);
        };
        let arguments = |command: &mut Cmd| {
            command.arg(version.as_bytes());
        };
        self.call(&script::DELETE, &name, arguments, true).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        #[cfg(feature = "cluster")]
        if self.link.is_cluster() {
            let deletions = records
                .iter()
                .map(|(key, expected)| self.delete(key, *expected));
            return futures_util::future::join_all(deletions).await;
        }
        let names: Vec<_> = records.iter().map(|(key, _)| self.name(key)).collect();
        let Some(first) = names.first() else {
            return Vec::new();
        };
        let mut by = By::Hash;
        loop {
            let mut commands = Pipeline::with_capacity(names.len() + 1);
            for (name, (_, expected)) in names.iter().zip(records) {
                commands.add_command(Self::deletion(name, *expected, by));
            }
            let answers = match self.write_all(first, commands, true).await {
                Ok(answers) if answers.len() == records.len() => answers,
                Ok(_) => return repeated(&no_answer(), records.len()),
                Err(failure) => return repeated(&failure, records.len()),
            };
            let is_new = |answer: &Value| matches!(answer, Value::ServerError(failure) if is_unknown(failure));
            if by == By::Hash && answers.as_slice().iter().any(is_new) {
                // Deleting again what is already deleted changes nothing.
                by = By::Text;
                continue;
            }
            let each = answers.zip(records);
            return each
                .map(|(answer, (_, expected))| match (answer, expected) {
                    (Value::Int(answer), Some(_)) => script::outcome(answer),
                    (answer, _) => deleted(answer),
                })
                .collect();
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            may_forget: self.may_forget,
            may_repeat: self.link.may_repeat(),
            ..Limits::default()
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use silverback::Timestamp;
    use silverback_test_servers::Redis;

    use super::*;
    use crate::script::Call;

    #[tokio::test]
    async fn a_call_that_nobody_polls_any_more_keeps_no_other_waiting() {
        let Some(redis) = Redis::start() else { return };
        let store = RedisStore::connect(&redis.url()).await.unwrap();
        // A link that has no connection yet. Only a hang takes this long.
        let link = Arc::new(store.link.another());
        let store = RedisStore { link, ..store }.timeout(Duration::from_secs(600));
        let key = RecordKey::from_bytes([1; 32]);
        let mut left = pin!(store.load(&key, Read::Current));
        let begun = poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending()));
        assert!(begun.await, "it is connecting");
        assert_eq!(store.load(&key, Read::Current).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_write_that_is_sent_again_is_recognised_by_its_version() {
        let Some(redis) = Redis::start() else { return };
        let store = RedisStore::connect(&redis.url()).await.unwrap();
        let (key, now) = (RecordKey::from_bytes([1; 32]), Timestamp::from_secs(1_000));
        let expiry = Expiry::new(Timestamp::from_secs(2_000), now);
        let data = Bytes::from_static(b"\x01data");
        let first = store.create(&key, data, expiry).await.unwrap();
        let second = Version::random().unwrap();
        let write = async |call: &Call, versions: &[Version]| {
            let value = record::Value {
                version: second,
                expiry,
                data: b"\x01new",
            };
            let arguments = |command: &mut Cmd| {
                for version in versions {
                    command.arg(version.as_bytes());
                }
                command.arg(1_000_000).arg(&value);
            };
            store.call(call, &store.name(&key), arguments, false).await
        };
        let update = [first, second];
        write(&script::UPDATE, &update).await.unwrap();
        write(&script::UPDATE, &update).await.unwrap();
        write(&script::CREATE, &[second]).await.unwrap();
        let third = [first, Version::random().unwrap()];
        assert!(matches!(
            write(&script::UPDATE, &third).await,
            Err(StoreError::Conflict)
        ));
        assert!(matches!(
            write(&script::CREATE, &[first]).await,
            Err(StoreError::Exists)
        ));
        assert_eq!(
            store
                .load(&key, Read::Current)
                .await
                .unwrap()
                .unwrap()
                .version(),
            second
        );
    }
}
