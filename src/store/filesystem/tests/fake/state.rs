//! The content of directories and files, in memory and on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

use super::{EIO, Fault};
use crate::{clock::Timestamp, store::filesystem::fs::Stat};

#[derive(Clone, Default)]
pub(super) struct State {
    /// The root is directory 0.
    pub(super) dirs: BTreeMap<u64, Directory>,
    pub(super) files: BTreeMap<u64, File>,
    pub(super) locked: BTreeSet<u64>,
    pub(super) next: u64,
    pub(super) operations: usize,
    pub(super) log: Vec<&'static str>,
    pub(super) most_read: usize,
    pub(super) plan: Option<(usize, Fault)>,
    pub(super) down: bool,
    pub(super) gone: bool,
    pub(super) keeps_links: bool,
    pub(super) keeps_locks: bool,
    pub(super) uptime: Duration,
    pub(super) queued: Option<Duration>,
    pub(super) process: u32,
}

#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<String, u64>,
    pub(super) durable: BTreeMap<String, u64>,
    pub(super) pending: Vec<Vec<(String, Option<u64>)>>,
}

#[derive(Clone, Default)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Write>,
    pub(super) hint: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) struct Write {
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
    /// A failed sync had it in hand, so later syncs do not write it again.
    pub(super) doomed: bool,
}

pub(super) const ENOENT: i32 = 2;
pub(super) const EEXIST: i32 = 17;

pub(super) fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

pub(super) fn apply(entries: &mut BTreeMap<String, u64>, change: &[(String, Option<u64>)]) {
    for (name, target) in change {
        match target {
            Some(target) => entries.insert(name.clone(), *target),
            None => entries.remove(name),
        };
    }
}

pub(super) fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    content.resize(content.len().max(offset + bytes.len()), 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl State {
    /// Counts an operation. Returns the fault that is due, if the operation has to simulate it
    /// itself.
    pub(super) fn count(&mut self, name: &'static str) -> io::Result<Option<Fault>> {
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

    pub(super) fn entry(&self, dir: u64, name: &str) -> io::Result<u64> {
        self.dirs[&dir]
            .entries
            .get(name)
            .copied()
            .ok_or_else(|| error(ENOENT))
    }

    pub(super) fn change(&mut self, dir: u64, change: Vec<(String, Option<u64>)>) {
        let dir = self.dirs.get_mut(&dir).unwrap();
        apply(&mut dir.entries, &change);
        dir.pending.push(change);
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn stat(&self, id: u64) -> Stat {
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

    pub(super) fn write(&mut self, id: u64, bytes: &[u8], offset: usize) {
        let file = self.files.get_mut(&id).unwrap();
        put(&mut file.content, offset, bytes);
        file.pending.push(Write {
            offset,
            bytes: bytes.to_vec(),
            doomed: false,
        });
    }
}
