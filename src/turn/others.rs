//! Ending the other sessions of a session's subject.

use super::cell::{Operation, Turn};
use crate::{
    error::{Error, ErrorKind},
    roster::Entry,
    state::Enrolment,
    vault::Unlisted,
};

/// Ends the subject's other sessions, and returns how many there were. A login that is being saved
/// is finished first: until then the session's new ID is that of another session.
pub(crate) struct DestroyOthers;

impl Operation for DestroyOthers {
    type Output = usize;

    async fn perform(self, turn: &Turn<'_>) -> Result<usize, Error> {
        let vault = turn.vault;
        let own = turn.state(|state| {
            let view = state.view.as_ref()?;
            let subject = view.content.subject.as_ref()?.name.clone();
            let enrolment = Enrolment::of(&view.content, vault.settings, vault.now());
            Some((subject, view.home.key(), enrolment))
        });
        let Some((subject, key, enrolment)) = own else {
            // Ending nobody's sessions would look like success.
            return match turn.state(|state| state.is_destroyed() || state.has_lost_subject) {
                true => Err(Error::new(ErrorKind::Gone)),
                false => Ok(0),
            };
        };
        // A session that is about to be enrolled is not missing from the roster.
        let is_new = enrolment.as_ref().is_some_and(Enrolment::is_new);
        if let Some(key) = key.filter(|_| !is_new) {
            return vault.end_others(&subject, key, enrolment.as_ref()).await;
        }
        let is_other = |entry: &Entry| key.is_none_or(|key| !entry.has(&key));
        vault.end_enrolled(&subject, is_other, Unlisted::End).await
    }
}
