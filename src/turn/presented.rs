//! What the request's cookies of one name amount to.

use crate::{
    clock::Timestamp,
    codec::{Opened, Refused},
    config::{AttributesTag, Settings},
    cookie::RequestCookies,
    error::Rejection,
    id::SessionId,
    key::KeyId,
};

/// How many cookies of one name may hold, before anybody looks whether it is alive.
const MAX_CANDIDATES: usize = 4;
/// How many cookies of one name are looked at.
const MAX_TRIED: usize = 64;

pub(super) enum Presented {
    Nothing(Option<Rejection>),
    One(Candidate),
    /// At most [`MAX_CANDIDATES`].
    Several(Vec<Candidate>),
    /// More than anybody has by accident.
    TooMany,
    /// None is valid, and one is of a later release.
    LaterFormat,
}

/// A cookie that holds.
pub(super) struct Candidate {
    pub(super) kind: Kind,
    pub(super) is_current: bool,
    pub(super) key: KeyId,
    pub(super) created: Timestamp,
    pub(super) issued: Timestamp,
}

pub(super) enum Kind {
    /// The session itself.
    Token(Opened),
    /// The ID of one in a store, and the attributes of this cookie.
    Reference(SessionId, AttributesTag),
}

impl Presented {
    /// Opens the cookies of the session's name and finds those that are valid.
    ///
    /// An attacker who can set cookies for a parent domain can add a valid session of their own
    /// under our name, and neither the first nor the last is safe to prefer. So two that live are
    /// none.
    pub(super) fn find(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Self {
        match cookies
            .named(&settings.finder)
            .as_ref()
            .map(|few| few.as_slice())
        {
            Some([]) => Self::Nothing(None),
            Some([value]) => match Candidate::open(settings, value, now) {
                Ok(candidate) => Self::One(candidate),
                Err(Refused::For(rejection)) => Self::Nothing(Some(rejection)),
                Err(Refused::LaterFormat) => Self::LaterFormat,
            },
            Some(_) | None => Self::several(settings, cookies, now),
        }
    }

    fn several(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Self {
        let (mut found, mut rejection, mut is_later) = (Vec::new(), None, false);
        let mut tried: Vec<&[u8]> = Vec::new();
        for value in cookies.all_named(&settings.finder) {
            if tried.contains(&value) {
                continue;
            }
            if tried.len() == MAX_TRIED || found.len() > MAX_CANDIDATES {
                return Self::TooMany;
            }
            tried.push(value);
            match Candidate::open(settings, value, now) {
                Ok(candidate) => found.push(candidate),
                Err(Refused::For(reason)) => rejection = rejection.or(Some(reason)),
                Err(Refused::LaterFormat) => is_later = true,
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

    /// The sessions that the cookies hold or refer to, as many as are looked at, and whether there
    /// are more: nobody shall be able to keep another from logging out by planting cookies.
    pub(super) fn all(
        settings: &Settings,
        cookies: &RequestCookies,
        now: Timestamp,
    ) -> (Vec<(SessionId, Timestamp)>, bool) {
        let mut all: Vec<(SessionId, Timestamp)> = Vec::new();
        for value in cookies.all_named(&settings.finder) {
            let Ok(candidate) = Candidate::open(settings, value, now) else {
                continue;
            };
            let Some(id) = candidate.id() else { continue };
            if all.iter().any(|(known, _)| *known == id) {
                continue;
            }
            if all.len() == MAX_TRIED {
                return (all, true);
            }
            all.push((id, candidate.created));
        }
        (all, false)
    }
}

impl Candidate {
    pub(super) fn open(settings: &Settings, value: &[u8], now: Timestamp) -> Result<Self, Refused> {
        let opened = settings.open_cookie(value, now)?;
        let (is_current, key) = (opened.current, opened.key);
        let (created, issued) = (opened.stamp.created, opened.stamp.issued);
        let kind = if opened.stamp.token_id.is_some() {
            Kind::Token(opened)
        } else {
            let (id, tag) = Settings::open_reference(opened.payload.as_slice())?;
            Kind::Reference(id, tag)
        };
        Ok(Self {
            kind,
            is_current,
            key,
            created,
            issued,
        })
    }

    fn id(&self) -> Option<SessionId> {
        match &self.kind {
            Kind::Token(opened) => opened.stamp.token_id.as_ref().map(SessionId::of_token),
            Kind::Reference(id, _) => Some(id.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
