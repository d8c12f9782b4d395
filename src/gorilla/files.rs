//! The files of gorilla's `FilesystemStore`.

use std::{
    fs::{self, File, OpenOptions, ReadDir},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    envelope::{OpenedCookie, SecureCookie},
    error::SecureCookieError,
    gob::Gob,
    id::GoId,
    texts::ID_BYTES,
};
use crate::clock::{Clock, Timestamp};

/// What is read of a file at most: more than a gob can be.
const MAX_LEN: u64 = 16 << 20;

/// How often a file that cannot be opened is read again, and after which pause. Go empties a file
/// before it writes it anew.
const READS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// The sessions of gorilla's `FilesystemStore`, shared with Go or taken over: a layer around the
/// [`SessionLayer`](crate::SessionLayer).
///
/// gorilla keeps a session in the file `session_<ID>`, whose text is that of a cookie of its
/// `CookieStore`. The browser has a cookie with the ID. This layer puts the file's text in the
/// place of the ID in each request, and takes it out of each response. So the session within is one
/// that is [shared](crate::SessionConfig::write_gorilla) with a `CookieStore`, and has the same
/// name and keys.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use silverback::{
///     Keys, SessionConfig, SessionLayer,
///     gorilla::{Gorilla, GorillaFiles, KeyPair, SecureCookie},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (hash_key, block_key, keys) = ([7; 32], [9; 16], Keys::generate()?);
/// // Go: sessions.NewFilesystemStore("/var/lib/app/sessions", hashKey, blockKey)
/// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
/// let files = GorillaFiles::new("/var/lib/app/sessions", "account", cookies.clone());
/// let account = SessionConfig::cookie("account", keys).write_gorilla(Gorilla::new(cookies));
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(SessionLayer::new(account))
///     .layer(files);
/// # Ok(())
/// # }
/// ```
///
/// # Beside Go
///
/// gorilla's files have no lock that two programs know. What this layer does about it:
///
/// | | gorilla | This layer |
/// |---|---|---|
/// | writes a file | in place: a reader may find it empty | by a rename: a reader finds the old text or the new one |
/// | finds a file that cannot be opened | the session is new, with an error | reads it again for some milliseconds, in case Go is writing it |
/// | saves a session whose file is gone, as after a logout | makes the file anew, under the old ID | answers 409 and sets no cookie; nothing comes back (on Linux; elsewhere, if the logout is not at the same moment) |
/// | gets an ID without a file | keeps it for the next save | a new session has a new ID |
/// | gets an ID of another form | joins it to the path, before v1.3.0 | refuses it: an ID is 52 letters and digits of base32 |
///
/// Of two requests that save one session at the same time, the later one wins, with all its values:
/// gorilla does the same. [`renew`](crate::Session::renew) keeps the ID, and
/// [`destroy`](crate::Session::destroy) removes the file, so the session is over for Go too.
///
/// A session has room for what a cookie has room for, whatever Go's `MaxLength` is; a longer file is
/// read, and written only if the session has become short enough. Files are not synced to the disk,
/// as in Go.
///
/// # Taking sessions over
///
/// With [`read_gorilla`](crate::SessionConfig::read_gorilla) instead, the first use of a session
/// moves it from its file to where the session is kept. The file is left where it is, since other
/// requests of the same page may be under way with the old cookie. The cookie of a session that has
/// moved is passed on as it is. Remove the folder when the last of Go's cookies is over.
///
/// In a store, the session goes by the ID in Go's cookie: the cookie finds it also when the file was
/// removed, and once the session has ended, neither cookie nor file brings it back.
/// [`import`](Self::import) moves all files at once.
#[derive(Clone, Debug)]
pub struct GorillaFiles {
    shared: Arc<Folder>,
    clock: Clock,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    name: String,
    cookies: SecureCookie,
}

/// What a cookie says.
#[derive(Debug)]
pub(crate) enum Presented {
    /// The session with this ID, whose file has this text.
    Open(GoId, Vec<u8>),
    /// A cookie that no browser was ever sent.
    Refused,
    /// The ID of a session without a file, or none of gorilla's.
    Other,
}

impl GorillaFiles {
    /// Takes the folder, the name of the session in Go, and the keys of Go's store.
    ///
    /// ```
    /// use silverback::gorilla::{GorillaFiles, KeyPair, SecureCookie};
    ///
    /// let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?;
    /// let files = GorillaFiles::new("/var/lib/app/sessions", "account", cookies);
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, name: impl Into<String>, cookies: SecureCookie) -> Self {
        let (path, name) = (folder.into(), name.into());
        Self {
            shared: Arc::new(Folder {
                path,
                name,
                cookies,
            }),
            clock: Clock::system(),
        }
    }

    /// Sets the clock, for tests.
    ///
    /// ```
    /// # use silverback::{Clock, gorilla::GorillaFiles};
    /// fn with_clock(files: GorillaFiles, clock: &Clock) -> GorillaFiles {
    ///     files.clock(clock.clone())
    /// }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the values of the session that a cookie names, for a program that takes sessions over
    /// in its own way. `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, though it may be there.
    ///
    /// ```
    /// # use silverback::gorilla::GorillaFiles;
    /// fn user(files: &GorillaFiles, cookie: &str) -> std::io::Result<Option<String>> {
    ///     let session = files.load(cookie)?;
    ///     Ok(session.and_then(|gob| gob.get("user")?.as_str().map(str::to_owned)))
    /// }
    /// ```
    pub fn load(&self, cookie: &str) -> io::Result<Option<Gob>> {
        let Presented::Open(_, text) = self.open(cookie.as_bytes())? else {
            return Ok(None);
        };
        let opened = self.decode(&text, |payload| Gob::decode(&payload).ok());
        Ok(opened.ok())
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn decode<P>(
        &self,
        text: &[u8],
        read: impl Fn(Vec<u8>) -> Option<P>,
    ) -> Result<P, SecureCookieError> {
        let (name, cookies) = (self.name(), &self.shared.cookies);
        let opened = cookies.decode_with(name, text, self.now(), read)?;
        Ok(opened.payload)
    }

    /// Opens the session that a cookie names.
    pub(crate) fn open(&self, cookie: &[u8]) -> io::Result<Presented> {
        let id = match self.decode(cookie, |payload| Some(GoId::of_gob(&payload, ID_BYTES))) {
            Ok(Some(id)) => id,
            // A text of a file is no cookie here: it would outlive the file.
            Ok(None) => return Ok(Presented::Refused),
            Err(SecureCookieError::InvalidBase64 | SecureCookieError::InvalidMac) => {
                return Ok(Presented::Other);
            }
            Err(_) => return Ok(Presented::Refused),
        };
        Ok(match self.read(&id)? {
            Some(text) => Presented::Open(id, text),
            None => Presented::Other,
        })
    }

    fn read(&self, id: &GoId) -> io::Result<Option<Vec<u8>>> {
        for read in 1..=READS {
            let Some(text) = found(read_file(&self.shared.path_of(id)))? else {
                return Ok(None);
            };
            match self.decode(&text, Some) {
                Ok(_) => return Ok(Some(text)),
                Err(SecureCookieError::InvalidBase64 | SecureCookieError::InvalidMac) => {}
                Err(_) => return Ok(None),
            }
            if read < READS {
                thread::sleep(PAUSE);
            }
        }
        Ok(None)
    }

    /// Whether this is the text of a session, and no cookie of another format.
    pub(crate) fn is_text(&self, value: &[u8]) -> bool {
        !matches!(
            self.decode(value, Some),
            Err(SecureCookieError::InvalidBase64 | SecureCookieError::InvalidMac)
        )
    }

    /// Keeps the text under the ID of a session that was open, or a new one, and returns the value
    /// of its cookie. `None` if the file of the open session is gone.
    pub(crate) fn save(&self, open: Option<GoId>, text: &[u8]) -> io::Result<Option<String>> {
        let (id, is_new) = match open {
            Some(id) => (id, false),
            None => (random_id()?, true),
        };
        if !self.shared.write(&id, text, is_new)? {
            return Ok(None);
        }
        let cookies = &self.shared.cookies;
        let id = id.to_gob().map_err(io::Error::other)?;
        let cookie = cookies.encode(self.name(), &id, self.now());
        cookie.map(Some).map_err(io::Error::other)
    }

    pub(crate) fn remove(&self, id: &GoId) -> io::Result<()> {
        found(fs::remove_file(self.shared.path_of(id))).map(drop)
    }
}

/// A session of a file, as its owner's visit brings it.
#[derive(Clone, Debug)]
pub(crate) struct FileSession {
    id: GoId,
    pub(crate) text: Vec<u8>,
    /// With its ID.
    pub(crate) cookie: String,
}

/// For those who read all files.
impl GorillaFiles {
    pub(crate) fn of_clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn folder(&self) -> io::Result<ReadDir> {
        fs::read_dir(&self.shared.path)
    }

    /// The IDs of the next sessions in the folder.
    pub(crate) fn ids(folder: &mut ReadDir) -> impl Iterator<Item = io::Result<GoId>> {
        folder.filter_map(|entry| {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => return Some(Err(error)),
            };
            let id = name.to_str()?.strip_prefix("session_")?;
            GoId::parse(id, ID_BYTES).map(Ok)
        })
    }

    /// The session of this ID, if Go would open it.
    pub(crate) fn session(&self, id: GoId) -> io::Result<Option<FileSession>> {
        let Some(text) = self.read(&id)? else {
            return Ok(None);
        };
        let cookies = &self.shared.cookies;
        let opened = cookies.decode(self.name(), &text, self.now());
        let Ok(OpenedCookie { saved, .. }) = opened else {
            return Ok(None);
        };
        // Go saves both at the same time.
        let id_gob = id.to_gob().map_err(io::Error::other)?;
        let cookie = cookies.encode(self.name(), &id_gob, saved);
        let cookie = cookie.map_err(io::Error::other)?;
        Ok(Some(FileSession { id, text, cookie }))
    }

    /// Removes the file of a session, unless it was written anew.
    pub(crate) fn remove_read(&self, session: &FileSession) -> io::Result<()> {
        let text = found(read_file(&self.shared.path_of(&session.id)))?;
        match text {
            Some(text) if text == session.text => self.remove(&session.id),
            _ => Ok(()),
        }
    }
}

fn random_id() -> io::Result<GoId> {
    GoId::random::<ID_BYTES>().map_err(|_| io::Error::other("no random bytes"))
}

impl Folder {
    fn path_of(&self, id: &GoId) -> PathBuf {
        self.path.join(format!("session_{}", id.as_str()))
    }

    /// Writes another file and renames it. `false` if the file that it replaces is gone.
    fn write(&self, id: &GoId, text: &[u8], is_new: bool) -> io::Result<bool> {
        let path = self.path_of(id);
        let other = self.path.join(format!(".{}", random_id()?.as_str()));
        let written = write_file(&other, text).and_then(|()| match is_new {
            true => fs::rename(&other, &path).map(|()| true),
            false => replace(&other, &path),
        });
        if !is_new || written.is_err() {
            // What was replaced, or has not replaced anything. Elsewhere than on Linux it is gone.
            drop(fs::remove_file(&other));
        }
        written
    }
}

/// `None` if there is no such file.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_LEN).read_to_end(&mut text)?;
    Ok(text)
}

/// As gorilla's files are: for nobody else.
fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file: File = options.open(path)?;
    file.write_all(text)
}

/// Exchanges the files, which takes that both are there. `false` if there is none to replace.
#[cfg(target_os = "linux")]
fn replace(other: &Path, path: &Path) -> io::Result<bool> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, other, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        // The filesystem cannot do that.
        Err(Errno::INVAL | Errno::NOSYS) => rename_over(other, path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn replace(other: &Path, path: &Path) -> io::Result<bool> {
    rename_over(other, path)
}

fn rename_over(other: &Path, path: &Path) -> io::Result<bool> {
    match path.try_exists()? {
        true => fs::rename(other, path).map(|()| true),
        false => Ok(false),
    }
}
