//! The file: opening it, reading, writing in transactions, and reopening it if redb refuses to work.

use std::{
    fs::{File as OsFile, OpenOptions},
    io, mem,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{Database, ReadOnlyTable, ReadableDatabase, TransactionError, backends::FileBackend};
use silverback::Timestamp;

use crate::{
    disk::{Access, Disk},
    error::{Fault, OpenError},
    operation::{Operation, Outcome, Records, TABLE},
};

/// How a file is opened.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) path: PathBuf,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) cache_bytes: usize,
    pub(crate) checks: bool,
}

/// A file of records.
#[derive(Debug)]
pub(crate) struct File {
    way: Way,
    database: RwLock<Result<Database, Closed>>,
    /// redb refuses to work until the file is reopened.
    is_broken: AtomicBool,
}

/// Why the file could not be reopened. `None` while it is being reopened, and after closing.
type Closed = Option<Arc<OpenError>>;

/// The records as of the last commit.
pub(crate) type Snapshot = ReadOnlyTable<&'static [u8; 32], &'static [u8]>;

impl File {
    pub(crate) fn open(way: Way) -> Result<Self, OpenError> {
        let database = way.open()?;
        Ok(Self {
            way,
            database: RwLock::new(Ok(database)),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Reads committed records.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, redb::Error>,
    ) -> Result<T, Fault> {
        self.with(|database| {
            let read = database.begin_read().map_err(Fault::undone)?;
            let table = read.open_table(TABLE).map_err(Fault::undone)?;
            work(&table).map_err(Fault::Undone)
        })
    }

    /// Applies all operations in one transaction, which is on the disk when this returns.
    pub(crate) fn write<'a>(
        &self,
        operations: impl Iterator<Item = &'a Operation>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, Fault> {
        self.with(|database| {
            let write = database.begin_write().map_err(Fault::undone)?;
            let mut table: Records<'_> = write.open_table(TABLE).map_err(Fault::undone)?;
            let apply = |operation: &Operation| operation.apply(&mut table, now);
            let outcomes = operations.map(apply).collect::<Result<Vec<_>, _>>()?;
            drop(table);
            if outcomes.iter().any(|outcome| matches!(outcome, Ok(true))) {
                write.commit().map_err(Fault::unknown)?;
            } else {
                write.abort()?;
            }
            Ok(outcomes)
        })
    }

    /// Runs work on the database. redb may panic on a file that was damaged while it was open,
    /// which must not end the thread that all writes depend on.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database
            .as_ref()
            .map_err(|why| Fault::Closed(why.clone()))?;
        let done = panic::catch_unwind(AssertUnwindSafe(|| {
            let done = work(database);
            (done.is_err() && refuses_work(database), done)
        }));
        let (is_broken, done) = done.unwrap_or((true, Err(Fault::Panicked)));
        if is_broken {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Reopens the file if redb refuses to work. Until then, its users get errors.
    pub(crate) fn mend(&self) {
        if self.is_broken.load(Ordering::Relaxed) {
            self.close();
            let opened = self.way.reopen().map_err(|why| Some(Arc::new(why)));
            self.is_broken.store(opened.is_err(), Ordering::Relaxed);
            *self.slot() = opened;
        }
    }

    /// Closes the file, after its readers.
    pub(crate) fn close(&self) {
        let mut slot = self.slot();
        if slot.is_err() {
            return;
        }
        let closing = mem::replace(&mut *slot, Err(None));
        drop(slot);
        // Closing writes what makes the next opening quick. After an error, the next opening does
        // that.
        drop(panic::catch_unwind(AssertUnwindSafe(|| drop(closing))));
    }

    fn slot(&self) -> RwLockWriteGuard<'_, Result<Database, Closed>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether redb refuses to work until the file is reopened: after an error of the disk, or
/// in a commit.
fn refuses_work(database: &Database) -> bool {
    match database.try_begin_write() {
        Ok(write) => write.abort().is_err(),
        Err(TransactionError::WouldBlock) => false,
        Err(_) => true,
    }
}

impl Way {
    /// Opens the file, or creates it.
    fn open(&self) -> Result<Database, OpenError> {
        let is_new = !self.path.exists();
        let database = self.open_file(private(&self.path)?, self.checks)?;
        if is_new {
            sync_name(&self.path)?;
        }
        Ok(database)
    }

    /// Opens the file that was open before. redb reads all of it if it has to. A file that is
    /// missing is not created: its disk may be, and the sessions in it.
    fn reopen(&self) -> Result<Database, OpenError> {
        let file = OsFile::options().read(true).write(true).open(&self.path)?;
        self.open_file(file, false)
    }

    fn open_file(&self, file: OsFile, checks: bool) -> Result<Database, OpenError> {
        let disk = Disk::new(FileBackend::new(file)?, Arc::clone(&self.access));
        let mut builder = Database::builder();
        builder
            .set_cache_size(self.cache_bytes)
            .set_check_integrity_on_open(checks);
        let opened = panic::catch_unwind(AssertUnwindSafe(|| {
            let database = builder.create_with_backend(disk)?;
            make_table(&database)?;
            Ok(database)
        }));
        opened.unwrap_or_else(|_| Err(OpenError::Damaged("redb panicked over it".into())))
    }
}

/// Makes the table, so that readers find one even if nothing was ever written.
fn make_table(database: &Database) -> Result<(), OpenError> {
    let of = |error: redb::Error| OpenError::from(error);
    let read = database.begin_read().map_err(|error| of(error.into()))?;
    match read.open_table(TABLE) {
        Ok(_) => return Ok(()),
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(of(error.into())),
    }
    let write = database.begin_write().map_err(|error| of(error.into()))?;
    drop(write.open_table(TABLE).map_err(|error| of(error.into()))?);
    write.commit().map_err(|error| of(error.into()))
}

/// Opens a file. If it is new, only its owner can read it.
fn private(path: &Path) -> io::Result<OsFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Syncs the name of a new file.
#[cfg(unix)]
fn sync_name(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    OsFile::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_name(_: &Path) -> io::Result<()> {
    Ok(())
}
