//! Checks of the living sessions at any time.

use std::collections::BTreeSet;

use silverback::store::RecordKey;

use super::{Alarm, Death, Died, Oracle, answers::RENEWALS};
use crate::{
    interleaved::{
        plan::Act,
        run::can_end,
        script::{Seen, Tag},
    },
    support::Kind,
};

impl Oracle {
    /// Observes every session after a request or the passing of time may have changed it.
    pub(in crate::interleaved) fn look(&mut self, by: Option<u32>) -> Result<(), Alarm> {
        // The expiry of a mark is computed before the call that writes the mark.
        let polled = by.map(|by| self.requests[&by].polled);
        let (now, step) = (polled.unwrap_or_else(|| self.clock.now()), self.step);
        let keys: Vec<_> = self.known.keys().copied().collect();
        for key in keys {
            let seen = self.known[&key]
                .cookies
                .iter()
                .rev()
                .find_map(|cookie| self.watcher.see(cookie));
            self.check_emptied(&key, seen.as_ref(), by)?;
            let death = self.death(&key, by);
            let under_way = &self.under_way;
            // Where two stores know of an end, one learns of it before the other.
            let is_over = |died: Died| {
                self.kind != Kind::RevocableOverflow
                    || died.by.is_none_or(|by| !under_way.contains(&by))
            };
            let known = self.known.get_mut(&key).unwrap();
            if seen.is_none() && known.died.is_none() {
                known.died = Some(Died {
                    step,
                    time: now,
                    how: death,
                    by,
                });
            }
            if let (Some(_), Some(died), true) = (&seen, known.died, can_end(self.kind)) {
                if is_over(died) {
                    return Err(Alarm::new("back from the dead", format!("{key:?}")));
                }
                // The older cookie was dead before the newer one came.
                known.died = None;
            }
            known.now = seen;
        }
        self.check_living()
    }

    fn death(&self, key: &RecordKey, by: Option<u32>) -> Death {
        let Some(request) = by.and_then(|by| self.requests.get(&by)) else {
            return Death::Otherwise;
        };
        let loaded = request.loaded.as_ref().and_then(|seen| seen.key);
        let is_own = loaded.as_ref() == Some(key) || request.key.as_ref() == Some(key);
        let is_kept = |seen: &Seen| seen.is_filled() || seen.has_subject;
        let was_kept = self.known[key].now.as_ref().is_some_and(is_kept);
        let did = |acts: &[Act]| request.started.acts.iter().any(|act| acts.contains(act));
        match () {
            () if !is_own
                || did(&[Act::Empty, Act::Remove(0), Act::Remove(1), Act::TakeFlashes]) =>
            {
                Death::Otherwise
            }
            () if did(&[Act::Destroy]) => Death::Destroyed,
            // An empty one is removed, and leaves no mark.
            () if did(&RENEWALS) && was_kept => Death::Renewed,
            () => Death::Otherwise,
        }
    }

    pub(super) fn check_living(&mut self) -> Result<(), Alarm> {
        let alive: Vec<_> = self
            .alive()
            .map(|(key, seen)| (*key, seen.clone()))
            .collect();
        for (key, seen) in &alive {
            check_twice(seen)?;
            // A session that leaves its subject meanwhile is no longer the subject's to end.
            let is_bound = |by: &u32| {
                !self.has_left || seen.has_subject || self.requests[by].did(&[Act::Destroy])
            };
            if let Some(by) = self.over_keys.get(key) {
                let story = format!("{key:?}, ended by {by}");
                return Err(Alarm::new("alive after an acknowledged end", story));
            }
            let over = |name| self.over.get_key_value(name);
            let names = seen.names();
            let mut over = names.iter().filter_map(over);
            if let Some((name, by)) = over.find(|(_, by)| is_bound(by)) {
                let story = format!("{key:?}, known by {name}, ended by {by}: {seen:?}");
                return Err(Alarm::new("alive after an acknowledged end", story));
            }
            self.check_owed(key, seen)?;
        }
        if can_end(self.kind) {
            self.check_apart(&alive)?;
        }
        Ok(())
    }

    fn check_owed(&self, key: &RecordKey, seen: &Seen) -> Result<(), Alarm> {
        if self.has_emptied {
            return Ok(());
        }
        for name in seen.names() {
            let mut owed = self.owed.get(&name).into_iter().flatten();
            if let Some(lost) = owed.find(|tag| !self.has(seen, **tag)) {
                let story = format!("{lost} in {key:?}: {seen:?}");
                return Err(Alarm::new("an answered write lost", story));
            }
        }
        Ok(())
    }

    /// Checks that no two living sessions have a value in common.
    fn check_apart(&self, alive: &[(RecordKey, Seen)]) -> Result<(), Alarm> {
        for (at, (key, seen)) in alive.iter().enumerate() {
            for (other, beside) in &alive[at + 1..] {
                let tags = seen.tags();
                let mut both = beside.tags().into_iter().filter(|tag| tags.contains(tag));
                if let Some(tag) = both.find(|tag| self.is_settled(*tag)) {
                    let story = format!("{tag} in {key:?} {seen:?} and {other:?} {beside:?}");
                    return Err(Alarm::new(
                        "two living IDs with values of one session",
                        story,
                    ));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn check_twice(seen: &Seen) -> Result<(), Alarm> {
    let is_twice = |tags: &[Tag]| tags.iter().collect::<BTreeSet<_>>().len() < tags.len();
    let alarm = |name| Err(Alarm::new(name, format!("{seen:?}")));
    match () {
        () if is_twice(&seen.counted) => alarm("an update counted twice"),
        () if is_twice(&seen.flashes) => alarm("a flash message left twice"),
        () => Ok(()),
    }
}
