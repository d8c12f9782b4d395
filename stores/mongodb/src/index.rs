//! The index by which the server removes expired records.

use std::time::Duration;

use mongodb::{
    IndexModel,
    bson::doc,
    error::{Error, ErrorKind},
    options::IndexOptions,
};
use silverback::store::{Read, StoreError};

use crate::{MongoStore, record::EXPIRES};

/// How long after its end the server removes a record. Its clock may be ahead of the application's
/// by as much without ending a session too early.
const GRACE: Duration = Duration::from_secs(600);

impl MongoStore {
    /// Creates the index by which the server removes records ten minutes after their end, and the
    /// collection with it. Any number of servers may do this each time they start: if the index
    /// exists, nothing happens.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// # use silverback_mongodb::MongoStore;
    /// # let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:27017").await?;
    /// MongoStore::new(client.database("shop")).create_index().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the user may not do that, or the field has an index with other
    /// options. [`StoreError::Unavailable`] if the server cannot be reached.
    pub async fn create_index(&self) -> Result<(), StoreError> {
        let options = IndexOptions::builder().expire_after(GRACE).build();
        let index = IndexModel::builder().keys(doc! { EXPIRES: 1 });
        let index = index.options(options).build();
        let records = self.records(Read::Current);
        let create = async move { records.create_index(index).await };
        self.complete(create).await?;
        Ok(())
    }

    /// Returns whether the server removes expired records: whether the collection has an index like
    /// the one of [`create_index`](Self::create_index). Without it, expired sessions are not
    /// loaded, but take up room forever.
    ///
    /// ```no_run
    /// # async fn f(client: mongodb::Client) -> Result<(), silverback::store::StoreError> {
    /// # use silverback_mongodb::MongoStore;
    /// let store = MongoStore::new(client.database("shop"));
    /// if !store.removes_expired().await? {
    ///     eprintln!("the collection has no index that ends sessions");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the user may not list indexes. [`StoreError::Unavailable`] if the
    /// server does not answer.
    pub async fn removes_expired(&self) -> Result<bool, StoreError> {
        let records = self.records(Read::Current);
        let list = self.complete(async move {
            let (mut cursor, mut removes) = match records.list_indexes().await {
                Err(error) if is_missing(&error) => return Ok(false),
                listed => (listed?, false),
            };
            while cursor.advance().await? {
                removes |= removes_all(&cursor.deserialize_current()?);
            }
            Ok(removes)
        });
        Ok(self.in_time(list).await?)
    }
}

/// Returns whether the server uses this index to remove documents, and leaves none out.
fn removes_all(index: &IndexModel) -> bool {
    let options = index.options.as_ref();
    let ends = options
        .is_some_and(|it| it.expire_after.is_some() && it.partial_filter_expression.is_none());
    ends && index.keys.keys().eq([EXPIRES])
}

const NAMESPACE_NOT_FOUND: i32 = 26;

/// Returns whether there is no such collection.
fn is_missing(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(error) if error.code == NAMESPACE_NOT_FOUND)
}
