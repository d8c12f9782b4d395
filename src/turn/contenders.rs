//! Which session counts if the cookies of several came.

use std::cmp::Ordering;

use crate::{
    clock::Timestamp,
    config::Foreign,
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    state::{Home, Provenance, View},
    vault::{Found, Token, Vault},
};

/// An open session and its cookie.
pub(super) struct Opened {
    pub(super) view: View,
    pub(super) provenance: Provenance,
}

/// One of several sessions whose cookies came.
pub(super) struct Contender {
    pub(super) id: SessionId,
    /// The session as a cookie holds it.
    pub(super) token: Option<View>,
    pub(super) is_reference: bool,
    pub(super) provenance: Provenance,
}

/// A session from another maker's cookie that belongs in a record.
pub(super) type Stranger = (Box<Foreign>, Provenance);

impl Opened {
    pub(super) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self {
            view: View::new(now, rejection),
            provenance: Provenance::default(),
        }
    }

    /// Opens the session of a cookie that refers to a record.
    pub(super) fn in_record(
        found: Found,
        id: &SessionId,
        provenance: Provenance,
        now: Timestamp,
    ) -> Self {
        let mut view = found.into_view(id, now);
        view.home.hear();
        Self { view, provenance }
    }
}

impl Contender {
    /// Adds another cookie of the same session. Of two that hold the session, the later one counts.
    /// Returns `false` if neither is later and they differ.
    pub(super) fn unite(&mut self, token: Option<View>, provenance: Provenance) -> bool {
        let age = |view: &View| match view.home {
            Home::Cookie { issued, .. } => (view.content.revision, issued),
            _ => (view.content.revision, Timestamp::default()),
        };
        match (&self.token, token) {
            (_, None) => {
                self.is_reference = true;
                self.provenance.is_outdated &= provenance.is_outdated;
            }
            (None, token) => self.token = token,
            (Some(own), Some(other)) => {
                let is_same = payload(own) == payload(&other);
                match age(own).cmp(&age(&other)) {
                    Ordering::Equal if !is_same => return false,
                    Ordering::Less => (self.token, self.provenance) = (Some(other), provenance),
                    Ordering::Equal | Ordering::Greater => {}
                }
            }
        }
        true
    }
}

fn payload(view: &View) -> Vec<u8> {
    let mut payload = Vec::new();
    view.content.encode_payload(&mut payload);
    payload
}

pub(super) fn token(view: &View) -> Result<Token<'_>, Error> {
    Ok(Token {
        id: view.home.id().ok_or_else(|| Error::new(ErrorKind::Gone))?,
        created: view.content.created,
        subject: view.content.subject.as_deref(),
    })
}

/// Asks the store which of the sessions live. If exactly one does, it is opened. A store's error is
/// an error, and never means that a session is dead.
pub(super) async fn ask_several(
    vault: &Vault<'_>,
    contenders: Vec<Contender>,
    strangers: Vec<Stranger>,
    now: Timestamp,
) -> Result<Opened, Error> {
    let mut tally = ask_known(vault, contenders, now).await?;
    for (foreign, provenance) in strangers {
        let living = tally.living.iter();
        let living: Vec<_> = living.filter_map(|one| one.view.home.key()).collect();
        let view = vault.take_in(*foreign, &living, now).await?;
        let is_known = view.home.key().is_some_and(|key| living.contains(&key));
        // A session that moved to a record may have come in its new cookie as well.
        if !is_known {
            tally.count(vec![view], provenance);
        }
    }
    Ok(tally.outcome(now))
}

async fn ask_known(
    vault: &Vault<'_>,
    contenders: Vec<Contender>,
    now: Timestamp,
) -> Result<Tally, Error> {
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
    let mut over = vault.endings(&tokens).await?.into_iter();
    let mut tally = Tally::default();
    for contender in contenders {
        let Contender {
            id,
            token,
            is_reference,
            provenance,
        } = contender;
        let mut views = Vec::new();
        if is_reference {
            let found = found.next().unwrap_or(Found::Nothing(Rejection::NotFound));
            let mut view = found.into_view(&id, now);
            view.home.hear();
            views.push(view);
        }
        if let Some(view) = token {
            views.push(match over.next().flatten() {
                Some(over) => over.into_view(&view, now),
                None => view,
            });
        }
        tally.count(views, provenance);
    }
    Ok(tally)
}

/// The sessions examined so far.
#[derive(Default)]
struct Tally {
    living: Vec<Opened>,
    marked: Option<View>,
    dead: Option<View>,
}

impl Tally {
    /// Counts the views of one session. Its record is newer than its cookie, and a mark in place of
    /// the record ends the cookie as well.
    fn count(&mut self, mut views: Vec<View>, provenance: Provenance) {
        let is_marked = |view: &View| matches!(view.home, Home::Marked(_));
        if let Some(marked) = views.iter().position(is_marked) {
            self.marked.get_or_insert(views.swap_remove(marked));
            return;
        }
        if let Some(alive) = views.iter().position(|view| !view.home.is_nowhere()) {
            let view = views.swap_remove(alive);
            self.living.push(Opened { view, provenance });
            return;
        }
        self.dead = self.dead.take().or(views.pop());
    }

    fn outcome(mut self, now: Timestamp) -> Opened {
        match self.living.len() {
            0 => {
                let view = self.marked.or(self.dead);
                let view = view.unwrap_or_else(|| View::new(now, Some(Rejection::NotFound)));
                let provenance = Provenance::default();
                Opened { view, provenance }
            }
            1 => self.living.remove(0),
            _ => Opened::new(now, Some(Rejection::Ambiguous)),
        }
    }
}

#[cfg(test)]
mod tests;
