//! Committing a session at the end of a request: what is kept, and what the response says.

use super::{
    cell::{Anchor, Operation, Turn, finish_now},
    open::open_cookie,
    reply::Reply,
};
use crate::{
    config::Settings,
    error::Error,
    state::{Log, State, When},
};

/// Which of a request's changes are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    Everything,
    /// Nobody sees the response, so flash messages that were taken are put back.
    Unseen,
    /// The handler failed with a server error. A renewal or a destroy stays; every other change is
    /// discarded.
    Identity,
}

/// Saves the session and makes the reply to the browser. `name` is an error if an outer layer uses
/// the session's name.
pub(crate) struct Commit {
    pub(crate) keep: Keep,
    pub(crate) name: Result<(), Error>,
}

impl Operation for Commit {
    type Output = Reply;

    async fn perform(self, turn: &Turn<'_>) -> Result<Reply, Error> {
        drop(turn.state(|state| self.begin(state, turn.vault.settings))?);
        turn.save(When::Response).await?;
        if turn.state(|state| state.owes_unopened()) {
            turn.open().await?;
        }
        turn.state(|state| Reply::of(state, turn.vault.settings, None, || turn.vault.now()))
    }

    fn perform_now(self, turn: &Turn<'_>) -> Result<Reply, Error> {
        if self.keep == Keep::Everything && self.name.is_ok() {
            match turn.commit_directly() {
                Ok(None) => {}
                Ok(Some(reply)) => return Ok(reply),
                Err(error) => {
                    turn.vault.settings.metrics.save_failed(&error);
                    return Err(error);
                }
            }
        }
        finish_now(self, turn)
    }
}

impl Commit {
    /// Returns the discarded changes. Drop them outside the lock.
    fn begin(self, state: &mut State, settings: &Settings) -> Result<Log, Error> {
        if state.is_changed() {
            self.name?;
        }
        match self.keep {
            Keep::Everything => {}
            Keep::Unseen => state.put_back_flashes(
                |_| true,
                |content, taken| taken.check_fits(content, settings).is_ok(),
            ),
            Keep::Identity => return Ok(state.discard_changes()),
        }
        Ok(Log::default())
    }
}

/// Commits a session that needs no store, in one go and without a future.
pub(crate) fn commit_cookie(anchor: &impl Anchor, commit: Commit) -> Result<Reply, Error> {
    let (cell, vault, exchange) = (anchor.cell(), anchor.vault(), anchor.exchange());
    let settings = vault.settings;
    // The discarded changes are dropped outside the lock.
    let mut discarded = None;
    let (mut opening, mut saved) = (None, None);
    let reply = cell.in_turn(|| {
        cell.with(|state| {
            discarded = Some(commit.begin(state, settings)?);
            if state.needs_opening() {
                opening = open_cookie(state, &vault, exchange)?;
            }
            let now = vault.now();
            let mut salt = None;
            if let Some(plan) = state.plan(settings, now, When::Response)? {
                let (names, view) = (plan.write.names(), state.view.as_ref());
                let had = view.is_some_and(|view| !view.home.is_nowhere());
                let mut new = None;
                if names {
                    (new, salt) = vault.new_id_and_salt().map(|(id, salt)| (Some(id), salt))?;
                }
                state.saved_in_cookie(new, &plan, now);
                saved = state.view.as_ref().map(|view| view.home.saved(names, had));
            }
            Reply::of(state, settings, salt, || now)
        })
    });
    if let Err(error) = &reply {
        settings.metrics.save_failed(error);
    }
    if let Some(opening) = opening {
        vault.report_opened(opening);
    }
    if let Some(saved) = saved {
        vault.report_saved(saved, None);
    }
    reply
}
