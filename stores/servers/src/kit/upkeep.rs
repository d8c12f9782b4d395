//! Records as operators see them: page by page, and swept step by step.

use silverback::store::{Browse, Cursor, Listed, Sweep};

/// Lists all records, on pages of this many.
pub async fn listed(store: &impl Browse, limit: usize) -> Vec<Listed> {
    let (mut listed, mut from) = (Vec::new(), Some(Cursor::default()));
    while let Some(cursor) = from {
        let page = store.browse(&cursor, limit).await.unwrap();
        assert!(page.entries.len() <= limit.max(1));
        listed.extend(page.entries);
        assert!(listed.len() <= 1_000, "the listing does not end");
        from = page.next;
    }
    listed
}

/// Sweeps to the end in steps of this many records, and returns how many were removed.
pub async fn swept(store: &impl Sweep, limit: u64) -> u64 {
    let mut removed = 0;
    loop {
        let swept = store.sweep_some(limit as usize).await;
        assert!(
            swept.examined() <= limit && swept.failed() == 0,
            "{swept:?}"
        );
        removed += swept.removed();
        if swept.is_finished() {
            return removed;
        }
    }
}
