//! A part of the store: its records, and which of them go first.

use std::ops::Range;

use super::{
    census::{
        CLASSES, Census, Class, EVICTION_ORDER, NEVER, UNKNOWN, WINDOW, Window, ended_until,
        set_at, slots_of,
    },
    data::Data,
    table::{Entry, Table},
};
use crate::{
    clock::Timestamp,
    store::{Bytes, RecordKey, StoreError, Version},
};

/// The number of records examined before others get the lock. A step sweeps one window and evicts
/// from another.
pub(super) const STEP: usize = 2 * WINDOW;
/// The number of records examined for each new one. So the expired records are never more than a
/// fraction of those created since.
const PASSING: usize = 8;
/// The part of a window's records that is evicted at once: a sixteenth, the closest to expiry.
const PART: usize = 16;
/// The size of a record without its bytes: its entry, and its share of the table's and the
/// allocator's overhead.
pub(super) const OVERHEAD: usize = 96;

/// The fields that each write changes share a cache line with the lock. Those it only reads are in
/// the next line.
#[derive(Default)]
#[repr(C)]
pub(super) struct Shard {
    /// Counts writes. No key gets a version twice, since the records die with the counter.
    written: u64,
    bytes: usize,
    census: Census,
    /// The next slot to sweep in passing, the next window to sweep, and the next to evict from.
    passing: usize,
    sweeping: usize,
    table: Table,
    evicting: usize,
}

/// A live record, looked up for a change.
pub(super) struct LiveEntry<'a> {
    slot: usize,
    entry: &'a mut Entry,
    written: &'a mut u64,
    bytes: &'a mut usize,
    census: &'a mut Census,
}

/// Records that were removed. They are freed, counted and logged after the lock is released.
#[derive(Default)]
pub(super) struct Removed {
    pub(super) entries: Vec<Entry>,
    /// The number evicted of each class.
    pub(super) evicted: [u64; CLASSES],
    /// The latest time of the evicted ends, those in rosters included.
    pub(super) forgotten: Option<Timestamp>,
}

impl Removed {
    pub(super) fn of(&self, class: Class) -> u64 {
        self.evicted.get(class as usize).copied().unwrap_or(0)
    }
}

impl Shard {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of records except marks.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.census.count(Class::Mark)
    }

    /// The number of steps that covers every record.
    pub(super) const fn steps(&self) -> usize {
        self.census.windows.len()
    }

    /// Returns the record if it is alive, and marks it used.
    pub(super) fn load(&mut self, key: &RecordKey, now: Timestamp) -> Option<&Entry> {
        let (slot, entry) = self.table.find_mut(key)?;
        if entry.expires() <= now {
            return None;
        }
        if !entry.is_used() {
            let class = Class::of_entry(entry);
            entry.set_used();
            self.census.move_to(slot, class, class.once_used(), entry);
        }
        Some(entry)
    }

    /// Removes the record of this key if it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if it is alive.
    pub(super) fn vacate(
        &mut self,
        key: &RecordKey,
        now: Timestamp,
        removed: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        if let Some((_, entry)) = self.table.find(key) {
            if entry.expires() > now {
                return Err(StoreError::Exists);
            }
            removed.extend(self.remove(key));
        }
        Ok(())
    }

    /// Returns the record if it is alive and has the expected version.
    #[inline]
    pub(super) fn expect(
        &mut self,
        key: &RecordKey,
        expected: Version,
        now: Timestamp,
    ) -> Result<LiveEntry<'_>, StoreError> {
        let is_alive = |(_, entry): &(_, &mut Entry)| entry.expires() > now;
        let Some((slot, entry)) = self.table.find_mut(key).filter(is_alive) else {
            return Err(StoreError::Gone);
        };
        if entry.version() != expected {
            return Err(StoreError::Conflict);
        }
        Ok(LiveEntry {
            slot,
            entry,
            written: &mut self.written,
            bytes: &mut self.bytes,
            census: &mut self.census,
        })
    }

    /// Adds a record. Its key must not exist yet.
    pub(super) fn insert(&mut self, key: RecordKey, data: Data, expires: Timestamp) -> Version {
        self.written += 1;
        self.bytes += size_of_record(data.len());
        let entry = Entry::new(key, data, self.written, expires);
        let (version, class, set) = (entry.version(), Class::of_entry(&entry), set_at(&entry));
        let slot = self.table.insert(entry);
        self.census.enter(slot, class, set);
        version
    }

    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Entry> {
        let (slot, entry) = self.table.remove(key)?;
        self.bytes -= size_of_record(entry.data.len());
        self.census.leave(slot, Class::of_entry(&entry));
        Some(entry)
    }

    /// Notes the time of a record's end in its window again, which ignored it while room was made
    /// for that record.
    pub(super) fn keep(&mut self, slot: usize) {
        let set = self.table.at(slot).and_then(set_at);
        if let Some(window) = self.census.windows.get_mut(slot / WINDOW) {
            window.first_set = window.first_set.min(set.unwrap_or(NEVER));
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.table.slots()
    }

    /// The records in a range of slots.
    pub(super) fn entries(&self, slots: Range<usize>) -> impl Iterator<Item = &Entry> {
        slots.filter_map(|slot| self.table.at(slot))
    }

    /// The number of records in a range of slots.
    pub(super) fn taken(&self, slots: Range<usize>) -> u64 {
        self.entries(slots).count() as u64
    }

    /// Removes expired records from a range of slots. Returns whether no slots follow it.
    pub(super) fn sweep(
        &mut self,
        slots: Range<usize>,
        now: Timestamp,
        removed: &mut Vec<Entry>,
    ) -> bool {
        for slot in slots.clone() {
            let over = self.table.at(slot).filter(|entry| entry.expires() <= now);
            if let Some(key) = over.map(|entry| entry.key) {
                removed.extend(self.remove(&key));
            }
        }
        slots.end >= self.table.slots()
    }

    /// Removes expired records from the next few slots.
    pub(super) fn sweep_in_passing(&mut self, now: Timestamp, removed: &mut Vec<Entry>) {
        let start = self.passing;
        let is_done = self.sweep(start..start + PASSING, now, removed);
        self.passing = if is_done { 0 } else { start + PASSING };
    }

    /// Removes expired records from the next window or, if there are none, evicts some records of
    /// the first class. Never evicts the record that needs the room. Returns whether there was
    /// anything to remove.
    pub(super) fn make_room(
        &mut self,
        spare: Option<usize>,
        now: Timestamp,
        removed: &mut Removed,
    ) -> bool {
        let before = self.bytes;
        let window = self.sweeping;
        self.sweeping = (window + 1) % self.census.windows.len().max(1);
        self.sweep(slots_of(window), now, &mut removed.entries);
        if self.bytes < before {
            return true;
        }
        let spared = spare.and_then(|slot| Some((slot, Class::of_entry(self.table.at(slot)?))));
        let is_there = |class: &Class| {
            let is_spared = spared.is_some_and(|(_, spared)| spared == *class);
            self.census.has_more(*class, usize::from(is_spared))
        };
        match EVICTION_ORDER.into_iter().find(is_there) {
            None => return false,
            Some(Class::End) => self.forget(spare, now, removed),
            Some(class) => self.evict(class, spared, removed),
        }
        true
    }

    /// Evicts the records of a class in one window that are closest to expiry.
    fn evict(&mut self, class: Class, spared: Option<(usize, Class)>, removed: &mut Removed) {
        let window = self.window_with(class, spared);
        let spare = spared.map(|(slot, _)| slot);
        self.evicting = (window + 1) % self.census.windows.len().max(1);
        let mut ends: Vec<_> = self
            .in_window(window, class, spare)
            .map(|entry| (entry.expires(), entry.key))
            .collect();
        ends.sort_unstable();
        ends.truncate(ends.len().div_ceil(PART));
        for (_, key) in ends {
            self.evict_one(&key, class, removed);
        }
        let went = removed.entries.iter().filter_map(ended_until).max();
        removed.forgotten = removed.forgotten.max(went);
    }

    /// The next window with enough records to choose from, or else the one with the most.
    fn window_with(&self, class: Class, spared: Option<(usize, Class)>) -> usize {
        let spared = spared.map(|(slot, class)| (slot / WINDOW, class));
        let count = |(at, window): &(usize, &Window)| {
            window.count(class) - usize::from(spared == Some((*at, class)))
        };
        let windows = || self.census.windows.iter().enumerate();
        let from_here = windows()
            .skip(self.evicting)
            .chain(windows().take(self.evicting));
        from_here
            .clone()
            .find(|window| count(window) >= PART)
            .or_else(|| from_here.max_by_key(count))
            .map_or(0, |(at, _)| at)
    }

    /// Evicts the end that was set first, if the window that may have it does have it.
    fn forget(&mut self, spare: Option<usize>, now: Timestamp, removed: &mut Removed) {
        let windows = self.census.windows.iter().map(|window| window.first_set);
        let Some((first_set, at)) = windows.zip(0..).min() else {
            return;
        };
        let mut ends: Vec<_> = self
            .in_window(at, Class::End, spare)
            .map(|entry| (set_at(entry).unwrap_or(UNKNOWN), entry.key))
            .collect();
        ends.sort_unstable();
        let mut ends = ends.into_iter().peekable();
        if let Some((set, key)) = ends.next_if(|(set, _)| *set == first_set) {
            self.evict_one(&key, Class::End, removed);
            // Nothing better is known of an end without a time.
            let set = if set == UNKNOWN { now } else { set };
            removed.forgotten = removed.forgotten.max(Some(set));
        }
        if let Some(window) = self.census.windows.get_mut(at) {
            window.first_set = ends.peek().map_or(NEVER, |(set, _)| *set);
        }
    }

    fn in_window(
        &self,
        window: usize,
        class: Class,
        spare: Option<usize>,
    ) -> impl Iterator<Item = &Entry> {
        slots_of(window)
            .filter(move |slot| Some(*slot) != spare)
            .filter_map(|slot| self.table.at(slot))
            .filter(move |entry| Class::of_entry(entry) == class)
    }

    fn evict_one(&mut self, key: &RecordKey, class: Class, removed: &mut Removed) {
        removed.entries.extend(self.remove(key));
        if let Some(count) = removed.evicted.get_mut(class as usize) {
            *count += 1;
        }
    }
}

impl<'a> LiveEntry<'a> {
    pub(super) const fn slot(&self) -> usize {
        self.slot
    }

    /// The shard's bytes if the record had this size.
    pub(super) fn bytes_with(&self, size: usize) -> usize {
        *self.bytes - size_of_record(self.entry.data.len()) + size
    }

    /// Replaces the record by a new version and marks it used. The caller drops the old data and
    /// what is left of the new data without the lock.
    #[inline]
    pub(super) fn replace(self, data: &mut Bytes, expires: Timestamp) -> (Version, Option<Data>) {
        let class = Class::of_entry(self.entry);
        *self.bytes = self.bytes_with(size_of_record(data.len()));
        *self.written += 1;
        self.entry.set_used();
        self.entry.set_stamp(*self.written, expires);
        let old = self.entry.data.put(data);
        self.census
            .move_to(self.slot, class, Class::of_entry(self.entry), self.entry);
        (self.entry.version(), old)
    }

    /// Sets another end and marks the record used.
    pub(super) fn touch(self, expires: Timestamp) {
        let class = Class::of_entry(self.entry);
        self.entry.set_used();
        self.entry.set_expires(expires);
        self.census
            .move_to(self.slot, class, class.once_used(), self.entry);
    }
}

/// The size of a record with `len` bytes.
const fn size_of_record(len: usize) -> usize {
    len + OVERHEAD
}

#[cfg(test)]
mod tests;
