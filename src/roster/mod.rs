//! The sessions of a subject: one sealed record for each subject, in the store that keeps its
//! sessions.

mod store;
mod wire;

use std::time::Duration;

pub(crate) use self::store::{Rosters, damaged};
use crate::{clock::Timestamp, content::Writes, id::RecordKey};

/// How long a roster without sessions stays.
const EMPTY_LIFETIME: Duration = Duration::from_secs(60);
/// How many former names an entry keeps.
const MAX_FORMER: usize = 8;
/// How long an entry keeps them: as long as a request that knows the session by one of them may be
/// under way.
const FORMER_LIFETIME: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Roster {
    /// Sessions in cookies that were enrolled before this, and are no longer listed, have been
    /// ended. It is compared only with its own earlier values, so no two values are of the same
    /// second.
    pub(crate) not_before: Timestamp,
    pub(crate) entries: Vec<Entry>,
    /// The record's last writes, to recognise a change whose answer was lost.
    pub(crate) writes: Writes,
    /// The stored roster could not be read: this is a new one in its place, without its sessions.
    pub(crate) is_damaged: bool,
    /// It is sealed by a key that no longer seals new ones.
    pub(crate) is_outdated: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: RecordKey,
    /// The names it had before, or still has if its renewal fails; the latest first.
    pub(crate) former: Vec<RecordKey>,
    /// When it last got another name.
    pub(crate) renewed: Timestamp,
    pub(crate) created: Timestamp,
    /// When it got its subject.
    pub(crate) since: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) note: String,
    /// It must no longer be used, and its record may still have to be removed.
    pub(crate) ended: bool,
}

impl Entry {
    /// All names of the session, its current one first.
    pub(crate) fn names(&self) -> impl Iterator<Item = RecordKey> {
        std::iter::once(self.key).chain(self.former.iter().copied())
    }

    /// Whether it is to be used, by this machine's clock.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        !self.ended && self.expires > now
    }

    pub(crate) fn has(&self, key: &RecordKey) -> bool {
        self.key == *key || self.former.contains(key)
    }

    /// The former names that the session keeps when it is renamed to `key`, or is used under it.
    /// `before` is the name its request has known it by.
    ///
    /// A late renewal that will fail may come from a name given up long ago, so the latest name
    /// stays.
    pub(crate) fn kept_names(
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

    /// Removes one of its names. Returns whether any name is left.
    fn remove_name(&mut self, key: &RecordKey) -> bool {
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

    /// Removes a name from its session, and the session if it has no other name.
    pub(crate) fn remove_name(&mut self, key: &RecordKey) {
        self.entries.retain_mut(|entry| entry.remove_name(key));
    }

    /// Removes the session of this name, unless it is being ended.
    pub(crate) fn remove_session(&mut self, key: &RecordKey) {
        self.entries.retain(|entry| entry.ended || !entry.has(key));
    }

    pub(crate) fn is_ended(&self, key: &RecordKey) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.has(key) && entry.ended)
    }

    /// How many sessions exceed the limit once one more is added, under any of the names in `keep`.
    pub(crate) fn surplus(&self, limit: usize, keep: &[RecordKey], now: Timestamp) -> usize {
        let others = self.entries.iter();
        let others = others.filter(|entry| is_other(entry, keep, now));
        // A session about to get another key counts once.
        (others.count() + 1).saturating_sub(limit.max(1))
    }

    /// Returns whether a session in a cookie that was enrolled at `since` is still valid.
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

    /// Raises `not_before`, so that sessions enrolled until now and no longer listed count as
    /// ended.
    pub(crate) fn raise(&mut self, now: Timestamp) {
        let next = Timestamp::from_secs(self.not_before.as_secs() + 1);
        self.not_before = next.max(now);
    }

    /// Marks the least recently used sessions as ended until `limit` are left, sparing those in
    /// `keep`. Returns how many were marked.
    pub(crate) fn make_room(&mut self, limit: usize, keep: &[RecordKey], now: Timestamp) -> usize {
        let surplus = self.surplus(limit, keep, now);
        self.entries.sort_by_key(|entry| entry.last_used);
        self.entries
            .iter_mut()
            .filter(|entry| is_other(entry, keep, now))
            .take(surplus)
            .map(|entry| entry.ended = true)
            .count()
    }

    /// Removes the least recently used half of the sessions and returns it.
    pub(crate) fn take_older_half(&mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.last_used);
        let half = self.entries.len() / 2;
        self.entries.drain(..half).collect()
    }

    /// Removes the sessions that have expired by any clock, as clocks may differ by `skew`. Resets
    /// `not_before` once it is older than `memory`.
    fn prune(&mut self, now: Timestamp, skew: Duration, memory: Duration) {
        let is_alive = |entry: &Entry| entry.expires.saturating_add(skew) > now;
        self.entries.retain(is_alive);
        if self.not_before.saturating_add(memory) <= now {
            self.not_before = Timestamp::default();
        }
    }

    fn expires(&self, now: Timestamp, skew: Duration, memory: Duration) -> Timestamp {
        let last = self.entries.iter().map(|entry| entry.expires).max();
        let memory = self.not_before.saturating_add(memory);
        last.map_or_else(Timestamp::default, |last| last.saturating_add(skew))
            .max(memory)
            .max(now.saturating_add(EMPTY_LIFETIME))
    }
}

fn is_other(entry: &Entry, keep: &[RecordKey], now: Timestamp) -> bool {
    entry.is_alive(now) && !keep.iter().any(|key| entry.has(key))
}

#[cfg(test)]
mod tests;
