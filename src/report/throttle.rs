//! Limits the lines a minute of each kind, since clients can make a server log them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// How long the lines of a kind are counted, from the first one.
const PAUSE: Duration = Duration::from_secs(60);

/// The bits of a gate's counter. It stops at a little more than a billion lines a minute.
const COUNT_BITS: u32 = 30;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// One gate for each of `N` kinds.
#[derive(Debug)]
pub(crate) struct Throttle<const N: usize>([Gate; N]);

/// The end of the current minute, and how many lines it would have had. One word holds both, so
/// that a flood takes no lock.
#[derive(Debug, Default)]
struct Gate(AtomicU64);

impl<const N: usize> Default for Throttle<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Gate::default()))
    }
}

impl<const N: usize> Throttle<N> {
    /// Returns `None` if the line must be left out: only the first `lines` of a minute are written.
    /// Otherwise returns how many of this kind were left out in the previous minute, for the first
    /// line of a minute, and zero for the others.
    pub(crate) fn admit(&self, kind: usize, now: Timestamp, lines: u64) -> Option<u64> {
        self.0.get(kind)?.admit(now, lines)
    }
}

impl Gate {
    fn admit(&self, now: Timestamp, lines: u64) -> Option<u64> {
        let open_from = now.saturating_add(PAUSE).as_secs();
        let mut left_out = None;
        let next = |word: u64| {
            let (until, count) = (word >> COUNT_BITS, word & COUNT);
            // A minute that ends later than one that begins now comes from a clock that was wrong.
            let is_counted = (now.as_secs().saturating_add(1)..=open_from).contains(&until);
            if is_counted {
                left_out = (count < lines).then_some(0);
                Some(until << COUNT_BITS | (count + 1).min(COUNT))
            } else {
                left_out = Some(count.saturating_sub(lines));
                Some(open_from << COUNT_BITS | 1)
            }
        };
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    #[test]
    fn one_line_a_minute_tells_how_many_were_left_out() {
        let gate = Gate::default();
        for (secs, line) in [
            (0, Some(0)),
            (0, None),
            (59, None),
            (60, Some(2)),
            (119, None),
            (500, Some(1)),
            (560, Some(0)),
        ] {
            assert_eq!(gate.admit(at(secs), 1), line, "{secs}");
        }
    }

    #[test]
    fn the_first_lines_of_a_minute_are_written() {
        let gate = Gate::default();
        for (secs, line) in [
            (0, Some(0)),
            (1, Some(0)),
            (59, Some(0)),
            (59, None),
            (59, None),
            (60, Some(2)),
            (61, Some(0)),
            (120, Some(0)),
        ] {
            assert_eq!(gate.admit(at(secs), 3), line, "{secs}");
        }
    }

    #[test]
    fn a_clock_that_was_wrong_silences_nothing() {
        let gate = Gate::default();
        assert_eq!(gate.admit(at(1_000_000), 1), Some(0));
        assert_eq!(gate.admit(at(5), 1), Some(0));
        assert_eq!(gate.admit(at(6), 1), None);
        assert_eq!(gate.admit(at(0), 1), Some(1), "back by less than a minute");
        assert_eq!(gate.admit(at(60), 1), Some(0));
    }

    #[test]
    fn each_kind_has_its_own_gate() {
        let throttle = Throttle::<2>::default();
        assert_eq!(throttle.admit(0, at(0), 1), Some(0));
        assert_eq!(throttle.admit(0, at(1), 1), None);
        assert_eq!(throttle.admit(1, at(1), 1), Some(0));
    }

    #[test]
    fn a_full_count_stays_full() {
        let gate = Gate::default();
        gate.admit(at(0), 1);
        gate.0.fetch_add(COUNT - 1, Ordering::Relaxed);
        assert_eq!(gate.admit(at(1), 1), None);
        assert_eq!(gate.admit(at(60), 1), Some(COUNT - 1));
    }

    #[test]
    fn one_of_many_threads_logs_and_all_are_counted() {
        let gate = Gate::default();
        let lines = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                scope.spawn(|| (0..100).filter(|_| gate.admit(at(0), 1).is_some()).count())
            });
            threads
                .map(|thread| thread.join().unwrap())
                .iter()
                .sum::<usize>()
        });
        assert_eq!(lines, 1);
        assert_eq!(gate.admit(at(60), 1), Some(399));
    }
}
