//! Listing and sweeping, for operators and background tasks.

use serde_json::{Map, Value, json};
use silverback::{
    Timestamp,
    store::{Browse, Cursor, Page, StoreError, Sweep, Swept},
};

use crate::{
    FirestoreStore,
    clock::Moment,
    document::{Document, EXPIRES, OF_LIST},
    fault::{Fault, Kind},
    store::AT_ONCE,
};

/// Pages are in the order of keys. The sessions' bytes are not read. Documents that are not records
/// are left out.
impl Browse for FirestoreStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, AT_ONCE);
        let mut query = self.select(&OF_LIST, limit);
        let by_name = json!([{ "field": { "fieldPath": "__name__" } }]);
        query.insert("orderBy".to_owned(), by_name);
        if let Some(last) = last_seen(from)? {
            let last = json!({ "referenceValue": self.collection.named_document(last) });
            let after = json!({ "values": [last], "before": false });
            query.insert("startAt".to_owned(), after);
        }
        let documents = self.in_time(self.collection.query(query)).await?;
        let is_full = documents.len() == limit;
        let last = documents.last().filter(|_| is_full);
        let next = last.map(|last| cursor_after(last.id()));
        let listed = documents.iter().filter_map(Document::listed);
        Ok(Page::new(listed.collect(), next))
    }
}

/// The beginning of this store's cursors, before the last document's ID.
const CURSOR: &str = "firestore:";

fn cursor_after(id: &str) -> Cursor {
    Cursor::new(format!("{CURSOR}{id}"))
}

fn last_seen(cursor: &Cursor) -> Result<Option<&str>, StoreError> {
    if cursor.as_bytes().is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(cursor.as_bytes()).ok();
    let id = text.and_then(|text| text.strip_prefix(CURSOR));
    let id = id.filter(|id| !id.contains('/'));
    let foreign = || StoreError::refused("the cursor does not belong to this store");
    id.map(Some).ok_or_else(foreign)
}

/// The index on `expires` leads to the expired records, so a sweep reads no others. A database with
/// a policy removes them itself.
impl Sweep for FirestoreStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let limit = limit.clamp(1, AT_ONCE);
        let swept = self.in_time(self.try_sweep(limit)).await;
        swept.unwrap_or_else(|fault: Fault| Swept::failure(fault.into()))
    }

    async fn sweep(&self) -> Swept {
        let mut swept = Swept::default();
        loop {
            swept.add(self.sweep_some(AT_ONCE).await);
            if swept.is_finished() || swept.failed() > 0 {
                return swept;
            }
        }
    }
}

impl FirestoreStore {
    async fn try_sweep(&self, limit: usize) -> Result<Swept, Fault> {
        let now = self.collection.clock.now().second();
        let mut query = self.select(&["__name__"], limit);
        query.insert("where".to_owned(), over(now));
        let documents = self.collection.query(query).await?;
        let is_last = documents.len() < limit;
        let due = documents.iter().filter_map(|document| {
            // A document that was written meanwhile stays.
            Some((document.key()?, Some(document.updated()?)))
        });
        let due: Vec<_> = due.collect();
        let mut swept = Swept::new(documents.len() as u64, 0);
        if !due.is_empty() {
            for deleted in self.collection.delete_each(&due).await? {
                swept.add(match deleted {
                    Ok(()) => Swept::new(0, 1),
                    Err(fault) if is_in_use(&fault) => Swept::default(),
                    Err(fault) => Swept::failure(fault.into()),
                });
            }
        }
        // Foreign documents would be found again in each step.
        let is_over = swept.failed() == 0 && (is_last || swept.removed() == 0);
        Ok(if is_over { swept.finished() } else { swept })
    }

    /// A query for these fields of at most `limit` documents.
    fn select(&self, fields: &[&str], limit: usize) -> Map<String, Value> {
        let path = |field: &&str| json!({ "fieldPath": field });
        let fields: Vec<_> = fields.iter().map(path).collect();
        Map::from_iter([
            (
                "from".to_owned(),
                json!([{ "collectionId": self.collection.name() }]),
            ),
            ("select".to_owned(), json!({ "fields": fields })),
            ("limit".to_owned(), json!(limit)),
        ])
    }
}

/// A filter for records that have expired at `now`.
fn over(now: Timestamp) -> Value {
    let now = Moment::from(now).to_text();
    json!({ "fieldFilter": {
        "field": { "fieldPath": EXPIRES },
        "op": "LESS_THAN_OR_EQUAL",
        "value": { "timestampValue": now },
    } })
}

/// Returns whether another sweeper or a session used the document meanwhile.
fn is_in_use(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::OtherState | Kind::Contention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_contains_the_last_document() {
        assert_eq!(last_seen(&Cursor::default()).unwrap(), None);
        let cursor = cursor_after("ab12");
        assert_eq!(last_seen(&cursor).unwrap(), Some("ab12"));
        for bytes in [&b"ab12"[..], &[0xff; 32], b"firestore:a/b", b"firestore"] {
            let refused = last_seen(&Cursor::new(bytes)).map(|_| ());
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{bytes:?}");
        }
    }
}
