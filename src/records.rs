//! Reads, changes and ends sessions by the keys of their records, without a request.

use std::{fmt, sync::Arc};

use crate::{
    clock::Clock,
    config::{SessionConfig, Settings},
    error::{ConfigError, Error},
    id::{RecordKey, SessionId},
    report::Cause,
    request::{Registry, Shared},
    session::Session,
    store::{Meter, Read},
    turn::{Anchor, Origin},
    vault::{Doomed, Found, Vault},
};

/// Reads, changes and ends sessions in a store by their [`RecordKey`], without a request: for jobs,
/// for an administrator's pages, and for an operator's tool.
///
/// The key of a session is [`Session::record_key`]. [`Subjects::list`](crate::Subjects::list)
/// returns those of a user's sessions, and a store's [`browse`](crate::store::Browse::browse)
/// returns all. A key is a hash of the secret ID, so it may appear in a log or in the URL of an
/// administrator's page.
///
/// ```
/// use silverback::{MemoryStore, SessionConfig, SessionRecords, store::RecordKey};
///
/// /// Puts a finished order into the visitor's session, if it is still there.
/// async fn deliver(
///     config: &SessionConfig,
///     key: &RecordKey,
/// ) -> Result<bool, Box<dyn std::error::Error>> {
///     let records = SessionRecords::new(config)?; // and `config` goes into the layer
///     let Some(session) = records.load(key).await? else { return Ok(false) };
///     session.update("orders", |n: &mut u32| *n += 1)?;
///     session.flash("Your order is on its way")?;
///     session.save().await?;
///     Ok(true)
/// }
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = SessionConfig::new("s", MemoryStore::new(), silverback::Key::generate()?);
/// # let session = silverback::Session::detached(&config)?;
/// # session.insert("cart", 1)?;
/// # session.save().await?;
/// # let key = session.record_key().ok_or("saved")?;
/// # assert!(deliver(&config, &key).await?);
/// # Ok(())
/// # }
/// ```
///
/// # What can be done to a session
///
/// [`load`](Self::load) returns a [`Session`] as a request has it [after its
/// response](Session#after-the-response). You read and change its values and flash messages, and
/// [`save`](Session::save) writes them by compare and swap. If a request has saved meanwhile, both
/// keep their changes. If the session was renewed or has ended meanwhile, the save fails with
/// [`ErrorKind::Gone`](crate::ErrorKind::Gone): it never recreates a record.
/// [`load`](Session::load) reads the session again, and [`destroy`](Session::destroy) ends it. A
/// change that is not saved is lost.
///
/// None of this counts as use by the visitor: the idle timeout keeps running, and
/// [`last_used`](Session::last_used) stays. [`touch`](Session::touch) restarts it.
///
/// Some changes need a response to reach the browser: another ID, and so another subject or none; a
/// lifetime; the cookie's attributes. These fail with
/// [`ErrorKind::AlreadyCommitted`](crate::ErrorKind::AlreadyCommitted).
///
/// | The session | [`load`](Self::load) | [`destroy`](Self::destroy) |
/// |---|---|---|
/// | in a store | `Some` | leaves a mark for 60 seconds, as a logout does |
/// | in a store, [encrypted](SessionConfig::encrypt_records) | [`ErrorKind::RecordsEncrypted`](crate::ErrorKind::RecordsEncrypted): only the cookie has the key | removes the record and leaves no mark, as [`Subjects`](crate::Subjects) does |
/// | has [outgrown](crate::store::CookieStore::overflow) its cookie | `Some` | as for one in a store |
/// | could outgrow its cookie, but is in it | `None` | ends it if there is [`revocation`](crate::store::CookieStore::revocation) |
/// | is always in its cookie | [`ConfigError::NoRecords`] | [`ConfigError::NoRecords`] |
/// | was renewed or destroyed less than a minute ago | `None` | follows a renewal to the session's new ID |
/// | does not exist | `None` | `false` |
#[derive(Clone)]
pub struct SessionRecords {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

impl SessionRecords {
    /// Manages the records of the sessions with these settings. Pass the layer's settings or a
    /// clone of them: two settings mean the same store only if one is a clone of the other.
    ///
    /// ```
    /// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer, SessionRecords};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?);
    /// let records = SessionRecords::new(&config)?;
    /// let layer = SessionLayer::new(config);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoRecords`] for sessions that are always in their cookie. Otherwise those of
    /// [`SessionLayer::try_new`](crate::SessionLayer::try_new).
    pub fn new(config: &SessionConfig) -> Result<Self, ConfigError> {
        let settings = Arc::new(config.build()?);
        if settings.records().is_none() {
            return Err(ConfigError::NoRecords(config.name().to_owned()));
        }
        Ok(Self {
            shared: Arc::new(Shared::of(Arc::clone(&settings), Clock::system())),
            settings,
        })
    }

    /// Uses another clock, for tests.
    ///
    /// ```
    /// # use silverback::{Clock, ConfigError, SessionConfig, SessionRecords};
    /// fn records(config: &SessionConfig, clock: &Clock) -> Result<SessionRecords, ConfigError> {
    ///     Ok(SessionRecords::new(config)?.clock(clock.clone()))
    /// }
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared::of(Arc::clone(&self.settings), clock)),
            ..self
        }
    }

    /// Returns the session with this key, loaded. Returns `None` if it does not exist, has expired,
    /// or was renewed or destroyed.
    ///
    /// The read is always [current](Read::Current), even with
    /// [`recent_reads`](SessionConfig::recent_reads).
    ///
    /// ```
    /// # use silverback::{Error, SessionRecords, store::RecordKey};
    /// async fn cart(records: &SessionRecords, key: &RecordKey) -> Result<Option<Vec<u64>>, Error> {
    ///     match records.load(key).await? {
    ///         Some(session) => session.get("cart"),
    ///         None => Ok(None),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecordsEncrypted`](crate::ErrorKind::RecordsEncrypted) if the session exists
    /// and its record is encrypted. [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed),
    /// [`ErrorKind::LaterFormat`](crate::ErrorKind::LaterFormat).
    pub async fn load(&self, key: &RecordKey) -> Result<Option<Session>, Error> {
        let id = SessionId::of_record(*key);
        let found = async {
            let meter = Meter::default();
            let vault = self.vault(&meter)?;
            vault.open(&id, Read::Current, vault.now()).await
        };
        let found = found
            .await
            .map_err(|error: Error| self.blame(error.of_load()))?;
        Ok(match found {
            Found::Session { .. } => Some(self.session(id, found)),
            Found::Marked(_) | Found::Nothing(_) => None,
        })
    }

    /// Ends the session with this key. To requests that are running, or come later with its cookie,
    /// this is a logout: see [`Session::destroy`].
    ///
    /// Returns `false` if there was none. A session that was renewed more than a minute ago has
    /// another key, so this returns `false` for its old one. For sessions in a cookie with
    /// [`revocation`](crate::store::CookieStore::revocation), the server does not know which
    /// sessions exist. There this records an end for any key, and returns `true` unless there was
    /// one already.
    ///
    /// The subject's list keeps an entry of the session [for a while](crate::Subjects#limits), and
    /// does not show it.
    ///
    /// ```
    /// # use silverback::{Error, SessionRecords, store::RecordKey};
    /// async fn end(records: &SessionRecords, key: &RecordKey) -> Result<&'static str, Error> {
    ///     Ok(if records.destroy(key).await? { "ended" } else { "not there" })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed) if the session may still be there;
    /// you can call it again. [`ErrorKind::Gone`](crate::ErrorKind::Gone) if its records are
    /// encrypted and it was renewed or destroyed less than a minute ago: its new ID is encrypted
    /// too, so end it through its [subject](crate::Subjects).
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if it was renewed more than eight times
    /// within a minute, or others kept writing.
    /// [`ErrorKind::LaterFormat`](crate::ErrorKind::LaterFormat) if a later release has written its
    /// mark.
    pub async fn destroy(&self, key: &RecordKey) -> Result<bool, Error> {
        let destroy = async {
            let meter = Meter::default();
            let vault = self.vault(&meter)?;
            let doomed = Doomed {
                id: SessionId::of_record(*key),
                // The end must be remembered for as long as that of the youngest possible session.
                created: vault.now(),
                is_open: false,
                version: None,
            };
            let ended = vault.destroy(&[doomed]).await?;
            vault.report_ended(Cause::Operator, ended);
            Ok(ended)
        };
        let ended = destroy.await.map_err(|error: Error| self.blame(error))?;
        Ok(ended > 0)
    }

    /// Makes a session whose request is over.
    fn session(&self, id: SessionId, found: Found) -> Session {
        let registry = Registry::new(Arc::clone(&self.shared), [], Origin::Detached);
        registry.exchange.end();
        registry.exchange.reopen();
        let handle = registry.first();
        let mut view = found.into_view(&id, handle.clock().now());
        // No cookie has the changes made here, so none may replace the record.
        view.home.hear();
        handle.cell().with(|state| state.open_late(id, view));
        Session::from(handle)
    }

    fn vault<'a>(&'a self, meter: &'a Meter) -> Result<Vault<'a>, Error> {
        let vault = Vault {
            settings: &self.settings,
            clock: &self.shared.clock,
            meter,
            report: &self.shared.report,
        };
        vault.check_runtime()?;
        Ok(vault)
    }

    fn blame(&self, error: Error) -> Error {
        error.of(&self.settings.name)
    }
}

impl fmt::Debug for SessionRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecords")
            .field("session", &self.settings.name)
            .finish_non_exhaustive()
    }
}
