//! Sessions that tower-sessions has kept so far.

mod cookie;
mod layer;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub use self::layer::{FormerSessionService, FormerSessions};
use crate::{failure::Failure, row::Row};

/// A store of tower-sessions that you are leaving: any type that implements its `SessionStore`.
///
/// [`FormerSessions`] and [`TowerSessionStore::moving_from`](crate::TowerSessionStore::moving_from)
/// read it. Its crate stays among your dependencies as long as one of them does.
#[derive(Clone)]
pub struct Former(Arc<dyn Rows>);

/// A `SessionStore`, whatever its version.
#[async_trait]
pub(crate) trait Rows: Send + Sync + 'static {
    /// The ID that a cookie's value is.
    fn parse(&self, text: &str) -> Option<i128>;
    async fn load(&self, id: i128) -> Result<Option<Row>, Failure>;
    async fn save(&self, row: Row) -> Result<(), Failure>;
    async fn delete(&self, id: i128) -> Result<(), Failure>;
}

impl Former {
    /// Takes a store for tower-sessions 0.14.
    ///
    /// ```
    /// use silverback_tower_sessions::Former;
    /// # use tower_sessions_0_14 as tower_sessions;
    ///
    /// let former = Former::v0_14(tower_sessions::MemoryStore::default());
    /// ```
    #[cfg(feature = "v0_14")]
    #[must_use]
    pub fn v0_14(store: impl tower_sessions_core_0_14::SessionStore) -> Self {
        Self(Arc::new(crate::version::v0_14::Of(store)))
    }

    /// Takes a store for tower-sessions 0.15.
    ///
    /// ```
    /// use silverback_tower_sessions::Former;
    /// # use tower_sessions_0_15 as tower_sessions;
    ///
    /// let former = Former::v0_15(tower_sessions::MemoryStore::default());
    /// ```
    #[cfg(feature = "v0_15")]
    #[must_use]
    pub fn v0_15(store: impl tower_sessions_core_0_15::SessionStore) -> Self {
        Self(Arc::new(crate::version::v0_15::Of(store)))
    }

    pub(crate) fn parse(&self, text: &str) -> Option<i128> {
        self.0.parse(text)
    }

    pub(crate) async fn load(&self, id: i128) -> Result<Option<Row>, Failure> {
        self.0.load(id).await
    }

    pub(crate) async fn save(&self, row: Row) -> Result<(), Failure> {
        self.0.save(row).await
    }

    pub(crate) async fn delete(&self, id: i128) -> Result<(), Failure> {
        self.0.delete(id).await
    }
}

impl fmt::Debug for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Former").finish_non_exhaustive()
    }
}
