//! The classes of a shard's records, and how many there are of each.

use std::ops::Range;

use super::{data::Data, table::Entry};
use crate::{clock::Timestamp, store::RecordKind};

/// The number of slots counted together.
pub(super) const WINDOW: usize = 256;

/// Classes of records, in the order of their eviction. Marks are never evicted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// A session whose record was not used since it was created.
    Unused,
    /// Any other session, and records of unknown kind.
    Session,
    Roster,
    End,
    Mark,
}

pub(super) const CLASSES: usize = 5;
pub(super) const EVICTION_ORDER: [Class; 4] =
    [Class::Unused, Class::Session, Class::Roster, Class::End];

impl Class {
    /// The class in the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused sessions",
            Self::Session => "sessions",
            Self::Roster => "rosters",
            Self::End => "ends",
            Self::Mark => "marks",
        }
    }

    /// The class after the record has been used.
    pub(super) const fn once_used(self) -> Self {
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

    pub(super) fn of_entry(entry: &Entry) -> Self {
        Self::of(entry.data.kind(), entry.is_used())
    }
}

/// The number of records of each class, by window.
#[derive(Default)]
pub(super) struct Census {
    pub(super) windows: Vec<Window>,
}

/// The census of some neighbouring slots.
pub(super) struct Window {
    pub(super) counts: [u16; CLASSES],
    /// No end in them was set earlier. An end that has left may have been.
    pub(super) first_set: Timestamp,
}

/// The time of the first end in a window without ends.
pub(super) const NEVER: Timestamp = Timestamp::from_secs(u64::MAX);
/// The time of an end that does not record when it was set.
pub(super) const UNKNOWN: Timestamp = Timestamp::from_secs(u64::MAX - 1);

impl Window {
    const EMPTY: Self = Self {
        counts: [0; CLASSES],
        first_set: NEVER,
    };

    pub(super) fn count(&self, class: Class) -> usize {
        self.counts
            .get(class as usize)
            .map_or(0, |count| usize::from(*count))
    }
}

impl Census {
    /// Moves a record from one class to another. Also notes an end's new time.
    pub(super) fn move_to(&mut self, slot: usize, from: Class, to: Class, entry: &Entry) {
        if to != from || to == Class::End {
            self.leave(slot, from);
            self.enter(slot, to, set_at(entry));
        }
    }

    /// Counts a record. `set` is when it was set, if it is an end.
    pub(super) fn enter(&mut self, slot: usize, class: Class, set: Option<Timestamp>) {
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

    pub(super) fn leave(&mut self, slot: usize, class: Class) {
        let window = self.windows.get_mut(slot / WINDOW);
        if let Some(count) = window.and_then(|window| window.counts.get_mut(class as usize)) {
            *count -= 1;
        }
    }

    pub(super) fn count(&self, class: Class) -> usize {
        self.counts(class).sum()
    }

    /// Returns whether more than `count` records are of a class.
    pub(super) fn has_more(&self, class: Class, count: usize) -> bool {
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

pub(super) const fn slots_of(window: usize) -> Range<usize> {
    window * WINDOW..(window + 1) * WINDOW
}

/// When the end in this record was set.
pub(super) fn set_at(entry: &Entry) -> Option<Timestamp> {
    let is_end = entry.data.kind() == Some(RecordKind::End);
    is_end.then(|| time_in(&entry.data).unwrap_or(UNKNOWN))
}

/// The time up to which a roster ended all of a subject's sessions in cookies, if it did.
pub(super) fn ended_until(entry: &Entry) -> Option<Timestamp> {
    let is_roster = entry.data.kind() == Some(RecordKind::Roster);
    let time = is_roster.then(|| time_in(&entry.data)).flatten();
    time.filter(|time| time.as_secs() > 0)
}

/// The five bytes of seconds after the first byte.
fn time_in(data: &Data) -> Option<Timestamp> {
    let [_, a, b, c, d, e] = data.first_six()?;
    let secs = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    Some(Timestamp::from_secs(secs))
}
