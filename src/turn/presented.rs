//! The request's cookies under a session's names, and what they amount to.

use crate::{
    clock::Timestamp,
    codec::Refusal,
    config::{Accepted, Foreign, Payload, Settings},
    cookie::{CookieMatch, RequestCookies},
    error::Rejection,
    id::SessionId,
    vault::MARK_LIFETIME,
};

/// How many valid cookies of one name are considered. Whether their sessions live is not known yet.
const MAX_CANDIDATES: usize = 4;
/// How many cookies of one name are tried.
const MAX_TRIED: usize = 64;

pub(super) enum Presented {
    Nothing(Option<Rejection>),
    One(Accepted),
    /// At most [`MAX_CANDIDATES`].
    Several(Vec<Accepted>),
    /// More than anybody has by accident.
    TooMany,
    /// None is valid, and a later release made one of them.
    LaterFormat,
}

impl Presented {
    /// Opens the cookies under the session's names and finds the valid ones.
    ///
    /// An attacker who can set cookies for a parent domain can add a valid session of their own
    /// under our name. Neither the first nor the last cookie is safe to prefer, so two live
    /// sessions count as none.
    pub(super) fn find(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Self {
        if !settings.formerly.is_empty() {
            return Self::several(settings, cookies, now);
        }
        match cookies.find(&settings.finder) {
            CookieMatch::Nothing => Self::Nothing(None),
            CookieMatch::One(value) => match settings.open_cookie(value, now) {
                Ok(candidate) => Self::One(candidate),
                Err(Refusal::For(rejection)) => Self::Nothing(Some(rejection)),
                Err(Refusal::LaterFormat) => Self::LaterFormat,
            },
            CookieMatch::Several => Self::several(settings, cookies, now),
        }
    }

    #[cold]
    fn several(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Self {
        let (mut found, mut rejection, mut is_later) = (Vec::new(), None, false);
        let mut tried: Vec<(&str, &[u8])> = Vec::new();
        for (named, value) in of_all_names(settings, cookies) {
            let pair = (&*named.cookie_name, value);
            if tried.contains(&pair) {
                continue;
            }
            if tried.len() == MAX_TRIED {
                return Self::TooMany;
            }
            tried.push(pair);
            match open(settings, named, value, now) {
                Ok(candidate) => found.push(candidate),
                Err(Refusal::For(reason)) => rejection = rejection.or(Some(reason)),
                Err(Refusal::LaterFormat) => is_later = true,
            }
        }
        match found.len() {
            0 if is_later => Self::LaterFormat,
            0 => Self::Nothing(rejection),
            1 => found.pop().map_or(Self::Nothing(rejection), Self::One),
            2..=MAX_CANDIDATES => Self::Several(found),
            _ => Self::TooMany,
        }
    }

    /// The session that the cookies name, alive or not. Of several, the first.
    pub(super) fn claimed(&self) -> Option<SessionId> {
        match self {
            Self::One(candidate) => Some(candidate),
            Self::Several(candidates) => candidates.first(),
            Self::Nothing(_) | Self::TooMany | Self::LaterFormat => None,
        }
        .and_then(|candidate| session_of(&candidate.payload))
        .map(|(id, _)| id)
    }

    /// Every session that the cookies hold or refer to, up to the limit of cookies tried. A logout
    /// ends them all, so that planted cookies cannot prevent it.
    pub(super) fn all(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Claims {
        let mut all = Claims::default();
        for (named, value) in of_all_names(settings, cookies) {
            let (session, payload) = match named.open_cookie(value, now) {
                Ok(candidate) => (session_of(&candidate.payload), Some(candidate.payload)),
                // An overlapping request may have got the session a newer cookie. A machine whose
                // clock is ahead accepts one that is not valid yet.
                Err(Refusal::For(Rejection::Expired | Rejection::NotYetValid)) => {
                    let session = named.untimely_session(value);
                    (session.map(|(id, stamp)| (id, stamp.created)), None)
                }
                Err(_) => continue,
            };
            let is_known = |(id, _): &_| all.sessions.iter().any(|(known, _)| known == id);
            if session.as_ref().is_some_and(is_known) {
                continue;
            }
            if all.sessions.len() + all.foreign.len() == MAX_TRIED {
                all.are_more = true;
                return all;
            }
            match (session, payload) {
                (Some(session), _) => all.sessions.push(session),
                (None, Some(Payload::Foreign(foreign))) => all.foreign.push(*foreign),
                (None, _) => {}
            }
        }
        all
    }
}

/// The sessions of cookies that have expired since a moment before `now`, so that a request which
/// was sent before may still be under way.
pub(super) fn just_expired(
    settings: &Settings,
    cookies: &RequestCookies,
    now: Timestamp,
) -> Vec<SessionId> {
    let values = of_all_names(settings, cookies).take(MAX_TRIED);
    let expired = values.filter_map(|(named, value)| match named.open_cookie(value, now) {
        Err(Refusal::For(Rejection::Expired)) => named.untimely_session(value),
        _ => None,
    });
    let expired = expired.filter(|(_, stamp)| stamp.expires().saturating_add(MARK_LIFETIME) > now);
    expired.map(|(id, _)| id).take(MAX_CANDIDATES).collect()
}

/// All sessions whose cookies came with the request, dead or alive.
#[derive(Default)]
pub(super) struct Claims {
    /// Each with its creation time.
    pub(super) sessions: Vec<(SessionId, Timestamp)>,
    /// Sessions of another maker that belong in records. Only the store knows their IDs.
    pub(super) foreign: Vec<Foreign>,
    pub(super) are_more: bool,
}

/// The cookies under the session's present name, then those under its former names.
fn of_all_names<'a>(
    settings: &'a Settings,
    cookies: &'a RequestCookies,
) -> impl Iterator<Item = (&'a Settings, &'a [u8])> {
    settings.names().flat_map(|named| {
        let values = cookies.all_named(&named.finder);
        values.map(move |value| (named, value))
    })
}

/// Opens a cookie. One under a former name counts as outdated, so that the session's next use
/// replaces it.
fn open(
    settings: &Settings,
    named: &Settings,
    value: &[u8],
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    let opened = named.open_cookie(value, now)?;
    let current = opened.current && named.cookie_name == settings.cookie_name;
    Ok(Accepted { current, ..opened })
}

/// The ID and the creation time of the cookie's session.
fn session_of(payload: &Payload) -> Option<(SessionId, Timestamp)> {
    match payload {
        Payload::Values(stamp, _) => {
            let id = stamp.token_id.as_ref().map(SessionId::of_token)?;
            Some((id, stamp.created))
        }
        Payload::Reference(stamp, id, _) => Some((id.clone(), stamp.created)),
        Payload::Foreign(foreign) => Some((foreign.id.clone()?, foreign.content.created)),
    }
}

#[cfg(test)]
mod tests;
