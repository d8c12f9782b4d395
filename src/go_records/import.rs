//! Moving gorilla's files into a store, without their visitors.

use std::{fs::ReadDir, sync::Arc};

use http::HeaderValue;

use super::{
    files::{GorillaFiles, ids},
    kept::{Claim, GorillaRecords, Opened},
};
use crate::{
    config::{SessionConfig, Settings},
    error::{ConfigError, Error, Rejection},
    gorilla::GoId,
    request::{Registry, Shared},
    session::Session,
    store::StoreError,
};

/// Moves the sessions of a folder of gorilla's `FilesystemStore` into the store of a session, for
/// visitors who have not come yet: [`GorillaRecords::import`].
///
/// It is the visit of each session's owner, without the owner: the session gets a record, and the
/// cookie that Go has given its owner finds that record from then on, by [`GorillaRecords`] around a
/// layer with the same settings. So the application may run meanwhile. A session that its owner has
/// brought already is left as it is, and one that has ended does not come back.
///
/// You may stop at any point, also by killing the process: the next import passes over what the
/// store has. Files stay, unless you ask to [remove](Self::remove_files) them.
///
/// ```
/// use silverback::{GorillaFiles, GorillaRecords, SessionConfig};
///
/// async fn import(
///     records: &GorillaRecords<GorillaFiles>,
///     account: SessionConfig, // in a store, and not in a cookie
/// ) -> Result<u64, Box<dyn std::error::Error>> {
///     let account = account.read_gorilla(records.session_format());
///     let (mut import, mut moved) = (records.import(&account)?, 0);
///     loop {
///         let step = import.step(1_000).await?;
///         moved += step.moved();
///         if step.is_finished() {
///             return Ok(moved);
///         }
///     }
/// }
/// ```
///
/// # What becomes of a session
///
/// It counts as made when Go saved it last, and as used when it is imported: with an idle timeout of
/// a day, its owner has a day to come.
#[derive(Debug)]
pub struct GorillaImport {
    records: GorillaRecords<GorillaFiles>,
    shared: Arc<Shared>,
    /// Where in the folder it is.
    folder: Option<ReadDir>,
    removes: bool,
}

/// What a [step](GorillaImport::step) has done.
#[derive(Debug, Default)]
pub struct GorillaImported {
    moved: u64,
    over: u64,
    refused: u64,
    failed: u64,
    error: Option<Error>,
    is_finished: bool,
}

/// What a file was.
enum Taken {
    Moved,
    Over,
    Refused,
}

impl GorillaRecords<GorillaFiles> {
    /// Starts an import of these files into the store of a session.
    ///
    /// # Errors
    ///
    /// Those of [`SessionLayer::try_new`](crate::SessionLayer::try_new), and
    /// [`ConfigError::NoEffect`] for a session in a cookie, of another name, or without
    /// [`read_gorilla`](SessionConfig::read_gorilla) of
    /// [`session_format`](GorillaRecords::session_format).
    ///
    /// ```
    /// # use silverback::gorilla::{Gorilla, KeyPair, SecureCookie};
    /// use silverback::{GorillaFiles, GorillaRecords, Key, MemoryStore, SessionConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?;
    /// let files = GorillaFiles::new("/var/lib/app/sessions");
    /// let records = GorillaRecords::new(files, "account", Gorilla::new(cookies));
    /// let account = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// let import = records.import(&account.read_gorilla(records.session_format()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn import(&self, config: &SessionConfig) -> Result<GorillaImport, ConfigError> {
        let settings = config.build()?;
        let is_read = |named: &Settings| *named.cookie_name == *self.name;
        if !(settings.takes_in() && settings.names().any(is_read)) {
            return Err(ConfigError::NoEffect {
                setting: "import",
                session: "a session in a cookie, of another name, or without `.read_gorilla(..)`",
            });
        }
        Ok(GorillaImport {
            records: self.clone(),
            shared: Arc::new(Shared::of(Arc::new(settings), self.clock.clone())),
            folder: None,
            removes: false,
        })
    }
}

impl GorillaImport {
    /// Removes each file once its session is in the store, or over. Only a Go program reads it then,
    /// so switch that off first.
    ///
    /// ```
    /// # use silverback::GorillaImport;
    /// fn clean(import: GorillaImport) -> GorillaImport {
    ///     import.remove_files()
    /// }
    /// ```
    #[must_use]
    pub fn remove_files(mut self) -> Self {
        self.removes = true;
        self
    }

    /// Imports up to so many files. After the last one, the next step starts anew.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read. A file that cannot, or a store that fails, is
    /// [counted](GorillaImported::failed), and its file stays.
    ///
    /// ```
    /// # use silverback::GorillaImport;
    /// # use silverback::store::StoreError;
    /// async fn some(import: &mut GorillaImport) -> Result<(), StoreError> {
    ///     let step = import.step(100).await?;
    ///     println!("{} moved, {} over", step.moved(), step.over());
    ///     Ok(())
    /// }
    /// ```
    pub async fn step(&mut self, count: usize) -> Result<GorillaImported, StoreError> {
        let (files, folder) = (&self.records.records, self.folder.take());
        let list = files.run(move |files| {
            let mut folder = folder.map_or_else(|| files.open(), Ok)?;
            let ids: Vec<_> = ids(&mut folder)
                .take(count.max(1))
                .collect::<Result<_, _>>()?;
            Ok((folder, ids))
        });
        let (folder, ids) = list.await?;
        let mut step = GorillaImported {
            is_finished: ids.len() < count.max(1),
            ..GorillaImported::default()
        };
        for id in ids {
            match self.take(id).await {
                Ok(Taken::Moved) => step.moved += 1,
                Ok(Taken::Over) => step.over += 1,
                Ok(Taken::Refused) => step.refused += 1,
                Err(error) => {
                    step.failed += 1;
                    step.error.get_or_insert(error);
                }
            }
        }
        self.folder = (!step.is_finished).then_some(folder);
        Ok(step)
    }

    async fn take(&self, id: GoId) -> Result<Taken, Error> {
        let claim = Claim { id, made: None };
        let Some(opened) = self.records.open(&claim).await? else {
            return Ok(Taken::Refused);
        };
        let taken = self.visit(&opened).await?;
        if self.removes && !matches!(taken, Taken::Refused) {
            let Opened { id, data, .. } = opened;
            let files = &self.records.records;
            let remove = files.run(move |files| files.remove_read(id.as_str(), &data));
            remove.await?;
        }
        Ok(taken)
    }

    /// Opens the session as a request would that has its owner's cookie.
    async fn visit(&self, opened: &Opened) -> Result<Taken, Error> {
        let carried = self.records.carry(opened)?;
        let header = [&*self.records.name, "=", &carried].concat();
        let header = HeaderValue::try_from(header).map_err(StoreError::refused)?;
        let registry = Registry::new(Arc::clone(&self.shared), [&header], false);
        let session = Session::from(registry.first());
        session.load().await?;
        Ok(match session.rejection() {
            None => Taken::Moved,
            Some(Rejection::Revoked | Rejection::Ended | Rejection::Renewed) => Taken::Over,
            Some(_) => Taken::Refused,
        })
    }
}

impl GorillaImported {
    /// How many sessions are in the store now, and were in it before if an import passed over them.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// How many sessions had been moved before, and have ended since.
    #[must_use]
    pub const fn over(&self) -> u64 {
        self.over
    }

    /// How many files hold no session that Go would open: they are too old, damaged, or of other
    /// keys.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// How many files could not be read, or sessions saved. Another import tries them again.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first of the errors of those that failed.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Whether this was the last step.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Adds up two steps, of which `other` is the later one.
    ///
    /// ```
    /// use silverback::GorillaImported;
    ///
    /// let mut all = GorillaImported::default();
    /// all.add(GorillaImported::default());
    /// assert_eq!(all.moved(), 0);
    /// ```
    pub fn add(&mut self, other: Self) {
        self.moved += other.moved;
        self.over += other.over;
        self.refused += other.refused;
        self.failed += other.failed;
        self.error = self.error.take().or(other.error);
        self.is_finished = other.is_finished;
    }
}
