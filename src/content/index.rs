//! Where the values of a session with many keys are, so that none has to be looked for.

use std::hash::{BuildHasher, RandomState};

/// An open hash table of the places at which values' frames start.
///
/// It has no keys: who looks for one says whether it is at a place. So a frame that is not there
/// any more needs no look-up of its own to be taken out. A place is where the frame would start if
/// nothing had been cut out since the table was made, and the cuts are kept beside: moving all
/// places at each of them would cost more than the search that the table saves.
///
/// Keys may come from visitors, so they are hashed with a secret of the process.
pub(super) struct Index {
    hasher: RandomState,
    /// A power of two of them, of which at most three quarters are taken.
    slots: Vec<usize>,
    taken: usize,
    /// In the order of their places.
    cuts: Vec<Cut>,
}

struct Cut {
    place: usize,
    /// The bytes of this cut and of those before it.
    bytes: usize,
    len: usize,
}

const FREE: usize = usize::MAX;
/// With more of them a new table costs less.
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

    /// Whether it has to be made anew before it takes anything more.
    pub(super) fn is_full(&self) -> bool {
        (self.taken + 1) * 4 > self.slots.len() * 3 || self.cuts.len() >= MOST_CUTS
    }

    /// Finds the start of a key's frame; `is_it` says whether a frame has this key.
    pub(super) fn find(&self, key: &[u8], is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let taken = self.probe(key).take_while(|(_, place)| *place != FREE);
        let mut starts = taken.map(|(_, place)| {
            let cuts = self.cuts.partition_point(|cut| cut.place < place);
            place - self.cut_by(cuts)
        });
        starts.find(|start| is_it(*start))
    }

    /// Enters a key whose frame is behind all others.
    pub(super) fn insert(&mut self, key: &[u8], start: usize) {
        let place = start + self.cut_by(self.cuts.len());
        let free = self.probe(key).find(|(_, place)| *place == FREE);
        if let Some(slot) = free.and_then(|(at, _)| self.slots.get_mut(at)) {
            *slot = place;
            self.taken += 1;
        }
    }

    /// A frame is cut out that starts here.
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

    /// The bytes of the first so many cuts.
    fn cut_by(&self, cuts: usize) -> usize {
        let last = cuts.checked_sub(1).and_then(|last| self.cuts.get(last));
        last.map_or(0, |cut| cut.bytes)
    }

    /// All slots and what is in them, from the key's own on.
    fn probe(&self, key: &[u8]) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let first = self.hasher.hash_one(key) as usize & (self.slots.len() - 1);
        let at = (first..self.slots.len()).chain(0..first);
        at.filter_map(|at| Some((at, *self.slots.get(at)?)))
    }
}
