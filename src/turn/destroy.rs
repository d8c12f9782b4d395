//! Destroying a session.

use std::mem;

use super::{
    cell::{Operation, Turn},
    presented::{Claims, Presented},
};
use crate::{
    clock::Timestamp,
    config::Foreign,
    content::Content,
    error::{Error, ErrorKind},
    id::SessionId,
    report::Cause,
    state::{Home, State, View},
    vault::{Doomed, Vault},
};

/// Ends the session. Once this is done nobody can open it, whatever happens to the request.
///
/// The session counts as ended from the first step on, so a request that is cut off in the middle
/// leaves nobody logged in. If the store reports a failure, everything is as before.
pub(crate) struct Destroy;

impl Operation for Destroy {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.open().await?;
        let (vault, exchange) = (turn.vault, turn.exchange);
        let settings = vault.settings;
        let in_record = |view: &View| matches!(view.home, Home::Record(_) | Home::Marked(_));
        let is_in_store = !settings.may_be_in_cookie()
            || turn.state(|state| state.view.as_ref().is_some_and(in_record));
        if exchange.is_closed() && !is_in_store && settings.revocations.is_none() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        let now = vault.now();
        let has_cookie = exchange.has_cookie(settings);
        let before = turn.state(|state| state.forget(now, has_cookie));
        let lost = turn.state(|state| state.lost.clone());
        let claims = claims(turn, now);
        let mut doomed: Vec<_> = claims.sessions.into_iter().map(presented).collect();
        for (home, created) in &lost {
            add(&mut doomed, home, *created);
        }
        match destroy(&vault, doomed, claims.foreign, now).await {
            Ok((ended, count)) => {
                // Without a store it is unknown whether they had ended before.
                let ended = if settings.has_store() { ended } else { count };
                vault.report_ended(Cause::Logout, ended);
                turn.state(|state| state.lost.clear());
                Ok(())
            }
            // The session had ended before, so the state keeps the cookie's removal.
            Err(error) if error.kind() == ErrorKind::Gone => Err(error),
            Err(error) => {
                restore(turn, before);
                Err(error)
            }
        }
    }
}

/// Puts the session back. Changes made meanwhile, which found an empty session, follow its own.
fn restore(turn: &Turn<'_>, before: State) {
    let content = before.view.as_ref().map(|view| view.content.clone());
    let mut before = Some(before);
    // Dropped outside the lock: it may own closures of the application.
    let mut dropped = None;
    let mut enter = |state: &mut State, content: Option<Content>| {
        let Some(mut before) = before.take() else {
            return;
        };
        if let (Some(view), Some(content)) = (&mut before.view, content) {
            view.content = content;
            before.log.append(&mut state.log);
        }
        dropped = Some(mem::replace(state, before));
    };
    let rebased =
        content.map(|content| turn.rebase(content, |state, content| enter(state, Some(content))));
    if !matches!(rebased, Some(Ok(()))) {
        turn.state(|state| enter(state, None));
    }
    drop(dropped);
}

fn claims(turn: &Turn<'_>, now: Timestamp) -> Claims {
    let settings = turn.vault.settings;
    let claims = Presented::all(settings, &turn.exchange.cookies, now);
    if claims.are_more {
        let clock = turn.vault.clock;
        turn.vault.report.too_many_cookies(clock, &settings.name);
    }
    claims
}

/// Ends these sessions and those from other makers' cookies. Returns how many of how many existed.
async fn destroy(
    vault: &Vault<'_>,
    mut doomed: Vec<Doomed>,
    strangers: Vec<Foreign>,
    now: Timestamp,
) -> Result<(usize, usize), Error> {
    for foreign in strangers {
        let known: Vec<_> = doomed.iter().map(|one| one.id.record_key()).collect();
        // A session without a record gets one, so that its end is remembered.
        let view = vault.take_in(foreign, &known, now).await?;
        add(&mut doomed, &view.home, view.content.created);
    }
    let ended = vault.destroy(&doomed).await?;
    Ok((ended, doomed.len()))
}

fn presented((id, created): (SessionId, Timestamp)) -> Doomed {
    Doomed {
        id,
        created,
        is_open: false,
        version: None,
    }
}

/// Adds a session that the request had open. It differs from those in the cookies after a renewal,
/// or if the cookies were ambiguous.
fn add(doomed: &mut Vec<Doomed>, home: &Home, created: Timestamp) {
    let (id, is_open, version) = match home {
        Home::Nowhere => return,
        Home::Marked(id) => (id, false, None),
        Home::Cookie { id, .. } => (id, true, None),
        Home::Record(place) => (&place.id, true, Some(place.version)),
    };
    match doomed.iter_mut().find(|known| known.id == *id) {
        Some(known) => {
            known.is_open |= is_open;
            known.version = version.or(known.version);
        }
        None => doomed.push(Doomed {
            id: id.clone(),
            created,
            is_open,
            version,
        }),
    }
}
