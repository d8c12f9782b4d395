//! Record files that stay open, since opening and closing one costs more than reading it.
//!
//! A request takes a file out to use it: `flock` does not separate users of one open file. A second
//! request that comes meanwhile opens the file itself.
//!
//! A kept file proves nothing about the record's name. Its user checks its links: it has none once
//! it was removed or replaced.

use std::time::Duration;

use crate::{lock::Monitor, store::RecordKey};

/// The number of files behind one mutex. When a set is full, its least recently used file is
/// closed.
const WAYS: usize = 16;

/// How long a file is used before it is opened by its name again.
///
/// A file that was moved still has its link, and so has one whose directory was moved. The store
/// moves neither, but people do.
const LONGEST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct KeptFiles<T> {
    sets: Box<[Monitor<Vec<Entry<T>>>]>,
    /// The most files in a set.
    ways: usize,
}

#[derive(Debug)]
struct Entry<T> {
    key: RecordKey,
    open: Open<T>,
}

/// An open file, and the circumstances of its opening.
#[derive(Debug)]
pub(super) struct Open<T> {
    pub(super) file: T,
    /// The uptime when it was opened.
    pub(super) since: Duration,
    /// The process that opened it. A child process shares the file with its parent, and so their
    /// locks are one.
    pub(super) process: u32,
}

impl<T> Open<T> {
    fn is_fresh(&self, uptime: Duration) -> bool {
        uptime.saturating_sub(self.since) < LONGEST
    }
}

impl<T> KeptFiles<T> {
    /// Makes a store of at most `limit` files.
    pub(super) fn new(limit: usize) -> Self {
        let count = limit.div_ceil(WAYS);
        Self {
            sets: (0..count).map(|_| Monitor::default()).collect(),
            ways: limit.checked_div(count).unwrap_or_default(),
        }
    }

    pub(super) fn keeps_any(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Takes the record's file out, unless it has been open for too long.
    pub(super) fn take(&self, key: &RecordKey, uptime: Duration) -> Option<Open<T>> {
        let open = self.remove(key)?;
        open.is_fresh(uptime).then_some(open)
    }

    /// Puts a file in, or back. Closes another file of the record, or the least recently used one
    /// of a full set.
    pub(super) fn put(&self, key: &RecordKey, open: Open<T>) {
        let Some(set) = self.set(key) else {
            return;
        };
        let closed = set.with(|entries| {
            let place = entries.iter().position(|entry| entry.key == *key);
            let place = place.or((entries.len() >= self.ways).then_some(0));
            let closed = place.map(|place| entries.remove(place));
            entries.push(Entry { key: *key, open });
            closed
        });
        drop(closed);
    }

    /// Closes the record's file.
    pub(super) fn forget(&self, key: &RecordKey) {
        drop(self.remove(key));
    }

    /// Closes the files that have been open for too long. Until then, a removed file takes up room
    /// on the disk.
    pub(super) fn close_old(&self, uptime: Duration) {
        self.close(|open| !open.is_fresh(uptime));
    }

    /// Closes all files. Returns `false` if there was none.
    pub(super) fn close_all(&self) -> bool {
        self.close(|_| true) > 0
    }

    fn close(&self, is_due: impl Fn(&Open<T>) -> bool) -> usize {
        let close = |set: &Monitor<Vec<Entry<T>>>| {
            let due = |entries: &mut Vec<Entry<T>>| {
                entries
                    .extract_if(.., |entry| is_due(&entry.open))
                    .collect::<Vec<_>>()
            };
            set.with(due).len()
        };
        self.sets.iter().map(close).sum()
    }

    fn remove(&self, key: &RecordKey) -> Option<Open<T>> {
        let entry = self.set(key)?.with(|entries| {
            let place = entries.iter().position(|entry| entry.key == *key)?;
            Some(entries.remove(place))
        });
        entry.map(|entry| entry.open)
    }

    fn set(&self, key: &RecordKey) -> Option<&Monitor<Vec<Entry<T>>>> {
        let [.., last] = key.as_bytes().as_chunks::<8>().0 else {
            return None;
        };
        // Keys are hashes.
        let hash = u64::from_le_bytes(*last) as usize;
        self.sets.get(hash.checked_rem(self.sets.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn key(number: u8) -> RecordKey {
        RecordKey::from_bytes([number; 32])
    }

    fn open<T>(file: T) -> Open<T> {
        Open {
            file,
            since: NOW,
            process: 1,
        }
    }

    fn count<T>(kept: &KeptFiles<T>) -> usize {
        kept.sets.iter().map(|set| set.with(|set| set.len())).sum()
    }

    #[test]
    fn a_file_is_taken_only_once() {
        let kept = KeptFiles::new(8);
        kept.put(&key(1), open("one"));
        assert!(kept.take(&key(2), NOW).is_none());
        assert_eq!(kept.take(&key(1), NOW).map(|open| open.file), Some("one"));
        assert!(kept.take(&key(1), NOW).is_none());
    }

    #[test]
    fn no_more_than_the_limit_are_kept() {
        for limit in [0, 1, 5, 8, 9, 64, 100, 256] {
            let kept = KeptFiles::new(limit);
            assert_eq!(kept.keeps_any(), limit > 0);
            (0..=255).for_each(|number| kept.put(&key(number), open(number)));
            assert!(count(&kept) <= limit, "{} of {limit}", count(&kept));
            assert!(count(&kept) * 2 >= limit, "{} of {limit}", count(&kept));
        }
    }

    #[test]
    fn the_least_recently_used_file_is_closed() {
        let kept = KeptFiles::new(3);
        (1..=3).for_each(|number| kept.put(&key(number), open(number)));
        let used = kept.take(&key(1), NOW).unwrap();
        kept.put(&key(1), used);
        kept.put(&key(4), open(4));
        let is_there = [1, 2, 3, 4].map(|number| kept.take(&key(number), NOW).is_some());
        assert_eq!(is_there, [true, false, true, true]);
    }

    #[test]
    fn a_record_has_one_file() {
        let kept = KeptFiles::new(3);
        kept.put(&key(1), open("former"));
        kept.put(&key(1), open("later"));
        assert_eq!(count(&kept), 1);
        assert_eq!(kept.take(&key(1), NOW).unwrap().file, "later");
    }

    #[test]
    fn a_file_that_was_opened_long_ago_is_closed() {
        let kept = KeptFiles::new(8);
        for later in [Duration::ZERO, LONGEST - Duration::from_nanos(1), LONGEST] {
            kept.put(&key(1), open("one"));
            let is_fresh = later < LONGEST;
            assert_eq!(kept.take(&key(1), NOW + later).is_some(), is_fresh);
            assert_eq!(count(&kept), 0);
            kept.put(&key(1), open("one"));
            kept.close_old(NOW + later);
            assert_eq!(count(&kept), usize::from(is_fresh));
        }
    }

    #[test]
    fn all_files_can_be_closed_or_one() {
        let kept = KeptFiles::new(100);
        assert!(!kept.close_all());
        (1..=3).for_each(|number| kept.put(&key(number), open(number)));
        kept.forget(&key(2));
        assert_eq!(count(&kept), 2);
        assert!(kept.close_all());
        assert_eq!(count(&kept), 0);
    }
}
