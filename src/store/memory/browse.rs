//! Lists of records, page by page.

use std::sync::Mutex;

use super::{
    shard::{STEP, Shard},
    shards::{Padded, Shards},
};
use crate::store::{Cursor, Listed, Page, StoreError, browse::foreign_cursor};

/// Lists at most `limit` records, and returns where the next page begins.
pub(super) fn page(shards: &Shards, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
    let (mut shard, mut slot) = place_of(from)?;
    let (mut entries, limit) = (Vec::new(), limit.max(1));
    while let Some(current) = shards.get(shard) {
        if entries.len() == limit {
            return Ok(Page::new(entries, Some(cursor_at(shard, slot))));
        }
        let left = limit - entries.len();
        match browse_shard(current, slot, left, &mut entries) {
            Some(next) => slot = next,
            None => (shard, slot) = (shard + 1, 0),
        }
    }
    Ok(Page::new(entries, None))
}

/// Lists at most `limit` records of a shard from a slot on, and returns the next slot, if there is
/// one.
fn browse_shard(
    shard: &Padded<Mutex<Shard>>,
    slot: usize,
    limit: usize,
    entries: &mut Vec<Listed>,
) -> Option<usize> {
    let shard = shard.lock();
    let end = slot + limit.min(STEP);
    entries.extend(shard.entries(slot..end).map(|entry| {
        let (head, size) = (entry.data.head(), entry.data.len());
        Listed::new(entry.key, head, entry.expires(), size)
    }));
    (end < shard.slots()).then_some(end)
}

fn cursor_at(shard: usize, slot: usize) -> Cursor {
    let place = [shard as u64, slot as u64];
    Cursor::new(place.map(u64::to_be_bytes).concat())
}

fn place_of(cursor: &Cursor) -> Result<(usize, usize), StoreError> {
    let number = |bytes: &[u8; 8]| usize::try_from(u64::from_be_bytes(*bytes)).ok();
    let place = match cursor.as_bytes().as_chunks() {
        ([], []) => return Ok((0, 0)),
        ([shard, slot], []) => number(shard).zip(number(slot)),
        _ => None,
    };
    let is_place = |(_, slot): &(usize, usize)| *slot < usize::MAX - STEP;
    place.filter(is_place).ok_or_else(foreign_cursor)
}
