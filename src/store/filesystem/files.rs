//! A record's place: its shard, its name, and the files that may be there.

use std::io;

use super::{
    Durability,
    disk::Disk,
    fs::{Access, Fs, Stat},
    slot::{self, View},
};
use crate::{
    crypto,
    store::{Bytes, RecordKey, StoreError},
};

pub(super) const TEMPORARY: &str = ".tmp";
const QUARANTINE: &str = "quarantine";
/// How many names somebody else may have taken before a new file's is found.
const NAMES: usize = 4;

/// The directory a record is in, open.
pub(super) struct Shard<'a, F: Fs> {
    pub(super) disk: &'a Disk<F>,
    pub(super) dir: F::Dir,
    pub(super) key: RecordKey,
    pub(super) name: String,
}

impl<'a, F: Fs> Shard<'a, F> {
    /// `None` if there is no such directory, and so no record.
    pub(super) fn open(disk: &'a Disk<F>, key: &RecordKey) -> Result<Option<Self>, StoreError> {
        let name = name_of(key);
        match disk.fs.open_dir(shard_of(&name)) {
            Ok(dir) => Ok(Some(Self { disk, dir, key: *key, name })),
            Err(error) => absent(disk, error).map(|()| None),
        }
    }

    pub(super) fn open_or_make(disk: &'a Disk<F>, key: &RecordKey) -> Result<Self, StoreError> {
        for _ in 0..2 {
            if let Some(shard) = Self::open(disk, key)? {
                shard.sync_name()?;
                return Ok(shard);
            }
            make_dir(disk, shard_of(&name_of(key)))?;
        }
        Err(StoreError::backend("the record's directory was removed as soon as it was made"))
    }

    /// `None` if there is no such file.
    pub(super) fn open_file(&self, access: Access) -> Result<Option<F::File>, StoreError> {
        match self.disk.fs.open(&self.dir, &self.name, access) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => absent(self.disk, error).map(|()| None),
            Err(error) => Err(self.stat_name().ok().flatten().and_then(fault_of).unwrap_or_else(|| error.into())),
        }
    }

    /// What is under the record's name, if anything.
    pub(super) fn stat_name(&self) -> io::Result<Option<Stat>> {
        match self.disk.fs.stat_at(&self.dir, &self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            stat => stat.map(Some),
        }
    }

    /// Looks at a whole file.
    pub(super) fn view(&self, file: &F::File) -> Result<View, StoreError> {
        view(self.disk, &self.key, file, |fs, buffer| {
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

    pub(super) fn view_cached(disk: &Disk<F>, key: &RecordKey, file: &F::File) -> Result<View, StoreError> {
        view(disk, key, file, |fs, buffer| fs.read_cached(file, buffer))
    }

    /// Puts a file of one slot under the record's name, which must be free.
    pub(super) fn put_new(&self, slot: &[u8]) -> io::Result<()> {
        let file = slot::file_of(slot::size_for(slot.len()), slot, &[]);
        self.put(
            &file,
            Durability::Full,
            |temporary| self.disk.fs.rename_new(&self.dir, temporary, &self.name),
            |_| {
                let _ = self.remove();
            },
        )
    }

    /// Puts a new file in a record's place by `rename`, and has `undo` take it back if that cannot be made to last.
    ///
    /// The new name is made to last if the store's level is at least `durability`. Until then the file is locked, so
    /// that nobody builds on what may be taken back.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        durability: Durability,
        rename: impl FnOnce(&str) -> io::Result<()>,
        undo: impl FnOnce(&F::File),
    ) -> io::Result<()> {
        let fs = &self.disk.fs;
        let (file, temporary) = self.create_temporary()?;
        let placed = fs
            .try_lock(&file)
            .and_then(|_| self.write_all(&file, bytes, 0))
            .and_then(|()| self.sync_data(&file))
            .and_then(|()| rename(&temporary))
            .inspect_err(|_| drop(fs.unlink(&self.dir, &temporary)));
        let lasting = placed.and_then(|()| self.sync(durability).inspect_err(|_| undo(&file)));
        let _ = fs.unlock(&file);
        lasting
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

    pub(super) fn sync_data(&self, file: &F::File) -> io::Result<()> {
        match self.disk.settings.durability {
            Durability::None => Ok(()),
            Durability::Data | Durability::Full => self.disk.fs.sync_data(file),
        }
    }

    /// Makes a change of the directory last, if the store's level is at least `durability`.
    pub(super) fn sync(&self, durability: Durability) -> io::Result<()> {
        if self.disk.settings.durability < durability { Ok(()) } else { self.disk.fs.sync_dir(&self.dir) }
    }

    /// Makes the directory itself last; another process may have made it just now.
    fn sync_name(&self) -> io::Result<()> {
        if self.disk.settings.durability < Durability::Full { Ok(()) } else { self.disk.fs.sync_root() }
    }

    /// Removes whatever is under the record's name.
    pub(super) fn remove(&self) -> io::Result<()> {
        match self.disk.fs.unlink(&self.dir, &self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves a damaged record out of the way, for whoever wants to look into it.
    pub(super) fn quarantine(&self) -> Result<(), StoreError> {
        make_dir(self.disk, QUARANTINE)?;
        let quarantine = self.disk.fs.open_dir(QUARANTINE)?;
        Ok(self.disk.fs.rename((&self.dir, &self.name), (&quarantine, &self.name))?)
    }

    fn create_temporary(&self) -> io::Result<(F::File, String)> {
        let mut taken = io::ErrorKind::AlreadyExists.into();
        for _ in 0..NAMES {
            let random = crypto::random().map_err(|_| io::Error::other("the operating system gave no random bytes"))?;
            let name = format!("{:016x}{TEMPORARY}", u64::from_ne_bytes(random));
            match self.disk.fs.create(&self.dir, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
                file => return Ok((file?, name)),
            }
        }
        Err(taken)
    }
}

/// `Ok` if the file is not there because nobody made it, and not because the store's directory is gone.
fn absent<F: Fs>(disk: &Disk<F>, error: io::Error) -> Result<(), StoreError> {
    if error.kind() != io::ErrorKind::NotFound {
        Err(error.into())
    } else if disk.fs.is_alive()? {
        Ok(())
    } else {
        Err(StoreError::backend("the store's directory was removed"))
    }
}

fn make_dir<F: Fs>(disk: &Disk<F>, name: &str) -> Result<(), StoreError> {
    match disk.fs.make_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

fn view<F: Fs>(
    disk: &Disk<F>,
    key: &RecordKey,
    file: &F::File,
    read: impl FnOnce(&F, &mut [u8]) -> io::Result<usize>,
) -> Result<View, StoreError> {
    let stat = disk.fs.stat(file)?;
    fault_of(stat).map_or(Ok(()), Err)?;
    let limit = 2 * slot::size_for(slot::HEADER.saturating_add(disk.settings.max_record_bytes));
    let size = usize::try_from(stat.len).unwrap_or(usize::MAX);
    if size > limit {
        return Err(StoreError::TooLarge { size, limit });
    }
    let mut buffer = vec![0; size];
    let count = read(&disk.fs, &mut buffer)?;
    Ok(if count < size { View::Damaged } else { View::of(key, &Bytes::from(buffer)) })
}

pub(super) fn fault_of(stat: Stat) -> Option<StoreError> {
    let linked = (stat.links > 1).then_some("it has more than one name");
    stat.fault.or(linked).map(|fault| StoreError::Corrupt(fault.into()))
}

/// What the key prints as, without the formatter: it is done for every load.
pub(super) fn name_of(key: &RecordKey) -> String {
    let digits = key.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

pub(super) fn shard_of(name: &str) -> &str {
    name.get(..2).unwrap_or_default()
}
