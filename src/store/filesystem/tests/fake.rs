//! A file system in memory that fails, or loses its power, at a chosen operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::super::fs::{Access, Fs, Stat};
use crate::clock::Timestamp;

#[derive(Clone, Default)]
pub(super) struct Fake {
    shared: Arc<Mutex<State>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

type Meanwhile = (&'static str, Box<dyn FnOnce() + Send>);

#[derive(Clone, Default)]
struct State {
    /// The root is directory 0.
    dirs: BTreeMap<u64, Directory>,
    files: BTreeMap<u64, File>,
    locked: BTreeSet<u64>,
    next: u64,
    operations: usize,
    log: Vec<&'static str>,
    most_read: usize,
    plan: Option<(usize, Fault)>,
    down: bool,
    gone: bool,
    keeps_links: bool,
    uptime: Duration,
    queued: Option<Duration>,
    process: u32,
}

#[derive(Clone, Default)]
struct Directory {
    entries: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Vec<(String, Option<u64>)>>,
}

#[derive(Clone, Default)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
    hint: Option<Timestamp>,
}

#[derive(Clone)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
    /// A failed sync had it in hand: later ones do not write it again.
    doomed: bool,
}

/// What goes wrong at the chosen operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// It fails and does nothing.
    Error(i32),
    /// A write writes half and says so; others fail.
    ShortWrite,
    /// A write writes half, then the disk is full for good.
    HalfWritten(i32),
    /// It and all after it fail, as they would have after a kill.
    DownBefore,
    /// A write writes half before it goes down.
    DownMidway,
    /// It is done, and all after it fail.
    DownAfter,
}

const SECTOR: usize = 512;

/// What a power failure does to what was not synced: the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self::default();
        fake.state().dirs.insert(0, Directory::default());
        fake.state().next = 1;
        fake
    }

    pub(super) fn plan(&self, operation: usize, fault: Fault) {
        let mut state = self.state();
        state.operations = 0;
        state.log.clear();
        state.most_read = 0;
        state.plan = Some((operation, fault));
    }

    /// Has somebody else do something just before the next operation of that name.
    pub(super) fn meanwhile(&self, operation: &'static str, work: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((operation, Box::new(work)));
    }

    /// As [`meanwhile`](Self::meanwhile), for the first operation of that name after `first`.
    pub(super) fn meanwhile_after(
        &self,
        first: &'static str,
        operation: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) {
        let fake = self.clone();
        self.meanwhile(first, move || fake.meanwhile(operation, work));
    }

    /// Says whether the planned fault happened, and at what.
    pub(super) fn struck(&self) -> Option<&'static str> {
        let state = self.state();
        state
            .plan
            .and_then(|(operation, _)| state.log.get(operation - 1).copied())
    }

    /// A copy, so that one state can be tried with many faults.
    pub(super) fn fork(&self) -> Self {
        let state = State {
            plan: None,
            down: false,
            ..self.state().clone()
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
            ..Self::default()
        }
    }

    /// What is there after the process was killed.
    pub(super) fn after_kill(&self) -> Self {
        let fake = self.fork();
        fake.state().locked.clear();
        fake
    }

    /// What is there after the power failed.
    pub(super) fn after_power_failure(&self, seed: u64) -> Self {
        let fake = self.after_kill();
        let mut dice = Dice::new(seed);
        let mut state = fake.state();
        for file in state.files.values_mut() {
            for write in std::mem::take(&mut file.pending) {
                tear(&mut file.durable, &write, &mut dice);
            }
            file.content.clone_from(&file.durable);
        }
        for dir in state.dirs.values_mut() {
            for change in std::mem::take(&mut dir.pending) {
                if dice.roll(2) == 0 {
                    apply(&mut dir.durable, &change);
                }
            }
            dir.entries.clone_from(&dir.durable);
        }
        drop(state);
        fake
    }

    pub(super) fn names(&self, shard: &str) -> Vec<String> {
        let state = self.state();
        let dir = state.dirs[&0].entries.get(shard);
        dir.map(|dir| state.dirs[dir].entries.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn content(&self, shard: &str, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[&state.dirs[&state.dirs[&0].entries[shard]].entries[name]]
            .content
            .clone()
    }

    pub(super) fn set_content(&self, shard: &str, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let file = state.dirs[&state.dirs[&0].entries[shard]].entries[name];
        state.files.insert(
            file,
            File {
                content: content.clone(),
                durable: content,
                ..File::default()
            },
        );
    }

    /// Locks a file as another process would.
    pub(super) fn hold(&self, shard: &str, name: &str) {
        let mut state = self.state();
        let file = state.dirs[&state.dirs[&0].entries[shard]].entries[name];
        state.locked.insert(file);
    }

    /// Files that were removed count a link all the same.
    pub(super) fn keep_links(&self) {
        self.state().keeps_links = true;
    }

    /// Moves the clock on.
    pub(super) fn pass(&self, time: Duration) {
        self.state().uptime += time;
    }

    /// Has the thread wait for a processor.
    pub(super) fn queue(&self, time: Duration) {
        let mut state = self.state();
        state.uptime += time;
        *state.queued.get_or_insert_default() += time;
    }

    /// Goes on as a child process, which has the parent's files open.
    pub(super) fn become_child(&self) {
        self.state().process += 1;
    }

    pub(super) fn forget_hints(&self) {
        self.state()
            .files
            .values_mut()
            .for_each(|file| file.hint = None);
    }

    /// Removes the store's directory.
    pub(super) fn remove_all(&self) {
        let mut state = self.state();
        state.dirs.values_mut().for_each(|dir| dir.entries.clear());
        state.gone = true;
    }

    pub(super) fn sync_all(&self) {
        let mut state = self.state();
        state.files.values_mut().for_each(|file| {
            file.pending.clear();
            file.durable.clone_from(&file.content);
        });
        state.dirs.values_mut().for_each(|dir| {
            dir.pending.clear();
            dir.durable.clone_from(&dir.entries);
        });
    }

    /// The most bytes that a read was for.
    pub(super) fn most_read(&self) -> usize {
        self.state().most_read
    }

    pub(super) fn log(&self) -> Vec<&'static str> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap()
    }

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

pub(super) const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

fn apply(entries: &mut BTreeMap<String, u64>, change: &[(String, Option<u64>)]) {
    for (name, target) in change {
        match target {
            Some(target) => entries.insert(name.clone(), *target),
            None => entries.remove(name),
        };
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    content.resize(content.len().max(offset + bytes.len()), 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Each sector of the write is there, or not, or garbled.
fn tear(durable: &mut Vec<u8>, write: &Write, dice: &mut Dice) {
    let mut at = write.offset;
    let end = write.offset + write.bytes.len();
    let fate = dice.roll(4);
    while at < end {
        let stop = end.min((at / SECTOR + 1) * SECTOR);
        let piece = &write.bytes[at - write.offset..stop - write.offset];
        match if fate == 3 { dice.roll(3) } else { fate } {
            0 => put(durable, at, piece),
            1 => {}
            _ => put(
                durable,
                at,
                &piece
                    .iter()
                    .map(|_| dice.roll(256) as u8)
                    .collect::<Vec<_>>(),
            ),
        }
        at = stop;
    }
}

impl State {
    /// Counts an operation; the fault, if one is due that the operation has to see to itself.
    fn count(&mut self, name: &'static str) -> io::Result<Option<Fault>> {
        if self.down {
            return Err(error(EIO));
        }
        self.operations += 1;
        self.log.push(name);
        let fault = self
            .plan
            .filter(|(operation, _)| *operation == self.operations)
            .map(|(_, fault)| fault);
        self.down = matches!(
            fault,
            Some(Fault::DownBefore | Fault::DownMidway | Fault::DownAfter)
        );
        match fault {
            Some(Fault::Error(number)) => Err(error(number)),
            Some(Fault::DownBefore) => Err(error(EIO)),
            Some(Fault::ShortWrite | Fault::HalfWritten(_) | Fault::DownMidway)
                if name != "write" =>
            {
                Err(error(EIO))
            }
            fault => Ok(fault),
        }
    }

    fn entry(&self, dir: u64, name: &str) -> io::Result<u64> {
        self.dirs[&dir]
            .entries
            .get(name)
            .copied()
            .ok_or_else(|| error(ENOENT))
    }

    fn change(&mut self, dir: u64, change: Vec<(String, Option<u64>)>) {
        let dir = self.dirs.get_mut(&dir).unwrap();
        apply(&mut dir.entries, &change);
        dir.pending.push(change);
    }

    fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn stat(&self, id: u64) -> Stat {
        let links = self
            .dirs
            .values()
            .flat_map(|dir| dir.entries.values())
            .filter(|entry| **entry == id)
            .count();
        let File { content, hint, .. } = &self.files[&id];
        let links = links.max(usize::from(self.keeps_links));
        Stat {
            id: (1, id),
            links: links as u64,
            len: content.len() as u64,
            modified: 0,
            hint: *hint,
            fault: None,
        }
    }

    fn write(&mut self, id: u64, bytes: &[u8], offset: usize) {
        let file = self.files.get_mut(&id).unwrap();
        put(&mut file.content, offset, bytes);
        file.pending.push(Write {
            offset,
            bytes: bytes.to_vec(),
            doomed: false,
        });
    }
}

pub(super) struct Open {
    fs: Fake,
    id: u64,
    locked: Mutex<bool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if *self.locked.lock().unwrap() {
            self.fs.state().locked.remove(&self.id);
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

    /// A sync that fails leaves it open whether what it had in hand is on the disk; no later one
    /// writes it again.
    fn set_hint(&self, file: &Open, hint: Timestamp) -> io::Result<()> {
        self.run("hint", |state| {
            state.files.get_mut(&file.id).unwrap().hint = Some(hint);
            Ok(())
        })
    }

    fn uptime(&self) -> Duration {
        self.state().uptime
    }

    fn queued(&self) -> Option<Duration> {
        self.state().queued
    }

    fn process(&self) -> u32 {
        self.state().process
    }

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
