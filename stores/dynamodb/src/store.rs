//! The store.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_dynamodb::Client;
use futures_util::future::join;
use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};

use crate::{
    ask::{self, Deadline, all},
    batch,
    condition::Condition,
    failure::Failure,
    item::{self, Item, ROOM},
};

/// Keeps sessions in a table of DynamoDB, through your own client. Clones are the same store.
///
/// The [crate's documentation](crate) has the table, and what the store guarantees.
///
/// ```no_run
/// use aws_sdk_dynamodb::Client;
/// use silverback::{Error, Keys, SessionConfig};
/// use silverback_dynamodb::DynamoDbStore;
///
/// fn account(client: &Client, keys: Keys) -> SessionConfig {
///     let store = DynamoDbStore::new(client, "shop-sessions");
///     SessionConfig::new("account", store, keys)
/// }
/// ```
#[derive(Clone)]
pub struct DynamoDbStore {
    pub(crate) client: Client,
    pub(crate) table: Arc<str>,
    clock: Clock,
    timeout: Duration,
    record_bytes: usize,
}

impl DynamoDbStore {
    /// Makes a store in this table, given by its name or ARN. It does not contact DynamoDB yet.
    ///
    /// The client's credentials, region, endpoint and connections are used as they are, but its
    /// retries are turned off: a write repeated after a lost answer would be refused because of its
    /// own first attempt. The session layer asks once more, and recognises its own write.
    ///
    /// ```no_run
    /// # fn f(client: aws_sdk_dynamodb::Client) {
    /// use silverback_dynamodb::DynamoDbStore;
    ///
    /// let store = DynamoDbStore::new(&client, "shop-sessions");
    /// # }
    /// ```
    #[must_use]
    pub fn new(client: &Client, table: &str) -> Self {
        Self {
            client: ask::client(client),
            table: table.into(),
            clock: Clock::system(),
            timeout: TIMEOUT,
            record_bytes: ROOM,
        }
    }

    /// Bounds how long a call may take, with all its questions to DynamoDB. After that it is
    /// [`StoreError::Unavailable`]. The default is 2 seconds, which leaves room in a request's
    /// budget of 5 seconds for a second attempt.
    ///
    /// ```no_run
    /// # fn f(client: aws_sdk_dynamodb::Client) {
    /// # use std::time::Duration;
    /// # use silverback_dynamodb::DynamoDbStore;
    /// let store = DynamoDbStore::new(&client, "shop-sessions").timeout(Duration::from_millis(800));
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Bounds the bytes of a record. The default and the maximum are 409,476: DynamoDB's limit for
    /// an item, 400 KiB, less the other attributes.
    ///
    /// ```no_run
    /// # fn f(client: aws_sdk_dynamodb::Client) {
    /// # use silverback_dynamodb::DynamoDbStore;
    /// let store = DynamoDbStore::new(&client, "shop-sessions").max_record_bytes(64 << 10);
    /// # }
    /// ```
    #[must_use]
    pub fn max_record_bytes(self, bytes: usize) -> Self {
        let record_bytes = bytes.min(ROOM);
        Self {
            record_bytes,
            ..self
        }
    }

    /// Uses another clock, for tests. The store decides by this clock which records have expired,
    /// since DynamoDB does not reveal its own. The default is the system's.
    ///
    /// ```no_run
    /// # fn f(client: aws_sdk_dynamodb::Client) {
    /// # use silverback::{Clock, Timestamp};
    /// # use silverback_dynamodb::DynamoDbStore;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = DynamoDbStore::new(&client, "shop-sessions").clock(clock);
    /// # }
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    /// The end as it is stored. DynamoDB never removes an item whose time passed more than five
    /// years ago, so an earlier end becomes the present time.
    fn end(&self, expiry: Expiry, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(expiry.checked_at(now)?.max(now))
    }

    fn check(&self, data: &Bytes) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.record_bytes);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(())
    }

    fn living(&self, item: Item) -> Result<Option<Record>, StoreError> {
        let now = self.clock.now();
        item::read(item).map(|record| Some(record).filter(|it| !it.is_expired_at(now)))
    }

    async fn get(
        &self,
        key: &RecordKey,
        read: Read,
        deadline: Deadline,
    ) -> Result<Option<Record>, StoreError> {
        let send = || {
            let question = self.client.get_item().table_name(&*self.table);
            let question = question.set_key(Some(item::named(key)));
            question.consistent_read(read == Read::Current).send()
        };
        let item = deadline.ask(send).await?.item;
        item.map_or(Ok(None), |item| self.living(item))
    }

    async fn put(
        &self,
        item: Item,
        condition: Condition,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let send = || {
            let question = self.client.put_item().table_name(&*self.table);
            let question = question.set_item(Some(item.clone()));
            let question = question.condition_expression(condition.expression);
            let values = Some(condition.values.clone());
            question.set_expression_attribute_values(values).send()
        };
        deadline.ask(send).await.map(drop)
    }

    async fn set_end(
        &self,
        key: &RecordKey,
        end: Timestamp,
        condition: Condition,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let condition = condition.with(":end", item::time(end));
        let send = || {
            let question = self.client.update_item().table_name(&*self.table);
            let question = question.set_key(Some(item::named(key)));
            let question = question.update_expression("SET expires = :end");
            let question = question.condition_expression(condition.expression);
            let values = Some(condition.values.clone());
            question.set_expression_attribute_values(values).send()
        };
        deadline.ask(send).await.map(drop)
    }

    async fn delete_at(
        &self,
        key: &RecordKey,
        expected: Version,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let condition = Condition::at_or_absent(expected, self.clock.now());
        let send = || {
            let question = self.client.delete_item().table_name(&*self.table);
            let question = question.set_key(Some(item::named(key)));
            let question = question.condition_expression(condition.expression);
            let values = Some(condition.values.clone());
            question.set_expression_attribute_values(values).send()
        };
        deadline.ask(send).await.map(drop)
    }

    /// Deletes a record with an expected version, and no other.
    async fn delete_alone(
        &self,
        (key, expected): &(RecordKey, Option<Version>),
        deadline: Deadline,
    ) -> Option<Result<(), Failure>> {
        match expected {
            Some(expected) => Some(self.delete_at(key, *expected, deadline).await),
            None => None,
        }
    }

    /// Finds out why a write at a version was refused, as the failed condition does not tell.
    async fn reason(&self, failure: Failure, key: &RecordKey, deadline: Deadline) -> StoreError {
        if failure != Failure::Condition {
            return failure.into();
        }
        match self.get(key, Read::Current, deadline).await {
            Ok(None) => StoreError::Gone,
            Ok(Some(_)) => StoreError::Conflict,
            Err(error) => error,
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(2);

impl Store for DynamoDbStore {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.get(key, read, self.deadline()).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let (client, table, deadline) = (&self.client, &*self.table, self.deadline());
        let outcomes = batch::get(client, table, keys.iter().copied(), read, deadline).await;
        let load = |key| match outcomes.get(key).cloned() {
            None => Ok(None),
            Some(Ok(item)) => self.living(item),
            Some(Err(failure)) => Err(failure.into()),
        };
        keys.iter().map(load).collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let (version, now) = (Version::random()?, self.clock.now());
        let item = item::write(key, version, self.end(expiry, now)?, data);
        let put = self
            .put(item, Condition::absent(now), self.deadline())
            .await;
        match put {
            Err(Failure::Condition) => Err(StoreError::Exists),
            Err(failure) => Err(failure.into()),
            Ok(()) => Ok(version),
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.check(&data)?;
        let (version, now, deadline) = (Version::random()?, self.clock.now(), self.deadline());
        let item = item::write(key, version, self.end(expiry, now)?, data);
        match self.put(item, Condition::at(expected, now), deadline).await {
            Err(failure) => Err(self.reason(failure, key, deadline).await),
            Ok(()) => Ok(version),
        }
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (now, deadline) = (self.clock.now(), self.deadline());
        let (end, condition) = (self.end(expiry, now)?, Condition::at(expected, now));
        match self.set_end(key, end, condition, deadline).await {
            Err(failure) => Err(self.reason(failure, key, deadline).await),
            Ok(()) => Ok(expected),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let deadline = self.deadline();
        let Some(expected) = expected else {
            let send = || {
                let question = self.client.delete_item().table_name(&*self.table);
                question.set_key(Some(item::named(key))).send()
            };
            return Ok(deadline.ask(send).await.map(drop)?);
        };
        Ok(self.delete_at(key, expected, deadline).await?)
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let deadline = self.deadline();
        // A batch has no conditions, so each record with an expected version takes its own
        // question.
        let alone = records
            .iter()
            .map(|record| self.delete_alone(record, deadline));
        let others = records.iter().filter(|(_, expected)| expected.is_none());
        let keys = others.map(|(key, _)| *key);
        let together = batch::delete(&self.client, &self.table, keys, deadline);
        let (alone, together) = join(all(alone.collect()), together).await;
        let answers = records.iter().zip(alone).map(|((key, _), alone)| {
            let outcome = alone.or_else(|| together.get(key).cloned());
            outcome.unwrap_or(Ok(())).map_err(StoreError::from)
        });
        answers.collect()
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.record_bytes,
            ..Limits::default()
        }
    }
}

impl fmt::Debug for DynamoDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbStore")
            .field("table", &self.table)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
