//! Listing records by the heads of their files.

use std::io;

use super::{
    files::{Shard, absent, fault_of, path_of, shard_of},
    fs::{Access, Fs},
    root::Disk,
    slot::{HEADER, Head, is_newer},
    sweep::{SHARDS, key_in},
};
use crate::{
    clock::Timestamp,
    store::{Cursor, Listed, Page, RecordKey, StoreError, browse::foreign_cursor},
};

/// The header of a slot, and the first byte of its data.
const HEAD: usize = HEADER + 1;

impl<F: Fs> Disk<F> {
    /// Lists the records whose keys follow the cursor's.
    ///
    /// Pages are in the order of names, so each page lists the names of its directory again. It
    /// reads the heads of both slots of each file, and takes no lock.
    pub(super) fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let after = after(from)?;
        let first = after.map_or(0, |key| u16::from(key.as_bytes()[0]));
        let (mut entries, mut last) = (Vec::new(), None);
        let mut left = limit.max(1);
        for shard in first..SHARDS {
            for key in self.keys_of(shard, after)? {
                if left == 0 {
                    return Ok(Page::new(entries, last));
                }
                left -= 1;
                entries.extend(self.listed(&key)?);
                last = Some(Cursor::new(key.as_bytes().to_vec()));
            }
        }
        Ok(Page::new(entries, None))
    }

    fn keys_of(&self, shard: u16, after: Option<RecordKey>) -> Result<Vec<RecordKey>, StoreError> {
        let path = path_of(&key_in(shard));
        let names = match self.open(|fs| fs.open_dir(shard_of(&path))) {
            Ok(dir) => self.fs.list(&dir)?,
            Err(error) => absent(self, error).map(|()| Vec::new())?,
        };
        let names = names
            .iter()
            .filter(|name| shard_of(name) == shard_of(&path));
        let is_next = |key: &RecordKey| after.is_none_or(|after| *key > after);
        let mut keys: Vec<_> = names
            .filter_map(|name| name.parse().ok())
            .filter(is_next)
            .collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Returns what the heads of a record's file say, or `None` if the file is gone or damaged. The
    /// heads are not checked against the data.
    fn listed(&self, key: &RecordKey) -> Result<Option<Listed>, StoreError> {
        let shard = Shard::of(self, key);
        let file = match shard.open_file(Access::Read) {
            Ok(Some(file)) => file,
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(None),
            Err(StoreError::Refused(_)) => return Ok(Some(unread(key, 0))),
            Err(error) => return Err(error),
        };
        let stat = self.fs.stat(&file)?;
        match fault_of(stat) {
            Some(StoreError::Refused(_)) => return Ok(Some(unread(key, stat.len))),
            Some(_) => return Ok(None),
            None => {}
        }
        let (first, second) = (self.head(&file, 0)?, self.head(&file, stat.len / 2)?);
        let heads = [&*first, &*second];
        if heads.into_iter().any(is_newer) {
            return Ok(Some(unread(key, stat.len)));
        }
        let heads = heads.into_iter().filter_map(|head| Head::of(key, head));
        let newest = heads.max_by_key(|head| head.sequence);
        Ok(newest.map(|head| Listed::new(*key, head.first.as_slice(), head.expires, head.len)))
    }

    fn head(&self, file: &F::File, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; HEAD];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.fs.read_at(file, rest, offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }
}

/// The entry of a record that this process cannot read: it is of a later format, or its file has
/// the wrong owner or permissions. A move of all records must not overlook it.
fn unread(key: &RecordKey, len: u64) -> Listed {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Listed::new(*key, &[], Timestamp::from_secs(u64::MAX), len)
}

fn after(from: &Cursor) -> Result<Option<RecordKey>, StoreError> {
    match from.as_bytes() {
        [] => Ok(None),
        bytes => {
            let bytes = bytes.try_into().map_err(|_| foreign_cursor())?;
            Ok(Some(RecordKey::from_bytes(bytes)))
        }
    }
}
