//! The files of gorilla's `FilesystemStore`.

use std::{
    fs::{self, File, OpenOptions, ReadDir, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::runtime::Handle;

use super::records::{GoRecord, GoRecords};
use crate::{
    gorilla::{GoData, GoId, GoLayout},
    store::StoreError,
};

/// The most that is read of a file. No gob is as long.
const MAX_LEN: u64 = 16 << 20;

/// How often a lock is tried, and the pause in between. A lock is held for microseconds.
const TRIES: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The files of gorilla's `FilesystemStore`, for [`GorillaRecords`](crate::GorillaRecords).
///
/// gorilla keeps a session in the file `session_<ID>`, in the format of a `CookieStore` cookie. The
/// browser has a cookie with the ID.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use silverback::{
///     GorillaFiles, GorillaRecords, Keys, SessionConfig, SessionLayer,
///     gorilla::{Gorilla, KeyPair, SecureCookie},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
/// // Go: sessions.NewFilesystemStore("/var/lib/app/sessions", hashKey, blockKey)
/// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
/// let files = GorillaFiles::new("/var/lib/app/sessions");
/// let records = GorillaRecords::new(files, "account", Gorilla::new(cookies));
/// let account = SessionConfig::cookie("account", keys).write_gorilla(records.session_format());
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(SessionLayer::new(account))
///     .layer(records);
/// # Ok(())
/// # }
/// ```
///
/// # Beside Go
///
/// Go ignores locks on its files. In addition to the [rules for all of Go's
/// stores](crate::GorillaRecords#beside-go):
///
/// | | gorilla | This crate |
/// |---|---|---|
/// | writes a file | in place: a reader may find it empty | by a rename: a reader finds the old text or the new one |
/// | finds a file that cannot be opened | the session is new, with an error | reads it again for up to an eighth of a second, in case Go is writing it |
/// | two programs in Rust save one session | | one after the other, by `flock`, so both changes are kept |
/// | Go saves while Rust does | the later one wins, with all its values | Rust finds whatever Go wrote before the rename, and merges with it |
/// | gets an ID of another form | joins it to the path, before v1.3.0 | refuses it: an ID is 52 letters and digits of base32 |
///
/// On Linux, an ended session does not come back. Elsewhere, a logout at the very moment of a save
/// may be lost.
///
/// As in Go, files are not synced to the disk, and the files of expired sessions are not removed.
#[derive(Clone, Debug)]
pub struct GorillaFiles {
    folder: Arc<Folder>,
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl GorillaFiles {
    /// Uses the folder of Go's store, which must exist.
    ///
    /// ```
    /// use silverback::GorillaFiles;
    ///
    /// let files = GorillaFiles::new("/var/lib/app/sessions");
    /// ```
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let path = folder.into();
        Self {
            folder: Arc::new(Folder { path }),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        match Handle::try_current() {
            Ok(runtime) => {
                let working = runtime.spawn_blocking(move || work(&folder));
                Ok(working.await.map_err(StoreError::unavailable)??)
            }
            Err(_) => Ok(work(&folder)?),
        }
    }
}

impl GoRecords for GorillaFiles {
    fn layout(&self) -> GoLayout {
        GoLayout::signed_ids(GoData::Text).written_in_place()
    }

    async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
        let id = id.to_owned();
        let text = self.run(move |folder| folder.read(&id)).await?;
        Ok(text.map(GoRecord::new))
    }

    async fn create(&self, id: &str, data: &[u8], _: Duration) -> Result<(), StoreError> {
        let (id, data) = (id.to_owned(), data.to_vec());
        self.run(move |folder| folder.create(&id, &data)).await
    }

    async fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        _: Duration,
    ) -> Result<bool, StoreError> {
        let (id, old, new) = (id.to_owned(), old.to_vec(), new.to_vec());
        self.run(move |folder| folder.replace(&id, &old, &new))
            .await
    }

    async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        let (id, expected) = (id.to_owned(), expected.map(<[u8]>::to_vec));
        let remove = move |folder: &Folder| match expected {
            Some(text) => folder.remove_read(&id, &text),
            None => folder.remove(&id),
        };
        self.run(remove).await
    }
}

impl Folder {
    fn path_of(&self, id: &str) -> PathBuf {
        self.path.join(format!("session_{id}"))
    }

    /// Makes a file with this text beside the sessions. It is locked already, for the moment when
    /// it becomes a session's file.
    fn draft(&self, text: &[u8]) -> io::Result<Draft> {
        let name = GoId::random::<16>().map_err(|_| io::Error::other("no random bytes"))?;
        let path = self.path.join(format!(".{}", name.as_str()));
        // Readable by this user alone, like gorilla's files.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut draft = Draft {
            file: options.open(&path)?,
            path,
        };
        lock(&draft.file)?;
        draft.file.write_all(text)?;
        Ok(draft)
    }

    /// Opens the folder, to list its files.
    pub(super) fn open(&self) -> io::Result<ReadDir> {
        fs::read_dir(&self.path)
    }

    fn read(&self, id: &str) -> io::Result<Option<Vec<u8>>> {
        found(read_file(&self.path_of(id)))
    }

    fn create(&self, id: &str, text: &[u8]) -> io::Result<()> {
        fs::rename(&self.draft(text)?.path, self.path_of(id))
    }

    fn replace(&self, id: &str, old: &[u8], new: &[u8]) -> io::Result<bool> {
        let path = self.path_of(id);
        let Some(locked) = found(Locked::of(&path))?.flatten() else {
            return Ok(false);
        };
        if locked.text()? != old {
            return Ok(false);
        }
        put_in_place(&self.draft(new)?.path, &path, old)
    }

    fn remove(&self, id: &str) -> io::Result<bool> {
        let removed = found(fs::remove_file(self.path_of(id)))?;
        Ok(removed.is_some())
    }

    /// Removes the file of a session if it still has this text. Returns whether it had.
    pub(super) fn remove_read(&self, id: &str, text: &[u8]) -> io::Result<bool> {
        let locked = found(Locked::of(&self.path_of(id)))?.flatten();
        match locked {
            Some(locked) if locked.text()? == text => self.remove(id),
            _ => Ok(false),
        }
    }
}

/// Returns the IDs of the remaining sessions in the folder.
pub(super) fn ids(folder: &mut ReadDir) -> impl Iterator<Item = io::Result<GoId>> {
    folder.filter_map(|entry| {
        let name = match entry {
            Ok(entry) => entry.file_name(),
            Err(error) => return Some(Err(error)),
        };
        let id = name.to_str()?.strip_prefix("session_")?;
        GoId::parse(id, GoId::SIGNED).map(Ok)
    })
}

/// The future file of a session or, after the exchange, its former file.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is no file.
        drop(fs::remove_file(&self.path));
    }
}

/// A locked file of a session, which no other program that uses this crate replaces.
struct Locked(File);

impl Locked {
    /// Returns `None` if the file was replaced before the lock was acquired.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        Self::at(path, Self::open(path)?)
    }

    fn open(path: &Path) -> io::Result<File> {
        // Some network filesystems lock only files that are open for writing.
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn at(path: &Path, file: File) -> io::Result<Option<Self>> {
        lock(&file)?;
        let (this, there) = (file.metadata()?, fs::metadata(path)?);
        let is_there = (this.dev(), this.ino()) == (there.dev(), there.ino());
        Ok(is_there.then_some(Self(file)))
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        read(&self.0)
    }
}

/// Waits for the lock, but not forever: its holder may be stopped.
fn lock(file: &File) -> io::Result<()> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            done => return Ok(done?),
        }
    }
    Ok(file.try_lock()?)
}

/// Turns "not found" into `None`.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut text)?;
    Ok(text)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read(&File::open(path)?)
}

/// Exchanges the draft with a file that had the text `old`. Returns `false` if the file is gone, or
/// if Go has written it since.
#[cfg(target_os = "linux")]
fn put_in_place(draft: &Path, path: &Path, old: &[u8]) -> io::Result<bool> {
    use rustix::io::Errno;

    match exchange(draft, path) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        // The filesystem cannot exchange files.
        Err(Errno::INVAL | Errno::NOSYS) => return rename_over(draft, path),
        Err(error) => return Err(error.into()),
    }
    if read_file(draft)? == old {
        return Ok(true);
    }
    match exchange(draft, path) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Exchanges two files, which must both exist.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

#[cfg(not(target_os = "linux"))]
fn put_in_place(draft: &Path, path: &Path, _: &[u8]) -> io::Result<bool> {
    rename_over(draft, path)
}

fn rename_over(draft: &Path, path: &Path) -> io::Result<bool> {
    match path.try_exists()? {
        true => fs::rename(draft, path).map(|()| true),
        false => Ok(false),
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AEERCGJBFEYTSQKJKFMWC2LRPGAYTEMZUGU3DOOBZHI5TYPJ6H4Q";

    struct Place {
        temp: tempfile::TempDir,
        folder: Folder,
    }

    impl Place {
        fn with(text: &[u8]) -> Self {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().to_owned();
            let folder = Folder { path };
            folder.create(ID, text).unwrap();
            Self { temp, folder }
        }

        fn text(&self) -> Option<Vec<u8>> {
            self.folder.read(ID).unwrap()
        }

        fn files(&self) -> usize {
            fs::read_dir(self.temp.path()).unwrap().count()
        }
    }

    #[test]
    fn a_text_is_replaced_only_by_those_who_know_it() {
        let place = Place::with(b"one");
        assert!(!place.folder.replace(ID, b"zero", b"two").unwrap());
        assert_eq!(place.text().unwrap(), b"one");
        assert!(place.folder.replace(ID, b"one", b"two").unwrap());
        assert_eq!(place.text().unwrap(), b"two");
        assert!(place.folder.remove(ID).unwrap());
        assert!(!place.folder.remove(ID).unwrap());
        assert!(!place.folder.replace(ID, b"two", b"three").unwrap());
        assert_eq!((place.text(), place.files()), (None, 0));
    }

    /// Go has the file open, and writes after this crate has compared the text.
    #[test]
    fn a_concurrent_write_of_go_stays() {
        let place = Place::with(b"one");
        let path = place.folder.path_of(ID);
        fs::write(&path, b"of Go").unwrap();
        let draft = place.folder.draft(b"two").unwrap();
        assert!(!put_in_place(&draft.path, &path, b"one").unwrap());
        drop(draft);
        assert_eq!(
            (place.text().unwrap(), place.files()),
            (b"of Go".to_vec(), 1)
        );
        fs::remove_file(&path).unwrap();
        let draft = place.folder.draft(b"two").unwrap();
        assert!(!put_in_place(&draft.path, &path, b"of Go").unwrap());
        drop(draft);
        assert_eq!((place.text(), place.files()), (None, 0), "a logout wins");
    }

    #[test]
    fn no_increment_is_lost() {
        const EACH: u32 = 200;
        let place = Place::with(b"0");
        let count = || {
            let text = place.text().unwrap();
            std::str::from_utf8(&text).unwrap().parse::<u32>().unwrap()
        };
        let add = || {
            for _ in 0..EACH {
                loop {
                    let count = count();
                    let [old, new] = [count, count + 1].map(|count| count.to_string());
                    let [old, new] = [&old, &new].map(String::as_bytes);
                    if place.folder.replace(ID, old, new).unwrap() {
                        break;
                    }
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(add))));
        assert_eq!((count(), place.files()), (4 * EACH, 1));
    }

    /// It becomes a session's file before it is known whether Go has written meanwhile.
    #[test]
    fn a_draft_is_locked() {
        let place = Place::with(b"one");
        let draft = place.folder.draft(b"two").unwrap();
        let other = Locked::open(&draft.path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    }

    #[test]
    fn a_replaced_file_cannot_be_locked() {
        let place = Place::with(b"one");
        let (path, open) = (place.folder.path_of(ID), || {
            Locked::open(&place.folder.path_of(ID)).unwrap()
        });
        let (early, late) = (open(), open());
        assert!(Locked::at(&path, early).unwrap().is_some());
        assert!(place.folder.replace(ID, b"one", b"two").unwrap());
        assert!(Locked::at(&path, late).unwrap().is_none());
        let locked = Locked::at(&path, open()).unwrap().unwrap();
        assert_eq!(locked.text().unwrap(), b"two");
    }

    #[test]
    fn a_text_is_removed_only_by_those_who_know_it() {
        let place = Place::with(b"one");
        assert!(!place.folder.remove_read(ID, b"zero").unwrap());
        assert_eq!(place.files(), 1);
        assert!(place.folder.remove_read(ID, b"one").unwrap());
        assert!(!place.folder.remove_read(ID, b"one").unwrap());
        assert_eq!(place.files(), 0);
    }
}
