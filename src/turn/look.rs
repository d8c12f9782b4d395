//! From the request's cookies to the session that they mean.

use super::{
    cell::Anchor,
    contenders::{Came, Contender, Opened, Stranger, ask_several, token},
    exchange::Exchange,
    presented::Presented,
};
use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Refused, Stamp},
    config::{Accepted, Foreign, Payload, Settings},
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    state::{Home, Lifetime, Source, View},
    store::{self, Read, Record, StoreError},
    vault::Vault,
};

/// What can be told of a session without a store.
pub(super) enum Looked {
    Found(Opened),
    /// It is in a record, whose ID the browser knows.
    Record(SessionId, Came),
    /// It is in a record that this request knows.
    Known(SessionId),
    /// It is in the cookie, but a store may know better.
    Token(Box<View>, Came),
    /// It came in a cookie of another maker's, and is to be in a record.
    Stranger(Box<Foreign>, Came),
    /// Only a later release can tell.
    LaterFormat,
    /// Several cookies hold, and a store has to say which of their sessions live.
    Several(Vec<Contender>, Vec<Stranger>),
}

impl Looked {
    pub(super) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self::Found(Opened::new(now, rejection))
    }

    /// A session that a request had in its cookie.
    pub(super) fn of_token(view: View, now: Timestamp) -> Self {
        match check_times(&view, now) {
            Ok(()) => Self::Token(Box::new(view), Came::default()),
            Err(rejection) => Self::new(now, Some(rejection)),
        }
    }
}

/// What a store has answered already.
pub(crate) struct Fetched {
    pub(crate) key: RecordKey,
    pub(crate) record: Result<Option<Record>, StoreError>,
}

/// The record that the session would be read from if it were opened now, and nothing else: of a
/// store that waits, as it is now.
pub(crate) fn wanted(anchor: &impl Anchor) -> Option<RecordKey> {
    let (vault, exchange) = (anchor.vault(), anchor.exchange());
    let settings = vault.settings;
    let is_plain = !settings.never_waits && settings.ends().is_none();
    if !is_plain || exchange.is_over() || exchange.read(settings) == Read::Recent {
        return None;
    }
    let looked = anchor.cell().with(|state| {
        let is_closed = state.view.is_none();
        is_closed.then(|| look(&state.source, settings, exchange, vault.now()))
    });
    match looked? {
        Looked::Record(id, _) => Some(id.record_key()),
        _ => None,
    }
}

/// The record that the request's cookie names, which may have ended.
pub(crate) fn claimed(anchor: &impl Anchor) -> Option<RecordKey> {
    let (vault, exchange) = (anchor.vault(), anchor.exchange());
    let presented = Presented::find(vault.settings, &exchange.cookies, vault.now());
    presented.claimed().map(|id| id.record_key())
}

/// Opens the session as far as that takes no store.
pub(super) fn look(
    source: &Source,
    settings: &Settings,
    exchange: &Exchange,
    now: Timestamp,
) -> Looked {
    match source {
        Source::Nothing => Looked::new(now, None),
        Source::Known(id) => Looked::Known((**id).clone()),
        Source::Cookie => match Presented::find(settings, &exchange.cookies, now) {
            Presented::Nothing(rejection) => Looked::new(now, rejection),
            Presented::LaterFormat => Looked::LaterFormat,
            Presented::TooMany => Looked::new(now, Some(Rejection::Ambiguous)),
            Presented::One(candidate) => look_at(candidate, settings, now),
            Presented::Several(candidates) => look_at_several(candidates, settings, now),
        },
    }
}

fn look_at(candidate: Accepted, settings: &Settings, now: Timestamp) -> Looked {
    let came = Came::of(&candidate);
    match candidate.payload {
        Payload::Reference(_, id, _) => Looked::Record(id, came),
        Payload::Foreign(foreign) if foreign.id.is_none() => Looked::Stranger(foreign, came),
        payload => match open_values(payload, settings, now) {
            Ok(view) if settings.has_store() => Looked::Token(Box::new(view), came),
            Ok(view) => Looked::Found(Opened { view, came }),
            Err(rejection) => Looked::new(now, Some(rejection)),
        },
    }
}

/// Only sessions that live count, so that a cookie whose session is dead keeps nobody out: one of
/// former attributes, for example.
#[cold]
fn look_at_several(candidates: Vec<Accepted>, settings: &Settings, now: Timestamp) -> Looked {
    let (mut contenders, mut rejection) = (Vec::<Contender>::new(), None);
    let mut strangers = Vec::<Stranger>::new();
    for candidate in candidates {
        let came = Came::of(&candidate);
        let (id, token) = match candidate.payload {
            Payload::Reference(_, id, _) => (id, None),
            Payload::Foreign(foreign) if foreign.id.is_none() => {
                let is_same = |(known, _): &Stranger| known.origin == foreign.origin;
                if !strangers.iter().any(is_same) {
                    strangers.push((foreign, came));
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
    if settings.has_store() && !(contenders.is_empty() && strangers.is_empty()) {
        return Looked::Several(contenders, strangers);
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

/// Opens what a cookie holds.
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
    let view = View {
        home,
        content: foreign.content,
        rejection: None,
    };
    check_times(&view, now)?;
    Ok(view)
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
    // The timeouts may have been shortened since the token was made, or made longer.
    let expires = Lifetime::of(&content, settings)
        .expires(stamp.issued)
        .min(stamp.expires());
    let home = Home::Cookie {
        id: SessionId::of_token(&id),
        issued: stamp.issued,
        expires,
    };
    let view = View {
        home,
        content,
        rejection: None,
    };
    check_times(&view, now)?;
    Ok(view)
}

/// Why a cookie's value alone is refused, whatever a store says.
pub(crate) fn check_cookie(
    settings: &Settings,
    value: &[u8],
    now: Timestamp,
) -> Result<(), Refused> {
    match settings.open_cookie(value, now)?.payload {
        Payload::Reference(..) => Ok(()),
        payload => Ok(open_values(payload, settings, now).map(drop)?),
    }
}

fn check_times(view: &View, now: Timestamp) -> Result<(), Rejection> {
    match view.home.expires() {
        Some(expires) if expires <= now => Err(Rejection::Expired),
        _ => Ok(()),
    }
}

/// Opens the rest of the way.
///
/// A cookie whose record is missing stays in the browser: it may be about to get a newer one, from
/// the response of another request that has renewed the session.
pub(super) async fn ask(
    vault: &Vault<'_>,
    looked: Looked,
    now: Timestamp,
) -> Result<Opened, Error> {
    if !vault.settings.never_waits {
        store::check_runtime()?;
    }
    match looked {
        Looked::Found(opened) => Ok(opened),
        Looked::LaterFormat => Err(Error::new(ErrorKind::LaterFormat)),
        Looked::Record(id, came) => {
            let found = vault.open(&id, Read::Current, now).await?;
            Ok(Opened::in_record(found, id, came, now))
        }
        Looked::Known(id) => {
            let found = vault.open(&id, Read::Current, now).await?;
            let (view, came) = (found.into_view(id, now), Came::default());
            Ok(Opened { view, came })
        }
        Looked::Token(view, came) => match vault.is_over(token(&view)?).await? {
            Some(over) => {
                let (view, came) = (over.into_view(&view, now), Came::default());
                Ok(Opened { view, came })
            }
            None => Ok(Opened { view: *view, came }),
        },
        Looked::Stranger(foreign, came) => {
            let view = Box::pin(vault.take_in(*foreign, &[], now)).await?;
            Ok(Opened { view, came })
        }
        Looked::Several(contenders, strangers) => {
            ask_several(vault, contenders, strangers, now).await
        }
    }
}
