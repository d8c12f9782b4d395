//! The commands, each of which is one step on the server, and the meaning of the answers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use mongodb::{
    Collection,
    bson::{Document, RawDocumentBuf, doc},
    options::{
        Acknowledgment, CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria,
        WriteConcern,
    },
};
use silverback::store::{Read, RecordKey, StoreError, Version};

use crate::{
    MongoStore,
    fault::Fault,
    record::{self, DATA, EXPIRES, ID, VERSION, binary, date},
};

/// Documents by key.
pub(crate) type Found = HashMap<RecordKey, RawDocumentBuf>;

impl MongoStore {
    /// The collection with the store's concerns: reads go to the primary and show what a majority
    /// has, and a write is acknowledged when a majority has it in its journal. A single server is
    /// its own majority.
    pub(crate) fn records(&self, read: Read) -> Collection<RawDocumentBuf> {
        let concern = match read {
            Read::Current if self.is_linearizable => ReadConcern::linearizable(),
            _ => ReadConcern::majority(),
        };
        let confirmed = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .w_timeout(self.timeout)
            .journal(true);
        let options = CollectionOptions::builder()
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .read_concern(concern)
            .write_concern(confirmed.build());
        self.database
            .collection_with_options(&self.collection, options.build())
    }

    /// Matches records that have not expired. A document without an end is not the store's, and has
    /// to be found.
    fn alive(&self) -> Document {
        doc! { "$not": { "$lte": date(self.clock.now()) } }
    }

    /// Finds the documents of these keys, in one round trip unless they exceed 16 MiB.
    pub(crate) async fn find(
        &self,
        keys: &[RecordKey],
        read: Read,
        fields: Document,
    ) -> Result<Found, Fault> {
        let Ok(count @ 1..) = u32::try_from(keys.len()) else {
            return Ok(Found::new());
        };
        let ids: Vec<_> = keys.iter().map(|key| binary(key.as_bytes())).collect();
        let filter = doc! { ID: { "$in": ids }, EXPIRES: self.alive() };
        let (records, timeout) = (self.records(read), self.timeout);
        self.complete(async move {
            let find = records.find(filter).projection(fields).max_time(timeout);
            let mut cursor = find.limit(count.into()).batch_size(count).await?;
            let mut found = Found::new();
            while cursor.advance().await? {
                if let Some(key) = record::key(cursor.current()) {
                    found.insert(key, cursor.current().to_owned());
                }
            }
            Ok(found)
        })
        .await
    }

    /// Stores a document where there is none, or an expired one. This is one command: if there is a
    /// live record, the filter does not match, and the insertion that follows finds the `_id`
    /// taken.
    pub(crate) async fn insert(
        &self,
        key: &RecordKey,
        document: RawDocumentBuf,
    ) -> Result<(), Fault> {
        let over = doc! { "$lte": date(self.clock.now()) };
        let filter = doc! { ID: binary(key.as_bytes()), EXPIRES: over };
        let records = self.records(Read::Current);
        let replace = async move { records.replace_one(filter, document).upsert(true).await };
        self.complete(replace).await?;
        Ok(())
    }

    /// Sets some fields of a live record that has this version.
    pub(crate) async fn set(
        &self,
        key: &RecordKey,
        expected: Version,
        fields: impl Fn() -> Document,
    ) -> Result<(), StoreError> {
        loop {
            let filter = doc! {
                ID: binary(key.as_bytes()),
                VERSION: binary(expected.as_bytes()),
                EXPIRES: { "$gt": date(self.clock.now()) },
            };
            let (records, change) = (self.records(Read::Current), doc! { "$set": fields() });
            let update = async move { records.update_one(filter, change).await };
            let set = self.complete(update).await?;
            if set.matched_count == 1 {
                return Ok(());
            }
            match self.versions(&[*key]).await?.get(key) {
                None => return Err(StoreError::Gone),
                Some(found) if *found == Some(expected) => pause().await,
                Some(_) => return Err(StoreError::Conflict),
            }
        }
    }

    /// Deletes records, and returns the keys of those that are left because they have other
    /// versions.
    ///
    /// MongoDB counts what it deletes. If that does not tell which, a record counts as left that
    /// was deleted here, and created again before the look. Sessions create no key twice.
    pub(crate) async fn remove(
        &self,
        removals: &[(RecordKey, Option<Version>)],
    ) -> Result<HashSet<RecordKey>, Fault> {
        let conditional: HashMap<_, _> = removals
            .iter()
            .filter_map(|(key, expected)| Some((*key, (*expected)?)))
            .collect();
        let looks: Vec<_> = conditional.keys().copied().collect();
        let keys: HashSet<_> = removals.iter().map(|(key, _)| key).collect();
        loop {
            let each: Vec<_> = removals.iter().map(removal).collect();
            let records = self.records(Read::Current);
            let filter = doc! { "$or": each };
            let delete = async move { records.delete_many(filter).await };
            let deleted = self.complete(delete).await?;
            if deleted.deleted_count == keys.len() as u64 {
                return Ok(HashSet::new());
            }
            let left = self.versions(&looks).await?;
            let is_expected = |(key, found): (&RecordKey, &Option<Version>)| {
                *found == conditional.get(key).copied()
            };
            if !left.iter().any(is_expected) {
                return Ok(left.into_keys().collect());
            }
            pause().await;
        }
    }

    /// The versions of live records. `None` for a document that is not a record.
    async fn versions(
        &self,
        keys: &[RecordKey],
    ) -> Result<HashMap<RecordKey, Option<Version>>, Fault> {
        let found = self.find(keys, Read::Current, doc! { VERSION: 1 }).await?;
        let version = |(key, document): (_, RawDocumentBuf)| (key, record::version(&document));
        Ok(found.into_iter().map(version).collect())
    }

    /// Runs a command to its end, on its own task, whether somebody waits for it or not.
    ///
    /// A call is given up when its time is over, but the driver's futures must not be dropped
    /// midway
    /// (<https://docs.rs/mongodb/latest/mongodb/#warning-about-timeouts--cancellation>): the next
    /// command would get the same server session while the server is still busy with it.
    ///
    /// So a command that has begun is sent, even long after anybody waits for it. If all began at
    /// once, those that nobody waits for any more would be first in line after an outage, and keep
    /// an overloaded server from its work. Hence each waits for its turn here, where a call that is
    /// given up leaves nothing behind, and begins only if half of its time is left.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        command: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(self.timeout / 2, turn).await;
        let turn = turn.map_err(|_| {
            let sentence = "MongoDB has not answered earlier commands, so this one was not sent";
            Fault::Unavailable(sentence.to_owned())
        })?;
        let running = tokio::spawn(async move {
            let done = command.await;
            drop(turn);
            done
        });
        match running.await {
            Ok(done) => done.map_err(|error| Fault::of(&error)),
            Err(error) => Err(Fault::Unavailable(error.to_string())),
        }
    }
}

fn removal((key, expected): &(RecordKey, Option<Version>)) -> Document {
    let mut filter = doc! { ID: binary(key.as_bytes()) };
    if let Some(expected) = expected {
        filter.insert(VERSION, binary(expected.as_bytes()));
    }
    filter
}

/// Every field of a record except its key.
pub(crate) fn fields(version: Version, data: &[u8], end: mongodb::bson::DateTime) -> Document {
    doc! { VERSION: binary(version.as_bytes()), DATA: binary(data), EXPIRES: end }
}

/// Waits before reading a record again on which a write and a read disagree. A write sees what the
/// primary has, a read what a majority has.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
