//! A part of the store: its records, what they are for, and which of them make room.

use std::ops::Range;

use super::table::{Data, Entry, Table};
use crate::{
    clock::Timestamp,
    store::{RecordKey, RecordKind, StoreError, Version},
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

#[derive(Default)]
pub(super) struct Shard {
    table: Table,
    bytes: usize,
    /// Counts writes: no key gets a version twice, as the records die with the count.
    written: u64,
    counts: [usize; CLASSES],
    windows: Vec<Window>,
    /// The slot to look at next in passing, and the windows to sweep next and to make room.
    passing: usize,
    sweeping: usize,
    leaving: usize,
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

    fn of(entry: &Entry) -> Self {
        match RecordKind::of(entry.data.bytes()) {
            Some(RecordKind::Session) if !entry.is_used() => Self::Unused,
            Some(RecordKind::Session) | None => Self::Session,
            Some(RecordKind::Roster) => Self::Roster,
            Some(RecordKind::End) => Self::End,
            Some(RecordKind::Mark | RecordKind::Moved) => Self::Mark,
        }
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
        self.table.len() - self.count(Class::Mark)
    }

    /// How many steps it takes to come by every record.
    pub(super) const fn steps(&self) -> usize {
        self.windows.len()
    }

    /// The record, if it is alive. It is in use from then on.
    pub(super) fn load(&mut self, key: &RecordKey, now: Timestamp) -> Option<&Entry> {
        let slot = self.find(key, now)?;
        if !self.table.at(slot)?.is_used() {
            self.change(slot, |_| ());
        }
        self.table.at(slot)
    }

    /// The slot of a record that is alive.
    pub(super) fn find(&self, key: &RecordKey, now: Timestamp) -> Option<usize> {
        let slot = self.table.find(key)?;
        (self.table.at(slot)?.expires() > now).then_some(slot)
    }

    /// The slot of a record that is alive and has the expected version.
    pub(super) fn expect(
        &self,
        key: &RecordKey,
        expected: Version,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let slot = self.find(key, now).ok_or(StoreError::Gone)?;
        let is_it = |entry: &Entry| entry.version() == expected;
        if self.table.at(slot).is_some_and(is_it) {
            Ok(slot)
        } else {
            Err(StoreError::Conflict)
        }
    }

    /// Counts one more write.
    pub(super) const fn next_version(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.bytes += size_of_record(&entry.data);
        let (class, set) = (Class::of(&entry), set_at(&entry));
        let slot = self.table.insert(entry);
        self.enter(slot, class, set);
    }

    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Entry> {
        let (slot, entry) = self.table.remove(key)?;
        self.bytes -= size_of_record(&entry.data);
        self.leave(slot, Class::of(&entry));
        Some(entry)
    }

    /// Changes a record, which is in use from then on.
    pub(super) fn change(&mut self, slot: usize, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.table.at_mut(slot) else {
            return;
        };
        let (class, size) = (Class::of(entry), size_of_record(&entry.data));
        entry.set_used();
        change(entry);
        let (new_class, new_size, set) =
            (Class::of(entry), size_of_record(&entry.data), set_at(entry));
        self.bytes = self.bytes - size + new_size;
        if new_class != class || set.is_some() {
            self.leave(slot, class);
            self.enter(slot, new_class, set);
        }
    }

    /// How many bytes the shard would take with so many instead of the record's.
    pub(super) fn bytes_with(&self, slot: usize, size: usize) -> usize {
        let old = self
            .table
            .at(slot)
            .map_or(0, |entry| size_of_record(&entry.data));
        self.bytes - old + size
    }

    /// Counts a record again among the ends, of which it was left out when room was made for it.
    pub(super) fn keep(&mut self, slot: usize) {
        let set = self.table.at(slot).and_then(set_at);
        if let Some(window) = self.windows.get_mut(slot / WINDOW) {
            window.first_set = window.first_set.min(set.unwrap_or(NEVER));
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
        if let Some(count) = self.counts.get_mut(class as usize) {
            *count += 1;
        }
    }

    fn leave(&mut self, slot: usize, class: Class) {
        let window = self.windows.get_mut(slot / WINDOW);
        if let Some(count) = window.and_then(|window| window.counts.get_mut(class as usize)) {
            *count -= 1;
        }
        if let Some(count) = self.counts.get_mut(class as usize) {
            *count -= 1;
        }
    }

    fn count(&self, class: Class) -> usize {
        self.counts.get(class as usize).copied().unwrap_or(0)
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
        self.sweeping = (window + 1) % self.windows.len().max(1);
        self.sweep(slots_of(window), now, &mut removed.entries);
        if self.bytes < before {
            return true;
        }
        let spared = spare.and_then(|slot| Some((slot, Class::of(self.table.at(slot)?))));
        let is_there = |class: &Class| {
            let is_spared = spared.is_some_and(|(_, spared)| spared == *class);
            self.count(*class) > usize::from(is_spared)
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
        self.leaving = (window + 1) % self.windows.len().max(1);
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
            let count = window.counts.get(class as usize).copied().unwrap_or(0);
            usize::from(count) - usize::from(spared == Some((*at, class)))
        };
        let windows = || self.windows.iter().enumerate();
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
        let mut windows: Vec<_> = self.windows.iter().map(|window| window.first_set).collect();
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
        if let Some(window) = self.windows.get_mut(at) {
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
            .filter(move |entry| Class::of(entry) == class)
    }

    fn evict_one(&mut self, key: &RecordKey, class: Class, removed: &mut Removed) {
        removed.entries.extend(self.remove(key));
        if let Some(count) = removed.evicted.get_mut(class as usize) {
            *count += 1;
        }
    }
}

const fn slots_of(window: usize) -> Range<usize> {
    window * WINDOW..(window + 1) * WINDOW
}

/// What a record counts for.
pub(super) fn size_of_record(data: &Data) -> usize {
    data.len() + OVERHEAD
}

/// When the end was set that the record is for.
fn set_at(entry: &Entry) -> Option<Timestamp> {
    let data = entry.data.bytes();
    RecordKind::of(data).filter(|kind| *kind == RecordKind::End)?;
    Some(time_in(data).unwrap_or(UNKNOWN))
}

/// Up to when a roster remembers that all of a subject's sessions in cookies were ended, if it
/// does.
fn ended_until(entry: &Entry) -> Option<Timestamp> {
    let data = entry.data.bytes();
    RecordKind::of(data).filter(|kind| *kind == RecordKind::Roster)?;
    time_in(data).filter(|time| time.as_secs() > 0)
}

/// Five bytes of seconds after the first byte.
fn time_in(data: &[u8]) -> Option<Timestamp> {
    let [_, a, b, c, d, e, ..] = data else {
        return None;
    };
    let secs = u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]);
    Some(Timestamp::from_secs(secs))
}

#[cfg(test)]
mod tests;
