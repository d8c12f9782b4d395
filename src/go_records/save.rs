//! Saves a request's session, into the record that it opened or into a new one.

use std::time::Duration;

use super::{
    kept::{GorillaRecords, Opened, unwritable},
    records::GoRecords,
};
use crate::{
    content::merge_go,
    error::{Error, ErrorKind},
    gorilla::{Carried, GoId},
};

/// How often a save merges its changes with those of others before it gives up.
const ROUNDS: usize = 8;

impl<R: GoRecords> GorillaRecords<R> {
    /// Saves the session that comes out of the session layer, and returns its ID.
    pub(super) async fn save(
        &self,
        opened: Option<&Opened>,
        carried: &Carried,
        lasts: Duration,
    ) -> Result<GoId, Error> {
        match opened {
            Some(opened) if carried.is_still(&opened.name) => {
                self.change(opened, &carried.payload, lasts).await?;
                Ok(opened.id.clone())
            }
            _ => self.begin(opened, &carried.payload, lasts).await,
        }
    }

    /// Writes the changes of a request into the record.
    async fn change(&self, opened: &Opened, mine: &[u8], lasts: Duration) -> Result<(), Error> {
        let (id, mut old, mut new) = (opened.id.as_str(), opened.data.clone(), mine.to_vec());
        for _ in 0..ROUNDS {
            let data = self.pack(&new)?;
            if self.records.replace(id, &old, &data, lasts).await? {
                return Ok(());
            }
            let gone = || Error::new(ErrorKind::Gone);
            let found = self.load_readable(&opened.id).await?.ok_or_else(gone)?;
            let merged = merge_go([&opened.payload, mine, &found.payload], &self.format);
            let merged = merged.ok_or_else(gone)?;
            new = merged.map_err(|unfit| unwritable(unfit.what))?;
            old = found.data;
        }
        Err(Error::new(ErrorKind::Conflict))
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
            && !self.records.remove(opened.id.as_str()).await?
        {
            self.records.remove(id.as_str()).await?;
            return Err(Error::new(ErrorKind::Gone));
        }
        Ok(id)
    }
}
