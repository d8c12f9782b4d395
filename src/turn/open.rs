//! Opening a session.

use std::mem;

use super::{
    cell::{Operation, Turn, finish_now},
    contenders::Opened,
    exchange::Exchange,
    look::{Fetched, Lookup, ask, look},
    rebase::Rebase,
};
use crate::{
    clock::Timestamp,
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    report::Opening,
    state::{Home, Provenance, State, View},
    vault::Vault,
};

/// How often the closure of an `update` reruns because its value has changed meanwhile.
pub(crate) const ROUNDS: usize = 8;

/// Opens the session.
pub(crate) struct Open;

/// What is left to ask the store.
enum Next {
    Nothing,
    Record(SessionId, Provenance),
    More(Box<Lookup>),
}

/// As [`Open`], with an answer that the session's store has already given.
pub(crate) struct OpenFetched(pub(crate) Fetched);

/// Reopens a session that its request has committed, if it needs a store. Changes that the request
/// did not save are dropped. Changes made since then stay.
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
        turn.open_fetched(self.0)?;
        turn.open().await
    }
}

impl Operation for Reopen {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        // This turn came just before the commit's.
        if !turn.exchange.is_over() && !turn.state(|state| state.is_committed) {
            return turn.open().await;
        }
        let now = turn.vault.now();
        let settings = turn.vault.settings;
        let (source, kept) = turn.state(|state| (state.source_again(), state.in_cookie()));
        let (maker, is_locked_out) =
            turn.state(|state| (state.provenance.maker, state.is_locked_out(settings)));
        let lookup = match kept {
            _ if is_locked_out => Lookup::new(now, Some(Rejection::UnknownKey)),
            // This request's response may have replaced the cookie that came with it.
            Some(view) => Lookup::of_token(view, now),
            None => look(&source, settings, turn.exchange, now),
        };
        let opened = ask(&turn.vault, lookup, now)
            .await
            .map_err(Error::of_load)?;
        turn.exchange.reopen();
        // Dropped outside the lock: it may own closures of the application.
        let dropped = turn.state(|state| {
            if opened.view.home.is_nowhere() {
                state.lose();
            }
            state.reopen(source)
        });
        drop(dropped);
        turn.enter(opened)?;
        // The session still belongs to the same cookie.
        turn.state(|state| state.provenance.maker = state.provenance.maker.or(maker));
        Ok(())
    }
}

/// Opens a session that needs no store. Returns what was found, or `None` if it was already open.
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
    let settings = vault.settings;
    match look(&state.source, settings, exchange, now) {
        Lookup::Found(Opened { view, provenance }) => state.open(view, provenance, settings),
        Lookup::LaterFormat => return Err(Error::new(ErrorKind::LaterFormat)),
        _ => {
            let view = View::new(now, Some(Rejection::NotFound));
            state.open(view, Provenance::default(), settings);
        }
    }
    let opening = state.view.as_mut().map(|view| {
        // The log holds only changes from before the opening. Of these only an update can fail.
        for change in state.log.changes_mut() {
            drop(change.apply(&mut view.content));
        }
        view.opening()
    });
    Ok(opening)
}

impl Turn<'_> {
    pub(super) async fn open(&self) -> Result<(), Error> {
        let now = self.vault.now();
        let (id, provenance) = match self.begin_open(now)? {
            Next::Nothing => return Ok(()),
            Next::Record(id, provenance) => (id, provenance),
            Next::More(lookup) => {
                let opened = Box::pin(ask(&self.vault, *lookup, now)).await;
                return self.enter(opened.map_err(Error::of_load)?);
            }
        };
        let read = self.exchange.read(self.vault.settings);
        let found = self.vault.open(&id, read, now).await;
        let found = found.map_err(Error::of_load)?;
        self.enter(Opened::in_record(found, &id, provenance, now))
    }

    /// Opens the session as far as possible without a store.
    fn begin_open(&self, now: Timestamp) -> Result<Next, Error> {
        match self.look(now)? {
            None => Ok(Next::Nothing),
            Some(Lookup::Found(opened)) => self.enter(opened).map(|()| Next::Nothing),
            Some(Lookup::Record(id, provenance)) => Ok(Next::Record(id, provenance)),
            Some(lookup) => Ok(Next::More(Box::new(lookup))),
        }
    }

    /// Opens the session from a record that its store has already returned, if it is the right one.
    fn open_fetched(&self, fetched: Fetched) -> Result<(), Error> {
        let now = self.vault.now();
        match self.look(now)? {
            Some(Lookup::Record(id, provenance)) if id.record_key() == fetched.key => {
                let found = self.vault.read(&id, fetched.record, now);
                let found = found.map_err(Error::of_load)?;
                self.enter(Opened::in_record(found, &id, provenance, now))
            }
            _ => Ok(()),
        }
    }

    /// What can be learned without a store about a session that is not open.
    fn look(&self, now: Timestamp) -> Result<Option<Lookup>, Error> {
        let settings = self.vault.settings;
        self.exchange.touch();
        let lookup = self.state(|state| {
            let is_closed = state.view.is_none();
            is_closed.then(|| look(&state.source, settings, self.exchange, now))
        });
        if lookup.is_some() {
            self.vault.check_runtime().map_err(Error::of_load)?;
        }
        Ok(lookup)
    }

    /// Enters what was read for the session and applies its pending changes.
    fn enter(&self, opened: Opened) -> Result<(), Error> {
        let (settings, Opened { view, provenance }) = (self.vault.settings, opened);
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
        let View {
            home,
            content,
            rejection,
        } = view;
        self.rebase(content, |state, content| {
            let view = View {
                home,
                content,
                rejection,
            };
            state.open(view, provenance, settings);
        })
    }

    /// Applies the unsaved changes to `content` from a store, and enters both at once.
    ///
    /// The closure of an `update` reruns for that outside the lock, because it may use the session.
    /// Changes made meanwhile follow.
    ///
    /// # Errors
    ///
    /// The error of the closure or of the value's type, or [`ErrorKind::Conflict`] if each run
    /// brings another change. In that case nothing is entered, and the changes stay.
    pub(super) fn rebase(
        &self,
        mut content: Content,
        enter: impl FnOnce(&mut State, Content),
    ) -> Result<(), Error> {
        let mut rebase = Rebase::new(self);
        let mut enter = Some(enter);
        for _ in 0..ROUNDS {
            let newer = self.state(|state| {
                if state.log.kinds().runs_code {
                    return Some(mem::take(&mut state.log));
                }
                // Only a change that runs code can fail.
                state
                    .log
                    .changes_mut()
                    .for_each(|change| drop(change.apply(&mut content)));
                rebase.give_back(state);
                if let Some(enter) = enter.take() {
                    let created = content.created;
                    enter(state, mem::replace(&mut content, Content::new(created)));
                }
                None
            });
            let Some(mut newer) = newer else {
                return Ok(());
            };
            // `rebase` gives them back even if a closure panics.
            let first = rebase.log.len();
            rebase.log.append(&mut newer);
            let mut newer = rebase.log.changes_mut().skip(first);
            newer.try_for_each(|change| change.apply(&mut content))?;
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}
