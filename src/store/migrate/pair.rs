//! The steps by which a record gets from one store to the other.

use std::time::Duration;

use super::wire::{self, Form};
use crate::{
    clock::{Clock, Timestamp},
    store::{Bytes, Expiry, Read, Record, RecordKey, Store, StoreError, Version},
};

/// The two stores of a move.
pub(super) struct Pair<From, To> {
    pub(super) from: From,
    pub(super) to: To,
    pub(super) clock: Clock,
}

/// Where a record is. Its version is the one its own store made.
#[derive(Debug)]
pub(super) enum Place {
    Nowhere,
    From(Record),
    /// In `to`, as the copy that counts. Its next write makes it a plain record.
    Copy(Record),
    To(Record),
}

/// A record whose move has begun, and its version in `from`.
pub(super) struct Moving {
    pub(super) data: Bytes,
    pub(super) version: Version,
    pub(super) expires: Timestamp,
}

/// The outcome of completing a move.
pub(super) enum Carried {
    /// The copy with this version counts.
    Copied(Version),
    /// Another process has completed the move, or a useless copy was in the way: the stores have to
    /// be read again.
    Overtaken,
    /// `to` does not accept the record, which is in `from` as before.
    TakenBack(StoreError),
}

/// The meaning of what both stores hold.
pub(super) enum Found {
    Placed(Place),
    /// A move has begun.
    Moving(Moving),
    /// The record has ended or has moved since `to` was asked, to a copy with this version.
    Moved(Option<Version>),
}

/// A mark in `from` outlives its record by this much, since clocks differ and writes are late.
const MARGIN: Duration = Duration::from_secs(600);

/// How often an operation reads the stores again because another process interferes.
pub(super) const ROUNDS: u32 = 16;

impl<From: Store, To: Store> Pair<From, To> {
    /// Finds a record. Completes a move that has begun, so that the place can be written.
    pub(super) async fn find(&self, key: &RecordKey, read: Read) -> Result<Place, StoreError> {
        let mut read = read;
        for _ in 0..ROUNDS {
            if let Some(place) = self.look(key, read).await? {
                return Ok(place);
            }
            read = Read::Current;
        }
        Err(unsettled())
    }

    /// Looks once. Returns `None` if something changed and the stores have to be read again.
    async fn look(&self, key: &RecordKey, read: Read) -> Result<Option<Place>, StoreError> {
        let there = self.to.load(key, read).await?;
        let there = match there {
            Some(record) if Form::of(record.data()) == Form::Plain => {
                return Ok(Some(Place::To(record)));
            }
            there => there,
        };
        let here = self.from.load(key, Read::Current).await?;
        let is_moved = here.clone();
        match found(there, here)? {
            // From now on only `to` counts.
            Found::Moved(_) => {
                let there = self.to.load(key, Read::Current).await?;
                match found(there, is_moved)? {
                    Found::Moved(_) => Ok(Some(Place::Nowhere)),
                    found => self.follow(key, found).await,
                }
            }
            found => self.follow(key, found).await,
        }
    }

    async fn follow(&self, key: &RecordKey, found: Found) -> Result<Option<Place>, StoreError> {
        match found {
            Found::Placed(place) => Ok(Some(place)),
            Found::Moving(moving) => match self.carry(key, &moving).await? {
                Carried::Copied(copy) => {
                    let Moving { data, expires, .. } = moving;
                    Ok(Some(Place::Copy(Record::new(data, copy, expires))))
                }
                Carried::Overtaken | Carried::TakenBack(_) => Ok(None),
            },
            Found::Moved(_) => Ok(None),
        }
    }

    /// Makes a plain record of a copy that counts, unless another process has done so or removed
    /// it.
    pub(super) async fn settle(&self, key: &RecordKey, copy: Record) -> Result<(), StoreError> {
        let (version, expiry) = (copy.version(), self.expiry(copy.expires()));
        let settled = self.to.update(key, version, copy.into_data(), expiry).await;
        unless_overtaken(settled).map(drop)
    }

    /// Begins the move of a record. Returns `None` if the record has changed.
    pub(super) async fn begin(
        &self,
        key: &RecordKey,
        record: Record,
    ) -> Result<Option<Moving>, StoreError> {
        let (version, expires) = (record.version(), record.expires());
        let data = record.into_data();
        let begun = self
            .from
            .update(key, version, wire::moving(&data), self.expiry(expires));
        let begun = unless_overtaken(begun.await)?;
        Ok(begun.map(|version| Moving {
            data,
            version,
            expires,
        }))
    }

    /// Completes a move that has begun.
    pub(super) async fn carry(
        &self,
        key: &RecordKey,
        moving: &Moving,
    ) -> Result<Carried, StoreError> {
        let data = wire::copy(&moving.data, moving.version);
        let copied = self.to.create(key, data, self.expiry(moving.expires)).await;
        let copy = match copied {
            Ok(version) => version,
            Err(StoreError::Exists) => match self.copy_of(key, moving).await {
                Ok(Some(version)) => version,
                Ok(None) => return Ok(Carried::Overtaken),
                Err(error @ StoreError::Refused(_)) => {
                    return self.take_back(key, moving, error).await;
                }
                Err(error) => return Err(error),
            },
            Err(error @ (StoreError::TooLarge { .. } | StoreError::Refused(_))) => {
                return self.take_back(key, moving, error).await;
            }
            Err(error) => return Err(error),
        };
        let (mark, end) = (wire::moved(Some(copy)), self.mark_end(moving.expires));
        let marked = self.from.update(key, moving.version, mark, end).await;
        Ok(match unless_overtaken(marked)? {
            Some(_) => Carried::Copied(copy),
            None => Carried::Overtaken,
        })
    }

    /// Finds another process's copy. Returns `None` if there is something else in its place, which
    /// is removed if it is useless.
    async fn copy_of(
        &self,
        key: &RecordKey,
        moving: &Moving,
    ) -> Result<Option<Version>, StoreError> {
        let Some(there) = self.to.load(key, Read::Current).await? else {
            return Ok(None);
        };
        match Form::of(there.data()) {
            // For example after a backup of `from` was restored.
            Form::Plain => return Ok(Some(there.version())),
            Form::Copy { of, .. } if of == moving.version => return Ok(Some(there.version())),
            Form::Moving(_) if there.version() == moving.version => return Err(same_store()),
            Form::Moving(_) => return Err(other_way()),
            Form::Copy { .. } | Form::Moved(_) => {}
        }
        // A copy of another version is useless once this version is known to be current.
        let here = self.from.load(key, Read::Current).await?;
        if here.is_some_and(|record| record.version() == moving.version) {
            self.remove(key, there.version()).await?;
        }
        Ok(None)
    }

    /// Removes useless data from `to`.
    pub(super) async fn remove(&self, key: &RecordKey, version: Version) -> Result<(), StoreError> {
        unless_overtaken(self.to.delete(key, Some(version)).await).map(drop)
    }

    /// The error for a caller whose version was refused.
    pub(super) async fn refusal(&self, key: &RecordKey) -> StoreError {
        match self.find(key, Read::Current).await {
            Ok(Place::Nowhere) => StoreError::Gone,
            Ok(Place::From(_) | Place::Copy(_) | Place::To(_)) => StoreError::Conflict,
            Err(error) => error,
        }
    }

    /// Undoes the beginning of a move.
    async fn take_back(
        &self,
        key: &RecordKey,
        moving: &Moving,
        error: StoreError,
    ) -> Result<Carried, StoreError> {
        let (data, expiry) = (moving.data.clone(), self.expiry(moving.expires));
        let restored = self.from.update(key, moving.version, data, expiry).await;
        Ok(match unless_overtaken(restored)? {
            Some(_) => Carried::TakenBack(error),
            None => Carried::Overtaken,
        })
    }

    pub(super) fn expiry(&self, end: Timestamp) -> Expiry {
        Expiry::new(end, self.clock.now())
    }

    fn mark_end(&self, end: Timestamp) -> Expiry {
        later(self.expiry(end))
    }
}

/// The end of the mark for a record with this end. A record that is already over leaves no mark.
pub(super) fn later(expiry: Expiry) -> Expiry {
    if expiry.after.is_zero() {
        return expiry;
    }
    Expiry {
        at: expiry.at.saturating_add(MARGIN).min(Timestamp::LATEST),
        after: expiry.after.saturating_add(MARGIN),
    }
}

/// Interprets what both stores hold, if `to` was asked first. A copy that counts already did so
/// when `to` was asked, or began to before `from` was asked: only a write at its version ends that.
pub(super) fn found(there: Option<Record>, here: Option<Record>) -> Result<Found, StoreError> {
    let copy = match there {
        None => None,
        Some(record) => match Form::of(record.data()) {
            Form::Plain => return Ok(Found::Placed(Place::To(record))),
            Form::Copy { data, .. } => Some((record, data)),
            // The same record, if both stores are the same one. Completing the move undoes it.
            Form::Moving(_) if is_at(&here, record.version()) => None,
            Form::Moving(_) => return Err(other_way()),
            // A mark from an earlier move in the other direction.
            Form::Moved(_) => None,
        },
    };
    let Some(record) = here else {
        return Ok(Found::Placed(Place::Nowhere));
    };
    Ok(match Form::of(record.data()) {
        Form::Plain => Found::Placed(Place::From(record)),
        Form::Moving(data) => Found::Moving(Moving {
            data,
            version: record.version(),
            expires: record.expires(),
        }),
        Form::Moved(version) => match copy {
            Some((copy, data)) if Some(copy.version()) == version => {
                let copy = Record::new(data, copy.version(), copy.expires());
                Found::Placed(Place::Copy(copy))
            }
            _ => Found::Moved(version),
        },
        Form::Copy { .. } => return Err(other_way()),
    })
}

fn is_at(record: &Option<Record>, version: Version) -> bool {
    record
        .as_ref()
        .is_some_and(|record| record.version() == version)
}

/// The outcome of a write at a version. `None` if another write came first.
pub(super) fn unless_overtaken<T>(written: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match written {
        Ok(done) => Ok(Some(done)),
        Err(StoreError::Conflict | StoreError::Gone) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Converts a version of `from` to the one handed out, and back: two stores that count may both
/// have a version 5 of a key.
pub(super) fn of_from(version: Version) -> Version {
    turned(version, 127)
}

/// The same for the version of a copy. A touch, which may keep the version, must not match it: the
/// mark in `from` names the copy and would end first.
pub(super) fn of_copy(version: Version) -> Version {
    turned(version, 126)
}

fn turned(version: Version, bit: u32) -> Version {
    let turned = u128::from_be_bytes(*version.as_bytes()) ^ 1 << bit;
    Version::from_bytes(turned.to_be_bytes())
}

/// The version to expect in `to` if `from` names this copy.
pub(super) fn meant(expected: Option<Version>, copy: Option<Version>) -> Option<Version> {
    match copy {
        Some(copy) if expected == Some(of_copy(copy)) => Some(copy),
        _ => expected,
    }
}

pub(super) fn unsettled() -> StoreError {
    StoreError::unavailable("the record kept changing while it was moved")
}

fn other_way() -> StoreError {
    StoreError::refused("a move the other way has begun and has to be finished first")
}

fn same_store() -> StoreError {
    StoreError::refused("both stores of the move are the same one")
}
