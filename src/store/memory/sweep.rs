//! Sweeps: removing expired records, a few at a time.

use super::{shard::STEP, shards::Shards};
use crate::{clock::Timestamp, store::Swept};

/// The position of a sweep. Shards take turns, so a thread that waits for a shard's lock gets it
/// before the shard's next turn.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    /// The first slot of the present round, in each shard.
    start: usize,
    shard: usize,
    /// The number of the turn's slots that were examined.
    done: usize,
    /// Some shard has slots beyond this round.
    has_more: bool,
}

impl Position {
    /// Examines at most `limit` slots from here on, and advances.
    pub(super) fn sweep(&mut self, shards: &Shards, now: Timestamp, limit: usize) -> Swept {
        let (mut swept, mut left) = (Swept::default(), limit.max(1));
        let mut removed = Vec::new();
        while left > 0 {
            let Some(shard) = shards.get(self.shard) else {
                if !self.has_more {
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
            // The allocator may take long to free many entries at once.
            removed.clear();
            self.done += count;
            left -= count.min(slots.saturating_sub(start));
            if is_done || self.done == STEP {
                self.has_more |= !is_done;
                self.shard += 1;
                self.done = 0;
            }
        }
        swept
    }
}
