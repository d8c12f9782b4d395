//! The sessions that a former store has.

use async_trait::async_trait;

use crate::failure::Failure;

/// Some IDs, and where the next ones begin.
pub(crate) struct Ids {
    pub(crate) ids: Vec<i128>,
    pub(crate) next: Option<String>,
}

/// Rows that can be listed. tower-sessions' `SessionStore` cannot.
#[async_trait]
pub(crate) trait List: Sync {
    /// About `limit` IDs from there on: "" is the beginning. One that stays is never left out.
    async fn ids(&self, from: &str, limit: usize) -> Result<Ids, Failure>;
}
