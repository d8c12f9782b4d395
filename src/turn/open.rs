//! From the request's cookies to an open session.

use std::{cmp::Ordering, mem};

use super::{
    cell::{Operation, Turn},
    exchange::Exchange,
    presented::{Candidate, Kind, Presented},
};
use crate::{
    clock::Timestamp,
    codec,
    config::{AttributesTag, Settings},
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    key::KeyId,
    state::{Change, Home, Lifetime, Source, State, View},
    store, trace,
    vault::{Found, Token, Vault},
};

/// How often the closure of an `update` runs again because what it works on was changed meanwhile.
pub(crate) const ROUNDS: usize = 8;

/// Opens the session.
pub(crate) struct Open;

/// Opens a session anew after the request has ended, if a store has a say in it. What the request
/// changed and did not save is dropped, what was changed since then is not.
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
        let now = turn.vault.now();
        let (source, kept) = turn.state(|state| (state.source_again(), state.in_cookie()));
        let looked = match kept {
            // The request's own response may have brought another cookie than came.
            Some(view) => Looked::of_token(view, turn.vault.settings, now),
            None => look(&source, turn.vault.settings, turn.exchange, now),
        };
        let opened = ask(&turn.vault, looked, now).await?;
        // Dropped without the lock: it may have closures of the application.
        let dropped = turn.state(|state| state.reopen(source));
        drop(dropped);
        turn.enter(opened)
    }
}

/// What can be told of a session without a store.
enum Looked {
    Found(Opened),
    /// It is in a record, whose ID the browser knows.
    Record(SessionId, Came),
    /// It is in a record that this request knows.
    Known(SessionId),
    /// It is in the cookie, but a store may know better.
    Token(Box<View>, Came),
    /// Several cookies hold, and a store has to say which of their sessions live.
    Several(Vec<Contender>),
}

/// What a cookie tells beside its session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    /// It is not of the active key.
    is_outdated: bool,
    tag: Option<AttributesTag>,
    key: Option<KeyId>,
}

/// An open session, and the cookie that it came in.
pub(super) struct Opened {
    pub(super) view: View,
    pub(super) came: Came,
}

/// One of several sessions whose cookies came.
struct Contender {
    id: SessionId,
    /// In the cookie.
    token: Option<View>,
    is_reference: bool,
    came: Came,
}

impl Opened {
    fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self {
            view: View::new(now, rejection),
            came: Came::default(),
        }
    }
}

impl Looked {
    fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self::Found(Opened::new(now, rejection))
    }

    /// A session that a request had in its cookie.
    fn of_token(view: View, settings: &Settings, now: Timestamp) -> Self {
        match check_times(&view, settings, now) {
            Ok(()) => Self::Token(Box::new(view), Came::default()),
            Err(rejection) => Self::new(now, Some(rejection)),
        }
    }
}

/// Opens a session that no store has a say in, and says why its cookie was not accepted.
pub(crate) fn open_cookie(
    state: &mut State,
    vault: &Vault<'_>,
    exchange: &Exchange,
) -> Option<Rejection> {
    if state.view.is_some() {
        return None;
    }
    exchange.touch();
    state.is_used = true;
    let now = vault.now();
    let Opened { mut view, came } = match look(&state.source, vault.settings, exchange, now) {
        Looked::Found(opened) => opened,
        _ => Opened::new(now, Some(Rejection::NotFound)),
    };
    let rejection = view.rejection;
    // Nothing is in the log but what was asked for before, and only an update can fail.
    state
        .log
        .iter_mut()
        .for_each(|change| drop(change.apply(&mut view.content)));
    came.enter(state, &view, vault.settings);
    state.view = Some(view);
    rejection
}

impl Came {
    /// Notes what the cookie tells of itself.
    fn enter(self, state: &mut State, view: &View, settings: &Settings) {
        let own = view.content.attributes.as_deref();
        let is_other = |tag| match own {
            None => tag != settings.tag,
            Some(own) => tag != Settings::tag_of(&own.render()),
        };
        state.is_outdated = self.is_outdated || self.tag.is_some_and(is_other);
        state.sealed_by = self.key;
    }
}

/// Opens the session as far as that takes no store.
fn look(source: &Source, settings: &Settings, exchange: &Exchange, now: Timestamp) -> Looked {
    match source {
        Source::Nothing => Looked::new(now, None),
        Source::Known(id) => Looked::Known((**id).clone()),
        Source::Cookie => match Presented::find(settings, &exchange.cookies, now) {
            Presented::Nothing(rejection) => Looked::new(now, rejection),
            Presented::TooMany => Looked::new(now, Some(Rejection::Ambiguous)),
            Presented::One(candidate) => look_at(candidate, settings, now),
            Presented::Several(candidates) => look_at_several(candidates, settings, now),
        },
    }
}

fn look_at(candidate: Candidate, settings: &Settings, now: Timestamp) -> Looked {
    let came = Came::of(&candidate);
    match candidate.kind {
        Kind::Reference(id, _) => Looked::Record(id, came),
        Kind::Token(opened) => match open_token(opened, settings, now) {
            Ok(view) if settings.has_store() => Looked::Token(Box::new(view), came),
            Ok(view) => Looked::Found(Opened { view, came }),
            Err(rejection) => Looked::new(now, Some(rejection)),
        },
    }
}

impl Came {
    fn of(candidate: &Candidate) -> Self {
        Self {
            is_outdated: !candidate.is_current,
            tag: match candidate.kind {
                Kind::Token(_) => None,
                Kind::Reference(_, tag) => Some(tag),
            },
            key: Some(candidate.key),
        }
    }
}

/// Only sessions that live count, so that a cookie whose session is dead keeps nobody out: one of
/// former attributes, for example.
fn look_at_several(candidates: Vec<Candidate>, settings: &Settings, now: Timestamp) -> Looked {
    let (mut contenders, mut rejection) = (Vec::<Contender>::new(), None);
    for candidate in candidates {
        let came = Came::of(&candidate);
        let (id, token) = match candidate.kind {
            Kind::Reference(id, _) => (id, None),
            Kind::Token(opened) => match open_token(opened, settings, now) {
                Ok(view) => match view.home.id().cloned() {
                    Some(id) => (id, Some(view)),
                    None => continue,
                },
                Err(reason) => {
                    rejection = rejection.or(Some(reason));
                    continue;
                }
            },
        };
        match contenders.iter_mut().find(|other| other.id == id) {
            Some(other) => {
                if !other.unite(token, came) {
                    return Looked::new(now, Some(Rejection::Ambiguous));
                }
            }
            None => contenders.push(Contender {
                id,
                is_reference: token.is_none(),
                token,
                came,
            }),
        }
    }
    if settings.has_store() && !contenders.is_empty() {
        return Looked::Several(contenders);
    }
    let mut living = contenders.into_iter();
    match (living.next(), living.next()) {
        (None, _) => Looked::new(now, rejection),
        (Some(one), None) => match one.token {
            Some(view) => {
                let came = one.came;
                Looked::Found(Opened { view, came })
            }
            None => Looked::new(now, Some(Rejection::NotFound)),
        },
        (Some(_), Some(_)) => Looked::new(now, Some(Rejection::Ambiguous)),
    }
}

impl Contender {
    /// Takes another cookie of the same session: of two that hold it, the later one counts. Says
    /// whether it can be told which that is.
    fn unite(&mut self, token: Option<View>, came: Came) -> bool {
        let age = |view: &View| match view.home {
            Home::Cookie { issued, .. } => (view.content.revision, issued),
            _ => (view.content.revision, Timestamp::default()),
        };
        match (&self.token, token) {
            (_, None) => {
                self.is_reference = true;
                self.came.is_outdated &= came.is_outdated;
            }
            (None, token) => self.token = token,
            (Some(own), Some(other)) => {
                let is_same = own.content.frames.as_bytes() == other.content.frames.as_bytes();
                match age(own).cmp(&age(&other)) {
                    Ordering::Equal if !is_same => return false,
                    Ordering::Less => (self.token, self.came) = (Some(other), came),
                    Ordering::Equal | Ordering::Greater => {}
                }
            }
        }
        true
    }
}

fn open_token(
    opened: codec::Opened,
    settings: &Settings,
    now: Timestamp,
) -> Result<View, Rejection> {
    let stamp = opened.stamp;
    let content = Content::decode_payload(stamp.created, opened.payload);
    let (Some(content), Some(id)) = (content, stamp.token_id) else {
        return Err(Rejection::Malformed);
    };
    let home = Home::Cookie {
        id: SessionId::of_token(&id),
        issued: stamp.issued,
    };
    let view = View {
        home,
        content,
        rejection: None,
    };
    check_times(&view, settings, now)?;
    Ok(view)
}

/// The timeouts may have been shortened since the token was made.
fn check_times(view: &View, settings: &Settings, now: Timestamp) -> Result<(), Rejection> {
    let lifetime = Lifetime::of(&view.content, settings);
    let idle = match view.home {
        Home::Cookie { issued, .. } => issued.saturating_add(lifetime.idle),
        _ => lifetime.end,
    };
    if lifetime.end.min(idle) <= now {
        return Err(Rejection::Expired);
    }
    Ok(())
}

/// Opens the rest of the way.
///
/// A cookie whose record is missing stays in the browser: it may be about to get a newer one, from
/// the response of another request that has renewed the session.
async fn ask(vault: &Vault<'_>, looked: Looked, now: Timestamp) -> Result<Opened, Error> {
    if !vault.settings.never_waits {
        store::check_runtime()?;
    }
    let (view, came) = match looked {
        Looked::Found(opened) => return Ok(opened),
        Looked::Record(id, came) => {
            let mut view = vault.open(&id, now).await?.into_view(id, now);
            view.home.hear();
            (view, came)
        }
        Looked::Known(id) => {
            let view = vault.find(&id, now).await?.into_view(id, now);
            (view, Came::default())
        }
        Looked::Token(view, came) => match vault.is_over(token(&view)?).await? {
            Some(over) => (over.into_view(&view, now), Came::default()),
            None => (*view, came),
        },
        Looked::Several(contenders) => return ask_several(vault, contenders, now).await,
    };
    Ok(Opened { view, came })
}

fn token(view: &View) -> Result<Token<'_>, Error> {
    Ok(Token {
        id: view.home.id().ok_or_else(|| Error::new(ErrorKind::Gone))?,
        created: view.content.created,
        subject: view.content.subject.as_deref(),
    })
}

/// Finds the one that lives, if it is one: an error is never "dead".
async fn ask_several(
    vault: &Vault<'_>,
    contenders: Vec<Contender>,
    now: Timestamp,
) -> Result<Opened, Error> {
    let references = contenders.iter().filter(|contender| contender.is_reference);
    let ids: Vec<_> = references.map(|contender| contender.id.clone()).collect();
    let mut found = match ids.as_slice() {
        [] => Vec::new(),
        ids => vault.open_many(ids, now).await?,
    }
    .into_iter();
    let views = contenders
        .iter()
        .filter_map(|contender| contender.token.as_ref());
    let tokens = views.map(token).collect::<Result<Vec<_>, _>>()?;
    let mut over = vault.are_over(&tokens).await?.into_iter();
    let (mut living, mut marked) = (Vec::new(), None);
    let mut dead = None;
    for contender in contenders {
        let Contender {
            id,
            token,
            is_reference,
            came,
        } = contender;
        let mut views = Vec::new();
        if is_reference {
            let found = found.next().unwrap_or(Found::Nothing(Rejection::NotFound));
            let mut view = found.into_view(id, now);
            view.home.hear();
            views.push(view);
        }
        if let Some(view) = token {
            views.push(match over.next().flatten() {
                Some(over) => over.into_view(&view, now),
                None => view,
            });
        }
        // One session: its record comes after its cookie.
        let alive = views.iter().position(|view| !view.home.is_nowhere());
        if let Some(alive) = alive {
            living.push(Opened {
                view: views.swap_remove(alive),
                came,
            });
            continue;
        }
        for view in views {
            match view.home {
                Home::Marked(_) => marked = marked.or(Some(view)),
                _ => dead = dead.or(Some(view)),
            }
        }
    }
    let came = Came::default();
    match living.len() {
        0 => {
            let view = marked.or(dead);
            let view = view.unwrap_or_else(|| View::new(now, Some(Rejection::NotFound)));
            Ok(Opened { view, came })
        }
        1 => Ok(living.remove(0)),
        _ => Ok(Opened::new(now, Some(Rejection::Ambiguous))),
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
            Some(look(&state.source, self.vault.settings, self.exchange, now))
        });
        let Some(looked) = looked else { return Ok(()) };
        let opened = ask(&self.vault, looked, now).await?;
        self.enter(opened)
    }

    /// Takes what was read for the session, with what was asked for before or not saved yet.
    fn enter(&self, opened: Opened) -> Result<(), Error> {
        let (settings, Opened { view, came }) = (self.vault.settings, opened);
        if let Some(reason) = view.rejection {
            trace::rejected(&settings.name, reason);
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
