//! An opened session.

use super::home::Home;
use crate::{clock::Timestamp, content::Content, error::Rejection, id::SessionId, report::Opening};

/// An opened session: where it is stored, and its content.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) home: Home,
    pub(crate) content: Content,
    pub(crate) rejection: Option<Rejection>,
}

impl View {
    pub(crate) fn new(now: Timestamp, rejection: Option<Rejection>) -> Self {
        Self {
            home: Home::Nowhere,
            content: Content::new(now),
            rejection,
        }
    }

    /// An empty session in place of one that was renewed or destroyed a moment ago.
    pub(crate) fn marked(id: SessionId, reason: Rejection, now: Timestamp) -> Self {
        Self {
            home: Home::Marked(id),
            ..Self::new(now, Some(reason))
        }
    }

    /// What the opening found.
    #[inline]
    pub(crate) fn opening(&self) -> Opening {
        match (self.rejection, &self.home) {
            (Some(reason), _) => Opening::Refused(reason),
            (None, Home::Nowhere) => Opening::New,
            (None, _) => Opening::Found,
        }
    }
}
