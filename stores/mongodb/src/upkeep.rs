//! Listing and sweeping, for operators and background tasks.

use mongodb::bson::{Document, doc};
use silverback::store::{Browse, Cursor, Listed, Page, Read, RecordKey, StoreError, Sweep, Swept};

use crate::{
    MongoStore,
    fault::Fault,
    record::{self, DATA, EXPIRES, ID, binary, date},
};

/// The number of documents that one command of a whole sweep removes.
const BATCH: usize = 1_000;

/// The most that one command removes or lists.
const MOST: usize = 10_000;

/// The key of a document, and its entry if it is a record.
type Seen = (Option<RecordKey>, Option<Listed>);

impl MongoStore {
    /// Lists up to `limit` documents of a range of keys, in order.
    async fn list(&self, range: Document, limit: usize) -> Result<Vec<Seen>, Fault> {
        let records = self.records(Read::Recent);
        let find = self.complete(async move {
            let find = records.find(doc! { ID: range }).sort(doc! { ID: 1 });
            let find = find.projection(doc! { DATA: 1, EXPIRES: 1 });
            find.limit(limit as i64).await
        });
        let (mut cursor, mut seen) = (self.in_time(find).await?, Vec::new());
        loop {
            // A page may take many round trips. Each has the time of a call.
            let next = self.complete(async move { Ok((cursor.advance().await?, cursor)) });
            let (is_one, back) = self.in_time(next).await?;
            if !is_one {
                return Ok(seen);
            }
            cursor = back;
            let document = cursor.current();
            seen.push((record::key(document), record::listed(document)));
        }
    }

    /// Removes up to `limit` expired records. Returns how many it found and removed.
    async fn remove_expired(&self, limit: usize) -> Result<(u64, u64), Fault> {
        let over = doc! { "$lte": date(self.clock.now()) };
        let records = self.records(Read::Recent).clone_with_type::<Document>();
        let (looked_at, filter) = (records.clone(), doc! { EXPIRES: over.clone() });
        let find = self.complete(async move {
            let find = looked_at.find(filter).projection(doc! { ID: 1 });
            let (mut cursor, mut ids) = (find.limit(limit as i64).await?, Vec::new());
            while cursor.advance().await? {
                ids.extend(cursor.deserialize_current()?.remove(ID));
            }
            Ok(ids)
        });
        let ids = self.in_time(find).await?;
        let found = ids.len() as u64;
        if found == 0 {
            return Ok((0, 0));
        }
        // A new record may have replaced an expired one.
        let filter = doc! { ID: { "$in": ids }, EXPIRES: over };
        let remove = self.complete(async move { records.delete_many(filter).await });
        Ok((found, self.in_time(remove).await?.deleted_count))
    }
}

/// With [the index](MongoStore::create_index), the server removes expired records itself, and a
/// sweep removes those that the server has not come to. The index leads the sweep to them.
impl Sweep for MongoStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let limit = limit.clamp(1, MOST);
        match self.remove_expired(limit).await {
            Ok((found, removed)) if found < limit as u64 => Swept::new(found, removed).finished(),
            Ok((found, removed)) => Swept::new(found, removed),
            Err(fault) => Swept::failure(fault.into()),
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

/// Pages are in the order of keys. The server sends whole records, since it cannot extract the
/// first byte, which shows a record's kind.
impl Browse for MongoStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, MOST);
        let first = RecordKey::from_bytes([0; 32]);
        let (after, bytes): (_, &[u8]) = match from.as_bytes() {
            [] => ("$gte", first.as_bytes()),
            bytes if bytes.len() == first.as_bytes().len() => ("$gt", bytes),
            _ => {
                return Err(StoreError::refused(
                    "the cursor does not belong to this store",
                ));
            }
        };
        // Shorter keys come before these, longer ones after them.
        let range = doc! { after: binary(bytes), "$lte": binary(&[0xff; 32]) };
        let seen = self.list(range, limit).await?;
        let is_last = seen.len() < limit;
        let last = seen.iter().filter_map(|(key, _)| *key).next_back();
        let next = last.filter(|_| !is_last);
        let next = next.map(|key| Cursor::new(key.as_bytes().to_vec()));
        let entries = seen.into_iter().filter_map(|(_, listed)| listed);
        Ok(Page::new(entries.collect(), next))
    }
}
