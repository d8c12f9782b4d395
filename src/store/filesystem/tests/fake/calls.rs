//! The operations of the store's `Fs`, each of which may fail.

use std::{io, sync::Mutex, time::Duration};

use super::{
    EIO, Fake, Fault,
    power::Dice,
    state::{Directory, EEXIST, File, State, error, put},
};
use crate::{
    clock::Timestamp,
    store::filesystem::fs::{Access, Fs, Stat},
};

impl Fake {
    fn interrupt(&self, name: &'static str) {
        let due = self
            .meanwhile
            .lock()
            .unwrap()
            .take_if(|(operation, _)| *operation == name);
        if let Some((_, work)) = due {
            work();
        }
    }

    fn open_as(&self, operation: &'static str, path: &str) -> io::Result<Open> {
        let (shard, name) = path.split_once('/').unwrap();
        let id = self.run(operation, |state| {
            state.entry(0, shard).and_then(|dir| state.entry(dir, name))
        })?;
        Ok(Open {
            fs: self.clone(),
            id,
            locked: Mutex::default(),
        })
    }

    fn run<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.interrupt(name);
        let mut state = self.state();
        let fault = state.count(name)?;
        let done = work(&mut state);
        if fault == Some(Fault::DownAfter) {
            return Err(error(EIO));
        }
        done
    }
}

pub(crate) struct Open {
    fs: Fake,
    id: u64,
    locked: Mutex<bool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if *self.locked.lock().unwrap() {
            let mut state = self.fs.state();
            if !state.keeps_locks {
                state.locked.remove(&self.id);
            }
        }
    }
}

impl Fs for Fake {
    type Dir = u64;
    type File = Open;

    fn is_alive(&self) -> io::Result<bool> {
        self.run("is alive", |state| Ok(!state.gone))
    }

    fn open_dir(&self, name: &str) -> io::Result<u64> {
        self.run("open directory", |state| state.entry(0, name))
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        self.run("make directory", |state| {
            if state.entry(0, name).is_ok() {
                return Err(error(EEXIST));
            }
            let id = state.new_id();
            state.dirs.insert(id, Directory::default());
            state.change(0, vec![(name.to_owned(), Some(id))]);
            Ok(())
        })
    }

    fn sync_root(&self) -> io::Result<()> {
        self.sync_dir(&0)
    }

    fn list(&self, dir: &u64) -> io::Result<Vec<String>> {
        self.run("list", |state| {
            Ok(state.dirs[dir].entries.keys().cloned().collect())
        })
    }

    fn sync_dir(&self, dir: &u64) -> io::Result<()> {
        self.run("sync directory", |state| {
            let dir = state.dirs.get_mut(dir).unwrap();
            dir.pending.clear();
            dir.durable.clone_from(&dir.entries);
            Ok(())
        })
    }

    fn stat_at(&self, dir: &u64, name: &str) -> io::Result<Stat> {
        self.run("stat at", |state| {
            state.entry(*dir, name).map(|id| state.stat(id))
        })
    }

    fn unlink(&self, dir: &u64, name: &str) -> io::Result<()> {
        self.run("unlink", |state| {
            state.entry(*dir, name)?;
            state.change(*dir, vec![(name.to_owned(), None)]);
            Ok(())
        })
    }

    fn rename(&self, from: (&u64, &str), to: (&u64, &str)) -> io::Result<()> {
        self.run("rename", |state| {
            let id = state.entry(*from.0, from.1)?;
            if from.0 == to.0 {
                state.change(
                    *from.0,
                    vec![(from.1.to_owned(), None), (to.1.to_owned(), Some(id))],
                );
            } else {
                state.change(*from.0, vec![(from.1.to_owned(), None)]);
                state.change(*to.0, vec![(to.1.to_owned(), Some(id))]);
            }
            Ok(())
        })
    }

    fn rename_new(&self, dir: &u64, from: &str, to: &str) -> io::Result<()> {
        self.run("rename new", |state| {
            let id = state.entry(*dir, from)?;
            if state.entry(*dir, to).is_ok() {
                return Err(error(EEXIST));
            }
            state.change(
                *dir,
                vec![(from.to_owned(), None), (to.to_owned(), Some(id))],
            );
            Ok(())
        })
    }

    fn create(&self, dir: &u64, name: &str) -> io::Result<Open> {
        self.run("create", |state| {
            if state.entry(*dir, name).is_ok() {
                return Err(error(EEXIST));
            }
            let id = state.new_id();
            state.files.insert(id, File::default());
            state.change(*dir, vec![(name.to_owned(), Some(id))]);
            Ok(Open {
                fs: self.clone(),
                id,
                locked: Mutex::default(),
            })
        })
    }

    fn open(&self, path: &str, _access: Access) -> io::Result<Open> {
        self.open_as("open", path)
    }

    fn open_cached(&self, path: &str, _access: Access) -> io::Result<Open> {
        self.open_as("open cached", path)
    }

    fn stat(&self, file: &Open) -> io::Result<Stat> {
        self.run("stat", |state| Ok(state.stat(file.id)))
    }

    fn try_lock(&self, file: &Open) -> io::Result<bool> {
        let locked = self.run("lock", |state| Ok(state.locked.insert(file.id)))?;
        *file.locked.lock().unwrap() |= locked;
        Ok(locked)
    }

    fn unlock(&self, file: &Open) -> io::Result<()> {
        let mut locked = file.locked.lock().unwrap();
        if std::mem::take(&mut *locked) {
            self.state().locked.remove(&file.id);
        }
        Ok(())
    }

    fn read_at(&self, file: &Open, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.run("read", |state| {
            state.most_read = state.most_read.max(buffer.len());
            let rest = state.files[&file.id]
                .content
                .get(offset as usize..)
                .unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn read_cached(&self, file: &Open, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(file, buffer, 0)
    }

    fn write_at(&self, file: &Open, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.interrupt("write");
        let mut state = self.state();
        let fault = state.count("write")?;
        let count = match fault {
            Some(Fault::ShortWrite | Fault::HalfWritten(_) | Fault::DownMidway) => bytes.len() / 2,
            _ => bytes.len(),
        };
        state.write(file.id, &bytes[..count], offset as usize);
        match fault {
            Some(Fault::HalfWritten(number)) => Err(error(number)),
            Some(Fault::DownMidway | Fault::DownAfter) => Err(error(EIO)),
            _ => Ok(count),
        }
    }

    fn set_hint(&self, file: &Open, hint: Timestamp) -> io::Result<()> {
        self.run("hint", |state| {
            state.files.get_mut(&file.id).unwrap().hint = Some(hint);
            Ok(())
        })
    }

    fn uptime(&self) -> Duration {
        self.state().uptime
    }

    fn queued(&self, _uptime: Duration, _ago: Duration) -> Option<Duration> {
        self.state().queued
    }

    fn process(&self) -> u32 {
        self.state().process
    }

    /// After a failed sync, the writes it had in hand may be on the disk or not, and no later sync
    /// writes them again.
    fn sync_data(&self, file: &Open) -> io::Result<()> {
        self.interrupt("sync file");
        let mut state = self.state();
        let counted = state.count("sync file");
        let seed = state.operations as u64;
        let file = state.files.get_mut(&file.id).unwrap();
        if counted.is_err() {
            file.pending
                .iter_mut()
                .for_each(|write| write.doomed = true);
        } else {
            let mut dice = Dice::new(seed);
            for write in std::mem::take(&mut file.pending) {
                if !write.doomed || dice.roll(2) == 0 {
                    put(&mut file.durable, write.offset, &write.bytes);
                }
            }
        }
        match counted? {
            Some(Fault::DownAfter) => Err(error(EIO)),
            _ => Ok(()),
        }
    }
}
