//! A file system in memory that fails, or loses power, at a chosen operation.
//!
//! | File | Has |
//! |---|---|
//! | `state` | the content of directories and files, in memory and on the disk |
//! | `power` | what a power failure leaves |
//! | `calls` | the operations of the store's [`Fs`](super::super::fs::Fs), each of which may fail |

mod calls;
mod power;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

pub(super) use self::power::Dice;
use self::state::{Directory, File, State};

#[derive(Clone, Default)]
pub(super) struct Fake {
    shared: Arc<Mutex<State>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

type Meanwhile = (&'static str, Box<dyn FnOnce() + Send>);

/// The fault at the chosen operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// The operation fails and does nothing.
    Error(i32),
    /// A write writes half and returns that count; other operations fail.
    ShortWrite,
    /// A write writes half and fails with this error.
    HalfWritten(i32),
    /// This operation and all after it fail, as after a kill.
    DownBefore,
    /// A write writes half, and all operations after it fail.
    DownMidway,
    /// The operation succeeds, and all after it fail.
    DownAfter,
}

pub(super) const EIO: i32 = 5;

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

    /// Runs `work`, as another process might, just before the next operation of that name.
    pub(super) fn meanwhile(&self, operation: &'static str, work: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((operation, Box::new(work)));
    }

    /// Like [`meanwhile`](Self::meanwhile), for the first operation of that name after `first`.
    pub(super) fn meanwhile_after(
        &self,
        first: &'static str,
        operation: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) {
        let fake = self.clone();
        self.meanwhile(first, move || fake.meanwhile(operation, work));
    }

    /// Returns the operation at which the planned fault happened, if it did.
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

    /// The state after the process was killed.
    pub(super) fn after_kill(&self) -> Self {
        let fake = self.fork();
        fake.state().locked.clear();
        fake
    }

    /// The state after the power failed.
    pub(super) fn after_power_failure(&self, seed: u64) -> Self {
        let fake = self.after_kill();
        fake.state().lose_power(&mut Dice::new(seed));
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

    /// Gives a file another name.
    pub(super) fn link(&self, shard: &str, name: &str, other: &str) {
        let mut state = self.state();
        let dir = state.dirs[&0].entries[shard];
        let file = state.dirs[&dir].entries[name];
        state.change(dir, vec![(other.to_owned(), Some(file))]);
    }

    /// Locks a file as another process would.
    pub(super) fn hold(&self, shard: &str, name: &str) {
        let mut state = self.state();
        let file = state.dirs[&state.dirs[&0].entries[shard]].entries[name];
        state.locked.insert(file);
    }

    /// Makes removed files count a link all the same.
    pub(super) fn keep_links(&self) {
        self.state().keeps_links = true;
    }

    /// Advances the clock.
    pub(super) fn pass(&self, time: Duration) {
        self.state().uptime += time;
    }

    /// Makes the thread wait for a processor.
    pub(super) fn queue(&self, time: Duration) {
        let mut state = self.state();
        state.uptime += time;
        *state.queued.get_or_insert_default() += time;
    }

    /// Has a child process hold copies of all open files: closing one releases no lock.
    pub(super) fn keep_locks(&self) {
        self.state().keeps_locks = true;
    }

    /// Continues as a child process, which shares the parent's open files.
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

    /// The size of the largest read.
    pub(super) fn most_read(&self) -> usize {
        self.state().most_read
    }

    pub(super) fn log(&self) -> Vec<&'static str> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap()
    }
}
