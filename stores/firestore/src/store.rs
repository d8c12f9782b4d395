//! The store.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use silverback::{
    Timestamp,
    store::{Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    address::{Address, check_collection},
    calls,
    clock::{LATEST, Moment},
    collection::Collection,
    connect,
    document::{Ends, Fields, Found},
    fault::{BoxError, Fault},
    link::Link,
};

/// Keeps sessions in Firestore. Clones are the same store.
///
/// The [crate's documentation](crate) says what it guarantees, what it costs, and how to prepare a
/// database.
///
/// ```no_run
/// use silverback::{Keys, SessionConfig};
/// use silverback_firestore::FirestoreStore;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FirestoreStore::connect_emulator("127.0.0.1:8080", "firestore://shop").await?;
/// let sessions = SessionConfig::new("session", store.collection("sessions")?, Keys::generate()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FirestoreStore {
    pub(crate) collection: Collection,
    timeout: Duration,
    record_bytes: usize,
}

#[cfg(feature = "tls")]
const GOOGLE: &str = "https://firestore.googleapis.com";
const COLLECTION: &str = "silverback_sessions";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Firestore's limit for a document, less its name, the other fields, and the overhead of each.
const ROOM: usize = (1 << 20) - (1 << 10);

/// The most documents in one question. Firestore accepts no more writes than this.
pub(crate) const AT_ONCE: usize = 500;

impl FirestoreStore {
    /// Connects to Google's service: `firestore://PROJECT/DATABASE`. The default database is
    /// `(default)`.
    ///
    /// `token` returns the access token for each request. It should keep the token while that is
    /// valid: the example [`cloud_run`] asks Google's metadata server. The account needs the role
    /// *Cloud Datastore User*. To check all this, the store reads one document.
    ///
    /// It trusts the system's certificates.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// async fn token() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    ///     Ok(std::env::var("TOKEN")?) // from `gcloud auth print-access-token`
    /// }
    /// let store = FirestoreStore::connect("firestore://shop", token).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is invalid, or Firestore refuses the token or has no
    /// such database. [`StoreError::Unavailable`] if it does not answer within 10 seconds, or
    /// `token` fails.
    ///
    /// [`cloud_run`]: https://docs.rs/crate/silverback-firestore/latest/source/examples/cloud_run.rs
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub async fn connect<T, F>(url: &str, token: T) -> Result<Self, StoreError>
    where
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        let client = connect::secure().map_err(StoreError::refused)?;
        Self::connect_with(client, GOOGLE, url, token).await
    }

    /// Connects to Google's emulator on this machine, without TLS. A project and a database exist
    /// as soon as they are used.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = FirestoreStore::connect_emulator("127.0.0.1:8080", "firestore://shop").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`connect_with`](Self::connect_with).
    pub async fn connect_emulator(host: &str, url: &str) -> Result<Self, StoreError> {
        // The emulator's name for an account with all rights.
        let owner = || std::future::ready(Ok("owner".to_owned()));
        Self::connect_with(connect::plain(), &format!("http://{host}"), url, owner).await
    }

    /// Connects through your own HTTP client: for another TLS, a proxy, or an endpoint other than
    /// `https://firestore.googleapis.com`. The client must not repeat requests: the second attempt
    /// of a write would be refused because of the first.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # let connector = hyper_util::client::legacy::connect::HttpConnector::new();
    /// # let token = async || Ok("token".to_owned());
    /// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    ///
    /// let client = Client::builder(TokioExecutor::new()).build(connector);
    /// let endpoint = "https://firestore.googleapis.com";
    /// let store = FirestoreStore::connect_with(client, endpoint, "firestore://shop", token).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is invalid, or Firestore refuses the token or has no
    /// such database. [`StoreError::Unavailable`] if it does not answer within 10 seconds, or
    /// `token` fails.
    pub async fn connect_with<S, B, T, F>(
        client: S,
        endpoint: &str,
        url: &str,
        token: T,
    ) -> Result<Self, StoreError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        let database = Address::parse(url)?;
        let base = format!("{endpoint}/v1/{}", database.as_str());
        let link = Link::new(client, token, base);
        let store = Self {
            collection: Collection::new(link, &database, COLLECTION),
            timeout: CONNECT_TIMEOUT,
            record_bytes: ROOM,
        };
        // This also learns the time there.
        store
            .load(&RecordKey::from_bytes([0; 32]), Read::Current)
            .await?;
        Ok(store.timeout(TIMEOUT))
    }

    /// Sets the collection that the documents are in. The default is `silverback_sessions`. Give each
    /// application that shares a database its own.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = FirestoreStore::connect_emulator("127.0.0.1:8080", "firestore://shop").await?;
    /// let store = store.collection("shop_sessions")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] unless it is up to 100 letters, digits, `-` and `_`. It must not begin
    /// with `__`.
    pub fn collection(self, name: &str) -> Result<Self, StoreError> {
        check_collection(name)?;
        Ok(Self {
            collection: self.collection.named(name),
            ..self
        })
    }

    /// Bounds how long a call may take. After that it is [`StoreError::Unavailable`]. The default
    /// is 2 seconds, which leaves room in a request's budget of 5 seconds for a second attempt.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// # use std::time::Duration;
    /// let store = FirestoreStore::connect_emulator("127.0.0.1:8080", "firestore://shop").await?;
    /// let store = store.timeout(Duration::from_millis(800));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds the bytes of a record. The default and the maximum are 1,047,552: Firestore accepts
    /// documents of 1 MiB, of which 1 KiB is reserved for the name and the other fields.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_firestore::FirestoreStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = FirestoreStore::connect_emulator("127.0.0.1:8080", "firestore://shop").await?;
    /// let store = store.record_bytes(64 << 10); // 64 KiB
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.record_bytes = bytes.min(ROOM);
        self
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.record_bytes);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(())
    }

    fn ends(&self, expiry: Expiry) -> Ends {
        Ends {
            session: expiry.at,
            server: server_end(expiry, self.collection.clock.now()),
        }
    }

    /// Ends a call that takes longer than the store's timeout.
    pub(crate) fn in_time<T, E: From<Fault>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.in_time_left(self.timeout, call)
    }

    /// The time that is left of a call that began at `start`.
    fn left(&self, start: Instant) -> Duration {
        self.timeout.saturating_sub(start.elapsed())
    }

    /// Ends a part of a call of which this much time is left.
    async fn in_time_left<T, E: From<Fault>>(
        &self,
        left: Duration,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answered = tokio::time::timeout(left, part).await;
        answered.unwrap_or_else(|_| {
            let timeout = self.timeout;
            let sentence = format!("Firestore did not answer within {timeout:?}");
            Err(Fault::unavailable(sentence).into())
        })
    }
}

/// The end by Firestore's clock, when it shows `now`. Rounded up to a second. A record that is over
/// already gets an end in 1970, whatever the time is.
fn server_end(expiry: Expiry, now: Moment) -> Timestamp {
    if expiry.after.is_zero() {
        return Timestamp::default();
    }
    let second = Timestamp::from_secs(now.second().as_secs().saturating_add(1));
    let end = second.saturating_add(expiry.after);
    end.min(Timestamp::from_secs(LATEST))
}

impl Store for FirestoreStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        let found = self.in_time(self.collection.look_at(key)).await?;
        found.to_record()
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let (start, mut loaded) = (Instant::now(), Vec::with_capacity(keys.len()));
        for keys in keys.chunks(AT_ONCE) {
            let (left, look) = (self.left(start), self.collection.look(keys));
            let found = self.in_time_left(left, look).await;
            loaded.extend(keys.iter().map(|key| match &found {
                Ok(found) => found.get(key).map_or(Ok(None), Found::to_record),
                Err(fault) => Err(fault.clone().into()),
            }));
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let ends = self.ends(expiry);
        let fields = Fields::of_record(&data, ends)?;
        let created = calls::create(&self.collection, key, &fields);
        let updated = self.in_time(created).await?;
        Ok(ends.state(updated).to_version())
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let ends = self.ends(expiry);
        let fields = Fields::of_record(&data, ends)?;
        let update = |at| self.collection.update(key, &fields, at);
        let updated = calls::replace(&self.collection, key, expected, update);
        let updated = self.in_time(updated).await?;
        Ok(ends.state(updated).to_version())
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let ends = self.ends(expiry);
        let fields = Fields::of_touch(ends);
        let touch = |at| self.collection.touch(key, &fields, at);
        let touched = calls::replace(&self.collection, key, expected, touch);
        let updated = self.in_time(touched).await?;
        Ok(ends.state(updated).to_version())
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let deleted = self.delete_many(&[(*key, expected)]).await.pop();
        deleted.unwrap_or_else(|| Err(Fault::nonsense().into()))
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let (start, mut results) = (Instant::now(), Vec::with_capacity(records.len()));
        for records in records.chunks(AT_ONCE) {
            let deleted = calls::delete(&self.collection, records);
            match self.in_time_left(self.left(start), deleted).await {
                Ok(deleted) => results.extend(deleted),
                Err(fault) => results.extend(records.iter().map(|_| Err(fault.clone().into()))),
            }
        }
        results
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            ..Limits::default()
        }
    }
}

impl fmt::Debug for FirestoreStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreStore")
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_set_by_firestores_clock() {
        let now = Moment::from_micros(1_000_000_001).unwrap();
        let end = |after| {
            let expiry = Expiry {
                at: Timestamp::from_secs(7),
                after: Duration::from_secs(after),
            };
            server_end(expiry, now).as_secs()
        };
        assert_eq!((end(0), end(1), end(60)), (0, 1_002, 1_061));
        assert_eq!((end(LATEST), end(u64::MAX)), (LATEST, LATEST));
    }
}
