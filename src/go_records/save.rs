//! Saves a request's session, into the record that it opened or into a new one.

use std::time::Duration;

use super::{
    kept::{GorillaRecords, Opened, unwritable},
    records::GoRecords,
};
use crate::{
    clock::Timestamp,
    content::{Content, GoChange, change_in_go, merge_go},
    error::{Error, ErrorKind},
    gorilla::{Carried, GoId},
};

/// How often a save merges its changes with those of others before it gives up.
const ROUNDS: usize = 8;

/// What became of a request's session.
pub(super) enum Saved {
    Under(GoId),
    /// The request has removed all of its values, and with them the record.
    Removed,
    /// It has ended meanwhile, and the request had nothing to add.
    Over,
}

impl<R: GoRecords> GorillaRecords<R> {
    /// Saves the session that comes out of the session layer.
    pub(super) async fn save(
        &self,
        opened: Option<&Opened>,
        carried: &Carried,
        lasts: Duration,
    ) -> Result<Saved, Error> {
        match opened {
            Some(opened) if carried.is_still(&opened.name) => {
                self.change(opened, &carried.payload, lasts).await
            }
            _ => {
                let begun = self.begin(opened, &carried.payload, lasts).await;
                begun.map(Saved::Under)
            }
        }
    }

    /// Writes the changes of a request into the record.
    async fn change(&self, opened: &Opened, mine: &[u8], lasts: Duration) -> Result<Saved, Error> {
        let (id, mut old, mut new) = (opened.id.as_str(), opened.data.clone(), mine.to_vec());
        let change = change_in_go(&opened.payload, mine, &self.format);
        for _ in 0..ROUNDS {
            if change == GoChange::Emptied && self.is_empty(&new) {
                if self.records.remove(id, Some(&old)).await? {
                    return Ok(Saved::Removed);
                }
            } else {
                let data = self.pack(&new)?;
                if self.records.replace(id, &old, &data, lasts).await? {
                    return Ok(Saved::Under(opened.id.clone()));
                }
            }
            let gone = || Error::new(ErrorKind::Gone);
            let Some(found) = self.load_readable(&opened.id).await? else {
                return match change {
                    GoChange::Nothing | GoChange::Emptied => Ok(Saved::Over),
                    GoChange::Other => Err(gone()),
                };
            };
            let merged = merge_go([&opened.payload, mine, &found.payload], &self.format);
            let merged = merged.ok_or_else(gone)?;
            new = merged.map_err(|unfit| unwritable(unfit.what))?;
            old = found.data;
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    fn is_empty(&self, payload: &[u8]) -> bool {
        let content = Content::of_go(payload, &self.format, Timestamp::default());
        content.is_some_and(|content| content.is_empty())
    }

    /// Keeps a session under a new ID, and removes the record under the old one if the session was
    /// renewed or ended. Of two such requests, only the one that removes the old record succeeds.
    async fn begin(
        &self,
        opened: Option<&Opened>,
        payload: &[u8],
        lasts: Duration,
    ) -> Result<GoId, Error> {
        let id = self.new_id()?;
        let data = self.pack(payload)?;
        self.records.create(id.as_str(), &data, lasts).await?;
        if let Some(opened) = opened
            && !self.records.remove(opened.id.as_str(), None).await?
        {
            self.records.remove(id.as_str(), None).await?;
            return Err(Error::new(ErrorKind::Gone));
        }
        Ok(id)
    }
}
