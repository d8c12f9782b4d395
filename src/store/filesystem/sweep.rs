//! Removing expired records, and files that a crash left behind.

use std::{io, mem, sync::PoisonError, time::Duration};

use super::{
    files::{Shard, TEMPORARY, absent, fault_of, path_of, shard_of},
    fs::{Access, Fs},
    lock::Locked,
    root::{Cursor, Disk},
    slot,
};
use crate::{
    clock::Timestamp,
    store::{RecordKey, StoreError, Swept},
};

pub(super) const SHARDS: u16 = 256;
/// A file that is not named like a record is a writer's work in progress, but not for longer than
/// this.
const STRAY_AFTER: Duration = Duration::from_secs(60 * 60);

impl<F: Fs> Disk<F> {
    /// Examines at most `limit` files, from where the last step ended.
    pub(super) fn sweep_some(&self, limit: usize) -> Swept {
        let mut cursor =
            mem::take(&mut *self.cursor.lock().unwrap_or_else(PoisonError::into_inner));
        let swept = self.sweep_from(&mut cursor, limit);
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = cursor;
        swept
    }

    pub(super) fn sweep(&self) -> Swept {
        self.sweep_from(&mut Cursor::default(), usize::MAX)
    }

    fn sweep_from(&self, cursor: &mut Cursor, limit: usize) -> Swept {
        self.kept.close_old(self.fs.uptime());
        let mut swept = Swept::default();
        let mut dir = None;
        let now = self.settings.clock.now();
        for _ in 0..limit.max(1) {
            let Some(name) = self.next_name(cursor, &mut dir, &mut swept) else {
                *cursor = Cursor::default();
                return swept.finished();
            };
            match self.sweep_file(cursor.shard - 1, &mut dir, &name, now) {
                Ok(removed) => swept.add(Swept::new(1, u64::from(removed))),
                Err(error) => {
                    swept.add(Swept::new(1, 0));
                    swept.add(Swept::failure(error));
                }
            }
        }
        swept
    }

    /// Returns the next name. Sets `dir` to its directory if that was opened.
    fn next_name(
        &self,
        cursor: &mut Cursor,
        dir: &mut Option<F::Dir>,
        swept: &mut Swept,
    ) -> Option<String> {
        while cursor.names.is_empty() && cursor.shard < SHARDS {
            match self.open_and_list(cursor.shard, dir) {
                Ok(names) => cursor.names = names,
                Err(error) => swept.add(Swept::failure(error)),
            }
            cursor.shard += 1;
        }
        cursor.names.pop()
    }

    fn open_and_list(
        &self,
        shard: u16,
        dir: &mut Option<F::Dir>,
    ) -> Result<Vec<String>, StoreError> {
        match self.open(|fs| fs.open_dir(shard_of(&path_of(&key_in(shard))))) {
            Ok(opened) => Ok(self.fs.list(dir.insert(opened))?),
            Err(error) => absent(self, error).map(|()| Vec::new()),
        }
    }

    fn sweep_file(
        &self,
        shard: u16,
        dir: &mut Option<F::Dir>,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if name.ends_with(TEMPORARY) {
            return self.sweep_stray(shard, name);
        }
        let key = name.parse::<RecordKey>().ok();
        let Some(key) = key.filter(|key| u16::from(key.as_bytes()[0]) == shard) else {
            return Ok(false);
        };
        let dir = match dir {
            Some(dir) => dir,
            None => dir.insert(self.open(|fs| fs.open_dir(shard_of(&path_of(&key))))?),
        };
        if self.is_hinted(dir, name, now)? {
            Ok(false)
        } else {
            self.sweep_record(&key)
        }
    }

    /// Returns whether the hint beside the file says that its time has not come, so that most
    /// sweeps open few files.
    fn is_hinted(&self, dir: &F::Dir, name: &str, now: Timestamp) -> io::Result<bool> {
        match self.fs.stat_at(dir, name) {
            Ok(stat) => {
                let is_sound = fault_of(stat).is_none() && slot::is_file_len(stat.len);
                Ok(is_sound && stat.hint.is_some_and(|hint| hint > now))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Looks without the lock first: most records are alive, and their visitors should not have to
    /// wait.
    fn sweep_record(&self, key: &RecordKey) -> Result<bool, StoreError> {
        let shard = Shard::of(self, key);
        if !self.look_over(&shard)? {
            return Ok(false);
        }
        let Some(locked) = Locked::try_acquire(&shard)? else {
            return Ok(false);
        };
        if self.alive(locked.current()?).is_some() {
            return Ok(false);
        }
        locked.remove()?;
        Ok(true)
    }

    fn sweep_stray(&self, shard: u16, name: &str) -> Result<bool, StoreError> {
        let shard = Shard::of_file(self, &key_in(shard), name);
        let Some(stat) = shard.stat_name()? else {
            return Ok(false);
        };
        let age = self
            .settings
            .clock
            .now()
            .saturating_since(Timestamp::from_secs(stat.modified));
        if age < STRAY_AFTER {
            return Ok(false);
        }
        // A writer keeps its file locked.
        let Some(file) = shard.open_file(Access::Write)? else {
            return Ok(false);
        };
        let free = self.fs.try_lock(&file)?;
        if free {
            shard.remove()?;
        }
        Ok(free)
    }
}

/// Some key of the shard.
pub(super) fn key_in(shard: u16) -> RecordKey {
    let [_, low] = shard.to_be_bytes();
    RecordKey::from_bytes([low; 32])
}
