//! Where a session is stored.

use crate::{
    clock::Timestamp,
    content::{Browser, Writes},
    id::{RecordKey, SessionId},
    report::Saved,
    store::Version,
};

#[derive(Clone, Debug, Default)]
pub(crate) enum Home {
    /// It is new and not saved.
    #[default]
    Nowhere,
    /// In its cookie, which was issued at `issued` and expires at `expires`.
    Cookie {
        id: SessionId,
        issued: Timestamp,
        expires: Timestamp,
    },
    /// In a record that the cookie refers to.
    Record(Place),
    /// Nowhere, and nothing may be saved: the session with this ID was renewed or ended a moment
    /// ago, and the browser may not know yet.
    Marked(SessionId),
}

/// A session's record.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: SessionId,
    pub(crate) version: Version,
    pub(crate) expires: Timestamp,
    pub(crate) browser: Browser,
    pub(crate) writes: Writes,
}

impl Place {
    /// Returns whether no request has written to the record since it had these writes: then only
    /// its move to another store has changed its version. Stores that never wait cannot tell.
    pub(crate) fn has_only_moved(&self, writes: &Writes) -> bool {
        !writes.is_empty() && self.writes == *writes
    }
}

impl Home {
    pub(crate) fn id(&self) -> Option<&SessionId> {
        match self {
            Self::Nowhere | Self::Marked(_) => None,
            Self::Cookie { id, .. } => Some(id),
            Self::Record(place) => Some(&place.id),
        }
    }

    /// The expiry that is stored.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Nowhere | Self::Marked(_) => None,
            Self::Cookie { expires, .. } => Some(*expires),
            Self::Record(place) => Some(place.expires),
        }
    }

    /// How reports call the save that brought the session here. `names`: the save gave a new ID.
    /// `had`: the session had one before.
    #[inline]
    pub(crate) fn saved(&self, names: bool, had: bool) -> Saved {
        match self {
            Self::Nowhere if had => Saved::Emptied,
            Self::Cookie { .. } | Self::Record(_) if names && had => Saved::Renewed,
            Self::Cookie { .. } | Self::Record(_) if names => Saved::Created,
            Self::Nowhere | Self::Cookie { .. } | Self::Record(_) | Self::Marked(_) => Saved::Again,
        }
    }

    /// The session's name in logs and stores.
    pub(crate) fn key(&self) -> Option<RecordKey> {
        self.id().map(SessionId::record_key)
    }

    /// The last writes of the session's record.
    pub(super) fn writes(&self) -> Option<&Writes> {
        match self {
            Self::Record(place) => Some(&place.writes),
            Self::Nowhere | Self::Cookie { .. } | Self::Marked(_) => None,
        }
    }

    /// The last writes of the record, if a renewal leaves it.
    pub(super) fn left(&self, is_left: bool) -> Writes {
        match self {
            Self::Record(place) if is_left => place.writes.clone(),
            _ => Writes::default(),
        }
    }

    /// Notes that a request has brought the record's ID.
    pub(crate) fn hear(&mut self) {
        if let Self::Record(place) = self {
            place.browser = Browser::Knows;
        }
    }

    /// Whether there is no session.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self, Self::Nowhere | Self::Marked(_))
    }

    pub(crate) fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie { .. })
    }

    pub(crate) fn is_record(&self) -> bool {
        matches!(self, Self::Record(_))
    }
}
