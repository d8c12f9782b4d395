//! The sessions of a former store.

use async_trait::async_trait;

use crate::failure::Failure;

/// Some IDs, and where the next ones begin.
pub(crate) struct Ids {
    pub(crate) ids: Vec<i128>,
    pub(crate) next: Option<String>,
}

/// Rows that can be listed, which tower-sessions' `SessionStore` cannot do.
#[async_trait]
pub(crate) trait List: Sync {
    /// Returns about `limit` IDs from a place on, at first "". An ID that stays is never left out.
    async fn ids(&self, from: &str, limit: usize) -> Result<Ids, Failure>;
}
