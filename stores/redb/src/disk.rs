//! The file as redb uses it.

use std::{
    fmt, io,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Access to the file. Tests make it fail.
pub(crate) trait Access: fmt::Debug + Send + Sync {
    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        file.read(offset, out)
    }

    fn write(&self, file: &FileBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        file.write(offset, data)
    }

    fn sync(&self, file: &FileBackend) -> io::Result<()> {
        file.sync_data()
    }
}

/// Waits for the disk.
#[derive(Debug)]
pub(crate) struct Synced;

impl Access for Synced {}

/// Lets the operating system decide when to write to the disk.
#[derive(Debug)]
pub(crate) struct Unsynced;

impl Access for Unsynced {
    fn sync(&self, _: &FileBackend) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is accessed in one of these ways.
#[derive(Debug)]
pub(crate) struct Disk {
    file: FileBackend,
    access: Arc<dyn Access>,
    was_looked_at: AtomicBool,
}

/// The length of the magic that begins redb's files. redb writes it once the rest of a new file is
/// on the disk.
const MAGIC: usize = 9;
/// The length of the header, which redb writes before, without the magic.
const HEADER: usize = 320;
/// More than redb's new files take.
const NEW: u64 = 8 << 20;

impl Disk {
    pub(crate) fn new(file: FileBackend, access: Arc<dyn Access>) -> Self {
        Self {
            file,
            access,
            was_looked_at: AtomicBool::new(false),
        }
    }

    /// Returns whether redb was killed while it created the file. redb would take such a file for
    /// another program's.
    fn is_unfinished(&self, len: u64) -> io::Result<bool> {
        if !(1..=NEW).contains(&len) {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.file.read(0, &mut bytes)?;
        let written = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        let mut places = written.map(|(place, _)| place);
        Ok(places.all(|place| (MAGIC..HEADER).contains(&place)))
    }
}

type Locked = Result<bool, BackendError>;

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let len = self.file.len()?;
        // redb's first question, once it has locked the file.
        if !self.was_looked_at.swap(true, Ordering::Relaxed) && self.is_unfinished(len)? {
            self.file.set_len(0)?;
            return Ok(0);
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.access.read(&self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.access.sync(&self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.access.write(&self.file, offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.file.query_lock_range(start, end)
    }
}
