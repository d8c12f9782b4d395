//! Deletes, each in the store that has the record.

use super::pair::{Found, Pair, Place, ROUNDS, found, meant, of_from, unless_overtaken, unsettled};
use crate::store::{Read, RecordKey, Store, StoreError, Version};

impl<From: Store, To: Store> Pair<From, To> {
    /// Deletes a record, in whichever store it is.
    pub(super) async fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            if self.delete_once(key, expected).await?.is_some() {
                return Ok(());
            }
        }
        Err(unsettled())
    }

    /// Deletes once. Returns `None` if the stores have to be read again.
    async fn delete_once(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Result<Option<()>, StoreError> {
        let from = &self.from;
        let here = match from.load(key, Read::Current).await {
            Err(StoreError::Corrupt(_)) if expected.is_none() => {
                from.delete(key, None).await?;
                None
            }
            here => here?,
        };
        // No caller has a version of a wrapped record in `to`.
        match found(None, here)? {
            Found::Placed(Place::From(record)) => {
                let version = record.version();
                if expected.is_some_and(|expected| expected != of_from(version)) {
                    return Err(StoreError::Conflict);
                }
                unless_overtaken(from.delete(key, Some(version)).await)
            }
            Found::Moving(moving) => self.carry(key, &moving).await.map(|_| None),
            Found::Placed(_) => self.delete_in_to(key, expected).await,
            Found::Moved(copy) => self.delete_in_to(key, meant(expected, copy)).await,
        }
    }

    async fn delete_in_to(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Result<Option<()>, StoreError> {
        match self.to.delete(key, expected).await {
            Err(StoreError::Conflict) => match self.refusal(key).await {
                StoreError::Gone => Ok(Some(())),
                error => Err(error),
            },
            deleted => deleted.map(Some),
        }
    }
}
