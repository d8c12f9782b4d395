//! The store: its settings, and its calls.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use mongodb::{
    Client, Database,
    bson::{Document, doc},
    options::ClientOptions,
};
use silverback::{
    Clock,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use tokio::sync::Semaphore;

use crate::{
    commands::{Found, fields},
    fault::Fault,
    record::{self, EXPIRES, ROOM, date},
};

/// Keeps sessions in a collection of MongoDB, through your own client. Clones are the same store.
///
/// The [crate's documentation](crate) says what it guarantees, and what it was tested against.
///
/// ```no_run
/// use silverback::{Keys, SessionConfig};
/// use silverback_mongodb::MongoStore;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
/// let store = MongoStore::new(client.database("shop"));
/// store.create_index().await?;
/// let sessions = SessionConfig::new("account", store, Keys::generate()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MongoStore {
    pub(crate) database: Database,
    pub(crate) collection: String,
    pub(crate) timeout: Duration,
    pub(crate) clock: Clock,
    pub(crate) is_linearizable: bool,
    record_bytes: usize,
    /// The client repeats a write whose answer it has lost, or may do so.
    may_repeat: bool,
    /// For commands that may be under way at once.
    pub(crate) turns: Arc<Semaphore>,
}

const TIMEOUT: Duration = Duration::from_secs(2);
const RECORD_BYTES: usize = 1 << 20;

/// The commands under way at once, through a client whose connections the store cannot count. Most
/// have no more than that.
const AT_ONCE: usize = 100;
/// The connections of a client to each server, unless its options say otherwise.
const CONNECTIONS: u32 = 10;

impl MongoStore {
    /// Makes a store that uses this database, and the collection `silverback_sessions` in it. It
    /// does not contact the server yet.
    ///
    /// The concerns and the read preference of the database do not matter: the store sets its own.
    /// The client may have `retryWrites` on. The store cannot see that, so it [declares
    /// it](Limits::may_repeat), and sessions look for their own write after each refusal.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback_mongodb::MongoStore;
    ///
    /// let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let store = MongoStore::new(client.database("shop"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            collection: "silverback_sessions".to_owned(),
            timeout: TIMEOUT,
            clock: Clock::system(),
            is_linearizable: false,
            record_bytes: RECORD_BYTES,
            may_repeat: true,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Connects to the database of an address, `mongodb://USER:PASSWORD@HOST:PORT/DATABASE`, with
    /// its own client. Unless the address says otherwise, the client waits at most 2 seconds to
    /// connect and to find the primary, and repeats no write (`retryWrites=false`): sessions do
    /// that themselves.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # async fn f() -> Result<(), StoreError> {
    /// use silverback_mongodb::MongoStore;
    ///
    /// let store = MongoStore::connect("mongodb://10.0.0.1,10.0.0.2/shop?replicaSet=rs0").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is invalid, or the server refuses the user.
    /// [`StoreError::Unavailable`] if there is no answer within 2 seconds.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let parsed = ClientOptions::parse(url).await;
        let mut options = parsed.map_err(|error| Fault::of(&error))?;
        let Some(database) = options.default_database.clone() else {
            return Err(StoreError::refused(
                "the address names no database: mongodb://HOST/DATABASE",
            ));
        };
        options.connect_timeout.get_or_insert(TIMEOUT);
        options.server_selection_timeout.get_or_insert(TIMEOUT);
        let may_repeat = *options.retry_writes.get_or_insert(false);
        let connections = options.max_pool_size.unwrap_or(CONNECTIONS) as usize;
        let turns = connections.saturating_mul(options.hosts.len());
        let client = Client::with_options(options).map_err(|error| Fault::of(&error))?;
        let store = Self {
            may_repeat,
            turns: Arc::new(Semaphore::new(turns.clamp(1, Semaphore::MAX_PERMITS))),
            ..Self::new(client.database(&database))
        };
        let database = store.database.clone();
        let ping = store.complete(async move { database.run_command(doc! { "ping": 1 }).await });
        store.in_time(ping).await?;
        Ok(store)
    }

    /// Uses another collection. The default is `silverback_sessions`.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let store = MongoStore::new(client.database("shop")).collection("carts");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn collection(mut self, name: &str) -> Self {
        name.clone_into(&mut self.collection);
        self
    }

    /// Bounds how long a call may take. After that it is [`StoreError::Unavailable`]. The server
    /// gets the same limit, for reading and for waiting for a majority. The default is 2 seconds,
    /// which leaves room in a request's budget of 5 seconds for a second attempt.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let store = MongoStore::new(client.database("shop")).timeout(Duration::from_millis(800));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds the bytes of a record. The default is 1 MiB. The maximum is 16 MiB less 1 KiB, since
    /// MongoDB limits a document to 16 MiB.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let store = MongoStore::new(client.database("shop")).max_record_bytes(64 << 10);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.record_bytes = bytes.min(ROOM);
        self
    }

    /// Has each read that must be [current](Read::Current) confirmed by a majority, which costs a
    /// round trip between the servers and an entry in their log.
    ///
    /// Otherwise a primary that has lost the others and has not noticed, for up to ten seconds by
    /// default, may still show a session that was ended through the new primary. Nothing can be
    /// written there. A single server, without a replica set, refuses such reads.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let store = MongoStore::new(client.database("shop")).linearizable();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn linearizable(mut self) -> Self {
        self.is_linearizable = true;
        self
    }

    /// Uses another clock to decide which records have expired. Give the session the same one.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use silverback::{Clock, Timestamp};
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = MongoStore::new(client.database("shop")).clock(clock);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Ends a call that takes longer than the store's timeout.
    pub(crate) async fn in_time<T, E: From<Fault>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answered = tokio::time::timeout(self.timeout, call).await;
        answered.unwrap_or_else(|_| {
            let sentence = format!("MongoDB did not answer within {:?}", self.timeout);
            Err(Fault::Unavailable(sentence).into())
        })
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.record_bytes);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(())
    }
}

impl Store for MongoStore {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let find = self.find(std::slice::from_ref(key), read, Document::new());
        answer(&self.in_time(find).await?, key)
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        match self.in_time(self.find(keys, read, Document::new())).await {
            Ok(found) => keys.iter().map(|key| answer(&found, key)).collect(),
            Err(fault) => keys.iter().map(|_| Err(fault.clone().into())).collect(),
        }
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let (version, end) = (Version::random()?, expiry.checked_at(self.clock.now())?);
        let document = record::write(key, version, &data, end);
        self.in_time(self.insert(key, document)).await?;
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
        let (version, end) = (Version::random()?, expiry.checked_at(self.clock.now())?);
        let update = || fields(version, &data, date(end));
        self.in_time(self.set(key, expected, update)).await?;
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let end = expiry.checked_at(self.clock.now())?;
        let touch = || doc! { EXPIRES: date(end) };
        self.in_time(self.set(key, expected, touch)).await?;
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let record = (*key, expected);
        deleted(&record, &self.in_time(self.remove(&[record])).await?)
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        if records.is_empty() {
            return Vec::new();
        }
        match self.in_time(self.remove(records)).await {
            Ok(left) => records.iter().map(|one| deleted(one, &left)).collect(),
            Err(fault) => records.iter().map(|_| Err(fault.clone().into())).collect(),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            may_repeat: self.may_repeat,
            ..Limits::default()
        }
    }
}

/// The record under a key. A key may be asked for twice.
fn answer(found: &Found, key: &RecordKey) -> Result<Option<Record>, StoreError> {
    let document = found.get(key);
    document.map(|document| record::read(document)).transpose()
}

fn deleted(
    (key, expected): &(RecordKey, Option<Version>),
    left: &HashSet<RecordKey>,
) -> Result<(), StoreError> {
    match expected {
        Some(_) if left.contains(key) => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore")
            .field("database", &self.database.name())
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}
