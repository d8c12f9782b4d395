//! The changes of one request, in order.

use std::{mem, vec};

use super::change::{Change, Kinds};
use crate::small_vec::SmallVec;

/// Changes that no store has yet. Most requests make one. The kinds of all changes are kept up to
/// date, so that asking for them takes no search.
#[derive(Debug, Default)]
pub(crate) struct Log {
    changes: SmallVec<Change>,
    kinds: Kinds,
}

impl Log {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    pub(crate) fn changes_mut(&mut self) -> impl Iterator<Item = &mut Change> {
        self.changes.iter_mut()
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.kinds.add(change.kinds());
        self.changes.push(change);
    }

    /// Moves all changes of `other` to the end.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            mem::swap(self, other);
        } else {
            self.extend(mem::take(other));
        }
    }

    /// Takes the first `count` changes out.
    #[must_use]
    pub(crate) fn take_first(&mut self, count: usize) -> Self {
        if count >= self.len() {
            return mem::take(self);
        }
        let mut all = mem::take(self).into_iter();
        let taken = all.by_ref().take(count).collect();
        self.extend(all);
        taken
    }

    /// Takes the change at a position out.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Change> {
        let mut taken = self.take_first(at);
        let mut rest = mem::take(self).into_iter();
        let removed = rest.next();
        taken.extend(rest);
        *self = taken;
        removed
    }
}

impl IntoIterator for Log {
    type Item = Change;
    type IntoIter = vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_vec().into_iter()
    }
}

impl Extend<Change> for Log {
    fn extend<I: IntoIterator<Item = Change>>(&mut self, changes: I) {
        changes.into_iter().for_each(|change| self.push(change));
    }
}

impl FromIterator<Change> for Log {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let mut log = Self::default();
        log.extend(changes);
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(log: &Log) -> String {
        let key = |change: &Change| match change {
            Change::Remove { key } => key.as_str().to_owned(),
            change => format!("{change:?}"),
        };
        log.changes().map(key).collect::<Vec<_>>().join(" ")
    }

    fn log(keys: &str) -> Log {
        let remove = |key: &str| Change::Remove { key: key.into() };
        keys.split_whitespace().map(remove).collect()
    }

    #[test]
    fn changes_stay_in_their_order() {
        for (front, back) in [("", ""), ("a", ""), ("", "a"), ("a", "b"), ("a b", "c d")] {
            let (mut one, mut other) = (log(front), log(back));
            one.append(&mut other);
            let all = format!("{front} {back}");
            assert_eq!((keys(&one).as_str(), other.len()), (all.trim(), 0));
            for count in 0..=one.len() + 1 {
                let (mut rest, mut all) = (log(&all), String::new());
                let mut first = rest.take_first(count);
                assert_eq!(first.len(), count.min(one.len()));
                all.push_str(&keys(&one));
                first.append(&mut rest);
                assert_eq!(keys(&first), all);
            }
        }
    }

    #[test]
    fn one_is_taken_out() {
        for (at, removed, left) in [
            (0, "a", "b c"),
            (1, "b", "a c"),
            (2, "c", "a b"),
            (3, "", "a b c"),
        ] {
            let mut all = log("a b c");
            let one: Log = all.remove(at).into_iter().collect();
            assert_eq!((keys(&one).as_str(), keys(&all).as_str()), (removed, left));
            assert!(!all.is_empty());
        }
    }

    #[test]
    fn kinds_are_those_of_what_is_left() {
        let mut log = log("a");
        log.push(Change::RemoveSubject);
        assert!(log.kinds().is_due && log.kinds().is_of_subject);
        assert!(log.remove(1).is_some() && !log.kinds().is_of_subject && log.kinds().is_due);
        assert!(log.remove(0).is_some() && !log.kinds().is_due);
        log.push(Change::Clear.same());
        assert!(!log.kinds().is_due && !log.is_empty());
    }
}
