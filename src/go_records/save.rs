//! Saves a request's session, into the record that it opened or into a new one.

use std::time::Duration;

use super::{
    kept::{GorillaRecords, Loaded, Opened, unwritable},
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
            _ => self.begin(opened, carried, lasts).await,
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
            new = self.merge(opened, mine, &found)?.ok_or_else(gone)?;
            old = found.data;
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    fn is_empty(&self, payload: &[u8]) -> bool {
        let content = Content::of_go(payload, &self.format, Timestamp::default());
        content.is_some_and(|content| content.is_empty())
    }

    /// Keeps a session under a new ID, and removes the record of the session that the request came
    /// with. Of two such requests, only the one that removes the record succeeds.
    async fn begin(
        &self,
        opened: Option<&Opened>,
        carried: &Carried,
        lasts: Duration,
    ) -> Result<Saved, Error> {
        let id = self.new_id()?;
        let data = self.pack(&carried.payload)?;
        self.records.create(id.as_str(), &data, lasts).await?;
        let is_filled = match opened {
            Some(opened) if carried.has_existed() => {
                let renewed = (id.as_str(), &*carried.payload, data);
                self.leave_renewed(opened, renewed, lasts).await
            }
            Some(ended) => self.leave_ended(ended).await.map(|()| true),
            None => Ok(true),
        };
        if !matches!(is_filled, Ok(true)) {
            // Nobody knows the ID, so the record would do no harm.
            drop(self.records.remove(id.as_str(), None).await);
        }
        Ok(match is_filled? {
            true => Saved::Under(id),
            false => Saved::Removed,
        })
    }

    /// Removes the record of a session that was renewed, and brings what other requests have changed
    /// there meanwhile to the new record. Returns whether that has any values.
    async fn leave_renewed(
        &self,
        opened: &Opened,
        (id, mine, written): (&str, &[u8], Vec<u8>),
        lasts: Duration,
    ) -> Result<bool, Error> {
        let (mut old, mut written) = (opened.data.clone(), written);
        let mut is_filled = !self.is_empty(mine);
        for _ in 0..ROUNDS {
            if self.records.remove(opened.id.as_str(), Some(&old)).await? {
                return Ok(is_filled);
            }
            let gone = || Error::new(ErrorKind::Gone);
            let found = self.load_readable(&opened.id).await?.ok_or_else(gone)?;
            let merged = self.merge(opened, mine, &found)?.ok_or_else(gone)?;
            is_filled = !self.is_empty(&merged);
            let new = self.pack(&merged)?;
            if !self.records.replace(id, &written, &new, lasts).await? {
                return Err(gone());
            }
            (old, written) = (found.data, new);
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    async fn leave_ended(&self, ended: &Opened) -> Result<(), Error> {
        match self.records.remove(ended.id.as_str(), None).await? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Gone)),
        }
    }

    /// Applies the changes of a request to the record as it is now. Returns `None` if one of the
    /// payloads cannot be read.
    fn merge(
        &self,
        opened: &Opened,
        mine: &[u8],
        found: &Loaded,
    ) -> Result<Option<Vec<u8>>, Error> {
        let merged = merge_go([&opened.payload, mine, &found.payload], &self.format);
        let merged = merged.transpose();
        merged.map_err(|unfit| unwritable(unfit.what))
    }
}
