//! Browsing and sweeping, for operators and background tasks.

use std::time::Duration;

use silverback::{
    Timestamp,
    store::{Browse, Cursor, Listed, Page, RecordKey, StoreError, Sweep, Swept},
};

use crate::{
    SqlStore,
    dialect::{Batch, Dialect, Entry, Table},
    fault::Fault,
    retry::retry,
};

impl<DB: Dialect> SqlStore<DB> {
    async fn try_sweep(&self, limit: i64) -> Result<Batch, Fault> {
        let mut conn = self.borrow().await?;
        let swept = self.table.sweep(&mut conn, limit).await;
        self.after(conn, swept.map_err(Self::fault))
    }

    async fn try_browse(&self, after: &[u8], limit: i64) -> Result<Vec<Entry>, Fault> {
        let mut conn = self.borrow().await?;
        let page = self.table.browse(&mut conn, after, limit).await;
        self.after(conn, page.map_err(Self::fault))
    }
}

/// An index leads to ended records, so a sweep reads few others.
impl<DB: Dialect> Sweep for SqlStore<DB> {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let limit = at_once(limit);
        match Self::within(LONGEST, retry(|| self.try_sweep(limit))).await {
            Ok(batch) => {
                let swept = Swept::new(batch.found, batch.removed);
                if batch.found < limit.cast_unsigned() {
                    swept.finished()
                } else {
                    swept
                }
            }
            Err(error) => Swept::failure(error),
        }
    }

    async fn sweep(&self) -> Swept {
        let mut swept = Swept::default();
        loop {
            swept.add(self.sweep_some(BATCH).await);
            if swept.is_finished() || swept.failed() > 0 {
                return swept;
            }
        }
    }
}

/// How many records one statement removes, which takes milliseconds.
const BATCH: usize = 1_000;

/// The most that one statement removes or lists. More would hold locks or memory for long.
const MOST: usize = 10_000;

/// How long a step of a sweep, or a page, may take. The answer of a server that has vanished never
/// comes, and the sweeper goes on.
const LONGEST: Duration = Duration::from_secs(60);

fn at_once(limit: usize) -> i64 {
    limit.clamp(1, MOST) as i64
}

/// Pages are in the order of keys.
impl<DB: Dialect> Browse for SqlStore<DB> {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let (after, limit) = (from.as_bytes(), at_once(limit));
        if !matches!(after.len(), 0 | KEY) {
            return Err(StoreError::refused(
                "the cursor does not belong to this store",
            ));
        }
        let rows = retry(|| self.try_browse(after, limit));
        let rows = Self::within(LONGEST, rows).await?;
        let is_last = rows.len() < limit as usize;
        let last = rows.last().map(|(id, ..)| Cursor::new(id.clone()));
        let entries = rows.iter().filter_map(listed).collect();
        Ok(Page::new(entries, last.filter(|_| !is_last)))
    }
}

const KEY: usize = 32;

/// Returns `None` if another program has inserted the row.
fn listed((id, head, end, size): &Entry) -> Option<Listed> {
    let key = RecordKey::from_bytes(id.as_slice().try_into().ok()?);
    let expires = Timestamp::from_secs(u64::try_from(*end).unwrap_or_default());
    let size = usize::try_from(*size).unwrap_or_default();
    Some(Listed::new(key, head, expires, size))
}
