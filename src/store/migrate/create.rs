//! New records: the store that they are created in, and that they are created once.

use super::{
    pair::{Pair, Place, ROUNDS, later, of_from, unsettled},
    wire::{self, Form},
};
use crate::store::{Bytes, Expiry, Read, RecordKey, Store, StoreError, Version};

/// Where new records are created.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NewRecords {
    InFrom,
    InTo,
}

impl<From: Store, To: Store> Pair<From, To> {
    /// Creates a new record.
    pub(super) async fn create(
        &self,
        new_records: NewRecords,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        if let Some(version) = self.claim(new_records, key, &data, expiry).await? {
            return Ok(version);
        }
        for _ in 0..ROUNDS {
            match self.to.create(key, data.clone(), expiry).await {
                Err(StoreError::Exists) if self.make_room(key).await? => {}
                created => return created,
            }
        }
        Err(unsettled())
    }

    /// Ensures that no other new record can be created in `from`. Returns the version if the record
    /// itself is created there.
    async fn claim(
        &self,
        new_records: NewRecords,
        key: &RecordKey,
        data: &Bytes,
        expiry: Expiry,
    ) -> Result<Option<Version>, StoreError> {
        let Self { from, to, .. } = self;
        for _ in 0..ROUNDS {
            let made = match new_records {
                NewRecords::InFrom => {
                    // The mark may end before its record, whose end a touch has moved.
                    let there = to.load(key, Read::Current).await?;
                    if there.is_some_and(|record| Form::of(record.data()) == Form::Plain) {
                        return Err(StoreError::Exists);
                    }
                    from.create(key, data.clone(), expiry).await.map(Some)
                }
                NewRecords::InTo => {
                    let mark = from.create(key, wire::moved(None), later(expiry));
                    mark.await.map(|_| None)
                }
            };
            match made {
                Err(StoreError::Exists) => {}
                made => return Ok(made?.map(of_from)),
            }
            let here = from.load(key, Read::Current).await?;
            match here.map(|record| Form::of(record.data())) {
                None => {}
                Some(Form::Moved(_)) => return Ok(None),
                Some(_) => return Err(StoreError::Exists),
            }
        }
        Err(unsettled())
    }

    /// Returns whether there is now room in `to` for a record that has its mark in `from`.
    async fn make_room(&self, key: &RecordKey) -> Result<bool, StoreError> {
        if !matches!(self.find(key, Read::Current).await?, Place::Nowhere) {
            return Ok(false);
        }
        let there = self.to.load(key, Read::Current).await?;
        let useless = there.filter(|record| Form::of(record.data()) != Form::Plain);
        if let Some(useless) = useless {
            self.remove(key, useless.version()).await?;
        }
        Ok(true)
    }
}
