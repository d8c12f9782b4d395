//! A record's place: its shard, its name, and the files that may be there.

use std::{cell::OnceCell, io, ops::Range};

use super::{
    fs::{Access, Fault, Fs, Stat},
    root::Disk,
    settings::Durability,
    slot::{self, View},
};
use crate::{
    clock::Timestamp,
    crypto,
    store::{Bytes, RecordKey, StoreError, Version},
};

pub(super) const TEMPORARY: &str = ".tmp";
const QUARANTINE: &str = "quarantine";
/// The length of most files. They are read into a buffer on the stack, and the current data is
/// copied.
const SMALL: usize = 2 * slot::SMALLEST;

/// A record's place, with its directory, which is opened on demand.
pub(super) struct Shard<'a, F: Fs> {
    pub(super) disk: &'a Disk<F>,
    pub(super) key: RecordKey,
    /// `<shard>/<name>`, computed on demand.
    path: OnceCell<String>,
    dir: OnceCell<F::Dir>,
}

impl<'a, F: Fs> Shard<'a, F> {
    pub(super) fn of(disk: &'a Disk<F>, key: &RecordKey) -> Self {
        Self {
            disk,
            key: *key,
            path: OnceCell::new(),
            dir: OnceCell::new(),
        }
    }

    /// Another file in the key's directory.
    pub(super) fn of_file(disk: &'a Disk<F>, key: &RecordKey, name: &str) -> Self {
        let path = path_of(key);
        Self {
            path: format!("{}/{name}", shard_of(&path)).into(),
            ..Self::of(disk, key)
        }
    }

    pub(super) fn open_or_make(disk: &'a Disk<F>, key: &RecordKey) -> Result<Self, StoreError> {
        let shard = Self::of(disk, key);
        for _ in 0..2 {
            match shard.dir() {
                Ok(_) => {
                    shard.sync_name()?;
                    return Ok(shard);
                }
                Err(error) => absent(disk, error)?,
            }
            make_dir(disk, shard_of(shard.path()))?;
        }
        Err(StoreError::unavailable(
            "the record's directory was removed as soon as it was created",
        ))
    }

    pub(super) fn path(&self) -> &str {
        self.path.get_or_init(|| path_of(&self.key))
    }

    pub(super) fn name(&self) -> &str {
        name_of(self.path())
    }

    pub(super) fn dir(&self) -> io::Result<&F::Dir> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir);
        }
        let dir = self.disk.open(|fs| fs.open_dir(shard_of(self.path())))?;
        Ok(self.dir.get_or_init(|| dir))
    }

    /// Returns `None` if there is no such file.
    pub(super) fn open_file(&self, access: Access) -> Result<Option<F::File>, StoreError> {
        match self.disk.open(|fs| fs.open(self.path(), access)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                absent(self.disk, error).map(|()| None)
            }
            Err(error) => Err(self
                .stat_name()
                .ok()
                .flatten()
                .and_then(fault_of)
                .unwrap_or_else(|| error.into())),
        }
    }

    /// The status of the file under the record's name, if there is one.
    pub(super) fn stat_name(&self) -> io::Result<Option<Stat>> {
        match self
            .dir()
            .and_then(|dir| self.disk.fs.stat_at(dir, self.name()))
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            stat => stat.map(Some),
        }
    }

    /// Returns whether the file under the record's name has the wrong owner or permissions.
    pub(super) fn is_exposed(&self) -> io::Result<bool> {
        let stat = self.stat_name()?;
        Ok(stat.is_some_and(|stat| matches!(stat.fault, Some(Fault::Exposed(_)))))
    }

    /// Reads a whole file.
    pub(super) fn view(&self, file: &F::File, stat: Stat) -> Result<View, StoreError> {
        self.look(stat, |fs, buffer| {
            let mut done = 0;
            while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
                match fs.read_at(file, rest, done as u64)? {
                    0 => break,
                    count => done += count,
                }
            }
            Ok(done)
        })
    }

    /// Reads a whole file if it is in the page cache.
    pub(super) fn view_cached(&self, file: &F::File, stat: Stat) -> Result<View, StoreError> {
        self.look(stat, |fs, buffer| fs.read_cached(file, buffer))
    }

    /// Like [`view_cached`](Self::view_cached), without the data.
    pub(super) fn outline_cached(
        &self,
        file: &F::File,
        stat: Stat,
        seen: Version,
    ) -> Result<View<Range<usize>>, StoreError> {
        let read = |fs: &F, buffer: &mut [u8]| fs.read_cached(file, buffer);
        let size = self.size_of(stat)?;
        let mut small = [0; SMALL];
        match small.get_mut(..size) {
            Some(buffer) => self.read(buffer, read, Some(seen)),
            None => self.read(&mut vec![0; size], read, Some(seen)),
        }
    }

    fn look(
        &self,
        stat: Stat,
        read: impl FnOnce(&F, &mut [u8]) -> io::Result<usize>,
    ) -> Result<View, StoreError> {
        let size = self.size_of(stat)?;
        let mut small = [0; SMALL];
        if let Some(buffer) = small.get_mut(..size) {
            let view = self.read(buffer, read, None)?;
            let data = |place| buffer.get(place).map(Bytes::copy_from_slice);
            return Ok(view.map(|place| data(place).unwrap_or_default()));
        }
        let mut buffer = vec![0; size];
        let view = self.read(&mut buffer, read, None)?;
        Ok(view.map(|place| Bytes::from(buffer).slice(place)))
    }

    fn size_of(&self, stat: Stat) -> Result<usize, StoreError> {
        fault_of(stat).map_or(Ok(()), Err)?;
        let most = slot::HEADER.saturating_add(self.disk.settings.max_record_bytes);
        let limit = 2 * slot::size_for(most);
        let size = usize::try_from(stat.len).unwrap_or(usize::MAX);
        if size > limit {
            return Err(StoreError::TooLarge { size, limit });
        }
        Ok(size)
    }

    fn read(
        &self,
        buffer: &mut [u8],
        read: impl FnOnce(&F, &mut [u8]) -> io::Result<usize>,
        seen: Option<Version>,
    ) -> Result<View<Range<usize>>, StoreError> {
        let count = read(&self.disk.fs, buffer)?;
        Ok(if count < buffer.len() {
            View::Damaged
        } else {
            View::of(&self.key, buffer, seen)
        })
    }

    /// Puts a file with one filled slot under the record's name, which must be free.
    pub(super) fn put_new(&self, slot: &[u8], expires: Timestamp) -> io::Result<()> {
        let file = slot::file_of(slot::size_for(slot.len()), slot, &[]);
        let rename =
            |dir: &F::Dir, temporary: &str| self.disk.fs.rename_new(dir, temporary, self.name());
        let undo = || drop(self.remove());
        let file = self.put(&file, expires, Durability::Full, rename, undo)?;
        let _ = self.disk.fs.unlock(&file);
        Ok(())
    }

    /// Puts a new file in a record's place by `rename`. If the new name cannot be synced, `undo`
    /// takes it back.
    ///
    /// The name is synced if the store's level is at least `durability`. The file is locked before
    /// it gets the name, so that nobody builds on a state that may be taken back.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        expires: Timestamp,
        durability: Durability,
        rename: impl FnOnce(&F::Dir, &str) -> io::Result<()>,
        undo: impl FnOnce(),
    ) -> io::Result<F::File> {
        let fs = &self.disk.fs;
        let dir = self.dir()?;
        let (file, temporary) = self.create_temporary(dir)?;
        let placed = fs
            .try_lock(&file)
            .and_then(|_| self.write_all(&file, bytes, 0))
            .inspect(|()| self.set_hint(&file, expires))
            .and_then(|()| self.sync_data(&file))
            .and_then(|()| rename(dir, &temporary))
            .inspect_err(|_| drop(fs.unlink(dir, &temporary)));
        let lasting = placed.and_then(|()| self.sync(durability).inspect_err(|_| undo()));
        match lasting {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = fs.unlock(&file);
                Err(error)
            }
        }
    }

    pub(super) fn write_all(&self, file: &F::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.disk.fs.write_at(file, rest, offset + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    /// Saves sweeps from opening the file before that time. It is only a hint: without it they open
    /// the file, and the file's content decides.
    pub(super) fn set_hint(&self, file: &F::File, expires: Timestamp) {
        let _ = self.disk.fs.set_hint(file, expires);
    }

    pub(super) fn sync_data(&self, file: &F::File) -> io::Result<()> {
        match self.disk.settings.durability {
            Durability::None => Ok(()),
            Durability::Data | Durability::Full => self.disk.fs.sync_data(file),
        }
    }

    /// Syncs a change of the directory, if the store's level is at least `durability`.
    pub(super) fn sync(&self, durability: Durability) -> io::Result<()> {
        if self.disk.settings.durability < durability {
            Ok(())
        } else {
            self.disk.fs.sync_dir(self.dir()?)
        }
    }

    /// Syncs the name of the directory itself, which another process may have just created.
    fn sync_name(&self) -> io::Result<()> {
        if self.disk.settings.durability < Durability::Full {
            Ok(())
        } else {
            self.disk.fs.sync_root()
        }
    }

    /// Removes whatever is under the record's name.
    pub(super) fn remove(&self) -> io::Result<()> {
        match self.disk.fs.unlink(self.dir()?, self.name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves a damaged record out of the way, for somebody to examine.
    pub(super) fn quarantine(&self) -> Result<(), StoreError> {
        make_dir(self.disk, QUARANTINE)?;
        let quarantine = self.disk.open(|fs| fs.open_dir(QUARANTINE))?;
        Ok(self
            .disk
            .fs
            .rename((self.dir()?, self.name()), (&quarantine, self.name()))?)
    }

    fn create_temporary(&self, dir: &F::Dir) -> io::Result<(F::File, String)> {
        let random = crypto::random()
            .map_err(|_| io::Error::other("the operating system gave no random bytes"))?;
        let name = format!("{:016x}{TEMPORARY}", u64::from_ne_bytes(random));
        Ok((self.disk.open(|fs| fs.create(dir, &name))?, name))
    }
}

/// Returns `Ok` if the file does not exist, and not because the store's directory is gone.
pub(super) fn absent<F: Fs>(disk: &Disk<F>, error: io::Error) -> Result<(), StoreError> {
    if error.kind() != io::ErrorKind::NotFound {
        Err(error.into())
    } else if disk.fs.is_alive()? {
        Ok(())
    } else {
        Err(StoreError::unavailable(
            "the store's directory was removed: open the store again",
        ))
    }
}

fn make_dir<F: Fs>(disk: &Disk<F>, name: &str) -> Result<(), StoreError> {
    match disk.fs.make_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) fn fault_of(stat: Stat) -> Option<StoreError> {
    let linked = (stat.links > 1).then_some(Fault::Foreign("it has more than one name"));
    linked.or(stat.fault).map(|fault| match fault {
        Fault::Foreign(why) => StoreError::Corrupt(why.into()),
        Fault::Exposed(why) => StoreError::refused(why),
    })
}

/// Returns `<shard>/<name>`, without the formatter, since every load needs it.
pub(super) fn path_of(key: &RecordKey) -> String {
    let digit = |digit: u8| {
        char::from(if digit < 10 {
            b'0' + digit
        } else {
            b'a' - 10 + digit
        })
    };
    let [first, ..] = key.as_bytes();
    let mut path = String::with_capacity(2 + 1 + 64);
    path.extend([digit(first >> 4), digit(first & 15), '/']);
    for byte in key.as_bytes() {
        path.push(digit(byte >> 4));
        path.push(digit(byte & 15));
    }
    path
}

pub(super) fn shard_of(path: &str) -> &str {
    path.get(..2).unwrap_or_default()
}

fn name_of(path: &str) -> &str {
    path.get(3..).unwrap_or_default()
}
