//! Which write of a record came on top of which, as far as this process has seen.
//!
//! A request whose save was refused has to know whether its own write was the obstacle: done
//! before, its answer lost, other writes on top. If the record's list of its last writes does not
//! reach that far back, this table tells: of two writes over the same one, the store accepts only
//! one.

use crate::{id::RecordKey, lock::Monitor};

/// The id of a write.
type Id = [u8; 8];

/// The last few thousand writes, by the write below them. The table stays empty in a process
/// without conflicts.
#[derive(Debug, Default)]
pub(crate) struct Followers(Monitor<Table>);

#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    noted: u64,
    watched: Vec<Watched>,
}

/// A write whose follower a request waits for. It is not pushed out.
#[derive(Debug)]
struct Watched {
    below: Id,
    above: Option<Id>,
    watchers: usize,
}

/// Waits for the write that comes on top of another.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    followers: &'a Followers,
    below: Id,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    below: Id,
    above: Id,
    /// The table's counter after this was noted.
    at: u64,
}

/// The table takes 96 KiB. A follower that is pushed out costs an answer that might have been
/// known.
const ROWS: usize = 256;
/// The oldest slot of a row is replaced, so a few other writes cannot push one out.
const ROW: usize = 16;

impl Followers {
    /// Stands for the write below a record's first one. A record that has ended may be created
    /// again under its key.
    pub(crate) fn nothing(key: &RecordKey) -> Id {
        key.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// The number of followers noted so far. A later question can ask for newer ones.
    pub(crate) fn noted(&self) -> u64 {
        self.0.with(|table| table.noted)
    }

    /// Notes pairs of a write and its follower, the last write first. If a pair is known, all
    /// before it were noted too.
    pub(crate) fn note(&self, pairs: impl IntoIterator<Item = (Id, Id)>) {
        let mut pairs = pairs.into_iter().peekable();
        if pairs.peek().is_none() {
            return;
        }
        self.0.with(|table| {
            table.slots.resize(ROWS * ROW, Slot::default());
            for (below, above) in pairs {
                let is_new = table.note(below, above);
                // Pairs that a request waits for may have been pushed out since.
                if !is_new && table.watched.is_empty() {
                    break;
                }
            }
        });
    }

    /// Waits for the follower of this write. Followers noted after `since` count.
    pub(crate) fn watch(&self, below: Id, since: u64) -> Watch<'_> {
        self.0.with(|table| {
            let above = table.above(below, since);
            let mut watched = table.watched.iter_mut();
            match watched.find(|watched| watched.below == below) {
                Some(watched) => {
                    watched.above = watched.above.or(above);
                    watched.watchers += 1;
                }
                None => table.watched.push(Watched {
                    below,
                    above,
                    watchers: 1,
                }),
            }
        });
        Watch {
            followers: self,
            below,
        }
    }
}

impl Watch<'_> {
    /// The write on top, if it is known.
    pub(crate) fn above(&self) -> Option<Id> {
        self.followers.0.with(|table| {
            let mut watched = table.watched.iter();
            let watched = watched.find(|watched| watched.below == self.below)?;
            watched.above
        })
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.followers.0.with(|table| {
            table.watched.retain_mut(|watched| {
                watched.watchers -= usize::from(watched.below == self.below);
                watched.watchers > 0
            });
        });
    }
}

impl Table {
    /// Spreads well by the first byte, as ids are random.
    fn row(&mut self, below: Id) -> &mut [Slot] {
        let [first, ..] = below;
        let at = usize::from(first) % ROWS * ROW;
        self.slots.get_mut(at..at + ROW).unwrap_or_default()
    }

    fn above(&mut self, below: Id, since: u64) -> Option<Id> {
        let mut row = self.row(below).iter();
        let slot = row.find(|slot| slot.below == below && slot.at > since)?;
        Some(slot.above)
    }

    /// Returns whether the pair is new.
    fn note(&mut self, below: Id, above: Id) -> bool {
        for watched in &mut self.watched {
            if watched.below == below {
                watched.above = Some(above);
            }
        }
        let at = self.noted + 1;
        let row = self.row(below);
        let known = row.iter().position(|slot| slot.below == below);
        let slot = match known {
            Some(known) => row.get_mut(known),
            None => row.iter_mut().min_by_key(|slot| slot.at),
        };
        let Some(slot) = slot.filter(|slot| slot.below != below || slot.above != above) else {
            return false;
        };
        *slot = Slot { below, above, at };
        self.noted = at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(followers: &Followers, below: Id, since: u64) -> Option<Id> {
        followers.watch(below, since).above()
    }

    #[test]
    fn a_watched_follower_is_noted_and_stays() {
        let followers = Followers::default();
        let (watch, other) = (followers.watch([1; 8], 0), followers.watch([1; 8], 0));
        assert_eq!(watch.above(), None);
        followers.note([([1; 8], [2; 8])]);
        followers.note((0..=u8::MAX).map(|number| ([1, 2, 3, 4, 5, 6, 7, number], [9; 8])));
        assert_eq!(watch.above(), Some([2; 8]));
        drop(watch);
        assert_eq!(other.above(), Some([2; 8]));
        drop(other);
        assert_eq!(of(&followers, [1; 8], 0), None);
        followers.0.with(|table| assert!(table.watched.is_empty()));
    }

    #[test]
    fn a_follower_is_known_until_another_replaces_it() {
        let followers = Followers::default();
        assert_eq!(of(&followers, [1; 8], 0), None);
        followers.note([]);
        assert_eq!(followers.noted(), 0);
        followers.note([([1; 8], [2; 8]), ([2; 8], [3; 8])]);
        let known = [1, 2, 3].map(|number| of(&followers, [number; 8], 0));
        assert_eq!(known, [Some([2; 8]), Some([3; 8]), None]);
        // The oldest is replaced, and noting a pair again does not make it newer.
        followers.note([([1; 8], [2; 8])]);
        let beside = |number| [1, 1, 1, 1, 1, 1, 1, number];
        followers.note((2..17).map(|number| (beside(number), [4; 8])));
        assert_eq!(of(&followers, [1; 8], 0), Some([2; 8]));
        followers.note([(beside(17), [5; 8])]);
        let known = [1, 2, 17].map(|number| of(&followers, beside(number), 0));
        assert_eq!(known, [None, Some([4; 8]), Some([5; 8])]);
    }

    /// A record's last writes are noted each time the record is read.
    #[test]
    fn pairs_before_a_known_one_are_known_or_watched() {
        let followers = Followers::default();
        followers.note([([2; 8], [3; 8])]);
        followers.note([([2; 8], [3; 8]), ([1; 8], [2; 8])]);
        assert_eq!(followers.noted(), 1, "it was noted with all before it");
        let watch = followers.watch([1; 8], 0);
        followers.note([([2; 8], [3; 8]), ([1; 8], [2; 8])]);
        assert_eq!(watch.above(), Some([2; 8]));
    }

    #[test]
    fn later_followers_can_be_asked_for() {
        let followers = Followers::default();
        followers.note([([1; 8], [2; 8])]);
        let since = followers.noted();
        assert_eq!(of(&followers, [1; 8], since), None);
        followers.note([([1; 8], [3; 8])]);
        assert_eq!(of(&followers, [1; 8], since), Some([3; 8]));
    }
}
