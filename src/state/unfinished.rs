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
    /// The record under the old name, if it is unknown whether it has been replaced by the mark.
    pub(crate) over: Option<(SessionId, Version)>,
    /// Its end under the old name, if that is not set yet.
    pub(crate) mark: Option<Mark>,
    pub(crate) created: Timestamp,
    pub(crate) enrolment: Option<Enrolment>,
    /// Why it is not finished.
    pub(crate) error: Error,
}
