//! An index of the values of a session with many keys, which spares a search for each.

use std::hash::{BuildHasher, RandomState};

/// An open hash table of the places where the frames of values start.
///
/// It has no keys: the caller of [`find`](Self::find) checks the key at a place. So a removed frame
/// needs no look-up of its own to leave the table. A place is where the frame would start if
/// nothing had been cut out since the table was made, and the cuts are listed beside it: moving all
/// places at each cut would cost more than the searches that the table saves.
///
/// Keys may come from visitors, so they are hashed with a secret of the process.
pub(super) struct Index {
    hasher: RandomState,
    /// Their number is a power of two, and at most three quarters are taken.
    slots: Vec<usize>,
    taken: usize,
    /// In order of their places.
    cuts: Vec<Cut>,
}

struct Cut {
    place: usize,
    /// The bytes of this cut and of all cuts before it.
    bytes: usize,
    len: usize,
}

const FREE: usize = usize::MAX;
/// Beyond this number a new table costs less.
const MOST_CUTS: usize = 256;

impl Index {
    pub(super) fn for_many(keys: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            slots: vec![FREE; (keys * 2).next_power_of_two()],
            taken: 0,
            cuts: Vec::new(),
        }
    }

    /// Returns whether the table must be rebuilt before it can take another key.
    pub(super) fn is_full(&self) -> bool {
        (self.taken + 1) * 4 > self.slots.len() * 3 || self.cuts.len() >= MOST_CUTS
    }

    /// Finds the start of a key's frame; `has_key` returns whether the frame at a start has this
    /// key.
    pub(super) fn find(&self, key: &[u8], has_key: impl Fn(usize) -> bool) -> Option<usize> {
        let taken = self.probe(key).take_while(|(_, place)| *place != FREE);
        let mut starts = taken.map(|(_, place)| {
            let cuts = self.cuts.partition_point(|cut| cut.place < place);
            place - self.cut_by(cuts)
        });
        starts.find(|start| has_key(*start))
    }

    /// Adds a key whose frame comes after all others.
    pub(super) fn insert(&mut self, key: &[u8], start: usize) {
        let place = start + self.cut_by(self.cuts.len());
        let free = self.probe(key).find(|(_, place)| *place == FREE);
        if let Some(slot) = free.and_then(|(at, _)| self.slots.get_mut(at)) {
            *slot = place;
            self.taken += 1;
        }
    }

    /// Notes that the frame that starts here is cut out.
    pub(super) fn cut(&mut self, start: usize, len: usize) {
        let is_before = |cut: &Cut| cut.place - (cut.bytes - cut.len) <= start;
        let at = self.cuts.partition_point(is_before);
        let before = self.cut_by(at);
        let (place, bytes) = (start + before, before + len);
        self.cuts.insert(at, Cut { place, bytes, len });
        for later in self.cuts.iter_mut().skip(at + 1) {
            later.bytes += len;
        }
    }

    /// The bytes of the first `cuts` cuts.
    fn cut_by(&self, cuts: usize) -> usize {
        let last = cuts.checked_sub(1).and_then(|last| self.cuts.get(last));
        last.map_or(0, |cut| cut.bytes)
    }

    /// All slots with their places, beginning with the key's own slot.
    fn probe(&self, key: &[u8]) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let first = self.hasher.hash_one(key) as usize & (self.slots.len() - 1);
        let at = (first..self.slots.len()).chain(0..first);
        at.filter_map(|at| Some((at, *self.slots.get(at)?)))
    }
}
