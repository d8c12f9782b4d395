//! Checks of each response.

use std::collections::BTreeSet;

use http::StatusCode;
use silverback::{ErrorKind, store::RecordKey};

use super::{Alarm, Death, Ended, Known, Oracle, Request, keeps_all};
use crate::interleaved::{
    plan::{Act, Who},
    run::can_end,
    script::{Seen, Tag},
};
use crate::support::Kind;

const REMOVALS: [Act; 4] = [Act::Empty, Act::TakeFlashes, Act::Remove(0), Act::Remove(1)];
const ENDS: [Act; 2] = [Act::Destroy, Act::DestroyOthers];
pub(super) const RENEWALS: [Act; 4] = [Act::Renew, Act::LogIn, Act::SetSubject, Act::RemoveSubject];

impl Request {
    pub(super) fn did(&self, acts: &[Act]) -> bool {
        self.started.acts.iter().any(|act| acts.contains(act))
    }

    /// Returns whether the response with this status acknowledges an end.
    fn has_destroyed(&self, status: StatusCode) -> bool {
        let is_own = match self.started.fails {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::OK,
        };
        status == is_own && self.done.contains(&Act::Destroy)
    }

    pub(super) fn is_end(&self) -> bool {
        self.did(&ENDS) || self.started.order.is_some()
    }

    /// Returns whether the response has something to save.
    fn has_written(&self) -> bool {
        let writes = |act: &Act| {
            matches!(
                act,
                Act::Put(_) | Act::PutLarge(_) | Act::Count | Act::Flash
            )
        };
        let since_save = self.done.iter().rev().take_while(|act| **act != Act::Save);
        since_save.into_iter().any(writes)
    }

    /// The tags it has left in the session: of its counts and of its flash messages.
    fn left(&self) -> Vec<Tag> {
        let number = self.started.number;
        let acts = self.started.acts.iter().zip(0..);
        let counts = acts.filter(|(act, _)| matches!(act, Act::Count | Act::Flash));
        counts.map(|(_, at)| number * 100 + at).collect()
    }

    /// Whether it has left something in the session that it has not taken out again.
    fn leaves_something(&self) -> bool {
        let acts = self.started.acts.iter();
        let since_take = acts.rev().take_while(|act| **act != Act::TakeFlashes);
        let counts = |act: &Act| *act == Act::Count;
        self.started.acts.iter().any(counts) || since_take.into_iter().any(|act| *act == Act::Flash)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ends_before = |one: &Self, two: &Self| one.until.is_some_and(|until| until < two.since);
        !ends_before(self, other) && !ends_before(other, self)
    }
}

impl Oracle {
    pub(in crate::interleaved) fn ends(&mut self, number: u32, how: Ended) -> Result<(), Alarm> {
        self.under_way.remove(&number);
        self.gives_back(number, &how);
        let step = self.step;
        let request = self.request(number);
        request.until = Some(step);
        match how {
            Ended::CutOff => {
                request.is_cut = true;
                Ok(())
            }
            Ended::Done => self.check_errors(number),
            Ended::Answered(status, cookie) => {
                request.status = Some(status);
                // Go's record goes with the response.
                if request.has_destroyed(status) && self.kind == Kind::Go {
                    self.ended(number, Act::Destroy);
                }
                let was_known = cookie.clone().flatten().map(|cookie| self.learn(&cookie));
                self.look(Some(number))?;
                self.check_errors(number)?;
                self.check_status(number, status)?;
                self.check_marked(number, status, cookie.is_some())?;
                match (&cookie, was_known) {
                    (Some(Some(cookie)), Some(key)) => self.check_cookie(number, cookie, key)?,
                    (Some(None), _) => self.check_removal(number)?,
                    _ => {}
                }
                if status == StatusCode::OK {
                    self.check_written(number, cookie.flatten().as_deref())?;
                }
                self.check_logins()
            }
        }
    }

    /// Keeps a cookie. Returns the key of its session if that is alive.
    fn learn(&mut self, cookie: &str) -> Option<RecordKey> {
        self.cookies.push(cookie.to_owned());
        let key = self.watcher.see(cookie)?.key?;
        self.keys.insert(cookie.to_owned(), key);
        let known = self.known.entry(key).or_insert_with(|| Known {
            cookies: Vec::new(),
            now: None,
            died: None,
            emptied: None,
        });
        known.cookies.push(cookie.to_owned());
        if known.cookies.len() > 3 {
            known.cookies.remove(0);
        }
        Some(key)
    }

    /// Checks that errors have causes.
    fn check_errors(&self, number: u32) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        if request.has_failed {
            return Ok(());
        }
        for (act, error) in &request.errors {
            let is_known = matches!(
                error,
                ErrorKind::Gone | ErrorKind::Conflict | ErrorKind::TooLarge { .. }
            );
            let is_known = is_known || matches!(error, ErrorKind::NeedsRevocation);
            if !is_known || (request.is_alone && *error == ErrorKind::Conflict) {
                let story = format!("request {number}, {act:?}: {error:?}");
                return Err(Alarm::new("an error without a cause", story));
            }
        }
        Ok(())
    }

    fn check_status(&self, number: u32, status: StatusCode) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        let story = || format!("request {number}: {status}");
        if status == StatusCode::INTERNAL_SERVER_ERROR && !request.started.fails {
            return Err(Alarm::new("a 500", story()));
        }
        if request.has_failed || request.started.fails || status == StatusCode::OK {
            return Ok(());
        }
        if status.is_server_error() {
            return Err(Alarm::new("a 503 although no store failed", story()));
        }
        let is_there = request.loaded.is_some() || request.started.cookie.is_none();
        let is_refused = request.is_alone && is_there && request.errors.is_empty();
        // An older cookie may outgrow into a record that was renewed a moment ago: only the record
        // shows the renewal.
        let outgrows = |act: &Act| matches!(act, Act::PutLarge(_));
        let outgrows = request.started.acts.iter().any(outgrows);
        let is_refused = is_refused && !(outgrows && self.kind == Kind::Overflow);
        if is_refused && self.is_not_of_old(request) {
            return Err(Alarm::new("refused for nothing", story()));
        }
        let ends = |other: &Request| other.is_end() || other.did(&[Act::Empty, Act::Remove(0)]);
        let has_ends = self.others(number).any(ends);
        let has_crowd = self
            .others(number)
            .filter(|other| other.started.who.is_some())
            .count()
            > 3;
        let is_login =
            request.started.acts.last() == Some(&Act::LogIn) && !request.did(&[Act::Save]);
        let has_ends = has_ends || !self.is_not_of_old(request);
        // Marks live for a minute. Of two renewals of Go's session one gets a conflict.
        let is_login = is_login && self.is_young(request.began) && self.kind != Kind::Go;
        if is_login && !has_ends && !has_crowd && request.errors.is_empty() {
            return Err(Alarm::new("a login refused", story()));
        }
        Ok(())
    }

    /// The requests that overlap this one.
    fn others(&self, number: u32) -> impl Iterator<Item = &Request> {
        let request = &self.requests[&number];
        self.requests
            .values()
            .filter(move |other| other.started.number != number && other.overlaps(request))
    }

    /// Checks a request that brings the ID of a session renewed or destroyed a moment ago, or
    /// writes into a session that ends meanwhile.
    fn check_marked(&self, number: u32, status: StatusCode, sets: bool) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        if !can_end(self.kind) || request.did(&RENEWALS) || request.did(&[Act::Destroy, Act::Empty])
        {
            return Ok(());
        }
        // A kept handle of this request may have ended or saved the session already.
        let by_handle = |other: &Request| other.started.of == Some(number);
        if self.requests.values().any(by_handle) {
            return Ok(());
        }
        let loaded = request.loaded.as_ref().and_then(|seen| seen.key);
        let Some(key) = loaded.or(request.key) else {
            return Ok(());
        };
        let Some(died) = self.known[&key].died else {
            return Ok(());
        };
        let (step, time, how) = (self.died(died), died.time, died.how);
        let returned = request.returned.unwrap_or(self.step);
        let was_marked = step <= request.since && how != Death::Otherwise && self.is_young(time);
        let was_marked = self.kind != Kind::Go && was_marked && !self.is_mark_gone(died.step);
        let has_died_since = loaded.is_some() && step < returned;
        if !was_marked && !has_died_since {
            return Ok(());
        }
        // What is put in and removed again is no write for Go's records.
        let writes = self.kind != Kind::Go || request.leaves_something();
        let has_written = request.has_written() && writes && !request.started.fails;
        if sets || (status == StatusCode::OK && has_written) {
            let story = format!("request {number}, {key:?} {how:?} at {step}: {status}, {sets}");
            return Err(Alarm::new("a write into a dead session", story));
        }
        Ok(())
    }

    /// Checks that the cookie's session is alive at the commit.
    fn check_cookie(&self, number: u32, cookie: &str, key: Option<RecordKey>) -> Result<(), Alarm> {
        if !can_end(self.kind) {
            return Ok(());
        }
        let request = &self.requests[&number];
        let alarm = |story| Err(Alarm::new("a cookie for a dead session", story));
        let Some(key) = key else {
            // The session was dead when the cookie came: another request must have ended or emptied
            // it in between.
            let is_harmless =
                |other: &Request| !other.is_end() && !other.did(&RENEWALS) && !other.did(&REMOVALS);
            if self.others(number).all(is_harmless) && self.is_not_of_old(request) {
                return alarm(format!("request {number}, never alive: {}", cookie.len()));
            }
            return Ok(());
        };
        let returned = request.returned.unwrap_or(self.step);
        match self.known[&key].died {
            Some(died) if self.died(died) < returned => {
                alarm(format!("request {number}, {key:?}: {died:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a response which removes the cookie leaves no living session behind: the browser
    /// could not find it again.
    fn check_removal(&self, number: u32) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        let loaded = request.loaded.as_ref().and_then(|seen| seen.key);
        let known = loaded.or(request.key).map(|key| &self.known[&key]);
        match known.and_then(|known| known.now.as_ref()) {
            Some(seen) if keeps_all(self.kind) => {
                let story = format!("request {number}: {seen:?}");
                Err(Alarm::new("the cookie of a living session removed", story))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether marks left in records since this step may be gone: ending a subject's
    /// sessions removes the records under their names.
    fn is_mark_gone(&self, since: usize) -> bool {
        let ends = |other: &Request| {
            other.until.is_none_or(|until| until >= since)
                && (other.started.order.is_some() || other.did(&[Act::DestroyOthers]))
        };
        let is_ended = self.requests.values().any(ends) || !self.are_all_whole(usize::MAX);
        keeps_all(self.kind) && is_ended
    }

    /// Returns whether no end that was cut off or failed has begun before this request ended.
    pub(super) fn is_not_of_old(&self, request: &Request) -> bool {
        self.are_all_whole(request.until.unwrap_or(self.step))
    }

    /// Returns whether no end that began up to this step was cut off or failed.
    pub(super) fn are_all_whole(&self, step: usize) -> bool {
        let is_half = |other: &Request| other.is_cut || other.has_failed;
        let before = self.requests.values().filter(|other| other.since <= step);
        before
            .filter(|other| other.is_end())
            .all(|other| !is_half(other))
    }

    /// Checks that an acknowledged write is in a living session.
    fn check_written(&mut self, number: u32, cookie: Option<&str>) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        let left = request.left();
        let has_ended = request.did(&[Act::Destroy, Act::Empty]) || !request.errors.is_empty();
        if left.is_empty() || has_ended {
            return Ok(());
        }
        let has = |seen: &Seen| left.iter().all(|tag| self.has(seen, *tag));
        let holder = self.alive().find(|(_, seen)| has(seen));
        let holder = holder.map(|(key, seen)| (*key, seen.clone()));
        let Some((_, seen)) = holder else {
            return self.check_lost(number, cookie);
        };
        let is_ours = seen.names().iter().all(|name| name / 100 != number) || request.is_alone;
        if keeps_all(self.kind) && is_ours {
            for name in seen.names() {
                self.owed
                    .entry(name)
                    .or_default()
                    .extend(left.iter().copied());
            }
        }
        Ok(())
    }

    /// Checks whether there is an excuse for an acknowledged write that no living session has.
    fn check_lost(&self, number: u32, cookie: Option<&str>) -> Result<(), Alarm> {
        let request = &self.requests[&number];
        let others: Vec<_> = self.others(number).collect();
        let ended = others
            .iter()
            .any(|other| other.is_end() || other.did(&[Act::Empty]));
        let renewed = others.iter().any(|other| other.did(&RENEWALS));
        let is_excused = if keeps_all(self.kind) {
            // All sessions that came from the loaded one may have ended.
            let names = request.loaded.as_ref().map(Seen::names).unwrap_or_default();
            let lives = |seen: &Seen| seen.names().iter().any(|name| names.contains(name));
            let is_over = !self.alive().any(|(_, seen)| lives(seen));
            (ended || renewed) && (is_over || request.did(&RENEWALS))
        } else {
            ended || renewed || (cookie.is_none() && !others.is_empty())
        };
        let is_late = self.is_late(request);
        if is_excused || is_late || !self.is_not_of_old(request) {
            return Ok(());
        }
        let story = format!("request {number}, {:?}", request.loaded);
        Err(Alarm::new("an answered write lost", story))
    }

    /// Returns whether the request may have brought an older cookie of a session that is in its
    /// cookie.
    fn is_late(&self, request: &Request) -> bool {
        !keeps_all(self.kind) && matches!(request.started.who, Some(Who::Thief(_)))
    }

    /// Checks that a login is alive if it was the browser's last request and nobody has ended it.
    pub(super) fn check_logins(&self) -> Result<(), Alarm> {
        for (number, cookie) in self.jars.iter().flatten() {
            let login = &self.requests[number];
            let is_login = login.started.acts.last() == Some(&Act::LogIn);
            if login.status != Some(StatusCode::OK) || !is_login {
                continue;
            }
            let seen = self.watcher.see(cookie);
            let user = number * 100 + u32::try_from(login.started.acts.len()).unwrap() - 1;
            if seen.as_ref().is_some_and(|seen| seen.user == Some(user)) {
                continue;
            }
            let since = login.since;
            let later = self.requests.values().filter(|other| {
                other.started.number != *number && other.until.is_none_or(|until| until >= since)
            });
            let key = self.key_of(cookie);
            let comes_with_it = |other: &Request| {
                other.key == key && (other.did(&RENEWALS) || other.did(&[Act::Empty]))
            };
            let mut later = later.filter(|other| other.is_end() || comes_with_it(other));
            if later.next().is_none() && self.is_not_of_old(login) {
                let story = format!("request {number}: {seen:?}");
                return Err(Alarm::new("a fresh login lost", story));
            }
        }
        Ok(())
    }

    /// The keys of the living sessions.
    pub(super) fn keys_alive(&self) -> BTreeSet<RecordKey> {
        self.alive().map(|(key, _)| *key).collect()
    }
}
