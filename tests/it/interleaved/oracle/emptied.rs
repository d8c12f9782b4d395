//! Checks of sessions that are emptied.

use silverback::store::RecordKey;

use super::{Alarm, Oracle, Request, answers::RENEWALS, keeps_all};
use crate::interleaved::{plan::Act, script::Seen};

impl Request {
    /// Returns whether it ends the session only by emptying it, once.
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
    /// Checks that values stay which another request puts into an emptied record: the request that
    /// emptied it sees them when it removes the record.
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
        let Some(known) = self.known.get_mut(key) else {
            return Ok(());
        };
        match (&known.now, seen) {
            (Some(before), Some(seen)) if before.is_filled() && !seen.is_filled() => {
                known.emptied = Some(by);
            }
            (Some(before), None) if before.is_filled() && known.emptied == Some(by) => {
                let story = format!("{key:?}, by {by}: {before:?}");
                return Err(Alarm::new(
                    "removed with the values of another request",
                    story,
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
