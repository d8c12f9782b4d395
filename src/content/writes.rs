//! The ids of a record's last writes. They identify a save whose answer was lost, even if others
//! have saved on top. They have no gap: only the oldest are left out.
//!
//! ```text
//! writes: count u8 | (write id (8) | written u40 s) for each, the last one first
//! ```

use std::time::Duration;

use crate::{
    binary::{put_u40, take_u40},
    clock::Timestamp,
};

/// Distinguishes the writes of a record.
pub(crate) type WriteId = [u8; 8];

/// The last writes of a record, the latest first. Stores that never wait note none: they lose no
/// answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Writes(Vec<(WriteId, Timestamp)>);

/// The number of writes kept.
const MOST: usize = 8;
/// How long every server keeps them at least, whatever its timeout: a server that misses a write
/// relies on this.
const MEMORY: Duration = Duration::from_secs(7);
/// How far clocks differ.
const SKEW: Duration = Duration::from_secs(2);

/// Whether a write was done, according to its record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Done {
    Yes,
    No,
    /// Later writes may have pushed it out.
    Unknown,
}

impl Writes {
    /// The last writes of a record that does not exist yet.
    pub(crate) fn none() -> &'static Self {
        static NONE: Writes = Writes(Vec::new());
        &NONE
    }

    pub(crate) fn contain(&self, write: WriteId) -> bool {
        self.0.iter().any(|(id, _)| *id == write)
    }

    /// The time of the latest write.
    pub(crate) fn latest_time(&self) -> Option<Timestamp> {
        self.0.first().map(|(_, written)| *written)
    }

    /// The time of this write, if it is among them.
    pub(crate) fn time_of(&self, write: WriteId) -> Option<Timestamp> {
        let mut all = self.0.iter();
        all.find_map(|(id, written)| (*id == write).then_some(*written))
    }

    /// The latest write.
    pub(crate) fn latest(&self) -> Option<WriteId> {
        self.0.first().map(|(id, _)| *id)
    }

    /// The write below the latest.
    pub(crate) fn base(&self) -> Option<WriteId> {
        self.0.get(1).map(|(id, _)| *id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each write with the one on top of it.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (WriteId, WriteId)> {
        let above = self.0.iter().map(|(id, _)| *id);
        let below = above.clone().skip(1);
        below.zip(above)
    }

    /// Returns whether a write was done that would have left `attempt` as its record's last writes.
    /// `follower` is the write known to be on top of the one below it.
    ///
    /// They have no gap, so if the one below it is among them, the write itself would be too. Of
    /// two writes over the same one, the store takes one.
    pub(crate) fn was_done(
        &self,
        attempt: &Self,
        follower: Option<WriteId>,
        now: Timestamp,
    ) -> Done {
        // A store that never waits loses no answer.
        let Some(&(own, at)) = attempt.0.first() else {
            return Done::No;
        };
        let is_below = |base| self.contain(base);
        if self.contain(own) {
            Done::Yes
        } else if follower.is_some_and(|follower| follower != own)
            || attempt.base().is_some_and(is_below)
            || self.would_contain(at, now)
        {
            Done::No
        } else {
            Done::Unknown
        }
    }

    /// Returns whether a write of that time would be among them if it had been done: either none
    /// was left out, or the oldest of them is from before it.
    pub(crate) fn would_contain(&self, written: Timestamp, now: Timestamp) -> bool {
        let is_before = |(_, first): &(_, Timestamp)| first.saturating_add(SKEW) < written;
        let are_all = self.0.len() < MOST && written.saturating_add(MEMORY) > now;
        are_all || self.0.last().is_some_and(is_before)
    }

    /// These writes with one more on top. Others are kept for as long as this server waits for an
    /// answer. The one below the new one is kept whatever its age: it shows what was written on top
    /// of it.
    #[must_use]
    pub(crate) fn with(&self, write: Option<WriteId>, now: Timestamp, timeout: Duration) -> Self {
        let memory = MEMORY.max(timeout.saturating_add(SKEW));
        let is_young = |(_, written): &(WriteId, Timestamp)| {
            written.saturating_add(memory) > now && *written <= now.saturating_add(memory)
        };
        let Some(write) = write else {
            return Self::default();
        };
        let young = self.0.iter().rposition(is_young).map_or(0, |last| last + 1);
        let old = self.0.iter().copied().take(young.max(1));
        Self(
            std::iter::once((write, now))
                .chain(old)
                .take(MOST)
                .collect(),
        )
    }

    /// The most bytes that they take.
    pub(super) const MOST_LEN: usize = 1 + MOST * (size_of::<WriteId>() + 5);

    pub(super) fn encoded_len(&self) -> usize {
        1 + self.0.len() * (size_of::<WriteId>() + 5)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for (id, written) in &self.0 {
            out.extend_from_slice(id);
            put_u40(out, *written);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first()?;
        if usize::from(*count) > MOST {
            return None;
        }
        let mut writes = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            let (id, after) = rest.split_first_chunk()?;
            let (written, after) = take_u40(after)?;
            writes.push((*id, written));
            rest = after;
        }
        Some((Self(writes), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    #[test]
    fn the_last_eight_young_ones_are_kept() {
        let mut writes = Writes::default();
        for number in 0..20_u8 {
            writes = writes.with(Some([number; 8]), at(0), TIMEOUT);
            let kept = (0..20).filter(|number| writes.contain([*number; 8]));
            let first = number.saturating_sub(7);
            assert_eq!(
                kept.collect::<Vec<_>>(),
                (first..=number).collect::<Vec<_>>()
            );
            assert_eq!(writes.would_contain(at(0), at(0)), number < 7);
        }
        let later = writes.with(Some([99; 8]), at(6), TIMEOUT);
        assert!(later.contain([19; 8]) && later.contain([99; 8]));
        let later = later.with(Some([98; 8]), at(7), TIMEOUT);
        assert!(!later.contain([19; 8]) && later.contain([99; 8]));
        assert!(later.would_contain(at(1), at(7)) && !later.would_contain(at(0), at(7)));
    }

    /// The answer to a write of this server may take that long. A missing write may have been left
    /// out by a server that waits less.
    #[test]
    fn they_are_kept_while_an_answer_may_come() {
        let minute = Duration::from_secs(60);
        let writes = Writes::default().with(Some([1; 8]), at(0), minute);
        for (secs, timeout, is_kept) in [
            (61, minute, true),
            (62, minute, false),
            (6, Duration::ZERO, true),
            (7, Duration::ZERO, false),
            (1 << 30, Duration::MAX, true),
        ] {
            let later = writes.with(Some([2; 8]), at(secs), timeout);
            let later = later.with(Some([3; 8]), at(secs), timeout);
            assert_eq!(later.contain([1; 8]), is_kept, "{secs} s, {timeout:?}");
        }
        let (own, other) = ([9; 8], [8; 8]);
        let found = writes.with(Some(other), at(50), minute);
        let attempt = Writes(vec![(own, at(1)), ([7; 8], at(0))]);
        assert_eq!(found.was_done(&attempt, None, at(7)), Done::No);
        assert_eq!(found.was_done(&attempt, None, at(50)), Done::Unknown);
        let done = attempt.with(Some(other), at(50), minute);
        assert_eq!(done.was_done(&attempt, None, at(50)), Done::Yes);
    }

    /// Whatever the clocks say, no write is dropped from between two that are kept.
    #[test]
    fn they_have_no_gap() {
        let writes = Writes(vec![([2; 8], at(0)), ([1; 8], at(6))]);
        let later = writes.with(Some([3; 8]), at(7), TIMEOUT);
        assert!(later.contain([2; 8]) && later.contain([1; 8]));
    }

    #[test]
    fn the_one_below_is_kept_whatever_its_age() {
        let first = Writes::default().with(Some([1; 8]), at(0), TIMEOUT);
        let second = first.with(Some([2; 8]), at(900), TIMEOUT);
        assert_eq!(second.base(), Some([1; 8]));
        let third = second.with(Some([3; 8]), at(901), TIMEOUT);
        assert_eq!(third.base(), Some([2; 8]));
        assert!(!third.contain([1; 8]));
    }

    #[test]
    fn each_is_paired_with_the_one_on_top_of_it() {
        let writes = |numbers: &[u8]| {
            let all = numbers.iter().map(|number| ([*number; 8], at(0)));
            Writes(all.collect())
        };
        let pairs = |numbers: &[u8]| writes(numbers).pairs().collect::<Vec<_>>();
        assert_eq!(pairs(&[]), []);
        assert_eq!(pairs(&[1]), []);
        assert_eq!(pairs(&[3, 2, 1]), [([2; 8], [3; 8]), ([1; 8], [2; 8])]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_write_was_done_or_not_or_nobody_knows() {
        let full = [18, 17, 16, 15, 14, 13, 12, 11];
        let (own, base) = (9, 1);
        //   the record's now         at  on top  done
        let rows: [(&[u8], u64, Option<u8>, Done); 11] = [
            (&[own, base],            0,  None,      Done::Yes),
            (&[12, own, base],        0,  None,      Done::Yes),
            (&[12, own],              0,  Some(own), Done::Yes),
            (&[12, base],             0,  None,      Done::No),
            (&[12],                   0,  None,      Done::No),
            (&[],                     0,  None,      Done::No),
            (&full,                   0,  None,      Done::Unknown),
            (&full,                   0,  Some(own), Done::Unknown),
            (&full,                   0,  Some(11),  Done::No),
            // The oldest of them is from before it.
            (&full,                   2,  None,      Done::Unknown),
            (&full,                   3,  None,      Done::No),
        ];
        for (numbers, after, follower, done) in rows {
            let found = Writes(numbers.iter().map(|number| ([*number; 8], at(0))).collect());
            let attempt = Writes(vec![([own; 8], at(after)), ([base; 8], at(0))]);
            let answer = found.was_done(&attempt, follower.map(|number| [number; 8]), at(after));
            assert_eq!(answer, done, "{numbers:?} {after} {follower:?}");
        }
        let never_waits = Writes::default();
        assert_eq!(never_waits.was_done(&never_waits, None, at(0)), Done::No);
    }

    #[test]
    fn a_store_that_never_waits_notes_none() {
        let writes = Writes::default().with(Some([1; 8]), at(0), TIMEOUT);
        assert_eq!(writes.with(None, at(0), TIMEOUT), Writes::default());
    }

    #[test]
    fn they_read_back_as_they_were() {
        let mut writes = Writes::default();
        for number in 0..10 {
            let mut bytes = Vec::new();
            writes.encode(&mut bytes);
            assert_eq!(bytes.len(), writes.encoded_len());
            bytes.push(7);
            assert_eq!(Writes::decode(&bytes), Some((writes.clone(), &[7][..])));
            for len in 0..bytes.len() - 1 {
                assert_eq!(Writes::decode(&bytes[..len]), None);
            }
            writes = writes.with(Some([number; 8]), at(0), TIMEOUT);
        }
        assert_eq!(Writes::decode(&[9; 200]), None);
    }
}
