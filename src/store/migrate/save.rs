//! Saves and touches. A save may move its record.

use super::{
    pair::{Pair, Place, later, of_copy, of_from, unless_overtaken},
    wire::{self, Form},
};
use crate::{
    join,
    store::{Bytes, Expiry, Read, Record, RecordKey, Store, StoreError, Version},
};

impl<From: Store, To: Store> Pair<From, To> {
    /// Saves over a record of `from` by a copy in `to`, which `from` then names. Returns `None` if
    /// something prevents that.
    ///
    /// Only the mark decides whether the copy counts. A copy that is in the way may be that of
    /// another save, whose mark is still to come, so this save leaves it there.
    pub(super) async fn save_over(
        &self,
        key: &RecordKey,
        expected: Version,
        data: &Bytes,
        expiry: Expiry,
    ) -> Result<Option<Version>, StoreError> {
        let copied = wire::copy(data, expected);
        let copy = match self.to.create(key, copied, expiry).await {
            Ok(copy) => copy,
            Err(StoreError::Exists | StoreError::TooLarge { .. } | StoreError::Refused(_)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (mark, end) = (wire::moved(Some(copy)), later(expiry));
        let marked = self.from.update(key, expected, mark, end).await;
        if unless_overtaken(marked)?.is_some() {
            return Ok(Some(of_copy(copy)));
        }
        match self.find(key, Read::Current).await? {
            // If the store's client repeats writes, the answer may be about the second attempt.
            Place::Copy(found) if found.version() == copy => Ok(Some(of_copy(copy))),
            _ => self.remove(key, copy).await.map(|()| None),
        }
    }

    /// Saves a record where it is: in `to` as a record or over its copy, otherwise in `from`.
    pub(super) async fn save_in_place(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Option<Version>, StoreError> {
        let saved = self.to.update(key, expected, data.clone(), expiry).await;
        if saved.is_ok() {
            return saved.map(Some);
        }
        let copy = async {
            match saved {
                Err(StoreError::Conflict) => {
                    self.to
                        .update(key, of_copy(expected), data.clone(), expiry)
                        .await
                }
                saved => saved,
            }
        };
        let here = self
            .from
            .update(key, of_from(expected), data.clone(), expiry);
        // No version is valid in both.
        let (copy, here) = join::both_unless(copy, here, Result::is_ok).await;
        if copy.is_ok() {
            return copy.map(Some);
        }
        if let Some(version) = here.map_or(Ok(None), unless_overtaken)? {
            return Ok(Some(of_from(version)));
        }
        self.saved_in_to(key, copy).await
    }

    /// The outcome of a save that `from` has not made. What `to` refuses may be in `from`, with
    /// another version.
    async fn saved_in_to(
        &self,
        key: &RecordKey,
        saved: Result<Version, StoreError>,
    ) -> Result<Option<Version>, StoreError> {
        let saved = unless_overtaken(saved);
        if let Err(StoreError::TooLarge { .. } | StoreError::Refused(_)) = saved
            && let Place::From(_) = self.find(key, Read::Current).await?
        {
            return Ok(None);
        }
        saved
    }

    /// Moves the end of a record where it is. A record in `from` and a copy are updated instead of
    /// touched.
    pub(super) async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Option<Version>, StoreError> {
        let (touched, loaded) = join::both_unless(
            self.to.touch(key, expected, expiry),
            self.load_both(key),
            Result::is_ok,
        )
        .await;
        if touched.is_ok() {
            return touched.map(Some);
        }
        let [here, there] = loaded.transpose()?.unwrap_or_default();
        if let Some(record) = here.filter(|record| record.version() == of_from(expected)) {
            let version = record.version();
            let updated = self.from.update(key, version, record.into_data(), expiry);
            return Ok(unless_overtaken(updated.await)?.map(of_from));
        }
        let copy = there.filter(|record| record.version() == of_copy(expected));
        match copy.map(|copy| (copy.version(), Form::of(copy.data()))) {
            Some((version, Form::Copy { data, .. })) => {
                unless_overtaken(self.to.update(key, version, data, expiry).await)
            }
            _ => self.saved_in_to(key, touched).await,
        }
    }

    async fn load_both(&self, key: &RecordKey) -> Result<[Option<Record>; 2], StoreError> {
        let here = self.from.load(key, Read::Current);
        let there = self.to.load(key, Read::Current);
        let (here, there) = join::both_unless(here, there, Result::is_err).await;
        Ok([here?, there.transpose()?.flatten()])
    }
}
