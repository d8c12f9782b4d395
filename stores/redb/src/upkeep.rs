//! Listing records page by page, and removing expired ones.

use std::ops::Bound;

use silverback::{
    Timestamp,
    store::{Browse, Cursor, Listed, Page, RecordKey, StoreError, Sweep, Swept},
};

use crate::{
    RedbStore,
    file::Snapshot,
    operation::{Change, Operation},
    record::Head,
};

/// The number of records in each step of a whole sweep.
const STEP: usize = 1_000;

/// Records are in the order of their keys. Damaged ones are left out.
impl Browse for RedbStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let after = match from.as_bytes() {
            [] => None,
            bytes => Some(RecordKey::from_bytes(bytes.try_into().map_err(|_| {
                StoreError::refused("the cursor does not belong to this store")
            })?)),
        };
        let seen = self
            .read(move |table| look(table, after, limit.max(1)))
            .await?;
        let next = (seen.len() == limit.max(1))
            .then(|| seen.last())
            .flatten()
            .map(|last| Cursor::new(last.key.as_bytes().to_vec()));
        let entries = seen.into_iter().filter_map(|seen| seen.listed);
        Ok(Page::new(entries.collect(), next))
    }
}

/// Clones take turns in the steps of a sweep. A step reads the records without keeping a writer
/// waiting, and removes the expired ones in one transaction.
impl Sweep for RedbStore {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let after = *self.place();
        let (swept, last) = self.sweep_after(after, limit.max(1)).await;
        *self.place() = last;
        swept
    }

    async fn sweep(&self) -> Swept {
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            let (step, last) = self.sweep_after(after, STEP).await;
            // A step that failed as a whole has examined nothing, and so would the next.
            let is_over = step.is_finished() || step.examined() == 0;
            swept.add(step);
            if is_over {
                return swept;
            }
            after = last;
        }
    }
}

impl RedbStore {
    fn place(&self) -> std::sync::MutexGuard<'_, Option<RecordKey>> {
        self.swept()
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sweeps up to `limit` records after this one, and returns where the next step begins.
    async fn sweep_after(
        &self,
        after: Option<RecordKey>,
        limit: usize,
    ) -> (Swept, Option<RecordKey>) {
        let seen = match self.read(move |table| look(table, after, limit)).await {
            Ok(seen) => seen,
            Err(error) => return (Swept::failure(error), after),
        };
        let is_last = seen.len() < limit;
        let last = seen.last().map(|seen| seen.key).filter(|_| !is_last);
        let mut swept = Swept::new(seen.len() as u64, 0);
        let now = self.now();
        let over = seen.iter().filter(|seen| seen.is_to_look_at(now));
        let sweep = over.map(|seen| Operation {
            key: seen.key,
            change: Change::Sweep,
        });
        let operations: Vec<_> = sweep.collect();
        if !operations.is_empty() {
            match self.write(operations).await {
                Ok(outcomes) => {
                    for outcome in outcomes {
                        swept.add(match outcome {
                            Ok(is_removed) => Swept::new(0, u64::from(is_removed)),
                            Err(error) => Swept::failure(error),
                        });
                    }
                }
                Err(error) => swept.add(Swept::failure(error)),
            }
        }
        (if is_last { swept.finished() } else { swept }, last)
    }
}

/// A record that was read. A damaged one has no entry.
struct Seen {
    key: RecordKey,
    listed: Option<Listed>,
}

impl Seen {
    /// Returns whether the writer should look at the record: it has expired, or is damaged.
    fn is_to_look_at(&self, now: Timestamp) -> bool {
        let lives = |listed: &Listed| listed.expires > now;
        !self.listed.as_ref().is_some_and(lives)
    }
}

/// Reads up to `limit` records after this one.
fn look(
    table: &Snapshot,
    after: Option<RecordKey>,
    limit: usize,
) -> Result<Vec<Seen>, redb::Error> {
    let from = match &after {
        None => Bound::Unbounded,
        Some(key) => Bound::Excluded(key.as_bytes()),
    };
    let mut seen = Vec::new();
    for entry in table
        .range::<&[u8; 32]>((from, Bound::Unbounded))?
        .take(limit)
    {
        let (key, value) = entry?;
        let key = RecordKey::from_bytes(*key.value());
        let value = value.value();
        let listed = match Head::read(value) {
            Ok((head, data)) => Some(Listed::new(key, data, head.expires, data.len())),
            // It has a later format. A move of all records must not overlook it.
            Err(StoreError::Refused(_)) => {
                let never = Timestamp::from_secs(u64::MAX);
                Some(Listed::new(key, &[], never, value.len()))
            }
            Err(_) => None,
        };
        seen.push(Seen { key, listed });
    }
    Ok(seen)
}
