//! The store's operations on records, one blocking function each.

use std::io;

use super::{
    files::Shard,
    fs::{Access, Fs},
    lock::{Locked, newer},
    root::Disk,
    settings::Durability,
    slot::{self, Slot, View},
};
use crate::{
    clock::Timestamp,
    store::{Record, RecordKey, StoreError, Version},
};

/// How often a reader retries a record that is being written before it takes the lock.
const LOOKS: usize = 4;
/// How often an operation is retried when another process creates or removes the same record
/// meanwhile.
const RACES: usize = 16;

impl<F: Fs> Disk<F> {
    /// Takes no lock unless the record looks damaged.
    pub(super) fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let shard = Shard::of(self, key);
        let slot = match self.look(&shard)? {
            Look::Absent => None,
            Look::Settled(slot) => Some(slot),
            Look::Unsettled => self.settle(&shard)?,
        };
        Ok(slot.and_then(|slot| self.alive(slot)).map(record_of))
    }

    pub(super) fn create(
        &self,
        key: &RecordKey,
        version: Version,
        data: &[u8],
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.check_size(data)?;
        let slot = slot::encode(key, 1, version, expires, data);
        let shard = Shard::open_or_make(self, key)?;
        for _ in 0..RACES {
            match shard.put_new(&slot, expires) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return Ok(done.map(|()| version)?),
            }
            let Some(locked) = Locked::acquire(&shard, Access::Write)? else {
                continue;
            };
            let current = locked.current()?;
            return match self.alive(current.clone()) {
                Some(_) => Err(StoreError::Exists),
                None => Ok(locked.write(&current, version, expires, data)?),
            };
        }
        Err(StoreError::unavailable(
            "the record was created and removed again and again",
        ))
    }

    pub(super) fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        version: Version,
        data: &[u8],
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.check_size(data)?;
        self.change(key, expected, |locked, current| {
            locked.write(current, version, expires, data)
        })
    }

    pub(super) fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        self.change(key, expected, |locked, current| {
            if current.expires == expires {
                Ok(expected)
            } else {
                locked.write(current, expected, expires, &current.data)
            }
        })
    }

    pub(super) fn delete(
        &self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        let shard = Shard::of(self, key);
        match Locked::acquire(&shard, Access::Write) {
            Ok(Some(locked)) => {
                if let Some(expected) = expected
                    && let Some(current) = self.alive(locked.current()?)
                    && current.version != expected
                {
                    return Err(StoreError::Conflict);
                }
                locked.remove()?;
            }
            Ok(None) => {}
            // The file is not the store's, so no writer has it open.
            Err(StoreError::Corrupt(_)) => shard.remove()?,
            Err(StoreError::Refused(_)) if expected.is_none() && shard.is_exposed()? => {
                shard.remove()?;
            }
            Err(error) => return Err(error),
        }
        // Even if it was gone already: the process that removed it may have failed to sync that.
        match shard.sync(Durability::Full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => Ok(synced?),
        }
    }

    fn change(
        &self,
        key: &RecordKey,
        expected: Version,
        write: impl FnOnce(&Locked<'_, F>, &Slot) -> io::Result<Version>,
    ) -> Result<Version, StoreError> {
        let shard = Shard::of(self, key);
        let locked = Locked::acquire(&shard, Access::Write)?.ok_or(StoreError::Gone)?;
        let current = locked.current()?;
        self.check_current(&current, expected)?;
        Ok(write(&locked, &current)?)
    }

    pub(super) fn check_current<D>(
        &self,
        current: &Slot<D>,
        expected: Version,
    ) -> Result<(), StoreError> {
        if !self.is_alive(current) {
            Err(StoreError::Gone)
        } else if current.version != expected {
            Err(StoreError::Conflict)
        } else {
            Ok(())
        }
    }

    /// Reads a record until no writer interferes.
    ///
    /// If one slot is valid and the other torn, a second look must find the same. Two writers may
    /// have passed during the first look, the earlier of them done before it began.
    fn look(&self, shard: &Shard<'_, F>) -> Result<Look, StoreError> {
        match shard.open_file(Access::Read)? {
            Some(file) => self.look_into(shard, &file),
            None => Ok(Look::Absent),
        }
    }

    fn look_into(&self, shard: &Shard<'_, F>, file: &F::File) -> Result<Look, StoreError> {
        let mut before = None;
        for _ in 0..LOOKS {
            match shard.view(file, self.fs.stat(file)?)? {
                View::Whole(slot) => return Ok(Look::Settled(slot)),
                View::Doubtful(slot) if before == Some(slot.sequence) => {
                    return Ok(Look::Settled(slot));
                }
                View::Doubtful(slot) => before = Some(slot.sequence),
                View::Damaged => before = None,
                View::Newer => return Err(newer()),
            }
        }
        Ok(Look::Unsettled)
    }

    /// Returns whether the record may have expired, as a damaged one may. If it lives, notes for
    /// how long.
    pub(super) fn look_over(&self, shard: &Shard<'_, F>) -> Result<bool, StoreError> {
        let Some(file) = shard.open_file(Access::Read)? else {
            return Ok(false);
        };
        let alive = match self.look_into(shard, &file)? {
            Look::Settled(slot) => self.alive(slot),
            Look::Absent | Look::Unsettled => None,
        };
        if let Some(slot) = &alive {
            shard.set_hint(&file, slot.expires);
        }
        Ok(alive.is_none())
    }

    /// Decides about a record with its lock held, so that no writer interferes.
    fn settle(&self, shard: &Shard<'_, F>) -> Result<Option<Slot>, StoreError> {
        let locked = match Locked::acquire(shard, Access::Write) {
            Err(error) if is_read_only(&error) => Locked::acquire(shard, Access::Read)?,
            locked => locked?,
        };
        locked.map(|locked| locked.current()).transpose()
    }

    pub(super) fn alive(&self, slot: Slot) -> Option<Slot> {
        self.is_alive(&slot).then_some(slot)
    }

    fn is_alive<D>(&self, slot: &Slot<D>) -> bool {
        slot.expires > self.settings.clock.now()
    }

    pub(super) fn check_size(&self, data: &[u8]) -> Result<(), StoreError> {
        let (size, limit) = (data.len(), self.settings.max_record_bytes);
        if size > limit {
            Err(StoreError::TooLarge { size, limit })
        } else {
            Ok(())
        }
    }
}

enum Look {
    Absent,
    Settled(Slot),
    Unsettled,
}

pub(super) fn record_of(slot: Slot) -> Record {
    Record::new(slot.data, slot.version, slot.expires)
}

fn is_read_only(error: &StoreError) -> bool {
    let StoreError::Refused(source) = error else {
        return false;
    };
    let kind = source.downcast_ref().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
    )
}
