//! The direct path of a session whose store never waits: it opens from its record, and is saved
//! over that record or as a new one. Every unusual case takes the general path.

use std::mem;

use super::{cell::Turn, presented::Presented, reply::Reply};
use crate::{
    config::Payload,
    error::Error,
    id::SessionId,
    report::Saved,
    state::{Home, Provenance, Source, View},
    store::{Expiry, Read, StoreError},
};

impl Turn<'_> {
    /// Opens the session from the record that its only cookie refers to, or a new session if no
    /// cookie came. Returns whether the session is open.
    #[inline]
    pub(super) fn open_directly(&self) -> Result<bool, Error> {
        let Some(records) = self.vault.direct_store() else {
            return Ok(false);
        };
        let settings = self.vault.settings;
        // A recent read may be answered by a cache, which the general path asks.
        if self.exchange.read(settings) == Read::Recent {
            return Ok(false);
        }
        self.exchange.touch();
        let now = self.vault.now();
        match Presented::find(settings, &self.exchange.cookies, now) {
            Presented::Nothing(rejection) => {
                Ok(self.enter_directly(View::new(now, rejection), Provenance::default()))
            }
            Presented::One(candidate) => {
                let provenance = Provenance::of(&candidate);
                let Payload::Reference(_, id, _) = &candidate.payload else {
                    return Ok(false);
                };
                let record = records.load_now(&id.record_key());
                let found = self.vault.read(id, record, now).map_err(Error::of_load)?;
                let mut view = found.into_view(id, now);
                view.home.hear();
                Ok(self.enter_directly(view, provenance))
            }
            _ => Ok(false),
        }
    }

    /// Enters the view, unless another thread has already used the session. Returns whether it did.
    ///
    /// Not inlined, so that the large `View` moves only once.
    #[inline(never)]
    fn enter_directly(&self, view: View, provenance: Provenance) -> bool {
        let settings = self.vault.settings;
        let opening = view.opening();
        let is_fresh = self.state(|state| {
            // Another thread may have changed the session before it was open.
            let is_fresh = matches!(state.source, Source::Cookie)
                && state.view.is_none()
                && state.log.is_empty()
                && state.cut_off.is_empty();
            if is_fresh {
                state.open(view, provenance, settings);
            }
            is_fresh
        });
        if is_fresh {
            self.vault.report_opened(opening);
        }
        is_fresh
    }

    /// Saves the session and returns what its response owes. Returns `None` if the general path is
    /// needed.
    #[inline]
    pub(super) fn commit_directly(&self) -> Result<Option<Reply>, Error> {
        let Some(records) = self
            .vault
            .direct_store()
            .filter(|_| !self.exchange.is_over())
        else {
            return Ok(None);
        };
        let (now, settings) = (self.vault.now(), self.vault.settings);
        let Some(mut direct) = self.state(|state| state.direct(settings, now))? else {
            return Ok(None);
        };
        let (data, expiry) = (
            mem::take(&mut direct.data),
            Expiry::new(direct.expires, now),
        );
        let mut new = None;
        let written = match direct.over {
            Some((key, version)) => records.update_now(&key, version, data, expiry),
            None => {
                let id = new.insert(self.vault.new_id()?);
                records.create_now(&id.record_key(), data, expiry)
            }
        };
        let version = match written {
            Ok(version) => version,
            // Another request was faster. The general path merges.
            Err(StoreError::Conflict | StoreError::Exists) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let made = new.as_ref().map(SessionId::record_key);
        let (saved, reply) = self.state(|state| {
            // Another thread may have added changes meanwhile. They stay.
            let saved = state.log.take_first(direct.changes);
            match new {
                Some(id) => {
                    let home = Home::Record(direct.place(id, version));
                    state.saved(home, direct.duty, None, now);
                }
                None => state.saved_over(version, direct.expires, direct.duty),
            }
            (saved, Reply::of(state, settings, None, || now))
        });
        // Dropped outside the lock: they may own closures of the application.
        drop(saved);
        let saved = made.map_or(Saved::Again, |_| Saved::Created);
        self.vault.report_saved(saved, made);
        reply.map(Some)
    }
}
