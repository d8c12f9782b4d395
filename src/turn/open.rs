//! Opening a session.

use std::mem;

use super::{
    applied::Applied,
    cell::{Operation, Turn, finish_now},
    contenders::{Came, Opened},
    exchange::Exchange,
    look::{Fetched, Looked, ask, look},
};
use crate::{
    clock::Timestamp,
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    report::Opening,
    state::{Home, State, View},
    store,
    vault::Vault,
};

/// How often the closure of an `update` runs again because what it works on was changed meanwhile.
pub(crate) const ROUNDS: usize = 8;

/// Opens the session.
pub(crate) struct Open;

/// What is left to ask.
enum Next {
    Nothing,
    Record(SessionId, Came),
    More(Box<Looked>),
}

/// As [`Open`], with what the session's store has answered already.
pub(crate) struct OpenFetched(pub(crate) Fetched);

/// Opens a session anew after the request has ended, if a store has a say in it. What the request
/// changed and did not save is dropped, what was changed since then is not.
pub(crate) struct Reopen;

impl Operation for Open {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.open().await
    }

    fn perform_now(self, turn: &Turn<'_>) -> Result<(), Error> {
        if turn.state(|state| state.view.is_some()) || turn.open_directly()? {
            return Ok(());
        }
        finish_now(self, turn)
    }
}

impl Operation for OpenFetched {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        if turn.open_fetched(self.0)? {
            return Ok(());
        }
        turn.open().await
    }
}

impl Operation for Reopen {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        let now = turn.vault.now();
        let settings = turn.vault.settings;
        let (source, kept) = turn.state(|state| (state.source_again(), state.in_cookie()));
        let (key, is_locked_out) =
            turn.state(|state| (state.sealed_by, state.is_locked_out(settings)));
        let looked = match kept {
            _ if is_locked_out => Looked::new(now, Some(Rejection::UnknownKey)),
            // The request's own response may have brought another cookie than came.
            Some(view) => Looked::of_token(view, now),
            None => look(&source, settings, turn.exchange, now),
        };
        let opened = ask(&turn.vault, looked, now)
            .await
            .map_err(Error::of_load)?;
        // Dropped without the lock: it may have closures of the application.
        let dropped = turn.state(|state| state.reopen(source));
        drop(dropped);
        turn.enter(opened)?;
        // It still is the session of that cookie.
        turn.state(|state| state.sealed_by = state.sealed_by.or(key));
        Ok(())
    }
}

/// Opens a session that no store has a say in, and says what was found; `None` if it was open.
///
/// # Errors
///
/// [`ErrorKind::LaterFormat`].
pub(crate) fn open_cookie(
    state: &mut State,
    vault: &Vault<'_>,
    exchange: &Exchange,
) -> Result<Option<Opening>, Error> {
    if state.view.is_some() {
        return Ok(None);
    }
    exchange.touch();
    let now = vault.now();
    let Opened { view, came } = match look(&state.source, vault.settings, exchange, now) {
        Looked::Found(opened) => opened,
        Looked::LaterFormat => return Err(Error::new(ErrorKind::LaterFormat)),
        _ => Opened::new(now, Some(Rejection::NotFound)),
    };
    came.enter(state, &view, vault.settings);
    let view = state.view.insert(view);
    let opening = view.opening();
    // Nothing is in the log but what was asked for before, and only an update can fail.
    for change in state.log.changes_mut() {
        drop(change.apply(&mut view.content));
    }
    Ok(Some(opening))
}

impl Turn<'_> {
    pub(super) async fn open(&self) -> Result<(), Error> {
        let now = self.vault.now();
        let (id, came) = match self.begin_open(now)? {
            Next::Nothing => return Ok(()),
            Next::Record(id, came) => (id, came),
            Next::More(looked) => {
                let opened = Box::pin(ask(&self.vault, *looked, now)).await;
                return self.enter(opened.map_err(Error::of_load)?);
            }
        };
        let read = self.exchange.read(self.vault.settings);
        let found = self.vault.open(&id, read, now).await;
        let found = found.map_err(Error::of_load)?;
        self.enter(Opened::in_record(found, id, came, now))
    }

    /// Opens the session as far as that takes no store.
    fn begin_open(&self, now: Timestamp) -> Result<Next, Error> {
        match self.look(now)? {
            None => Ok(Next::Nothing),
            Some(Looked::Found(opened)) => self.enter(opened).map(|()| Next::Nothing),
            Some(Looked::Record(id, came)) => Ok(Next::Record(id, came)),
            Some(looked) => Ok(Next::More(Box::new(looked))),
        }
    }

    /// Opens the session from what its store has answered already. Says whether that was its
    /// record.
    fn open_fetched(&self, fetched: Fetched) -> Result<bool, Error> {
        let now = self.vault.now();
        match self.look(now)? {
            Some(Looked::Record(id, came)) if id.record_key() == fetched.key => {
                let found = self.vault.read(&id, fetched.record, now);
                let found = found.map_err(Error::of_load)?;
                self.enter(Opened::in_record(found, id, came, now))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What can be told without a store of a session that is not open.
    fn look(&self, now: Timestamp) -> Result<Option<Looked>, Error> {
        let settings = self.vault.settings;
        self.exchange.touch();
        let looked = self.state(|state| {
            let is_closed = state.view.is_none();
            is_closed.then(|| look(&state.source, settings, self.exchange, now))
        });
        if looked.is_some() && !settings.never_waits {
            store::check_runtime().map_err(|error| Error::of_load(error.into()))?;
        }
        Ok(looked)
    }

    /// Takes what was read for the session, with what was asked for before or not saved yet.
    fn enter(&self, opened: Opened) -> Result<(), Error> {
        let (settings, Opened { view, came }) = (self.vault.settings, opened);
        self.vault.report_opened(view.opening());
        if let Home::Record(place) = &view.home {
            let mut cut_off = self.state(|state| state.cut_off.clone());
            if !cut_off.is_empty() {
                self.vault.settle(&mut cut_off);
                self.state(|state| state.cut_off = cut_off);
            }
            let done = self.state(|state| state.take_done(&place.writes, self.vault.now()))?;
            drop(done);
        }
        let mut view = Some(view);
        self.state(|state| {
            if state.log.is_empty()
                && let Some(view) = view.take()
            {
                came.enter(state, &view, settings);
                state.view = Some(view);
            }
        });
        let Some(View {
            home,
            content,
            rejection,
        }) = view
        else {
            return Ok(());
        };
        self.rebase(content, |state, content| {
            let view = View {
                home,
                content,
                rejection,
            };
            came.enter(state, &view, settings);
            state.view = Some(view);
        })
    }

    /// Applies the changes that are not saved yet to what a store has, and enters both at once.
    ///
    /// An `update` runs again for that, without the lock: its closure may use the session. What is
    /// changed meanwhile comes behind.
    ///
    /// # Errors
    ///
    /// What the closure or its value's type says, or [`ErrorKind::Conflict`] if each run brings
    /// another change. Nothing is entered then, and the changes stay.
    pub(super) fn rebase(
        &self,
        mut content: Content,
        enter: impl FnOnce(&mut State, Content),
    ) -> Result<(), Error> {
        let mut applied = Applied::none(self);
        let mut enter = Some(enter);
        for _ in 0..ROUNDS {
            let newer = self.state(|state| {
                if state.log.kinds().runs_code {
                    return Some(mem::take(&mut state.log));
                }
                // Only what runs code can fail.
                state
                    .log
                    .changes_mut()
                    .for_each(|change| drop(change.apply(&mut content)));
                applied.give_back(state);
                if let Some(enter) = enter.take() {
                    let created = content.created;
                    enter(state, mem::replace(&mut content, Content::new(created)));
                }
                None
            });
            let Some(mut newer) = newer else {
                return Ok(());
            };
            // Given back also if a closure panics.
            let first = applied.log.len();
            applied.log.append(&mut newer);
            let mut newer = applied.log.changes_mut().skip(first);
            newer.try_for_each(|change| change.apply(&mut content))?;
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}
