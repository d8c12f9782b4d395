//! A record that only this thread may change.

use std::{
    io,
    ops::{Deref, Range},
    thread,
    time::{Duration, Instant},
};

use super::{
    files::{Shard, fault_of},
    fs::{Access, Fs, Stat},
    settings::Durability,
    slot::{self, Half, Slot, View},
};
use crate::{
    clock::Timestamp,
    store::{StoreError, Version},
};

/// A record's file, locked against every other writer on this machine until this is dropped.
///
/// The lock belongs to the open file description, so it also excludes threads of the same process,
/// and the kernel releases it when the process dies.
pub(super) struct Locked<'a, F: Fs> {
    shard: &'a Shard<'a, F>,
    file: Handle<'a, F::File>,
    stat: Stat,
    is_locked: bool,
}

/// A file that is closed with its lock, or one that stays open.
enum Handle<'a, T> {
    Own(T),
    Kept(&'a T),
}

impl<T> Deref for Handle<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(file) => file,
            Self::Kept(file) => file,
        }
    }
}

/// How often the lock may turn out to be on a file that was replaced.
const RACES: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

impl<'a, F: Fs> Locked<'a, F> {
    /// Waits for the lock. Returns `None` if there is no record, before or after the wait.
    pub(super) fn acquire(
        shard: &'a Shard<'a, F>,
        access: Access,
    ) -> Result<Option<Self>, StoreError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        for _ in 0..RACES {
            let Some(file) = shard.open_file(access)? else {
                return Ok(None);
            };
            while !shard.disk.fs.try_lock(&file)? {
                wait(started, shard.disk.settings.lock_timeout, &mut pause)?;
            }
            if let Some(locked) = Self::of(shard, Handle::Own(file))? {
                return Ok(Some(locked));
            }
        }
        Err(StoreError::unavailable(
            "the record's file was replaced again and again",
        ))
    }

    /// Takes the lock if it is free. Returns `None` if it is not, or if there is no such file.
    pub(super) fn try_acquire(shard: &'a Shard<'a, F>) -> Result<Option<Self>, StoreError> {
        let Some(file) = shard.open_file(Access::Write)? else {
            return Ok(None);
        };
        if !shard.disk.fs.try_lock(&file)? {
            return Ok(None);
        }
        Self::of(shard, Handle::Own(file))
    }

    /// Takes the lock of a kept file. Returns `None` if it is not free, or if the file is no longer
    /// the record's.
    pub(super) fn try_kept(
        shard: &'a Shard<'a, F>,
        file: &'a F::File,
    ) -> Result<Option<Self>, StoreError> {
        if !shard.disk.fs.try_lock(file)? {
            return Ok(None);
        }
        Self::of(shard, Handle::Kept(file))
    }

    /// Returns `None` if the file was removed or outgrown before it was locked: it has no name
    /// then.
    fn of(shard: &'a Shard<'a, F>, file: Handle<'a, F::File>) -> Result<Option<Self>, StoreError> {
        let fs = &shard.disk.fs;
        let stat = fs.stat(&file).inspect_err(|_| drop(fs.unlock(&file)))?;
        let locked = Self {
            shard,
            file,
            stat,
            is_locked: true,
        };
        fault_of(locked.stat).map_or(Ok(()), Err)?;
        let is_current =
            locked.stat.links > 0 && (!shard.disk.settings.is_network || locked.has_name()?);
        Ok(is_current.then_some(locked))
    }

    pub(super) fn stat(&self) -> Stat {
        self.stat
    }

    /// Reads the record if it is in the page cache.
    pub(super) fn view_cached(&self) -> Result<View, StoreError> {
        self.shard.view_cached(&self.file, self.stat)
    }

    /// Like [`view_cached`](Self::view_cached), without the data. A state with the version `seen`
    /// is not checked again.
    pub(super) fn outline_cached(&self, seen: Version) -> Result<View<Range<usize>>, StoreError> {
        self.shard.outline_cached(&self.file, self.stat, seen)
    }

    /// Reads the record. A damaged one is quarantined.
    pub(super) fn current(&self) -> Result<Slot, StoreError> {
        match self.shard.view(&self.file, self.stat)? {
            View::Whole(slot) | View::Doubtful(slot) => Ok(slot),
            View::Newer => Err(newer()),
            // The next record may be under the name already.
            View::Damaged if !self.has_name()? => Err(StoreError::Corrupt(
                "no part of it is valid; it was put in quarantine meanwhile".into(),
            )),
            View::Damaged => {
                let moved = self.shard.quarantine();
                let fate = if moved.is_ok() {
                    "it was put in quarantine"
                } else {
                    "it could not be put in quarantine"
                };
                Err(StoreError::Corrupt(
                    format!("no part of it is valid; {fate}").into(),
                ))
            }
        }
    }

    /// Writes the state after `current`, into the other slot or into a larger file.
    pub(super) fn write(
        &self,
        current: &Slot,
        version: Version,
        expires: Timestamp,
        data: &[u8],
    ) -> io::Result<Version> {
        let next = self.next(current, version, expires, data)?;
        if next.len() <= current.size {
            self.write_beside(current, &next, expires)?;
        } else {
            self.grow(current, &next, expires)?;
        }
        Ok(version)
    }

    /// Like [`write`](Self::write), for data that fits into the other slot.
    pub(super) fn write_in_place<D>(
        &self,
        current: &Slot<D>,
        version: Version,
        expires: Timestamp,
        data: &[u8],
    ) -> io::Result<Version> {
        let next = self.next(current, version, expires, data)?;
        self.write_beside(current, &next, expires)?;
        Ok(version)
    }

    fn next<D>(
        &self,
        current: &Slot<D>,
        version: Version,
        expires: Timestamp,
        data: &[u8],
    ) -> io::Result<Vec<u8>> {
        // The process that created the file may have been cut off before it synced the name.
        if current.is_alone {
            self.shard.sync(Durability::Data)?;
        }
        let sequence = current.sequence.wrapping_add(1);
        let key = &self.shard.key;
        Ok(slot::encode(key, sequence, version, expires, data))
    }

    fn write_beside<D>(
        &self,
        current: &Slot<D>,
        next: &[u8],
        expires: Timestamp,
    ) -> io::Result<()> {
        self.overwrite(&self.file, current.half.other().offset(current.size), next)?;
        // A sweep discovers a later end when the earlier one has passed.
        if expires < current.expires {
            self.shard.set_hint(&self.file, expires);
        }
        Ok(())
    }

    pub(super) fn remove(self) -> io::Result<()> {
        self.shard.disk.kept.forget(&self.shard.key);
        if self.has_name()? {
            self.shard.remove()
        } else {
            Ok(())
        }
    }

    /// Unlocks the file. An error means that it may still be locked.
    pub(super) fn release(mut self) -> io::Result<()> {
        self.is_locked = false;
        self.shard.disk.fs.unlock(&self.file)
    }

    fn overwrite(&self, file: &F::File, offset: u64, next: &[u8]) -> io::Result<()> {
        let written = self.shard.write_all(file, next, offset);
        written
            .and_then(|()| self.shard.sync_data(file))
            .inspect_err(|_| self.revoke(file, offset))
    }

    /// Puts a larger file with the current state in this one's place, and writes the next state
    /// there.
    ///
    /// This file then has no name, so everyone who waits for its lock gives it up.
    fn grow(&self, current: &Slot, next: &[u8], expires: Timestamp) -> io::Result<()> {
        let slot_size = slot::size_for(next.len());
        let old = slot::encode(
            &self.shard.key,
            current.sequence,
            current.version,
            current.expires,
            &current.data,
        );
        let rename = |dir: &F::Dir, temporary: &str| {
            self.shard
                .disk
                .fs
                .rename((dir, temporary), (dir, self.shard.name()))
        };
        let file = self.shard.put(
            &slot::file_of(slot_size, &old, &[]),
            expires,
            Durability::Data,
            rename,
            || {},
        )?;
        let grown = self.overwrite(&file, Half::Second.offset(slot_size), next);
        let _ = self.shard.disk.fs.unlock(&file);
        self.shard.disk.kept.forget(&self.shard.key);
        grown
    }

    /// Invalidates a slot: a write that was reported as failed must not be found later.
    fn revoke(&self, file: &F::File, offset: u64) {
        let _ = self.shard.write_all(file, &[0; slot::MAGIC_LEN], offset);
    }

    /// Returns whether the record's name leads to this file.
    fn has_name(&self) -> io::Result<bool> {
        Ok(self
            .shard
            .stat_name()?
            .is_some_and(|found| found.id == self.stat.id))
    }
}

/// Closing the file would be enough if no child process could hold a copy of it.
impl<F: Fs> Drop for Locked<'_, F> {
    fn drop(&mut self) {
        if self.is_locked {
            let _ = self.shard.disk.fs.unlock(&self.file);
        }
    }
}

fn wait(started: Instant, timeout: Duration, pause: &mut Duration) -> io::Result<()> {
    let left = timeout.saturating_sub(started.elapsed());
    if left.is_zero() {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("another writer held the record's lock for {timeout:?}"),
        ));
    }
    thread::sleep(left.min(*pause));
    *pause = LONGEST_PAUSE.min(*pause * 2);
    Ok(())
}

pub(super) fn newer() -> StoreError {
    StoreError::refused("it was written by a newer version of this store")
}
