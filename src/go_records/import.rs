//! Moves gorilla's files into a store, without waiting for their visitors.

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
    turn::Origin,
};

/// Moves the sessions in a folder of gorilla's `FilesystemStore` into a store of silverback, before
/// their visitors come: [`GorillaRecords::import`].
///
/// An import visits each session in place of its owner. The session gets a record, which the
/// owner's Go cookie finds from then on, through [`GorillaRecords`] around a layer with the same
/// settings. So the application may run meanwhile. A session whose owner came first is left as it
/// is, and an ended session does not come back.
///
/// You may stop at any point, even by killing the process: the next import skips sessions that are
/// in the store. Files stay, unless you ask to [remove](Self::remove_files) them.
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
/// # Times
///
/// A session counts as created when Go last saved it, and as used when it is imported: with an idle
/// timeout of a day, its owner has a day to come back.
#[derive(Debug)]
pub struct GorillaImport {
    records: GorillaRecords<GorillaFiles>,
    shared: Arc<Shared>,
    /// The position in the folder.
    folder: Option<ReadDir>,
    removes: bool,
}

/// The result of a [step](GorillaImport::step).
#[derive(Debug, Default)]
pub struct GorillaImported {
    moved: u64,
    over: u64,
    refused: u64,
    failed: u64,
    error: Option<Error>,
    is_finished: bool,
}

/// The outcome of a file.
enum Taken {
    Moved,
    Over,
    Refused,
}

impl GorillaRecords<GorillaFiles> {
    /// Starts an import of these files into the store of `config`.
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
    /// Removes each file once its session is in the store, or over. From then on only a Go program
    /// would read the file, so switch that program off first.
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

    /// Imports up to `count` files. After the last one, the next step starts over.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read. A file that cannot be read or stored is
    /// [counted](GorillaImported::failed), and stays.
    ///
    /// ```
    /// # use silverback::{GorillaImport, store::StoreError};
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

    /// Opens the session as a request with its owner's cookie would.
    async fn visit(&self, opened: &Opened) -> Result<Taken, Error> {
        let carried = self.records.carry(opened)?;
        let header = [&*self.records.name, "=", &carried].concat();
        let header = HeaderValue::try_from(header).map_err(StoreError::refused)?;
        let registry = Registry::new(Arc::clone(&self.shared), [&header], Origin::Detached);
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
    /// Returns how many sessions are in the store now, including those that were in it before.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns how many sessions were moved earlier and have ended since.
    #[must_use]
    pub const fn over(&self) -> u64 {
        self.over
    }

    /// Returns how many files hold no session that Go would open: they are too old, damaged, or
    /// made with other keys.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns how many files could not be read, or their sessions saved. Another import tries them
    /// again.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the error of the first failure.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns whether this was the last step.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Adds the counts of `other`, a later step.
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
