//! A part of the store: its records, what they are for, and which of them make room.

use std::ops::Range;

use super::{
    data::Data,
    table::{Entry, Table},
};
use crate::{
    clock::Timestamp,
    store::{Bytes, RecordKey, RecordKind, StoreError, Version},
};

/// How many records are looked at before others get the lock.
pub(super) const STEP: usize = 512;
/// How many are looked at for a new one: expired ones are never more than a part of those that were
/// made since.
const PASSING: usize = 8;
/// How many slots are counted together. One window is swept and another one makes room in a step.
const WINDOW: usize = STEP / 2;
/// Of a window's records, this part makes room: those that are closest to their end.
const PART: usize = 16;
/// What a record takes besides its bytes: its entry, its share of the table's and the allocator's.
pub(super) const OVERHEAD: usize = 96;

/// What each write changes is in one line of a processor's caches with the lock, and what it only
/// reads in the next.
#[derive(Default)]
#[repr(C)]
pub(super) struct Shard {
    /// Counts writes: no key gets a version twice, as the records die with the count.
    written: u64,
    bytes: usize,
    census: Census,
    /// The slot to look at next in passing, and the windows to sweep next and to make room.
    passing: usize,
    sweeping: usize,
    table: Table,
    leaving: usize,
}

/// How many records of each class there are, and where.
#[derive(Default)]
struct Census {
    windows: Vec<Window>,
}

/// A record that is alive, as it was found.
pub(super) struct Found<'a> {
    slot: usize,
    entry: &'a mut Entry,
    written: &'a mut u64,
    bytes: &'a mut usize,
    census: &'a mut Census,
}

/// What records make room for others, in this order. Marks never do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// A session whose record nobody came for since it was made.
    Unused,
    /// Any other session, and what nobody knows.
    Session,
    Roster,
    End,
    Mark,
}

const CLASSES: usize = 5;
const LEAVING: [Class; 4] = [Class::Unused, Class::Session, Class::Roster, Class::End];

impl Class {
    /// For the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused sessions",
            Self::Session => "sessions",
            Self::Roster => "rosters",
            Self::End => "ends",
            Self::Mark => "marks",
        }
    }

    /// What it is when somebody came for the record.
    const fn once_used(self) -> Self {
        match self {
            Self::Unused => Self::Session,
            Self::Session | Self::Roster | Self::End | Self::Mark => self,
        }
    }

    const fn of(kind: Option<RecordKind>, is_used: bool) -> Self {
        match kind {
            Some(RecordKind::Session) if !is_used => Self::Unused,
            Some(RecordKind::Session) | None => Self::Session,
            Some(RecordKind::Roster) => Self::Roster,
            Some(RecordKind::End) => Self::End,
            Some(RecordKind::Mark | RecordKind::Moved) => Self::Mark,
        }
    }

    fn of_entry(entry: &Entry) -> Self {
        Self::of(entry.data.kind(), entry.is_used())
    }
}

/// What is in some neighbouring slots.
struct Window {
    counts: [u16; CLASSES],
    /// No end in them was set earlier. Those that have left may have been.
    first_set: Timestamp,
}

const NEVER: Timestamp = Timestamp::from_secs(u64::MAX);
/// When an end was set that does not say.
const UNKNOWN: Timestamp = Timestamp::from_secs(u64::MAX - 1);

impl Window {
    const EMPTY: Self = Self {
        counts: [0; CLASSES],
        first_set: NEVER,
    };

    fn count(&self, class: Class) -> usize {
        self.counts
            .get(class as usize)
            .map_or(0, |count| usize::from(*count))
    }
}

/// What was taken out. It is freed, counted and told when nobody waits for the lock.
#[derive(Default)]
pub(super) struct Removed {
    pub(super) entries: Vec<Entry>,
    /// How many of each class made room.
    pub(super) evicted: [u64; CLASSES],
    /// When the latest of the ends was set that made room, in records of their own or in rosters.
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

    /// Counts the records but for marks.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.census.count(Class::Mark)
    }

    /// How many steps it takes to come by every record.
    pub(super) const fn steps(&self) -> usize {
        self.census.windows.len()
    }

    /// The record, if it is alive. It is in use from then on.
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

    /// Takes out the record of this key if it is over.
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

    /// The record, if it is alive and has the expected version.
    #[inline]
    pub(super) fn expect(
        &mut self,
        key: &RecordKey,
        expected: Version,
        now: Timestamp,
    ) -> Result<Found<'_>, StoreError> {
        let is_alive = |(_, entry): &(_, &mut Entry)| entry.expires() > now;
        let Some((slot, entry)) = self.table.find_mut(key).filter(is_alive) else {
            return Err(StoreError::Gone);
        };
        if entry.version() != expected {
            return Err(StoreError::Conflict);
        }
        Ok(Found {
            slot,
            entry,
            written: &mut self.written,
            bytes: &mut self.bytes,
            census: &mut self.census,
        })
    }

    /// Adds a record, whose key must not be there yet.
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

    /// Counts a record again among the ends, of which it was left out when room was made for it.
    pub(super) fn keep(&mut self, slot: usize) {
        let set = self.table.at(slot).and_then(set_at);
        if let Some(window) = self.census.windows.get_mut(slot / WINDOW) {
            window.first_set = window.first_set.min(set.unwrap_or(NEVER));
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.table.slots()
    }

    /// The records in some slots.
    pub(super) fn entries(&self, slots: Range<usize>) -> impl Iterator<Item = &Entry> {
        slots.filter_map(|slot| self.table.at(slot))
    }

    /// Counts the records in some slots.
    pub(super) fn taken(&self, slots: Range<usize>) -> u64 {
        self.entries(slots).count() as u64
    }

    /// Takes out what is over in some slots, and says whether there are no more of them.
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

    /// Takes out what is over in the next few slots.
    pub(super) fn sweep_in_passing(&mut self, now: Timestamp, removed: &mut Vec<Entry>) {
        let start = self.passing;
        let is_done = self.sweep(start..start + PASSING, now, removed);
        self.passing = if is_done { 0 } else { start + PASSING };
    }

    /// Takes out what is over in the next window, or if there is nothing, some of the records that
    /// are the first to leave. The one that the room is for stays. Says whether there was anything.
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
        match LEAVING.into_iter().find(is_there) {
            None => return false,
            Some(Class::End) => self.forget(spare, now, removed),
            Some(class) => self.evict(class, spared, removed),
        }
        true
    }

    /// Takes out those records of a class in one window that are closest to their end.
    fn evict(&mut self, class: Class, spared: Option<(usize, Class)>, removed: &mut Removed) {
        let window = self.window_with(class, spared);
        let spare = spared.map(|(slot, _)| slot);
        self.leaving = (window + 1) % self.census.windows.len().max(1);
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

    /// The next window with enough of them to choose from, or else the one with most.
    fn window_with(&self, class: Class, spared: Option<(usize, Class)>) -> usize {
        let spared = spared.map(|(slot, class)| (slot / WINDOW, class));
        let count = |(at, window): &(usize, &Window)| {
            window.count(class) - usize::from(spared == Some((*at, class)))
        };
        let windows = || self.census.windows.iter().enumerate();
        let from_here = windows()
            .skip(self.leaving)
            .chain(windows().take(self.leaving));
        from_here
            .clone()
            .find(|window| count(window) >= PART)
            .or_else(|| from_here.max_by_key(count))
            .map_or(0, |(at, _)| at)
    }

    /// Takes out the end that was set first, if the window that may have it does.
    fn forget(&mut self, spare: Option<usize>, now: Timestamp, removed: &mut Removed) {
        let mut windows: Vec<_> = self
            .census
            .windows
            .iter()
            .map(|window| window.first_set)
            .collect();
        let Some(at) = (0..windows.len()).min_by_key(|at| windows.get(*at).copied()) else {
            return;
        };
        let mut ends: Vec<_> = self
            .in_window(at, Class::End, spare)
            .map(|entry| (set_at(entry).unwrap_or(UNKNOWN), entry.key))
            .collect();
        ends.sort_unstable();
        windows.swap_remove(at);
        let others = windows.into_iter().min().unwrap_or(NEVER);
        let mut ends = ends.into_iter();
        let is_first = |end: &(Timestamp, RecordKey)| end.0 <= others;
        let first = ends.clone().next().filter(is_first);
        if let Some((set, key)) = first {
            ends.next();
            self.evict_one(&key, Class::End, removed);
            // Of an end that does not say, nobody knows more than that.
            let set = if set == UNKNOWN { now } else { set };
            removed.forgotten = removed.forgotten.max(Some(set));
        }
        if let Some(window) = self.census.windows.get_mut(at) {
            window.first_set = ends.next().map_or(NEVER, |(set, _)| set);
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

impl<'a> Found<'a> {
    pub(super) const fn slot(&self) -> usize {
        self.slot
    }

    /// How many bytes the shard would take if the record counted for so many.
    pub(super) fn bytes_with(&self, size: usize) -> usize {
        *self.bytes - size_of_record(self.entry.data.len()) + size
    }

    /// Puts a new version in place of the record, which is in use from then on. What is left of the
    /// old data and the new is for the caller to drop when nobody waits.
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

    /// Sets another end of the record, which is in use from then on.
    pub(super) fn touch(self, expires: Timestamp) {
        let class = Class::of_entry(self.entry);
        self.entry.set_used();
        self.entry.set_expires(expires);
        self.census
            .move_to(self.slot, class, class.once_used(), self.entry);
    }
}

impl Census {
    /// Counts a record that was of a class as one of another. An end may have been set anew.
    fn move_to(&mut self, slot: usize, from: Class, to: Class, entry: &Entry) {
        if to != from || to == Class::End {
            self.leave(slot, from);
            self.enter(slot, to, set_at(entry));
        }
    }

    fn enter(&mut self, slot: usize, class: Class, set: Option<Timestamp>) {
        let at = slot / WINDOW;
        if at >= self.windows.len() {
            self.windows.resize_with(at + 1, || Window::EMPTY);
        }
        if let Some(window) = self.windows.get_mut(at) {
            if let Some(count) = window.counts.get_mut(class as usize) {
                *count += 1;
            }
            window.first_set = window.first_set.min(set.unwrap_or(NEVER));
        }
    }

    fn leave(&mut self, slot: usize, class: Class) {
        let window = self.windows.get_mut(slot / WINDOW);
        if let Some(count) = window.and_then(|window| window.counts.get_mut(class as usize)) {
            *count -= 1;
        }
    }

    fn count(&self, class: Class) -> usize {
        self.counts(class).sum()
    }

    /// Whether there are more of a class than so many.
    fn has_more(&self, class: Class, count: usize) -> bool {
        let mut left = count;
        self.counts(class).any(|count| {
            let is_more = count > left;
            left = left.saturating_sub(count);
            is_more
        })
    }

    fn counts(&self, class: Class) -> impl Iterator<Item = usize> {
        self.windows.iter().map(move |window| window.count(class))
    }
}

const fn slots_of(window: usize) -> Range<usize> {
    window * WINDOW..(window + 1) * WINDOW
}

/// What a record counts for.
const fn size_of_record(len: usize) -> usize {
    len + OVERHEAD
}

/// When the end was set that the record is for.
fn set_at(entry: &Entry) -> Option<Timestamp> {
    let is_end = entry.data.kind() == Some(RecordKind::End);
    is_end.then(|| time_in(&entry.data).unwrap_or(UNKNOWN))
}

/// Up to when a roster remembers that all of a subject's sessions in cookies were ended, if it
/// does.
fn ended_until(entry: &Entry) -> Option<Timestamp> {
    let is_roster = entry.data.kind() == Some(RecordKind::Roster);
    let time = is_roster.then(|| time_in(&entry.data)).flatten();
    time.filter(|time| time.as_secs() > 0)
}

/// Five bytes of seconds after the first byte.
fn time_in(data: &Data) -> Option<Timestamp> {
    let [_, a, b, c, d, e] = data.first_six()?;
    let secs = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    Some(Timestamp::from_secs(secs))
}

#[cfg(test)]
mod tests;
