//! From the request's cookies to an open session.

use std::mem;

use super::{
    cell::{Operation, Turn},
    exchange::Exchange,
    presented::Presented,
};
use crate::{
    clock::Timestamp,
    codec::Opened,
    config::Settings,
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    state::{Change, CookieDuty, Home, Lifetime, Source, State, View},
    store, trace,
    vault::Vault,
};

/// How often the closure of an `update` runs again because what it works on was changed meanwhile.
pub(crate) const ROUNDS: usize = 8;

/// Opens the session.
pub(crate) struct Open;

/// Opens a server-side session anew after the request has ended. What the request changed and did
/// not save is dropped, what was changed since then is not.
pub(crate) struct Reopen;

impl Operation for Open {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.open().await
    }
}

impl Operation for Reopen {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        let (source, now) = (turn.state(|state| state.source_again()), turn.vault.now());
        let looked = look(&source, turn.vault.settings, turn.exchange, now);
        let (view, duty) = ask(&turn.vault, looked, now).await?;
        // Dropped without the lock: it may have closures of the application.
        let dropped = turn.state(|state| state.reopen(source));
        drop(dropped);
        turn.enter(view, duty)
    }
}

/// What can be told of a session without a store.
enum Looked {
    Found(View, CookieDuty),
    /// It is in a record, whose ID the browser knows since then.
    Record(SessionId, Timestamp, CookieDuty),
    /// It is in a record that this request knows.
    Known(SessionId),
    /// It is in the cookie, but a store may know better.
    Token(Box<View>, CookieDuty),
    /// Only a later release can tell.
    LaterFormat,
}

/// Opens a session that no store has a say in, and says why its cookie was not accepted.
///
/// # Errors
///
/// [`ErrorKind::LaterFormat`].
pub(crate) fn open_cookie(
    state: &mut State,
    vault: &Vault<'_>,
    exchange: &Exchange,
) -> Result<Option<Rejection>, Error> {
    if state.view.is_some() {
        return Ok(None);
    }
    exchange.touch();
    state.is_used = true;
    let now = vault.now();
    let (mut view, duty) = match look(&state.source, vault.settings, exchange, now) {
        Looked::Found(view, duty) => (view, duty),
        Looked::LaterFormat => return Err(Error::new(ErrorKind::LaterFormat)),
        _ => (
            View::new(now, Some(Rejection::NotFound)),
            CookieDuty::Nothing,
        ),
    };
    let rejection = view.rejection;
    // Nothing is in the log but what was asked for before, and only an update can fail.
    state
        .log
        .iter_mut()
        .for_each(|change| drop(change.apply(&mut view.content)));
    state.view = Some(view);
    state.owe(duty);
    Ok(rejection)
}

/// Opens the session as far as that takes no store.
fn look(source: &Source, settings: &Settings, exchange: &Exchange, now: Timestamp) -> Looked {
    let new = |rejection| Looked::Found(View::new(now, rejection), CookieDuty::Nothing);
    let duty = |is_current| {
        if is_current {
            CookieDuty::Nothing
        } else {
            CookieDuty::Refresh
        }
    };
    match source {
        Source::Nothing => new(None),
        Source::Known(id) => Looked::Known((**id).clone()),
        Source::Cookie => match Presented::find(settings, &exchange.cookies, now) {
            Presented::Nothing(rejection) => new(rejection),
            Presented::LaterFormat => Looked::LaterFormat,
            Presented::Ambiguous => {
                let view = View::new(now, Some(Rejection::Ambiguous));
                Looked::Found(view, CookieDuty::Remove)
            }
            Presented::Reference {
                id,
                issued,
                is_current,
            } => Looked::Record(id, issued, duty(is_current)),
            Presented::Token(opened) => {
                let duty = duty(opened.current);
                match open_token(opened, settings, now) {
                    Ok(view) if settings.has_store() => Looked::Token(Box::new(view), duty),
                    Ok(view) => Looked::Found(view, duty),
                    Err(rejection) => new(Some(rejection)),
                }
            }
        },
    }
}

fn open_token(opened: Opened, settings: &Settings, now: Timestamp) -> Result<View, Rejection> {
    let stamp = opened.stamp;
    let content = Content::decode_payload(stamp.created, opened.payload);
    let (Some(content), Some(id)) = (content, stamp.token_id) else {
        return Err(Rejection::Malformed);
    };
    let lifetime = Lifetime::of(&content, settings);
    // The timeouts may have been shortened since the token was made.
    if lifetime.end.min(stamp.issued.saturating_add(lifetime.idle)) <= now {
        return Err(Rejection::Expired);
    }
    let home = Home::Cookie {
        id: SessionId::of_token(&id),
        issued: stamp.issued,
    };
    Ok(View {
        home,
        content,
        rejection: None,
    })
}

/// Opens the rest of the way.
///
/// A cookie whose record is missing stays in the browser: it may be about to get a newer one, from
/// the response of another request that has renewed the session.
async fn ask(
    vault: &Vault<'_>,
    looked: Looked,
    now: Timestamp,
) -> Result<(View, CookieDuty), Error> {
    if !vault.settings.never_waits {
        store::check_runtime()?;
    }
    let ended = |rejection| (View::new(now, Some(rejection)), CookieDuty::Nothing);
    match looked {
        Looked::Found(view, duty) => Ok((view, duty)),
        Looked::LaterFormat => Err(Error::new(ErrorKind::LaterFormat)),
        Looked::Record(id, _, duty) => match vault.find(&id, now).await?.into_view(id) {
            Ok(mut view) => {
                view.home.hear();
                Ok((view, duty))
            }
            Err(rejection) => Ok(ended(rejection)),
        },
        Looked::Known(id) => match vault.find(&id, now).await?.into_view(id) {
            Ok(view) => Ok((view, CookieDuty::Nothing)),
            Err(rejection) => Ok(ended(rejection)),
        },
        Looked::Token(view, duty) => match view.home.id() {
            Some(id) if vault.is_ended(id, &view.content).await? => Ok(ended(Rejection::Revoked)),
            _ => Ok((*view, duty)),
        },
    }
}

impl Turn<'_> {
    pub(super) async fn open(&self) -> Result<(), Error> {
        self.exchange.touch();
        let now = self.vault.now();
        let looked = self.state(|state| {
            if state.view.is_some() {
                return None;
            }
            state.is_used = true;
            let looked = look(&state.source, self.vault.settings, self.exchange, now);
            if let Looked::Record(_, issued, _) = &looked {
                state.sent = Some(*issued);
            }
            Some(looked)
        });
        let Some(looked) = looked else { return Ok(()) };
        let (view, duty) = ask(&self.vault, looked, now).await?;
        self.enter(view, duty)
    }

    /// Takes what was read for the session, with what was asked for before or not saved yet.
    fn enter(&self, view: View, duty: CookieDuty) -> Result<(), Error> {
        if let Some(reason) = view.rejection {
            trace::rejected(&self.vault.settings.name, reason);
        }
        let mut view = Some(view);
        self.state(|state| {
            if state.log.is_empty() {
                state.view = view.take();
                state.owe(duty);
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
            state.view = Some(View {
                home,
                content,
                rejection,
            });
            state.owe(duty);
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
        let mut applied = Applied {
            turn: self,
            log: Vec::new(),
        };
        let mut enter = Some(enter);
        for _ in 0..ROUNDS {
            let newer = self.state(|state| {
                if state.log.iter().any(Change::runs_code) {
                    return Some(mem::take(&mut state.log));
                }
                // Only what runs code can fail.
                state
                    .log
                    .iter_mut()
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
            let mut newer = applied.log.iter_mut().skip(first);
            newer.try_for_each(|change| change.apply(&mut content))?;
        }
        Err(Error::new(ErrorKind::Conflict))
    }
}

/// Changes that were taken from the session's state to be applied, and go back in front of those
/// that were made meanwhile.
struct Applied<'a> {
    turn: &'a Turn<'a>,
    log: Vec<Change>,
}

impl Applied<'_> {
    fn give_back(&mut self, state: &mut State) {
        self.log.append(&mut state.log);
        state.log = mem::take(&mut self.log);
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            self.turn.state(|state| self.give_back(state));
        }
    }
}
