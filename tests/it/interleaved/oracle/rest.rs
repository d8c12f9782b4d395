//! Checks at the end, when no request is under way.

use silverback::store::RecordKey;

use super::{Alarm, Oracle, Request, answers::RENEWALS};
use crate::interleaved::{plan::Act, run::can_end};

impl Oracle {
    /// Returns whether a renewal was cut off or failed: the roster may then list the session under
    /// an ID that nobody knows.
    fn is_half_renewed(&self) -> bool {
        let is_half = |request: &Request| request.is_cut || request.has_failed;
        let mut half = self.requests.values().filter(|request| is_half(request));
        half.any(|request| request.did(&RENEWALS))
    }

    /// Returns whether no request was cut off and no store failed.
    fn is_calm(&self) -> bool {
        let mut requests = self.requests.values();
        requests.all(|request| !request.is_cut && !request.has_failed)
    }

    /// Checks that every record belongs to a session that somebody can open.
    fn check_left(&self, records: &[RecordKey]) -> Result<(), Alarm> {
        // A session has no cookie if it was saved in mid-request and the response was then refused.
        let has_none = |request: &Request| {
            request.did(&[Act::Save])
                && request
                    .status
                    .is_some_and(|status| status.is_client_error())
        };
        if !self.is_calm() || self.requests.values().any(has_none) {
            return Ok(());
        }
        let alive = self.keys_alive();
        match records.iter().find(|key| !alive.contains(key)) {
            Some(key) => {
                let known = self.known.get(key).map(|known| known.died);
                let story = format!("{key:?}, {known:?}");
                Err(Alarm::new("a record that nobody can open", story))
            }
            None => Ok(()),
        }
    }

    /// Checks that every session of Go's store can be opened. One that a request has made and then
    /// given up may be left only after a fault.
    fn check_rows(&self, rows: usize) -> Result<(), Alarm> {
        if self.is_calm() && rows > self.keys_alive().len() {
            return Err(Alarm::new("a row that nobody can open", rows.to_string()));
        }
        Ok(())
    }

    /// `rows` is the number of sessions in Go's store, if there is one.
    pub(in crate::interleaved) fn rests(
        &self,
        records: &[RecordKey],
        rows: Option<usize>,
    ) -> Result<(), Alarm> {
        self.check_logins()?;
        self.check_left(records)?;
        self.check_rows(rows.unwrap_or_default())?;
        if !can_end(self.kind) {
            return Ok(());
        }
        let Some(listed) = self.watcher.listed() else {
            return Ok(());
        };
        for (key, seen) in self.alive().filter(|(_, seen)| seen.has_subject) {
            let is_whole = self.are_all_whole(usize::MAX) && !self.is_half_renewed();
            if !listed.contains(key) && is_whole {
                let story = format!("{key:?}, {seen:?}");
                return Err(Alarm::new("alive and not in its subject's list", story));
            }
        }
        let alive = self.keys_alive();
        for key in listed {
            let is_known = self.known.contains_key(&key);
            if !is_known && self.is_calm() {
                let story = format!("{key:?}, which was never seen");
                return Err(Alarm::new("a dead session in the list", story));
            }
            if is_known && !alive.contains(&key) && !self.is_half_renewed() {
                return Err(Alarm::new("a dead session in the list", format!("{key:?}")));
            }
        }
        Ok(())
    }
}
