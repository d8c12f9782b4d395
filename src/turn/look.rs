//! Finding the session that the request's cookies mean.

use super::{
    cell::Anchor,
    contenders::{Contender, Opened, Stranger, ask_several, token},
    exchange::Exchange,
    presented::Presented,
};
use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Refusal, Stamp},
    config::{Accepted, Foreign, Payload, Settings},
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    state::{Home, Lifetime, Provenance, Source, View},
    store::{Read, Record, StoreError},
    vault::Vault,
};

/// What is known about a session before a store is asked.
pub(super) enum Lookup {
    Found(Opened),
    /// It is in a record that the browser's cookie refers to.
    Record(SessionId, Provenance),
    /// It is in a record that this request has made or found.
    Known(SessionId),
    /// It is in the cookie, but a store may know that it has ended or moved.
    Token(Box<View>, Provenance),
    /// It came in another maker's cookie and belongs in a record.
    Stranger(Box<Foreign>, Provenance),
    /// Its cookie was made by a later release.
    LaterFormat,
    /// Several cookies are valid. The store knows which of their sessions live.
    Several(Vec<Contender>, Vec<Stranger>),
}

impl Lookup {
    pub(super) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self::Found(Opened::new(now, rejection))
    }

    /// The session that a request had in its own new cookie.
    pub(super) fn of_token(view: View, now: Timestamp) -> Self {
        match check_time(view.home.expires(), now) {
            Ok(()) => Self::Token(Box::new(view), Provenance::default()),
            Err(rejection) => Self::new(now, Some(rejection)),
        }
    }
}

/// A store's answer, fetched in advance.
pub(crate) struct Fetched {
    pub(crate) key: RecordKey,
    pub(crate) record: Result<Option<Record>, StoreError>,
}

/// The one record that opening the session now would read. `None` if the opening needs no store
/// that waits, or more than that record in its current version.
pub(crate) fn wanted(anchor: &impl Anchor) -> Option<RecordKey> {
    let (vault, exchange) = (anchor.vault(), anchor.exchange());
    let settings = vault.settings;
    let is_plain = !settings.never_waits && settings.ends().is_none();
    if !is_plain || exchange.is_over() || exchange.read(settings) == Read::Recent {
        return None;
    }
    let lookup = anchor.cell().with(|state| {
        let is_closed = state.view.is_none();
        is_closed.then(|| look(&state.source, settings, exchange, vault.now()))
    });
    match lookup? {
        Lookup::Record(id, _) => Some(id.record_key()),
        _ => None,
    }
}

/// The key of the record that the request's cookie names. The record may have ended.
pub(crate) fn claimed(anchor: &impl Anchor) -> Option<RecordKey> {
    let (vault, exchange) = (anchor.vault(), anchor.exchange());
    let presented = Presented::find(vault.settings, &exchange.cookies, vault.now());
    presented.claimed().map(|id| id.record_key())
}

/// Opens the session as far as possible without a store.
pub(super) fn look(
    source: &Source,
    settings: &Settings,
    exchange: &Exchange,
    now: Timestamp,
) -> Lookup {
    match source {
        Source::Nothing => Lookup::new(now, None),
        Source::Known(id) => Lookup::Known((**id).clone()),
        Source::Cookie => match Presented::find(settings, &exchange.cookies, now) {
            Presented::Nothing(rejection) => Lookup::new(now, rejection),
            Presented::LaterFormat => Lookup::LaterFormat,
            Presented::TooMany => Lookup::new(now, Some(Rejection::Ambiguous)),
            Presented::One(candidate) => look_at(candidate, settings, now),
            Presented::Several(candidates) => look_at_several(candidates, settings, now),
        },
    }
}

fn look_at(candidate: Accepted, settings: &Settings, now: Timestamp) -> Lookup {
    let provenance = Provenance::of(&candidate);
    match candidate.payload {
        Payload::Reference(_, id, _) => Lookup::Record(id, provenance),
        Payload::Foreign(foreign) if foreign.id.is_none() => Lookup::Stranger(foreign, provenance),
        payload => match open_values(payload, settings, now) {
            Ok(view) if settings.has_store() => Lookup::Token(Box::new(view), provenance),
            Ok(view) => Lookup::Found(Opened { view, provenance }),
            Err(rejection) => Lookup::new(now, Some(rejection)),
        },
    }
}

/// Only live sessions count. A cookie of a dead session, such as one left from former attributes,
/// locks nobody out.
#[cold]
fn look_at_several(candidates: Vec<Accepted>, settings: &Settings, now: Timestamp) -> Lookup {
    let (mut contenders, mut rejection) = (Vec::<Contender>::new(), None);
    let mut strangers = Vec::<Stranger>::new();
    for candidate in candidates {
        let provenance = Provenance::of(&candidate);
        let (id, token) = match candidate.payload {
            Payload::Reference(_, id, _) => (id, None),
            Payload::Foreign(foreign) if foreign.id.is_none() => {
                let is_same = |(known, _): &Stranger| known.origin == foreign.origin;
                if !strangers.iter().any(is_same) {
                    strangers.push((foreign, provenance));
                }
                continue;
            }
            payload => match open_values(payload, settings, now) {
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
                if !other.unite(token, provenance) {
                    return Lookup::new(now, Some(Rejection::Ambiguous));
                }
            }
            None => contenders.push(Contender {
                id,
                is_reference: token.is_none(),
                token,
                provenance,
            }),
        }
    }
    if settings.has_store() && !(contenders.is_empty() && strangers.is_empty()) {
        return Lookup::Several(contenders, strangers);
    }
    let mut living = contenders.into_iter();
    match (living.next(), living.next()) {
        (None, _) => Lookup::new(now, rejection),
        (Some(one), None) => match one.token {
            Some(view) => {
                let provenance = one.provenance;
                Lookup::Found(Opened { view, provenance })
            }
            None => Lookup::new(now, Some(Rejection::NotFound)),
        },
        (Some(_), Some(_)) => Lookup::new(now, Some(Rejection::Ambiguous)),
    }
}

/// Opens the session that a cookie holds.
fn open_values(payload: Payload, settings: &Settings, now: Timestamp) -> Result<View, Rejection> {
    match payload {
        Payload::Values(stamp, values) => open_token(&stamp, values, settings, now),
        Payload::Foreign(foreign) => open_foreign(*foreign, settings, now),
        Payload::Reference(..) => Err(Rejection::Malformed),
    }
}

fn open_foreign(foreign: Foreign, settings: &Settings, now: Timestamp) -> Result<View, Rejection> {
    let expires = Lifetime::end_of(&foreign, settings);
    let home = Home::Cookie {
        id: foreign.id.ok_or(Rejection::Malformed)?,
        issued: foreign.saved,
        expires,
    };
    check_time(Some(expires), now)?;
    Ok(View {
        home,
        content: foreign.content,
        rejection: None,
    })
}

fn open_token(
    stamp: &Stamp,
    values: Tail,
    settings: &Settings,
    now: Timestamp,
) -> Result<View, Rejection> {
    let content = Content::decode_payload(stamp.created, values);
    let (Some(content), Some(id)) = (content, stamp.token_id) else {
        return Err(Rejection::Malformed);
    };
    // The configured timeouts may have changed since the token was made. The shorter ones count.
    let expires = Lifetime::of(&content, settings)
        .expires(stamp.issued)
        .min(stamp.expires());
    let home = Home::Cookie {
        id: SessionId::of_token(&id),
        issued: stamp.issued,
        expires,
    };
    check_time(Some(expires), now)?;
    Ok(View {
        home,
        content,
        rejection: None,
    })
}

/// Checks a cookie's value without asking a store.
///
/// # Errors
///
/// Why the value is refused.
pub(crate) fn check_cookie(
    settings: &Settings,
    value: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    match settings.open_cookie(value, now)?.payload {
        Payload::Reference(..) => Ok(()),
        payload => Ok(open_values(payload, settings, now).map(drop)?),
    }
}

fn check_time(expires: Option<Timestamp>, now: Timestamp) -> Result<(), Rejection> {
    match expires {
        Some(expires) if expires <= now => Err(Rejection::Expired),
        _ => Ok(()),
    }
}

/// Asks the store and opens the session.
///
/// A cookie whose record is missing stays in the browser: another request may have renewed the
/// session, and its response may be about to bring a newer cookie.
pub(super) async fn ask(
    vault: &Vault<'_>,
    lookup: Lookup,
    now: Timestamp,
) -> Result<Opened, Error> {
    vault.check_runtime()?;
    match lookup {
        Lookup::Found(opened) => Ok(opened),
        Lookup::LaterFormat => Err(Error::new(ErrorKind::LaterFormat)),
        Lookup::Record(id, provenance) => {
            let found = vault.open(&id, Read::Current, now).await?;
            Ok(Opened::in_record(found, &id, provenance, now))
        }
        Lookup::Known(id) => {
            let found = vault.open(&id, Read::Current, now).await?;
            let (view, provenance) = (found.into_view(&id, now), Provenance::default());
            Ok(Opened { view, provenance })
        }
        Lookup::Token(view, provenance) => match vault.ending(token(&view)?).await? {
            Some(over) => {
                let (view, provenance) = (over.into_view(&view, now), Provenance::default());
                Ok(Opened { view, provenance })
            }
            None => Ok(Opened {
                view: *view,
                provenance,
            }),
        },
        Lookup::Stranger(foreign, provenance) => {
            let view = Box::pin(vault.take_in(*foreign, &[], now)).await?;
            Ok(Opened { view, provenance })
        }
        Lookup::Several(contenders, strangers) => {
            ask_several(vault, contenders, strangers, now).await
        }
    }
}
