//! The ids of a record's last writes, so that a save whose answer got lost is recognised, also if
//! others have saved on top.
//!
//! ```text
//! writes: count u8 | (write id (8) | written u40 s) for each, the last one first
//! ```

use std::time::Duration;

use crate::{
    binary::{put_u40, take_u40},
    clock::Timestamp,
};

/// Tells one write of a record from another.
pub(crate) type WriteId = [u8; 8];

/// The last writes of a record, the very last one first. Those of a store that never waits are not
/// noted: no answer of it gets lost.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Writes(Vec<(WriteId, Timestamp)>);

/// How many are kept.
const MOST: usize = 8;
/// How long an answer may be waited for; two seconds are for clocks that differ.
const MEMORY: Duration = Duration::from_secs(7);

impl Writes {
    pub(crate) fn contain(&self, write: WriteId) -> bool {
        self.0.iter().any(|(id, _)| *id == write)
    }

    /// When the last one was.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.0.first().map(|(_, written)| *written)
    }

    /// Whether a write of that time would be among them, if it had come to be.
    pub(crate) fn would_have(&self, written: Timestamp, now: Timestamp) -> bool {
        self.0.len() < MOST && written.saturating_add(MEMORY) > now
    }

    /// Those that a record has with one more.
    #[must_use]
    pub(crate) fn with(&self, write: Option<WriteId>, now: Timestamp) -> Self {
        let is_young = |(_, written): &&(WriteId, Timestamp)| {
            written.saturating_add(MEMORY) > now && *written <= now.saturating_add(MEMORY)
        };
        let Some(write) = write else {
            return Self::default();
        };
        let old = self.0.iter().filter(is_young).copied();
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

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for (id, written) in &self.0 {
            out.extend_from_slice(id);
            put_u40(out, *written);
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
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

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    #[test]
    fn the_last_eight_young_ones_are_kept() {
        let mut writes = Writes::default();
        for number in 0..20_u8 {
            writes = writes.with(Some([number; 8]), at(0));
            let kept = (0..20).filter(|number| writes.contain([*number; 8]));
            let first = number.saturating_sub(7);
            assert_eq!(
                kept.collect::<Vec<_>>(),
                (first..=number).collect::<Vec<_>>()
            );
            assert_eq!(writes.would_have(at(0), at(0)), number < 7);
        }
        let later = writes.with(Some([99; 8]), at(6));
        assert!(later.contain([19; 8]) && later.contain([99; 8]));
        let later = later.with(Some([98; 8]), at(7));
        assert!(!later.contain([19; 8]) && later.contain([99; 8]));
        assert!(later.would_have(at(1), at(7)) && !later.would_have(at(0), at(7)));
    }

    #[test]
    fn a_store_that_never_waits_notes_none() {
        let writes = Writes::default().with(Some([1; 8]), at(0));
        assert_eq!(writes.with(None, at(0)), Writes::default());
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
            writes = writes.with(Some([number; 8]), at(0));
        }
        assert_eq!(Writes::decode(&[9; 200]), None);
    }
}
