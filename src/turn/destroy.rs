//! Ending a session at once.

use std::mem;

use super::{
    cell::{Operation, Turn},
    presented::Presented,
};
use crate::{
    error::{Error, ErrorKind},
    state::{Enrolment, View},
};

/// Ends the session: its record is removed when this is done, whatever becomes of the request.
///
/// The session counts as ended from the first step on, so that being cut off in the middle leaves
/// nobody logged in; if the store says that it failed, everything is as before.
pub(crate) struct Destroy;

impl Operation for Destroy {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.open().await?;
        let (vault, exchange) = (turn.vault, turn.exchange);
        let settings = vault.settings;
        let in_record = |view: &View| view.home.is_record();
        let is_in_store = !settings.may_be_in_cookie()
            || turn.state(|state| state.view.as_ref().is_some_and(in_record));
        if exchange.is_closed() && !is_in_store && settings.revocations.is_none() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        // What was opened, and what the cookie says: the two differ after a renewal, or if the
        // cookies were ambiguous.
        let now = vault.now();
        let mut keys = Presented::keys(settings, &exchange.cookies, now);
        let has_cookie = exchange.has_cookie(&settings.finder);
        let before = turn.state(|state| state.forget(now, has_cookie));
        let key = before.view.as_ref().and_then(|view| view.home.key());
        keys.extend(key.filter(|key| !keys.contains(key)));
        for key in keys {
            if let Err(error) = vault.end(&key).await {
                // Dropped without the lock: it may have closures of the application.
                let dropped = turn.state(|state| mem::replace(state, before));
                drop(dropped);
                return Err(error);
            }
        }
        let content = before.view.as_ref().map(|view| &view.content);
        let enrolment = content.and_then(|content| Enrolment::of(content, settings, now));
        if let (Some(enrolment), Some(key)) = (enrolment, key) {
            vault.tidy_rosters(&enrolment, &key, Some(&key)).await;
        }
        Ok(())
    }
}
