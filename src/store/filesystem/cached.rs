//! Operations on the calling thread: those that do not need the disk.
//!
//! A read certainly does not wait (`RESOLVE_CACHED`, `RWF_NOWAIT`). For a write the kernel promises
//! nothing. It goes only into pages that were read from memory just before, and only while writes
//! are quick.
//!
//! `None` means that nothing was changed, and that a thread that may wait has to do the same.

use std::{io, time::Duration};

use super::{
    disk::record_of,
    files::Shard,
    fs::{Access, Fs, Stat},
    kept::Open,
    lock::Locked,
    root::Disk,
    settings::Durability,
    slot::{self, Slot, View},
};
use crate::{
    clock::Timestamp,
    store::{Record, RecordKey, StoreError, Version},
};

/// The longest file that is kept open, or changed on the calling thread. Hashing more takes longer
/// than the hop to another thread, and a removed file takes up room until it is closed.
const LONGEST: u64 = 64 << 10;

type Changed = Result<Version, StoreError>;

struct Change<'a> {
    key: &'a RecordKey,
    expected: Version,
    /// The length of the new data.
    len: usize,
}

impl<F: Fs> Disk<F> {
    /// Loads from the page cache, without ever waiting for the disk.
    pub(super) fn load_cached(&self, key: &RecordKey) -> Option<Option<Record>> {
        let shard = Shard::of(self, key);
        let uptime = self.fs.uptime();
        if let Some(open) = self.kept.take(key, uptime) {
            let stat = self.fs.stat(&open.file).ok()?;
            // Without a link, the file is no longer the record's.
            if stat.links > 0 {
                return self.load_from(&shard, open, Access::Write, stat);
            }
        }
        let wish = if self.kept.keeps_any() {
            Access::Write
        } else {
            Access::Read
        };
        let Some((open, access)) = self.open_cached(&shard, wish, uptime)? else {
            return Some(None);
        };
        let stat = self.fs.stat(&open.file).ok()?;
        self.load_from(&shard, open, access, stat)
    }

    pub(super) fn update_cached(
        &self,
        key: &RecordKey,
        expected: Version,
        version: Version,
        data: &[u8],
        expires: Timestamp,
    ) -> Option<Changed> {
        self.check_size(data).ok()?;
        let change = Change {
            key,
            expected,
            len: data.len(),
        };
        self.change_cached(
            &change,
            |locked| locked.outline_cached(expected),
            |locked, current| locked.write_in_place(current, version, expires, data),
        )
    }

    pub(super) fn touch_cached(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Option<Changed> {
        let len = 0;
        let change = Change { key, expected, len };
        let view = |locked: &Locked<'_, F>| locked.view_cached();
        self.change_cached(&change, view, |locked, current| {
            if current.expires == expires {
                Ok(expected)
            } else {
                locked.write_in_place(current, expected, expires, &current.data)
            }
        })
    }

    fn load_from(
        &self,
        shard: &Shard<'_, F>,
        open: Open<F::File>,
        access: Access,
        stat: Stat,
    ) -> Option<Option<Record>> {
        let View::Whole(slot) = shard.view_cached(&open.file, stat).ok()? else {
            return None;
        };
        if access == Access::Write {
            self.keep(&shard.key, open, stat);
        }
        Some(self.alive(slot).map(record_of))
    }

    /// Times the change. Makes none while changes are slow.
    fn change_cached<D>(
        &self,
        change: &Change<'_>,
        view: impl FnOnce(&Locked<'_, F>) -> Result<View<D>, StoreError>,
        write: impl FnOnce(&Locked<'_, F>, &Slot<D>) -> io::Result<Version>,
    ) -> Option<Changed> {
        // On a network file system, taking a lock asks a server.
        let settings = &self.settings;
        if !settings.inline_writes || settings.is_network || settings.durability > Durability::None
        {
            return None;
        }
        let start = self.brake.start(&self.fs)?;
        let changed = self.change_now(change, start.at, view, write);
        self.brake.finish(&start, &self.fs);
        changed
    }

    fn change_now<D>(
        &self,
        change: &Change<'_>,
        uptime: Duration,
        view: impl FnOnce(&Locked<'_, F>) -> Result<View<D>, StoreError>,
        write: impl FnOnce(&Locked<'_, F>, &Slot<D>) -> io::Result<Version>,
    ) -> Option<Changed> {
        let key = change.key;
        let shard = Shard::of(self, key);
        let kept = self.kept.take(key, uptime);
        let open = match kept.filter(|open| open.process == self.fs.process()) {
            Some(open) => open,
            None => match self.open_cached(&shard, Access::Write, uptime)? {
                Some((open, Access::Write)) => open,
                Some((_, Access::Read)) => return None,
                None => return Some(Err(StoreError::Gone)),
            },
        };
        let locked = Locked::try_kept(&shard, &open.file).ok()??;
        let stat = locked.stat();
        if stat.len > LONGEST {
            return None;
        }
        let (View::Whole(current) | View::Doubtful(current)) = view(&locked).ok()? else {
            return None;
        };
        if slot::HEADER + change.len > current.size {
            return None;
        }
        let changed = self.check_current(&current, change.expected);
        let changed = changed.and_then(|()| Ok(write(&locked, &current)?));
        // A file whose lock may still be held, or whose write failed, is better closed.
        let is_released = locked.release().is_ok();
        let is_sound = matches!(
            changed,
            Ok(_) | Err(StoreError::Gone | StoreError::Conflict)
        );
        if is_released && is_sound {
            self.keep(key, open, stat);
        }
        Some(changed)
    }

    /// Opens the record's file, for writing too if wished for and possible. Returns `Some(None)` if
    /// there is none.
    fn open_cached(
        &self,
        shard: &Shard<'_, F>,
        wish: Access,
        uptime: Duration,
    ) -> Option<Option<(Open<F::File>, Access)>> {
        let open = |access| {
            let file = self.fs.open_cached(shard.path(), access)?;
            Ok((file, access))
        };
        let opened = match open(wish) {
            Err(error) if wish == Access::Write && is_read_only(&error) => open(Access::Read),
            opened => opened,
        };
        match opened {
            Ok((file, access)) => {
                let open = Open {
                    file,
                    since: uptime,
                    process: self.fs.process(),
                };
                Some(Some((open, access)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.fs.is_alive().ok()? => {
                Some(None)
            }
            Err(_) => None,
        }
    }

    fn keep(&self, key: &RecordKey, open: Open<F::File>, stat: Stat) {
        if stat.len <= LONGEST {
            self.kept.put(key, open);
        }
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}
