//! Which write of a record came on top of which, as far as this process has seen it.
//!
//! A request whose save was refused has to know whether that was by its own write, done before and
//! its answer lost, with others on top. If the record does not list its last writes that far back,
//! this tells: of two writes over one, the store takes one.

use crate::{id::RecordKey, lock::Monitor};

/// What a write is called.
type Id = [u8; 8];

/// The last few thousand, by the write below. There are none in a process in which nobody is in
/// another's way.
#[derive(Debug, Default)]
pub(crate) struct Followers(Monitor<Table>);

#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    noted: u64,
    watched: Vec<Watched>,
}

/// A write whose follower somebody waits to hear of: it is not pushed out.
#[derive(Debug)]
struct Watched {
    below: Id,
    above: Option<Id>,
    watchers: usize,
}

/// Hears of what comes on top of a write.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    followers: &'a Followers,
    below: Id,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    below: Id,
    above: Id,
    /// How many were noted before it, and it.
    at: u64,
}

/// They take 96 KiB. One that is pushed out costs an answer that might have been known.
const ROWS: usize = 256;
/// Within a row the oldest is pushed out, so that none is by a few others.
const ROW: usize = 16;

impl Followers {
    /// What the first write of a record comes on top of. A record that has ended may be made again
    /// under its key.
    pub(crate) fn nothing(key: &RecordKey) -> Id {
        key.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// How many were noted, to ask for later ones.
    pub(crate) fn noted(&self) -> u64 {
        self.0.with(|table| table.noted)
    }

    /// Notes each of these with the one that came on top of it; the last write comes first. One
    /// that is known was noted with all before it.
    pub(crate) fn note(&self, pairs: impl IntoIterator<Item = (Id, Id)>) {
        let mut pairs = pairs.into_iter().peekable();
        if pairs.peek().is_none() {
            return;
        }
        self.0.with(|table| {
            table.slots.resize(ROWS * ROW, Slot::default());
            for (below, above) in pairs {
                let is_new = table.note(below, above);
                // Those that somebody waits to hear of may have been pushed out since.
                if !is_new && table.watched.is_empty() {
                    break;
                }
            }
        });
    }

    /// Waits for what comes on top of this one; what did since so many were noted counts.
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
    /// What came on top of it, if that is known.
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
    /// Ids are random.
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

    /// Says whether it was not known.
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
    fn what_is_waited_for_is_heard_of_and_stays() {
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
    fn what_came_on_top_is_known_until_another_takes_its_place() {
        let followers = Followers::default();
        assert_eq!(of(&followers, [1; 8], 0), None);
        followers.note([]);
        assert_eq!(followers.noted(), 0);
        followers.note([([1; 8], [2; 8]), ([2; 8], [3; 8])]);
        let known = [1, 2, 3].map(|number| of(&followers, [number; 8], 0));
        assert_eq!(known, [Some([2; 8]), Some([3; 8]), None]);
        // The oldest goes, and one that is noted again is no newer.
        followers.note([([1; 8], [2; 8])]);
        let beside = |number| [1, 1, 1, 1, 1, 1, 1, number];
        followers.note((2..17).map(|number| (beside(number), [4; 8])));
        assert_eq!(of(&followers, [1; 8], 0), Some([2; 8]));
        followers.note([(beside(17), [5; 8])]);
        let known = [1, 2, 17].map(|number| of(&followers, beside(number), 0));
        assert_eq!(known, [None, Some([4; 8]), Some([5; 8])]);
    }

    /// A record's last writes are noted each time that it is read.
    #[test]
    fn what_is_before_one_that_is_known_is_known_or_watched() {
        let followers = Followers::default();
        followers.note([([2; 8], [3; 8])]);
        followers.note([([2; 8], [3; 8]), ([1; 8], [2; 8])]);
        assert_eq!(followers.noted(), 1, "it was noted with all before it");
        let watch = followers.watch([1; 8], 0);
        followers.note([([2; 8], [3; 8]), ([1; 8], [2; 8])]);
        assert_eq!(watch.above(), Some([2; 8]));
    }

    #[test]
    fn later_ones_can_be_asked_for() {
        let followers = Followers::default();
        followers.note([([1; 8], [2; 8])]);
        let since = followers.noted();
        assert_eq!(of(&followers, [1; 8], since), None);
        followers.note([([1; 8], [3; 8])]);
        assert_eq!(of(&followers, [1; 8], since), Some([3; 8]));
    }
}
