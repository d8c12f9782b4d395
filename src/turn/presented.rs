//! What the request's cookies of one name amount to.

use crate::{
    clock::Timestamp,
    codec::{Opened, Refused},
    config::Settings,
    cookie::RequestCookies,
    error::Rejection,
    id::{RecordKey, SessionId},
};

pub(super) enum Presented {
    Nothing(Option<Rejection>),
    /// The session itself.
    Token(Opened),
    /// The ID of one in a store.
    Reference {
        id: SessionId,
        issued: Timestamp,
        is_current: bool,
    },
    Ambiguous,
    /// One is of a later release. What it says is not known, so none of the others is safe to
    /// prefer.
    LaterFormat,
}

impl Presented {
    /// Opens the cookies of the session's name and finds the one that is valid.
    ///
    /// An attacker who can set cookies for a parent domain can add a valid session of their own
    /// under our name, and neither the first nor the last is safe to prefer. So two that differ are
    /// none.
    pub(super) fn find(settings: &Settings, cookies: &RequestCookies, now: Timestamp) -> Self {
        let Some(values) = cookies.named(&settings.finder) else {
            return Self::Ambiguous;
        };
        let open = |value| match settings.open_cookie(value, now) {
            Ok(opened) => Self::of(opened),
            Err(Refused::For(rejection)) => Self::Nothing(Some(rejection)),
            Err(Refused::LaterFormat) => Self::LaterFormat,
        };
        match values.as_slice() {
            [] => Self::Nothing(None),
            [value] => open(value),
            values => values
                .iter()
                .fold(Self::Nothing(None), |found, value| found.and(open(value))),
        }
    }

    /// What all valid sessions are called that the cookies hold or refer to, however many there
    /// are: nobody shall be able to keep another from logging out by planting cookies.
    pub(super) fn keys(
        settings: &Settings,
        cookies: &RequestCookies,
        now: Timestamp,
    ) -> Vec<RecordKey> {
        let values = cookies.all_named(&settings.finder);
        let opened = values.filter_map(|value| settings.open_cookie(value, now).ok());
        let mut keys: Vec<_> = opened.filter_map(|opened| Self::of(opened).key()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn of(opened: Opened) -> Self {
        if opened.stamp.token_id.is_some() {
            return Self::Token(opened);
        }
        match SessionId::from_slice(opened.payload.as_slice()) {
            Some(id) => Self::Reference {
                id,
                issued: opened.stamp.issued,
                is_current: opened.current,
            },
            None => Self::Nothing(Some(Rejection::Malformed)),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::LaterFormat, _) | (_, Self::LaterFormat) => Self::LaterFormat,
            (Self::Nothing(None), other) => other,
            (found, Self::Nothing(_)) => found,
            (Self::Nothing(_), found) => found,
            (
                Self::Reference {
                    id,
                    issued,
                    is_current,
                },
                Self::Reference {
                    id: other,
                    issued: later,
                    is_current: also,
                },
            ) if id == other => Self::Reference {
                id,
                issued: issued.max(later),
                is_current: is_current && also,
            },
            _ => Self::Ambiguous,
        }
    }

    fn key(&self) -> Option<RecordKey> {
        match self {
            Self::Nothing(_) | Self::Ambiguous | Self::LaterFormat => None,
            Self::Token(opened) => opened.stamp.token_id.map(|id| RecordKey::of(&id)),
            Self::Reference { id, .. } => Some(id.record_key()),
        }
    }
}

#[cfg(test)]
mod tests;
