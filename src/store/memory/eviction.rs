//! Eviction from a full store.

use std::sync::{
    MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use super::{
    census::Class,
    shard::{Removed, Shard},
};
use crate::{clock::Timestamp, report::metrics, store::StoreError, trace};

/// The number of records that a full [`MemoryStore`](crate::MemoryStore) has evicted, by kind.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Evicted {
    /// Sessions that nobody came back to.
    pub unused_sessions: u64,
    /// Sessions that were in use. A store that evicts these is too small.
    pub sessions: u64,
    /// Subjects' lists of sessions.
    pub rosters: u64,
    /// Ends of sessions in a cookie.
    pub ends: u64,
}

/// Counts evicted records.
#[derive(Default)]
pub(super) struct Evictions {
    evicted: [AtomicU64; 4],
    /// In seconds. 0 until an end is forgotten.
    forgotten_until: AtomicU64,
}

/// A store logs again after this many more evictions of a class in use.
const LOG_EVERY: u64 = 1_000;

/// A write that needs room: the slot of its own record, and the number of failed attempts.
pub(super) struct Room {
    now: Timestamp,
    pub(super) spare: Option<usize>,
    in_vain: usize,
}

impl Room {
    pub(super) const fn at(now: Timestamp) -> Self {
        Self {
            now,
            spare: None,
            in_vain: 0,
        }
    }
}

impl Evictions {
    pub(super) fn so_far(&self) -> Evicted {
        let [unused_sessions, sessions, rosters, ends] = self
            .evicted
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        Evicted {
            unused_sessions,
            sessions,
            rosters,
            ends,
        }
    }

    /// The time up to which ends are forgotten.
    pub(super) fn forgotten_until(&self) -> Option<Timestamp> {
        let forgotten = self.forgotten_until.load(Ordering::Relaxed);
        (forgotten > 0).then(|| Timestamp::from_secs(forgotten))
    }

    /// Makes some room. Releases the lock before the removed records are dropped and logged.
    pub(super) fn make_room(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        room: &mut Room,
    ) -> Result<(), StoreError> {
        let mut removed = Removed::default();
        let found = shard.make_room(room.spare, room.now, &mut removed);
        room.in_vain = if found { 0 } else { room.in_vain + 1 };
        if room.in_vain > shard.steps() {
            if let Some(slot) = room.spare {
                shard.keep(slot);
            }
            return Err(StoreError::refused(
                "it is full: raise `MemoryStore::max_bytes`",
            ));
        }
        // Before anybody can miss an end, and before a subscriber of events can panic.
        if let Some(until) = removed.forgotten {
            self.forgotten_until
                .fetch_max(until.as_secs().max(1), Ordering::Relaxed);
        }
        drop(shard);
        self.note(&removed);
        Ok(())
    }

    /// Counts and reports evicted records.
    fn note(&self, removed: &Removed) {
        let classes = [Class::Unused, Class::Session, Class::Roster, Class::End];
        for (count, class) in self.evicted.iter().zip(classes) {
            let more = removed.of(class);
            if more == 0 {
                continue;
            }
            metrics::evicted(class.name(), more);
            let before = count.fetch_add(more, Ordering::Relaxed);
            let is_worth_a_line = before == 0 || before / LOG_EVERY != (before + more) / LOG_EVERY;
            if is_worth_a_line && class != Class::Unused {
                trace::evicted(class.name(), before + more);
            }
        }
    }
}
