//! tower-sessions' own layer over silverback's stores.

use std::{fmt, sync::Arc, time::Duration};

use silverback::{
    Clock,
    store::{Expiry, Read, Store, StoreError, Sweep, Version},
};

use crate::{
    failure::Failure,
    former::Former,
    migration::FormerMigration,
    row::{Content, Row, date, key_of, random_id, timestamp, values},
};

/// Any [`Store`] of silverback as a `SessionStore` of tower-sessions: for its own
/// `SessionManagerLayer`, and for crates that build on it, such as axum-login.
///
/// It implements the trait of each version whose feature is enabled.
///
/// ```
/// use axum::{Router, routing::get};
/// use silverback::MemoryStore;
/// use silverback_tower_sessions::TowerSessionStore;
/// use tower_sessions::{Session, SessionManagerLayer};
///
/// async fn visits(session: Session) -> String {
///     let visits = session.get("visits").await.ok().flatten().unwrap_or(0) + 1;
///     session.insert("visits", visits).await.expect("the store answers");
///     format!("visit {visits}")
/// }
///
/// let store = TowerSessionStore::new(MemoryStore::new()); // or files, Redis, SQL
/// let app: Router = Router::new()
///     .route("/", get(visits))
///     .layer(SessionManagerLayer::new(store));
/// ```
///
/// # What it keeps of silverback's promises
///
/// tower-sessions hands a store whole sessions, without saying what has changed or what it had
/// read. So this can do less than [`TowerSessionLayer`](crate::TowerSessionLayer).
///
/// - **An ended session stays ended.** `save` only replaces an existing record. Saving a session
///   that was deleted meanwhile is an error, and tower-sessions answers 500. Saving an empty one is
///   not, since nothing is lost.
/// - **No ID is used twice.** `create` always draws a new one. In tower-sessions, `flush` and
///   `insert` in one request keep the old ID.
/// - **No ID is in the store.** Records are named by a hash of the ID.
/// - **Ends are kept to the second**, rounded up.
/// - **Changes are not merged.** Of two requests that change one session, the last save wins.
/// - **Store calls are not limited in time.** Give the client of your database a timeout.
///
/// `load`, `create` and `delete` are one call of the store each, `save` is two.
pub struct TowerSessionStore<S> {
    store: Arc<S>,
    clock: Clock,
    former: Option<Former>,
}

/// How often a save may conflict before it gives up.
const ROUNDS: usize = 16;
/// How long the end of a session is remembered while there is a former store it could come back
/// from.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The content of the store under a key.
enum Found {
    Nothing,
    Ended,
    Row(Row, Version),
}

impl<S: Store> TowerSessionStore<S> {
    /// Keeps the sessions of tower-sessions in `store`.
    ///
    /// ```
    /// use silverback::FilesystemStore;
    /// use silverback_tower_sessions::TowerSessionStore;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("tower-sessions-{}", std::process::id()));
    /// let store = TowerSessionStore::new(FilesystemStore::open(&folder)?);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store: Arc::new(store),
            clock: Clock::system(),
            former: None,
        }
    }

    /// Sets the clock. tower-sessions itself uses the system's.
    ///
    /// ```
    /// # use silverback::{Clock, MemoryStore, Timestamp};
    /// # use silverback_tower_sessions::TowerSessionStore;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = TowerSessionStore::new(MemoryStore::new().clock(clock.clone())).clock(clock);
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Looks in `former` for sessions that are not in this store, and moves them here when they are
    /// used. The cookie and the ID stay, so no visitor notices.
    ///
    /// ```
    /// use silverback::MemoryStore;
    /// use silverback_tower_sessions::{Former, TowerSessionStore};
    ///
    /// let old = tower_sessions::MemoryStore::default(); // the store that you used so far
    /// let store = TowerSessionStore::new(MemoryStore::new()).moving_from(Former::v0_14(old));
    /// ```
    ///
    /// A session that has been moved is deleted from the former store. One that ends is deleted
    /// from both, and for 60 seconds this store remembers that it has ended, so that a request
    /// which read the former store earlier does not bring it back. A session that is in neither
    /// store costs one call of each. Remove this setting when the longest session of the former
    /// store is over, or a [`migration`](Self::migration) is complete.
    ///
    /// Switch all servers at once: a server without this setting does not find a session that has
    /// been moved.
    #[must_use]
    pub fn moving_from(self, former: Former) -> Self {
        Self {
            former: Some(former),
            ..self
        }
    }

    /// Begins to move all sessions of the former store, a few at each
    /// [`step`](FormerMigration::step), while they are in use. Returns `None` without a [former
    /// store](Self::moving_from), or if that cannot list its sessions: only [`Former::redis`] and
    /// [`Former::sqlx`] can.
    ///
    /// Begin when all servers have `moving_from`. A migration always starts from the beginning,
    /// also after an interruption, and any number may run at once, in any processes. A session
    /// takes five sequential calls of the stores. Once the migration is complete, the former store
    /// holds only sessions that have been copied.
    ///
    /// ```
    /// use silverback::MemoryStore;
    /// use silverback_tower_sessions::{Former, TowerSessionStore};
    ///
    /// let old = tower_sessions::MemoryStore::default();
    /// let store = TowerSessionStore::new(MemoryStore::new()).moving_from(Former::v0_14(old));
    /// assert!(store.migration().is_none()); // theirs in memory cannot be listed
    /// ```
    #[must_use]
    pub fn migration(&self) -> Option<FormerMigration<'_, S>> {
        FormerMigration::new(self, self.former.as_ref()?)
    }

    /// Moves a session. Returns whether it was moved.
    ///
    /// A session that is here already may be about to be deleted in the former store by the process
    /// that moved it. If this deleted it there, that process would take it for a logout.
    pub(crate) async fn move_one(&self, former: &Former, id: i128) -> Result<bool, Failure> {
        match self.look(id).await? {
            Found::Nothing => Ok(self.move_in(former, id).await?.is_some()),
            Found::Row(..) | Found::Ended => Ok(false),
        }
    }

    /// Stores a new session under a new ID, and returns the ID.
    pub(crate) async fn insert(&self, row: &Row) -> Result<i128, Failure> {
        let data = values(&row.data)?;
        for _ in 0..ROUNDS {
            let id = random_id()?;
            let expiry = self.expiry(row);
            match self.store.create(&key_of(id), data.clone(), expiry).await {
                Ok(_) => return Ok(id),
                Err(StoreError::Exists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Exists.into())
    }

    pub(crate) async fn replace(&self, row: &Row) -> Result<(), Failure> {
        let (key, data) = (key_of(row.id), values(&row.data)?);
        for _ in 0..ROUNDS {
            let Some((_, version)) = self.find(row.id).await? else {
                return if row.data.is_empty() {
                    Ok(())
                } else {
                    Err(Failure::gone())
                };
            };
            let expiry = self.expiry(row);
            match self.store.update(&key, version, data.clone(), expiry).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict | StoreError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    pub(crate) async fn find(&self, id: i128) -> Result<Option<(Row, Version)>, Failure> {
        match (self.look(id).await?, &self.former) {
            (Found::Row(row, version), _) => Ok(Some((row, version))),
            (Found::Nothing, Some(former)) => self.move_in(former, id).await,
            _ => Ok(None),
        }
    }

    pub(crate) async fn remove(&self, id: i128) -> Result<(), Failure> {
        match &self.former {
            None => Ok(self.store.delete(&key_of(id), None).await?),
            Some(former) => {
                self.bury(id).await?;
                former.delete(id).await
            }
        }
    }

    async fn move_in(&self, former: &Former, id: i128) -> Result<Option<(Row, Version)>, Failure> {
        let Some(row) = former.load(id).await? else {
            return Ok(None);
        };
        let (data, expiry) = (values(&row.data)?, self.expiry(&row));
        match self.store.create(&key_of(id), data, expiry).await {
            // It may have ended since it was read, longer ago than ends are remembered.
            Ok(version) if former.load(id).await?.is_none() => {
                match self.store.delete(&key_of(id), Some(version)).await {
                    Ok(()) | Err(StoreError::Conflict) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Ok(version) => {
                // It is here now, whether it is still in the former store or not. Ending it removes
                // both.
                let _ = former.delete(id).await;
                Ok(Some((row, version)))
            }
            Err(StoreError::Exists) => match self.look(id).await? {
                Found::Row(row, version) => Ok(Some((row, version))),
                Found::Nothing | Found::Ended => Ok(None),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers the end of a session, since a request that has read the former store may be about
    /// to move it here.
    async fn bury(&self, id: i128) -> Result<(), Failure> {
        let key = key_of(id);
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let expiry = Expiry::new(now.saturating_add(REMEMBERED), now);
            let buried = match self.look(id).await? {
                Found::Ended => return Ok(()),
                Found::Row(_, seen) => {
                    self.store
                        .update(&key, seen, Content::ended(), expiry)
                        .await
                }
                Found::Nothing => self.store.create(&key, Content::ended(), expiry).await,
            };
            match buried {
                Ok(_) => return Ok(()),
                Err(StoreError::Exists | StoreError::Conflict | StoreError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn look(&self, id: i128) -> Result<Found, Failure> {
        let Some(record) = self.store.load(&key_of(id), Read::Current).await? else {
            return Ok(Found::Nothing);
        };
        if record.is_expired_at(self.clock.now()) {
            return Ok(Found::Nothing);
        }
        let (version, expires) = (record.version(), date(record.expires()));
        Ok(match Content::read(record.data())? {
            Content::Ended => Found::Ended,
            Content::Values(data) => Found::Row(Row { id, data, expires }, version),
        })
    }

    fn expiry(&self, row: &Row) -> Expiry {
        Expiry::new(timestamp(row.expires), self.clock.now())
    }
}

impl<S: Sweep> TowerSessionStore<S> {
    pub(crate) async fn sweep(&self) -> Result<(), Failure> {
        match self.store.sweep().await.error() {
            None => Ok(()),
            Some(error) => Err(Failure::Backend(error.to_string())),
        }
    }
}

impl<S> Clone for TowerSessionStore<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            former: self.former.clone(),
        }
    }
}

impl<S> fmt::Debug for TowerSessionStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionStore").finish_non_exhaustive()
    }
}
