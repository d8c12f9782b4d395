//! A hash table that never has much work to do at once.
//!
//! Linear hashing: when the entries get too many for the chains, one chain is split in two, each in
//! turn. Entries keep their slots, in blocks that stay where they are. The standard library's table
//! moves all of its entries when it grows, which takes milliseconds if there are many. It cannot be
//! swept in steps, and it keeps up to half of its places free.

use std::{iter, mem, num::NonZeroU64};

use super::data::Data;
use crate::{
    clock::Timestamp,
    store::{Record, RecordKey, Version},
};

/// The fields of a lookup come first.
#[repr(C)]
pub(super) struct Table {
    /// The first slot of each chain.
    heads: Vec<Link>,
    blocks: Vec<Box<[Slot; BLOCK]>>,
    /// The number of slots ever taken, including those that are vacant again.
    slots: usize,
    /// The first slot of the chain of vacant slots.
    vacant: Link,
    len: usize,
}

enum Slot {
    Vacant { next: Link },
    Taken(Entry),
}

/// The number of a slot.
type Link = u32;

/// The end of a chain.
const END: Link = Link::MAX;
/// The average length of a chain, at most.
const LOAD: usize = 1;
/// The slots of a block. A block is aligned to a cache line, which costs one more line.
const BLOCK: usize = 256;

/// One cache line, so that a search waits for at most one line in each slot.
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) key: RecordKey,
    pub(super) data: Data,
    /// From the highest bit down: the version, which is the shard's counter and never zero; the
    /// high part of the expiry time; and whether the record was used since it was created. Separate
    /// fields would enlarge every slot.
    stamp: NonZeroU64,
    /// The low part of the expiry time.
    expires: u32,
    next: Link,
}

/// The lowest bit of a stamp.
const USED: u64 = 1;
/// The number of bits below the version in a stamp. A time has 38 bits, enough for the year 9999.
const BELOW: u32 = 7;
const HIGH_OF_TIME: u64 = (1 << BELOW) - 1 - USED;
/// The stamp of the first version.
const FIRST: NonZeroU64 = NonZeroU64::MIN.saturating_add((1 << BELOW) - 1);

impl Default for Table {
    fn default() -> Self {
        Self {
            heads: Vec::new(),
            blocks: Vec::new(),
            slots: 0,
            vacant: END,
            len: 0,
        }
    }
}

impl Table {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The number of slots that [`at`](Self::at) accepts. Some may be vacant.
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn at(&self, slot: usize) -> Option<&Entry> {
        match self.blocks.get(slot / BLOCK)?.get(slot % BLOCK)? {
            Slot::Taken(entry) => Some(entry),
            Slot::Vacant { .. } => None,
        }
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut Entry> {
        match self.blocks.get_mut(slot / BLOCK)?.get_mut(slot % BLOCK)? {
            Slot::Taken(entry) => Some(entry),
            Slot::Vacant { .. } => None,
        }
    }

    /// Returns the key's slot and entry.
    pub(super) fn find(&self, key: &RecordKey) -> Option<(usize, &Entry)> {
        let slot = self.link(key)?.1 as usize;
        Some((slot, self.at(slot)?))
    }

    /// Returns the key's slot and entry, for changing it.
    pub(super) fn find_mut(&mut self, key: &RecordKey) -> Option<(usize, &mut Entry)> {
        let slot = self.link(key)?.1 as usize;
        Some((slot, self.at_mut(slot)?))
    }

    /// Adds an entry and returns its slot. Its key must not exist yet.
    pub(super) fn insert(&mut self, mut entry: Entry) -> usize {
        if self.len >= self.heads.len() * LOAD {
            self.split();
        }
        let place = self.place(&entry.key);
        entry.next = self.heads.get(place).copied().unwrap_or(END);
        let link = self.put(Slot::Taken(entry));
        self.set_head(place, link);
        self.len += 1;
        link as usize
    }

    /// Removes the key's entry, and returns it with its former slot.
    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<(usize, Entry)> {
        let (before, link) = self.link(key)?;
        let vacant = Slot::Vacant { next: self.vacant };
        let Slot::Taken(entry) = mem::replace(self.slot_mut(link)?, vacant) else {
            return None;
        };
        self.vacant = link;
        self.len -= 1;
        match self.slot_mut(before) {
            Some(before) => before.set_next(entry.next),
            None => self.set_head(self.place(key), entry.next),
        }
        Some((link as usize, entry))
    }

    /// The slot before the key's in its chain, if any, and the key's.
    fn link(&self, key: &RecordKey) -> Option<(Link, Link)> {
        let (mut before, mut link) = (END, *self.heads.get(self.place(key))?);
        loop {
            match self.slot(link)? {
                Slot::Taken(entry) if entry.key == *key => return Some((before, link)),
                slot => (before, link) = (link, slot.next()),
            }
        }
    }

    /// The chain of a key. One that has not been split off yet is still part of the chain at half
    /// the range.
    fn place(&self, key: &RecordKey) -> usize {
        let mask = mask(self.heads.len());
        let place = hash(key) & mask;
        if place < self.heads.len() {
            place
        } else {
            place & (mask >> 1)
        }
    }

    fn split(&mut self) {
        let new = self.heads.len();
        self.heads.push(END);
        let old = new & (mask(new + 1) >> 1);
        let mut link = self
            .heads
            .get_mut(old)
            .map_or(END, |head| mem::replace(head, END));
        while let Some(Slot::Taken(entry)) = self.slot(link) {
            let (place, after) = (self.place(&entry.key), entry.next);
            let head = self.heads.get(place).copied().unwrap_or(END);
            if let Some(slot) = self.slot_mut(link) {
                slot.set_next(head);
            }
            self.set_head(place, link);
            link = after;
        }
    }

    fn set_head(&mut self, place: usize, link: Link) {
        if let Some(head) = self.heads.get_mut(place) {
            *head = link;
        }
    }

    fn put(&mut self, slot: Slot) -> Link {
        let link = self.vacant;
        if let Some(place) = self.slot_mut(link) {
            if let Slot::Vacant { next } = mem::replace(place, slot) {
                self.vacant = next;
            }
            return link;
        }
        let link = Link::try_from(self.slots);
        let link = link.expect("a shard has fewer slots than a link can count");
        if self.slots == self.blocks.len() * BLOCK {
            self.blocks.push(vacant_block());
        }
        self.slots += 1;
        if let Some(place) = self.slot_mut(link) {
            *place = slot;
        }
        link
    }

    fn slot(&self, link: Link) -> Option<&Slot> {
        self.blocks
            .get(link as usize / BLOCK)?
            .get(link as usize % BLOCK)
    }

    fn slot_mut(&mut self, link: Link) -> Option<&mut Slot> {
        self.blocks
            .get_mut(link as usize / BLOCK)?
            .get_mut(link as usize % BLOCK)
    }
}

impl Slot {
    const fn next(&self) -> Link {
        match self {
            Self::Vacant { next } | Self::Taken(Entry { next, .. }) => *next,
        }
    }

    const fn set_next(&mut self, link: Link) {
        match self {
            Self::Vacant { next } | Self::Taken(Entry { next, .. }) => *next = link,
        }
    }
}

fn vacant_block() -> Box<[Slot; BLOCK]> {
    let slots = iter::repeat_with(|| Slot::Vacant { next: END });
    let block: Vec<_> = slots.take(BLOCK).collect();
    block.try_into().ok().expect("it has that many slots")
}

const fn mask(count: usize) -> usize {
    count.next_power_of_two() - 1
}

/// Keys are hashes that nobody can choose. All bits are mixed in case keys come from elsewhere.
#[allow(clippy::cast_possible_truncation, reason = "it is a hash")]
fn hash(key: &RecordKey) -> usize {
    let mix = |all: u64, part: &[u8; 8]| {
        let wide = u128::from(all ^ u64::from_le_bytes(*part)) * 0x9e37_79b9_7f4a_7c15;
        wide as u64 ^ (wide >> 64) as u64
    };
    key.as_bytes().as_chunks::<8>().0.iter().fold(0, mix) as usize
}

impl Entry {
    /// Makes an entry that nobody has used yet.
    pub(super) fn new(key: RecordKey, data: Data, version: u64, expires: Timestamp) -> Self {
        let mut entry = Self {
            key,
            data,
            stamp: FIRST,
            expires: 0,
            next: END,
        };
        entry.set_stamp(version, expires);
        entry
    }

    pub(super) fn record(&self) -> Record {
        Record::new(self.data.to_bytes(), self.version(), self.expires())
    }

    pub(super) const fn version(&self) -> Version {
        Version::from_u64(self.stamp.get() >> BELOW)
    }

    pub(super) const fn expires(&self) -> Timestamp {
        let high = (self.stamp.get() & HIGH_OF_TIME) >> 1;
        Timestamp::from_secs(high << u32::BITS | self.expires as u64)
    }

    pub(super) const fn is_used(&self) -> bool {
        self.stamp.get() & USED == USED
    }

    pub(super) fn set_used(&mut self) {
        self.stamp |= USED;
    }

    pub(super) fn set_expires(&mut self, expires: Timestamp) {
        self.set_stamp(self.stamp.get() >> BELOW, expires);
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "only the low part is kept here"
    )]
    pub(super) fn set_stamp(&mut self, version: u64, expires: Timestamp) {
        let expires = expires.min(Timestamp::LATEST).as_secs();
        let high = (expires >> u32::BITS) << 1;
        self.expires = expires as u32;
        let used = self.stamp.get() & USED;
        let version = NonZeroU64::new(version << BELOW).unwrap_or(FIRST);
        self.stamp = version | high | used;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::Bytes;

    fn key(number: u64) -> RecordKey {
        RecordKey::of(&number.to_be_bytes())
    }

    fn entry(number: u64, data: Vec<u8>) -> Entry {
        let expires = Timestamp::from_secs(number);
        Entry::new(key(number), Bytes::from(data).into(), 1, expires)
    }

    fn longest_chain(table: &Table) -> usize {
        let chain = |head: &Link| {
            let next = |link: &Link| table.slot(*link).map(Slot::next);
            std::iter::successors(Some(*head), next).count() - 1
        };
        table.heads.iter().map(chain).max().unwrap_or_default()
    }

    #[test]
    fn a_slot_is_a_line_of_the_cache() {
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (64, 64));
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_fields_of_a_lookup_are_in_one_line() {
        assert_eq!(std::mem::offset_of!(Table, len), 64);
    }

    #[test]
    fn version_end_and_use_do_not_overlap() {
        let times = [
            0,
            1,
            u64::from(u32::MAX),
            1 << 32,
            (1 << 37) + 5,
            Timestamp::LATEST.as_secs(),
        ];
        let mut entry = entry(0, Vec::new());
        for used in [false, true] {
            for version in [1, 2, u64::MAX >> BELOW] {
                entry.set_stamp(version, entry.expires());
                for time in times.map(Timestamp::from_secs) {
                    entry.set_expires(time);
                    let found = (entry.version(), entry.expires(), entry.is_used());
                    assert_eq!(found, (Version::from_u64(version), time, used));
                }
            }
            entry.set_used();
        }
        entry.set_expires(Timestamp::from_secs(u64::MAX));
        assert_eq!(entry.expires(), Timestamp::LATEST);
    }

    #[test]
    fn one_chain_is_split_at_a_time_and_chains_stay_short() {
        let mut table = Table::default();
        for number in 0..20_000 {
            let before = table.heads.len();
            table.insert(entry(number, Vec::new()));
            assert!(table.heads.len() - before <= 1);
        }
        assert!(longest_chain(&table) <= 15, "{}", longest_chain(&table));
        assert!((0..20_000).all(|number| table.find(&key(number)).is_some()));
    }

    /// Counters in place of hashes, at any position of the key.
    #[test]
    fn keys_that_are_no_hashes_spread_as_well() {
        for at in 0..31 {
            let mut table = Table::default();
            for number in 0..4_096_u16 {
                let mut bytes = [0; 32];
                bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
                table.insert(Entry {
                    key: RecordKey::from_bytes(bytes),
                    ..entry(0, Vec::new())
                });
            }
            assert!(
                longest_chain(&table) <= 15,
                "{} at {at}",
                longest_chain(&table)
            );
        }
    }

    #[test]
    fn slots_are_used_again() {
        let mut table = Table::default();
        for number in 0..10_000 {
            table.insert(entry(number, Vec::new()));
            assert!(number < 100 || table.remove(&key(number - 100)).is_some());
        }
        assert_eq!((table.len(), table.slots()), (100, 101));
    }

    proptest! {
        #[test]
        fn it_is_a_map(operations in prop::collection::vec((0..300_u64, 0..40_u8), 0..3_000)) {
            let (mut table, mut map) = (Table::default(), HashMap::new());
            for (number, operation) in operations {
                match operation {
                    0 => assert_eq!(table.remove(&key(number)).is_some(), map.remove(&number).is_some()),
                    1 => {
                        let over = (0..table.slots()).filter_map(|slot| table.at(slot));
                        let over: Vec<_> = over.filter(|entry| entry.expires().as_secs() % 7 == number % 7).collect();
                        for key in over.into_iter().map(|entry| entry.key).collect::<Vec<_>>() {
                            assert!(table.remove(&key).is_some());
                        }
                        map.retain(|other, _| other % 7 != number % 7);
                    }
                    _ if map.contains_key(&number) => {
                        let data = vec![operation; 3];
                        let (_, entry) = table.find_mut(&key(number)).unwrap();
                        entry.data = Bytes::from(data.clone()).into();
                        map.insert(number, data);
                    }
                    _ => {
                        table.insert(entry(number, vec![0]));
                        map.insert(number, vec![0]);
                    }
                }
                assert_eq!(table.len(), map.len());
            }
            for number in 0..300 {
                let found = table.find(&key(number)).map(|(_, entry)| entry.record().data().to_vec());
                assert_eq!(found.as_ref(), map.get(&number));
            }
        }
    }
}
