//! Operations on many records at once. Each store is asked at most twice, unless a record is in the
//! middle of its move.

use super::pair::{Found, Pair, Place, found, meant, of_from};
use super::wire::Form;
use crate::{
    join,
    store::{Read, Record, RecordKey, Store, StoreError, Version},
};

/// The state of one record among many.
enum Known<T> {
    Done(Result<T, StoreError>),
    /// To be asked of `from` next.
    From,
    To,
    /// It is moving or was changed meanwhile, so it takes separate steps.
    Alone,
}

impl<From: Store, To: Store> Pair<From, To> {
    /// Like [`find`](Self::find), for each key.
    pub(super) async fn find_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Place, StoreError>> {
        let there = self.to.load_many(keys, read).await;
        let here = self.in_from(keys, &there).await;
        let both = there.into_iter().zip(here);
        let known: Vec<_> = both.map(|(there, here)| of_both(there, here)).collect();
        let alone = keys.iter().zip(&known);
        let alone = alone.filter(|(_, known)| matches!(known, Known::Alone));
        let alone = alone.map(|(key, _)| self.find(key, Read::Current));
        let mut alone = join::all(alone.collect()).await.into_iter();
        let known = known.into_iter().map(|known| match known {
            Known::Done(place) => place,
            _ => answer(alone.next()),
        });
        known.collect()
    }

    /// Loads the records that are not settled in `to` from `from`.
    async fn in_from(
        &self,
        keys: &[RecordKey],
        there: &[Result<Option<Record>, StoreError>],
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let is_open = |there: &Result<Option<Record>, StoreError>| match there {
            Ok(Some(record)) => Form::of(record.data()) != Form::Plain,
            Ok(None) => true,
            Err(_) => false,
        };
        let asked = keys.iter().zip(there).filter(|(_, there)| is_open(there));
        let asked: Vec<_> = asked.map(|(key, _)| *key).collect();
        let mut loaded = match asked.is_empty() {
            true => Vec::new(),
            false => self.from.load_many(&asked, Read::Current).await,
        }
        .into_iter();
        let here = there.iter().map(|there| match is_open(there) {
            true => answer(loaded.next()),
            false => Ok(None),
        });
        here.collect()
    }

    /// Like [`delete`](Self::delete), for each record.
    pub(super) async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let deleted = self.delete_unmoved(records).await;
        let alone = records.iter().zip(&deleted);
        let alone = alone.filter(|(_, deleted)| deleted.is_none());
        let alone = alone.map(|((key, expected), _)| self.delete(key, *expected));
        let mut alone = join::all(alone.collect()).await.into_iter();
        let deleted = deleted.into_iter();
        deleted
            .map(|deleted| deleted.unwrap_or_else(|| answer(alone.next())))
            .collect()
    }

    /// Deletes each record that is not moving. The others are `None`.
    async fn delete_unmoved(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Option<Result<(), StoreError>>> {
        let keys: Vec<_> = records.iter().map(|(key, _)| *key).collect();
        let here = match keys.is_empty() {
            true => Vec::new(),
            false => self.from.load_many(&keys, Read::Current).await,
        };
        let (mut in_from, mut in_to, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for ((key, expected), here) in records.iter().zip(here) {
            known.push(match here.map(|here| found(None, here)) {
                Ok(Ok(Found::Placed(Place::From(record)))) => {
                    let version = record.version();
                    if expected.is_some_and(|expected| expected != of_from(version)) {
                        Known::Done(Err(StoreError::Conflict))
                    } else {
                        in_from.push((*key, Some(version)));
                        Known::From
                    }
                }
                Ok(Ok(Found::Moving(_))) => Known::Alone,
                Ok(Ok(Found::Moved(copy))) => {
                    in_to.push((*key, meant(*expected, copy)));
                    Known::To
                }
                Ok(Ok(Found::Placed(_))) => {
                    in_to.push((*key, *expected));
                    Known::To
                }
                Err(StoreError::Corrupt(_)) if expected.is_none() => Known::Alone,
                Err(error) | Ok(Err(error)) => Known::Done(Err(error)),
            });
        }
        let of_from = delete_all(&self.from, &in_from);
        let (of_from, of_to) =
            join::both_unless(of_from, delete_all(&self.to, &in_to), |_| false).await;
        let (mut of_from, mut of_to) = (of_from.into_iter(), of_to.unwrap_or_default().into_iter());
        let deleted = known.into_iter().map(|known| match known {
            Known::Done(done) => Some(done),
            Known::From => unless_changed(answer(of_from.next())),
            Known::To => unless_changed(answer(of_to.next())),
            Known::Alone => None,
        });
        deleted.collect()
    }
}

/// Interprets the answers of both stores.
fn of_both(
    there: Result<Option<Record>, StoreError>,
    here: Result<Option<Record>, StoreError>,
) -> Known<Place> {
    let both = there.and_then(|there| found(there, here?));
    match both {
        Ok(Found::Placed(place)) => Known::Done(Ok(place)),
        Ok(Found::Moving(_) | Found::Moved(_)) => Known::Alone,
        Err(error) => Known::Done(Err(error)),
    }
}

async fn delete_all<S: Store>(
    store: &S,
    records: &[(RecordKey, Option<Version>)],
) -> Vec<Result<(), StoreError>> {
    match records.is_empty() {
        true => Vec::new(),
        false => store.delete_many(records).await,
    }
}

fn unless_changed(deleted: Result<(), StoreError>) -> Option<Result<(), StoreError>> {
    match deleted {
        Err(StoreError::Conflict) => None,
        deleted => Some(deleted),
    }
}

/// The next answer. There should be as many as questions.
fn answer<T>(next: Option<Result<T, StoreError>>) -> Result<T, StoreError> {
    next.unwrap_or_else(|| Err(StoreError::unavailable("the store left an answer out")))
}
