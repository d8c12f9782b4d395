//! The store.

use std::{fmt, sync::Arc, time::Duration};

use silverback::{
    Clock,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};

use crate::{
    address::Address,
    calls::{self, Value},
    connection::Shared,
    error::{all_failed, lost},
    link::Link,
    record::{self, HEAD},
};

/// Keeps sessions in memcached, which may forget them. Clones are the same store.
///
/// The [crate's documentation](crate) says what it guarantees, and what it means that the store may
/// forget a session.
///
/// ```no_run
/// use silverback::{Keys, SessionConfig};
/// use silverback_memcached::MemcachedStore;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemcachedStore::connect("memcached://127.0.0.1:11211").await?.prefix("shop:")?;
/// let sessions = SessionConfig::new("cart", store, Keys::generate()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemcachedStore {
    link: Arc<Link>,
    prefix: Arc<str>,
    timeout: Duration,
    /// By the server's limit, with the shortest prefix.
    room: usize,
    record_bytes: usize,
}

/// The server's overhead for an item, and the digits of a key.
const OVERHEAD: usize = 512;

/// The server's limit for a key, less the digits of a record's key.
const LONGEST_PREFIX: usize = 250 - 64;

impl MemcachedStore {
    /// Connects to a server of memcached 1.6 or later, `memcached://HOST:PORT`. The port is 11211
    /// by default.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_memcached::MemcachedStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = MemcachedStore::connect("memcached://cache.internal").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is invalid, or the server was started without
    /// compare-and-swap tokens (`-C`). [`StoreError::Unavailable`] if it does not answer within 2
    /// seconds.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let link = Arc::new(Link::new(Address::parse(url)?));
        let facts = link
            .run(TIMEOUT, |connection: Shared| async move {
                Ok(Ok(connection.facts))
            })
            .await?;
        let room = facts.item_bytes.saturating_sub(OVERHEAD + HEAD);
        Ok(Self {
            link,
            prefix: "silverback:".into(),
            timeout: TIMEOUT,
            room,
            record_bytes: room,
        })
    }

    /// Sets the prefix of the store's keys. The 64 hexadecimal digits of the [`RecordKey`] follow
    /// it. The default is `silverback:`. Give each application on a shared server its own.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_memcached::MemcachedStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = MemcachedStore::connect("memcached://127.0.0.1").await?.prefix("shop:")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] unless it is up to 186 visible ASCII characters: memcached allows no
    /// others in a key.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, StoreError> {
        let is_visible = prefix.bytes().all(|byte| byte.is_ascii_graphic());
        if prefix.len() > LONGEST_PREFIX || !is_visible {
            return Err(StoreError::refused(
                "a prefix is up to 186 visible ASCII characters",
            ));
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    /// Bounds how long a call may take. After that it is [`StoreError::Unavailable`]. The default
    /// is 2 seconds, which leaves room in a request's budget of 5 seconds for a second attempt. A
    /// connection that does not answer in this time is replaced.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_memcached::MemcachedStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// # use std::time::Duration;
    /// let store = MemcachedStore::connect("memcached://127.0.0.1").await?;
    /// let store = store.timeout(Duration::from_millis(500));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds the bytes of a record. The default and the maximum are the server's limit (`-I`) less
    /// 540 bytes: about 1 MiB unless you change that.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_memcached::MemcachedStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = MemcachedStore::connect("memcached://127.0.0.1").await?.record_bytes(64 << 10);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.record_bytes = bytes.min(self.room);
        self
    }

    /// The name of a record in memcached.
    fn name(&self, key: &RecordKey) -> String {
        format!("{}{key}", self.prefix)
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.record_bytes);
        // If the server refused the new record, it would drop the old one too.
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(())
    }
}

const TIMEOUT: Duration = Duration::from_secs(2);

fn seconds(expiry: Expiry) -> i64 {
    record::time_to_live(expiry, Clock::system().now())
}

impl Store for MemcachedStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let loaded = self.load_all(std::slice::from_ref(key)).await?.pop();
        loaded.ok_or_else(lost)?
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        if keys.is_empty() {
            return Vec::new();
        }
        match self.load_all(keys).await {
            Ok(loaded) => loaded,
            Err(error) => all_failed(keys.len(), &error),
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
        let value = Value {
            bytes: record::write(version, expiry.at, &data),
            seconds: seconds(expiry),
        };
        let create = |connection| calls::create(connection, name.clone(), &value);
        self.link.run(self.timeout, create).await?;
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
        let update = |connection| {
            calls::replace(connection, name.clone(), expected, |_| Value {
                bytes: record::write(version, expiry.at, &data),
                seconds: seconds(expiry),
            })
        };
        self.link.run(self.timeout, update).await?;
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let name = self.name(key);
        let touch = |connection| {
            calls::replace(connection, name.clone(), expected, |record| {
                calls::touched(record, expiry, seconds(expiry))
            })
        };
        self.link.run(self.timeout, touch).await?;
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let deleted = self.delete_all(&[(*key, expected)]).await?.pop();
        deleted.ok_or_else(lost)?
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        match self.delete_all(records).await {
            Ok(deleted) => deleted,
            Err(error) => all_failed(records.len(), &error),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            may_forget: true,
            ..Limits::default()
        }
    }
}

impl MemcachedStore {
    async fn load_all(
        &self,
        keys: &[RecordKey],
    ) -> Result<Vec<Result<Option<Record>, StoreError>>, StoreError> {
        let names: Vec<_> = keys.iter().map(|key| self.name(key)).collect();
        let names = &names;
        let load = |connection: Shared| async move {
            let asked = connection.ask(|asked| names.iter().for_each(|name| asked.get(name)));
            Ok(Ok(asked.await?.into_iter().map(calls::loaded).collect()))
        };
        self.link.run(self.timeout, load).await
    }

    async fn delete_all(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let names = records.iter().map(|(key, at)| (self.name(key), *at));
        let names: Vec<_> = names.collect();
        let delete = |connection| calls::delete(connection, names.clone());
        self.link.run(self.timeout, delete).await
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore")
            .field("link", &self.link)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
