//! The parts of the store, each behind its own lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::shard::Shard;
use crate::store::RecordKey;

pub(super) const SHARDS: usize = 64;

/// All parts of a store.
pub(super) struct Shards([Padded<Mutex<Shard>>; SHARDS]);

/// Fills whole pairs of cache lines, since processors fetch lines in pairs: a thread at one shard
/// takes no line from a thread at another.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(T);

impl Default for Shards {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Padded::default()))
    }
}

impl Shards {
    /// Locks the shard that has the record of this key.
    pub(super) fn of(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.as_bytes();
        let shard = self.get(usize::from(*first) % SHARDS);
        shard
            .expect("a number modulo SHARDS is below SHARDS")
            .lock()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Padded<Mutex<Shard>>> {
        self.0.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Padded<Mutex<Shard>>> {
        self.0.iter()
    }
}

impl Padded<Mutex<Shard>> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
