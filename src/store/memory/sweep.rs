//! Sweeps: expired records are removed, a few at a time.

use super::{shard::STEP, shards::Shards};
use crate::{clock::Timestamp, store::Swept};

/// Where a sweep is. A shard has its next turn when all others have had theirs: a thread that waits
/// for it gets it first.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    /// The slot at which all shards have their turn.
    start: usize,
    shard: usize,
    /// How many of the turn's slots were looked at.
    done: usize,
    /// Some shard has slots beyond the turn.
    goes_on: bool,
}

impl Position {
    /// Looks at so many slots at most, from here on, and moves on.
    pub(super) fn sweep(&mut self, shards: &Shards, now: Timestamp, limit: usize) -> Swept {
        let (mut swept, mut left) = (Swept::default(), limit.max(1));
        let mut removed = Vec::new();
        while left > 0 {
            let Some(shard) = shards.get(self.shard) else {
                if !self.goes_on {
                    *self = Self::default();
                    return swept.finished();
                }
                *self = Self {
                    start: self.start + STEP,
                    ..Self::default()
                };
                continue;
            };
            let count = left.min(STEP - self.done);
            let start = self.start + self.done;
            let mut shard = shard.lock();
            let (slots, examined) = (shard.slots(), shard.taken(start..start + count));
            let is_done = shard.sweep(start..start + count, now, &mut removed);
            drop(shard);
            swept.add(Swept::new(examined, removed.len() as u64));
            // Freeing so much at once may take the allocator long.
            removed.clear();
            self.done += count;
            left -= count.min(slots.saturating_sub(start));
            if is_done || self.done == STEP {
                self.goes_on |= !is_done;
                self.shard += 1;
                self.done = 0;
            }
        }
        swept
    }
}
