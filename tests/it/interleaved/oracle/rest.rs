//! What must be true when nothing is under way any more.

use super::{Alarm, Oracle, Request};
use crate::interleaved::{plan::Act, run::can_end};

impl Oracle {
    /// Whether a renewal was cut off: the list may have the session under a name that nobody knows.
    fn is_half_renewed(&self) -> bool {
        let is_half = |request: &Request| request.is_cut || request.has_failed;
        let mut half = self.requests.values().filter(|request| is_half(request));
        half.any(|request| request.did(&[Act::Renew, Act::LogIn]))
    }

    pub(in crate::interleaved) fn rests(&self) -> Result<(), Alarm> {
        self.check_logins()?;
        if !can_end(self.kind) {
            return Ok(());
        }
        // A session that gets a subject in one request and loses it in another, under the ID that
        // it has, may be listed or not until it is used again.
        let may_be_missing = self.has_moved;
        let Some(listed) = self.watcher.listed() else {
            return Ok(());
        };
        for (key, seen) in self.alive().filter(|(_, seen)| seen.has_subject) {
            let is_whole = self.are_all_whole(usize::MAX) && !self.is_half_renewed();
            if !listed.contains(key) && is_whole && !may_be_missing {
                let story = format!("{key:?}, {seen:?}");
                return Err(Alarm::new("alive and not in its subject's list", story));
            }
        }
        let alive = self.keys_alive();
        for key in listed {
            if self.known.contains_key(&key) && !alive.contains(&key) {
                return Err(Alarm::new("a dead session in the list", format!("{key:?}")));
            }
        }
        Ok(())
    }
}
