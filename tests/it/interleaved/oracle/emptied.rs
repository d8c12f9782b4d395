//! What must become of a session that is emptied.

use silverback::store::RecordKey;

use super::{Alarm, Oracle, Request, answers::RENEWALS, keeps_all};
use crate::interleaved::{plan::Act, script::Seen};

impl Request {
    /// Whether it ends the session by nothing but leaving it empty, once.
    fn empties(&self) -> bool {
        let empties = |act: &&Act| **act == Act::Empty;
        let others = [Act::TakeFlashes, Act::Remove(0), Act::Remove(1)];
        self.started.acts.iter().filter(empties).count() == 1
            && !self.is_end()
            && !self.did(&RENEWALS)
            && !self.did(&others)
            && !self.has_failed
    }
}

impl Oracle {
    /// What another request puts into a record that was left empty stays: who has emptied it sees
    /// that when it removes the record.
    pub(super) fn check_emptied(
        &mut self,
        key: &RecordKey,
        seen: Option<&Seen>,
        by: Option<u32>,
    ) -> Result<(), Alarm> {
        let empties = |by: &u32| self.requests[by].empties();
        let (Some(by), true) = (by.filter(empties), keeps_all(self.kind)) else {
            return Ok(());
        };
        let is_filled = |seen: &Seen| !seen.tags().is_empty() || !seen.flashes.is_empty();
        let Some(known) = self.known.get_mut(key) else {
            return Ok(());
        };
        match (&known.now, seen) {
            (Some(before), Some(seen)) if is_filled(before) && !is_filled(seen) => {
                known.emptied = Some(by);
            }
            (Some(before), None) if is_filled(before) && known.emptied == Some(by) => {
                let story = format!("{key:?}, by {by}: {before:?}");
                return Err(Alarm::new("removed with what others have put in", story));
            }
            _ => {}
        }
        Ok(())
    }
}
