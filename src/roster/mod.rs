//! Which sessions a subject has: one sealed record for each subject, in the store that keeps its
//! sessions.

mod store;
mod wire;

use std::time::Duration;

pub(crate) use self::store::{Rosters, damaged};
use crate::{clock::Timestamp, content::Writes, id::RecordKey};

/// How long a roster without sessions stays.
const EMPTY_LIFETIME: Duration = Duration::from_secs(60);
/// How many names a session keeps beside its own.
const MAX_FORMER: usize = 8;
/// How long it keeps them: as long as a request may be under way that knows it by one of them.
const FORMER_LIFETIME: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Roster {
    /// Sessions in a cookie that were listed before this, and are not any more, have been ended. It
    /// is compared with nothing but itself as it was then, so that no two of them are of the same
    /// second.
    pub(crate) not_before: Timestamp,
    pub(crate) entries: Vec<Entry>,
    /// Of its record, so that a change whose answer got lost is recognised.
    pub(crate) writes: Writes,
    /// It could not be read: this is a new one, in whose place others were.
    pub(crate) is_damaged: bool,
    /// It is sealed by a key that new ones are not sealed by.
    pub(crate) is_outdated: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: RecordKey,
    /// What it was called before, or is still called if its renewal fails; the last one first.
    pub(crate) former: Vec<RecordKey>,
    /// When it got its name from another.
    pub(crate) renewed: Timestamp,
    pub(crate) created: Timestamp,
    /// When it got its subject.
    pub(crate) since: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) note: String,
    /// It must not be used any more, and its record may still have to be removed.
    pub(crate) ended: bool,
}

impl Entry {
    /// All that the session is called, by its own name first.
    pub(crate) fn names(&self) -> impl Iterator<Item = RecordKey> {
        std::iter::once(self.key).chain(self.former.iter().copied())
    }

    pub(crate) fn has(&self, key: &RecordKey) -> bool {
        self.key == *key || self.former.contains(key)
    }

    /// The names that it keeps when it gets, or is used by, this one; `before` is what the request
    /// knows it by up to now.
    ///
    /// A renewal that is late, and will fail, may come from a name that was given up long ago: the
    /// last one stays.
    pub(crate) fn names_but(
        &self,
        key: &RecordKey,
        before: &RecordKey,
        now: Timestamp,
    ) -> Vec<RecordKey> {
        let is_recent = self.renewed.saturating_add(FORMER_LIFETIME) > now;
        let is_needed = |name: &RecordKey| *name == self.key || name == before;
        let others = self.names().filter(|name| name != key);
        others
            .filter(|name| is_recent || is_needed(name))
            .take(MAX_FORMER)
            .collect()
    }

    /// Takes one of its names from it; says whether one is left.
    fn lose(&mut self, key: &RecordKey) -> bool {
        self.former.retain(|name| name != key);
        if self.key != *key {
            return true;
        }
        if self.former.is_empty() {
            return false;
        }
        self.key = self.former.remove(0);
        true
    }
}

impl Roster {
    /// The session's entry, unless it is being ended.
    pub(crate) fn get(&self, key: &RecordKey) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.has(key) && !entry.ended)
    }

    /// Takes a name from the session that has it, and the session if it has no other.
    pub(crate) fn remove(&mut self, key: &RecordKey) {
        self.entries.retain_mut(|entry| entry.lose(key));
    }

    /// Takes the session of this name.
    pub(crate) fn take(&mut self, key: &RecordKey) {
        self.entries.retain(|entry| entry.ended || !entry.has(key));
    }

    pub(crate) fn is_ended(&self, key: &RecordKey) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.has(key) && entry.ended)
    }

    /// How many sessions would be too many with one more, whatever it is called.
    pub(crate) fn surplus(&self, limit: usize, keep: &[RecordKey]) -> usize {
        let others = self.entries.iter().filter(|entry| is_other(entry, keep));
        // A session that is about to get another key counts once.
        (others.count() + 1).saturating_sub(limit.max(1))
    }

    /// Whether a session in a cookie that was listed at `since` may go on.
    pub(crate) fn admits(&self, since: Timestamp, key: &RecordKey) -> bool {
        (since >= self.not_before && !self.is_ended(key)) || self.get(key).is_some()
    }

    fn damaged(now: Timestamp) -> Self {
        let mut roster = Self {
            is_damaged: true,
            ..Self::default()
        };
        roster.raise(now.saturating_add(Duration::from_secs(1)));
        roster
    }

    /// Counts what was listed up to now, and is not listed any more, as ended.
    pub(crate) fn raise(&mut self, now: Timestamp) {
        let next = Timestamp::from_secs(self.not_before.as_secs() + 1);
        self.not_before = next.max(now);
    }

    /// Marks the sessions that were not used for longest, until `limit` are left; `keep` stays.
    /// Says how many those are.
    pub(crate) fn make_room(&mut self, limit: usize, keep: &[RecordKey]) -> usize {
        let surplus = self.surplus(limit, keep);
        self.entries.sort_by_key(|entry| entry.last_used);
        self.entries
            .iter_mut()
            .filter(|entry| is_other(entry, keep))
            .take(surplus)
            .map(|entry| entry.ended = true)
            .count()
    }

    /// Takes out the half of the sessions that were not used for longest.
    pub(crate) fn take_older_half(&mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.last_used);
        let half = self.entries.len() / 2;
        self.entries.drain(..half).collect()
    }

    /// Forgets what is over, and after `memory` when sessions were ended.
    fn prune(&mut self, now: Timestamp, memory: Duration) {
        self.entries.retain(|entry| entry.expires > now);
        if self.not_before.saturating_add(memory) <= now {
            self.not_before = Timestamp::default();
        }
    }

    fn expires(&self, now: Timestamp, memory: Duration) -> Timestamp {
        let last = self.entries.iter().map(|entry| entry.expires).max();
        let memory = self.not_before.saturating_add(memory);
        last.unwrap_or_default()
            .max(memory)
            .max(now.saturating_add(EMPTY_LIFETIME))
    }
}

fn is_other(entry: &Entry, keep: &[RecordKey]) -> bool {
    !entry.ended && !keep.iter().any(|key| entry.has(key))
}

#[cfg(test)]
mod tests;
