//! Listing and sweeping both stores, for operators.

use std::sync::atomic::{AtomicU8, Ordering};

use super::pair::Pair;
use crate::store::{
    Browse, Cursor, Page, RecordKind, StoreError, Sweep, Swept, browse::foreign_cursor,
};

/// The store that a cursor belongs to, or that a sweep has finished.
const FROM: u8 = 1;
const TO: u8 = 2;

impl<From: Browse, To: Browse> Pair<From, To> {
    /// Lists the records of `from`, then those of `to`.
    pub(super) async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        // A record moves from the first to the second, so at least one of them lists it.
        let (store, cursor) = from.as_bytes().split_first().unwrap_or((&FROM, &[]));
        let cursor = Cursor::new(cursor.to_vec());
        let mut page = match *store {
            FROM => self.from.browse(&cursor, limit).await?,
            TO => self.to.browse(&cursor, limit).await?,
            _ => return Err(foreign_cursor()),
        };
        page.entries
            .retain(|entry| entry.kind != Some(RecordKind::Moved));
        page.next = match page.next {
            Some(next) => Some(Cursor::new([&[*store], next.as_bytes()].concat())),
            None if *store == FROM => Some(Cursor::new(vec![TO])),
            None => None,
        };
        Ok(page)
    }
}

impl<From: Sweep, To: Sweep> Pair<From, To> {
    /// Sweeps both stores a little. `finished` holds which of them is done while the other is not.
    /// One that fails has its next turn when the other is done too.
    pub(super) async fn sweep_some(&self, finished: &AtomicU8, limit: usize) -> Swept {
        let before = finished.load(Ordering::Relaxed);
        let from = match before & FROM {
            0 => self.from.sweep_some(limit).await,
            _ => Swept::default().finished(),
        };
        let to = match before & TO {
            0 => self.to.sweep_some(limit).await,
            _ => Swept::default().finished(),
        };
        let [is_from, is_to] = [&from, &to].map(|swept| swept.is_finished() || has_failed(swept));
        let (mut swept, is_finished) = (from.unfinished(), is_from && is_to);
        swept.add(to.unfinished());
        let done = u8::from(is_from) * FROM + u8::from(is_to) * TO;
        let done = if is_finished { 0 } else { done };
        finished.store(done, Ordering::Relaxed);
        if is_finished { swept.finished() } else { swept }
    }

    pub(super) async fn sweep(&self) -> Swept {
        let mut swept = self.from.sweep().await;
        swept.add(self.to.sweep().await);
        swept
    }
}

fn has_failed(swept: &Swept) -> bool {
    swept.failed() > 0 && swept.examined() == 0
}
