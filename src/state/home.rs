//! Where a session is.

use crate::{
    clock::Timestamp,
    content::Browser,
    id::{RecordKey, SessionId},
    store::Version,
};

#[derive(Clone, Debug, Default)]
pub(crate) enum Home {
    /// It is new and not saved.
    #[default]
    Nowhere,
    /// In its cookie.
    Cookie { id: SessionId, issued: Timestamp },
    /// In a record, to which the cookie refers.
    Record {
        id: SessionId,
        version: Version,
        expires: Timestamp,
        browser: Browser,
    },
}

impl Home {
    pub(crate) fn id(&self) -> Option<&SessionId> {
        match self {
            Self::Nowhere => None,
            Self::Cookie { id, .. } | Self::Record { id, .. } => Some(id),
        }
    }

    /// What the session is called in logs and stores.
    pub(crate) fn key(&self) -> Option<RecordKey> {
        self.id().map(SessionId::record_key)
    }

    /// A request has come with the record's ID.
    pub(crate) fn hear(&mut self) {
        if let Self::Record { browser, .. } = self {
            *browser = Browser::Knows;
        }
    }

    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self, Self::Nowhere)
    }

    pub(crate) fn is_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}
