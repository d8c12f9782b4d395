//! A process's memory of where records are.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::RecordKey;

/// The records that this process last found in `from`, as far as it remembers. Saving one of them
/// begins with its move. A record that is forgotten is saved where it is.
pub(super) struct Seen(Box<[AtomicU64]>);

/// More records than a process has in use between their load and their save. They take 32 KiB.
const SLOTS: usize = 4_096;

impl Seen {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn has(&self, key: &RecordKey) -> bool {
        self.slot(key)
            .is_some_and(|(slot, key)| slot.load(Ordering::Relaxed) == key)
    }

    /// Notes whether a record was found in `from`.
    pub(super) fn note(&self, key: &RecordKey, is_in_from: bool) {
        let Some((slot, key)) = self.slot(key) else {
            return;
        };
        if is_in_from {
            slot.store(key, Ordering::Relaxed);
        } else {
            let _ = slot.compare_exchange(key, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The slot of a key, and the slot's content if it holds that key. Keys are hashes.
    fn slot(&self, key: &RecordKey) -> Option<(&AtomicU64, u64)> {
        let (first, rest) = key.as_bytes().split_first_chunk()?;
        let index = usize::from(u16::from_be_bytes(*rest.first_chunk()?)) % SLOTS;
        Some((self.0.get(index)?, u64::from_be_bytes(*first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_remembered_until_it_is_found_elsewhere() {
        let (seen, mut bytes) = (Seen::new(), [1; 32]);
        let key = RecordKey::from_bytes(bytes);
        bytes[0] = 2;
        let same_slot = RecordKey::from_bytes(bytes);
        seen.note(&key, true);
        assert_eq!([&key, &same_slot].map(|key| seen.has(key)), [true, false]);
        seen.note(&same_slot, false);
        assert!(seen.has(&key));
        seen.note(&key, false);
        assert!(!seen.has(&key));
        for other in [&key, &same_slot] {
            seen.note(other, true);
        }
        assert_eq!([&key, &same_slot].map(|key| seen.has(key)), [false, true]);
    }
}
