//! A renewal whose last step failed.

use super::{enrolment::Enrolment, home::Home};
use crate::{
    clock::Timestamp,
    content::Mark,
    error::Error,
    id::{RecordKey, SessionId},
    store::Version,
};

/// A renewal that has brought the session to its new name, and has not closed the old one
/// everywhere. The new cookie waits for that.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished {
    pub(crate) home: Home,
    pub(crate) before: RecordKey,
    pub(crate) step: Step,
    pub(crate) created: Timestamp,
    pub(crate) enrolment: Option<Enrolment>,
    /// Why it is not finished.
    pub(crate) error: Error,
}

/// The first step that may not be done.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Replacing this version of the old record with the mark, or creating the mark. The answer was
    /// lost.
    Mark(SessionId, Option<Version>, Mark),
    /// Setting the end under the old name.
    End(Mark),
    /// Leaving the roster of the former subject, and a last look at the present one's.
    Rosters,
}

impl Step {
    pub(crate) fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Mark(_, _, mark) | Self::End(mark) => Some(mark),
            Self::Rosters => None,
        }
    }
}
