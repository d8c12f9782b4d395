//! Finding the sessions that cookies refer to.

use super::{
    ends::Ending,
    records::{Found, Vault, load_all, next_answer},
};
use crate::{
    clock::Timestamp,
    error::{Error, Rejection},
    id::SessionId,
    join,
    store::Read,
};

impl Vault<'_> {
    /// The session a cookie refers to. If ends are remembered, a session that has ended is dead
    /// even if its record could not be removed.
    ///
    /// A recent read is trusted only when it finds a session.
    pub(crate) async fn open(
        &self,
        id: &SessionId,
        read: Read,
        now: Timestamp,
    ) -> Result<Found, Error> {
        if self.settings.ends().is_none() {
            if read == Read::Recent {
                let record = self.records()?.load(&id.record_key(), read).await;
                if let Ok(found @ Found::Session { .. }) = self.read(id, record, now) {
                    return Ok(found);
                }
            }
            return self.find(id, now).await;
        }
        let found = Box::pin(self.open_many(std::slice::from_ref(id), now))
            .await?
            .pop();
        Ok(found.unwrap_or(Found::Nothing(Rejection::NotFound)))
    }

    /// The sessions that cookies refer to, in their order.
    pub(crate) async fn open_many(
        &self,
        ids: &[SessionId],
        now: Timestamp,
    ) -> Result<Vec<Found>, Error> {
        let records = self.records()?;
        let mut keys: Vec<_> = ids.iter().map(SessionId::record_key).collect();
        let end_keys: Vec<_> = keys.iter().map(|key| key.end_key()).collect();
        let (found, ends) = match self.end_store() {
            None => (load_all(records, &keys).await, None),
            Some(store) if store == records => {
                keys.extend(end_keys);
                let mut found = load_all(records, &keys).await;
                let ends = found.split_off(ids.len().min(found.len()));
                (found, Some(ends))
            }
            Some(store) => {
                let (found, ends) = (load_all(records, &keys), load_all(store, &end_keys));
                let (found, ends) = join::both_unless(found, ends, |_| false).await;
                (found, Some(ends.unwrap_or_default()))
            }
        };
        let mut found = found.into_iter();
        let mut ends = ends.map(Vec::into_iter);
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let record = next_answer(&mut found);
            let end = ends.as_mut().map_or(Ok(None), next_answer);
            all.push(match self.read_end(end, now)? {
                Some(Ending::Marked(mark)) => Found::Marked(mark),
                Some(Ending::LongAgo) => Found::Nothing(Rejection::Revoked),
                None => self.read(id, record, now)?,
            });
        }
        Ok(all)
    }
}
