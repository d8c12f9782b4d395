//! The invariants of a world, whatever happens in it. The oracle uses only the public API.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use silverback::{Clock, ErrorKind, Timestamp, store::RecordKey};

use self::{flashes::Flashes, living::check_twice};
use super::{
    plan::{Act, Late, Order, Who},
    run::can_end,
    script::{Report, Seen, Tag},
    watcher::{Watcher, is_in_record},
};
use crate::support::{Kind, MINUTE};

mod answers;
mod emptied;
mod flashes;
mod living;
mod rest;

/// A violated invariant, and how it came about.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) name: &'static str,
    pub(super) story: String,
}

impl Alarm {
    pub(super) fn new(name: &'static str, story: impl Into<String>) -> Self {
        Self {
            name,
            story: story.into(),
        }
    }
}

pub(super) struct Started {
    pub(super) number: u32,
    pub(super) who: Option<Who>,
    pub(super) cookie: Option<String>,
    pub(super) acts: Vec<Act>,
    pub(super) order: Option<(Order, Option<RecordKey>)>,
    pub(super) fails: bool,
    pub(super) is_head: bool,
    /// For a task with a kept handle, the request that the handle came from.
    pub(super) of: Option<u32>,
}

pub(super) enum Ended {
    CutOff,
    Done,
    /// The status, and the cookie that the response sets or removes, if any.
    Answered(StatusCode, Option<Option<String>>),
}

/// When, how and by which request a session ended.
#[derive(Clone, Copy, Debug)]
struct Died {
    step: usize,
    time: Timestamp,
    how: Death,
    by: Option<u32>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Death {
    Renewed,
    Destroyed,
    /// Through its subject, by being emptied, or by expiry.
    Otherwise,
}

/// A request, or an administrator's order.
struct Request {
    started: Started,
    /// The steps at which it started and its handler returned.
    since: usize,
    returned: Option<usize>,
    until: Option<usize>,
    key: Option<RecordKey>,
    loaded: Option<Seen>,
    /// The acts that succeeded.
    done: Vec<Act>,
    errors: Vec<(Act, ErrorKind)>,
    has_failed: bool,
    is_cut: bool,
    /// No other request overlapped it.
    is_alone: bool,
    status: Option<StatusCode>,
    /// The sessions that its last end applied to when that end began.
    targets: Vec<Target>,
    /// The tags that identify the session it spares.
    spared: Vec<Tag>,
    /// The times at which it started and was last polled.
    began: Timestamp,
    polled: Timestamp,
}

/// A session to be ended, and the tags that identify it.
#[derive(Clone)]
struct Target {
    key: RecordKey,
    names: Vec<Tag>,
}

/// A session that has been seen.
struct Known {
    /// Its last cookies, both with its values and with only its ID.
    cookies: Vec<String>,
    now: Option<Seen>,
    died: Option<Died>,
    /// The request that emptied it and has not yet removed it.
    emptied: Option<u32>,
}

pub(super) struct Oracle {
    kind: Kind,
    watcher: Watcher,
    clock: Clock,
    step: usize,
    requests: BTreeMap<u32, Request>,
    under_way: BTreeSet<u32>,
    known: BTreeMap<RecordKey, Known>,
    cookies: Vec<String>,
    /// The session of each cookie.
    keys: BTreeMap<String, RecordKey>,
    /// The tags of ended sessions, and the request that ended each.
    over: BTreeMap<Tag, u32>,
    /// The keys of ended sessions, and the request that ended each.
    over_keys: BTreeMap<RecordKey, u32>,
    /// The counts and messages that a session must have, by the tags that identify the session.
    owed: BTreeMap<Tag, BTreeSet<Tag>>,
    flashes: Flashes,
    has_emptied: bool,
    has_left: bool,
    /// Each browser's cookie, and the request that set it.
    jars: [Option<(u32, String)>; 2],
    /// The first alarm found during a poll.
    found: Option<Alarm>,
}

impl Oracle {
    pub(super) fn new(kind: Kind, watcher: Watcher, clock: Clock) -> Self {
        Self {
            kind,
            watcher,
            clock,
            step: 0,
            requests: BTreeMap::new(),
            under_way: BTreeSet::new(),
            known: BTreeMap::new(),
            cookies: Vec::new(),
            keys: BTreeMap::new(),
            over: BTreeMap::new(),
            over_keys: BTreeMap::new(),
            owed: BTreeMap::new(),
            flashes: Flashes::default(),
            has_emptied: false,
            has_left: false,
            jars: [None, None],
            found: None,
        }
    }

    /// Any cookie that was ever sent.
    pub(super) fn stolen(&self, pick: u8) -> Option<String> {
        let len = self.cookies.len().max(1);
        self.cookies.get(usize::from(pick) % len).cloned()
    }

    /// Describes the living sessions for a trace.
    pub(super) fn summary(&self) -> String {
        let short = |key: &RecordKey| {
            format!("{key:?}")
                .chars()
                .skip(10)
                .take(4)
                .collect::<String>()
        };
        let describe =
            |(key, seen): (&RecordKey, &Seen)| format!("{} {:?}", short(key), seen.names());
        self.alive().map(describe).collect::<Vec<_>>().join(", ")
    }

    /// A living session.
    pub(super) fn living(&self, pick: u8) -> Option<RecordKey> {
        let living: Vec<_> = self.alive().map(|(key, _)| *key).collect();
        living.get(usize::from(pick) % living.len().max(1)).copied()
    }

    fn alive(&self) -> impl Iterator<Item = (&RecordKey, &Seen)> {
        let known = self.known.iter();
        known.filter_map(|(key, known)| Some((key, known.now.as_ref()?)))
    }

    pub(super) fn starts(&mut self, started: Started) {
        let number = started.number;
        let seen = started
            .cookie
            .as_ref()
            .and_then(|cookie| self.key_of(cookie));
        self.has_emptied |= started.acts.contains(&Act::Empty);
        self.has_left |= started.acts.contains(&Act::RemoveSubject);
        let is_alone = self.under_way.is_empty();
        for other in &self.under_way {
            if let Some(other) = self.requests.get_mut(other) {
                other.is_alone = false;
            }
        }
        self.under_way.insert(number);
        let spared = started
            .order
            .and_then(|(_, key)| self.known.get(&key?)?.now.as_ref());
        let request = Request {
            spared: spared.map(Seen::names).unwrap_or_default(),
            began: self.clock.now(),
            polled: self.clock.now(),
            key: seen,
            since: self.step,
            returned: None,
            until: None,
            loaded: None,
            done: Vec::new(),
            errors: Vec::new(),
            has_failed: false,
            is_cut: false,
            is_alone,
            status: None,
            targets: Vec::new(),
            started,
        };
        self.requests.insert(number, request);
    }

    /// The key of a cookie's session, if it was ever alive.
    fn key_of(&self, cookie: &str) -> Option<RecordKey> {
        self.keys.get(cookie).copied()
    }

    /// Notes that a store failed for this request.
    pub(super) fn fails(&mut self, number: u32) {
        let request = self.request(number);
        request.has_failed = true;
        // A request and its kept handle may drive each other's operations.
        if let Some(of) = request.started.of {
            self.request(of).has_failed = true;
        }
    }

    fn request(&mut self, number: u32) -> &mut Request {
        self.requests.get_mut(&number).unwrap()
    }

    fn rings(&mut self, name: &'static str, story: String) {
        self.found.get_or_insert(Alarm::new(name, story));
    }

    pub(super) fn hears(&mut self, number: u32, reports: Vec<Report>) {
        self.step += 1;
        for report in reports {
            match report {
                Report::Loaded(seen) => {
                    if let Some(seen) = &seen {
                        self.check_counted(number, seen);
                    }
                    self.request(number).loaded = seen;
                }
                Report::Took(tags) => self.took(number, tags),
                Report::Began(act) => self.begins(number, act),
                Report::Done(act, Ok(())) => {
                    self.request(number).done.push(act);
                    if self.kind != Kind::Go {
                        self.ended(number, act);
                    }
                }
                Report::Done(act, Err(error)) => self.request(number).errors.push((act, error)),
                Report::LateBegan(late) => {
                    if late == Late::Destroy {
                        self.request(number).has_failed = true;
                    }
                }
                Report::LateDone(late, done, key) => self.late(number, late, done, key),
                Report::Returned => self.request(number).returned = Some(self.step),
            }
        }
    }

    /// Checks the outcome of an act with a kept handle.
    fn late(
        &mut self,
        number: u32,
        late: Late,
        done: Result<(), ErrorKind>,
        key: Option<RecordKey>,
    ) {
        let since = self.requests[&number].since;
        let Some(known) = key.and_then(|key| self.known.get(&key)) else {
            return;
        };
        let is_dead = known.died.is_some_and(|died| self.died(died) <= since);
        // Before the response, the handle sees what the request has loaded.
        let source = self.requests[&number].started.of;
        let is_late = source
            .and_then(|of| self.requests[&of].until)
            .is_some_and(|until| until <= since);
        // A handle cannot ask Go's store, which is behind the other layer.
        let can_know = can_end(self.kind) && self.kind != Kind::Go;
        if is_dead && is_late && done.is_ok() && late != Late::Destroy && can_know {
            self.rings(
                "a kept handle of a dead session",
                format!("request {number}, {late:?}"),
            );
        }
    }

    /// Notes which sessions an end applies to before it takes effect.
    fn begins(&mut self, number: u32, act: Act) {
        let request = &self.requests[&number];
        let own = request
            .loaded
            .as_ref()
            .and_then(|seen| seen.key)
            .or(request.key);
        let names = request.loaded.as_ref().map(Seen::names).unwrap_or_default();
        let is_own = |key: &RecordKey, seen: &Seen| {
            own.as_ref() == Some(key) || seen.names().iter().any(|name| names.contains(name))
        };
        let order = request.started.order;
        let is_for = |key: &RecordKey, seen: &Seen| match (act, order) {
            (Act::Destroy, _) => own.as_ref() == Some(key),
            // An emptied session cannot be told from others.
            (Act::DestroyOthers, None | Some((Order::AllBut(_), _))) if self.has_emptied => false,
            (Act::DestroyOthers, None) => seen.has_subject && !is_own(key, seen),
            (Act::DestroyOthers, Some((Order::All, _))) => seen.has_subject,
            (Act::DestroyOthers, Some((Order::AllBut(_), spared))) => {
                // A request may have replaced all tags of the spared session.
                let becomes = |name: &Tag| {
                    let writer = self.requests.get(&(name / 100));
                    let loaded = writer.and_then(|writer| writer.loaded.as_ref()?.key);
                    request.spared.contains(name) || (loaded.is_some() && loaded == spared)
                };
                seen.has_subject
                    && spared.as_ref() != Some(key)
                    && !seen.names().iter().any(becomes)
            }
            (Act::DestroyOthers, Some((Order::One(_), one))) => {
                seen.has_subject && one.as_ref() == Some(key)
            }
            _ => false,
        };
        let targets = self.alive().filter(|(key, seen)| is_for(key, seen));
        let mut targets: Vec<_> = targets.map(|(key, seen)| target(key, seen)).collect();
        // The session as it was opened counts as well.
        if act == Act::Destroy
            && let Some(seen) = request.loaded.clone()
            && let Some(key) = seen.key
        {
            targets.push(target(&key, &seen));
        }
        self.request(number).targets = targets;
    }

    /// Notes that an end succeeded: its targets must stay dead.
    pub(super) fn ended(&mut self, number: u32, act: Act) {
        if !matches!(act, Act::Destroy | Act::DestroyOthers) || !can_end(self.kind) {
            return;
        }
        // A session without a subject ends no others.
        let request = &self.requests[&number];
        let is_others = act == Act::DestroyOthers && request.started.order.is_none();
        let has_subject = request.loaded.as_ref().is_some_and(|seen| seen.has_subject);
        let changes = |act: &Act| {
            matches!(
                act,
                Act::LogIn | Act::Destroy | Act::SetSubject | Act::RemoveSubject
            )
        };
        let has_changed = request.started.acts.iter().any(changes);
        if is_others && (!has_subject || has_changed) {
            return;
        }
        for target in request.targets.clone() {
            self.over_keys.insert(target.key, number);
            for name in target.names {
                let is_settled = self.is_settled(name);
                if is_settled {
                    self.over.insert(name, number);
                }
            }
        }
    }

    /// Returns whether the request that wrote this cannot write it again, into another session.
    fn is_settled(&self, tag: Tag) -> bool {
        let writer = self.requests.get(&(tag / 100));
        writer.is_none_or(|writer| {
            writer.until.is_some()
                && !writer.has_failed
                && !writer.is_cut
                && writer.errors.is_empty()
        })
    }

    fn check_counted(&mut self, number: u32, seen: &Seen) {
        if let Err(alarm) = check_twice(seen) {
            self.rings(alarm.name, format!("request {number}: {}", alarm.story));
        }
    }

    /// Checks the living sessions, and returns any alarm that the reports raised.
    pub(super) fn judge(&mut self, number: u32) -> Result<(), Alarm> {
        self.request(number).polled = self.clock.now();
        self.check_living()?;
        match self.found.take() {
            Some(alarm) => Err(alarm),
            None => Ok(()),
        }
    }

    pub(super) fn delivered(
        &mut self,
        at: usize,
        number: u32,
        cookie: Option<String>,
    ) -> Result<(), Alarm> {
        self.jars[at] = cookie.map(|cookie| (number, cookie));
        self.check_logins()
    }

    /// The step at which a session was dead for everybody. Where two stores know of its end, this
    /// is the end of the request that ends it. If that failed, one of them may never learn of it.
    fn died(&self, died: Died) -> usize {
        let by = died.by.and_then(|by| self.requests.get(&by));
        match by {
            Some(by) if self.kind == Kind::RevocableOverflow => match by.until {
                Some(until) if !by.has_failed && !by.is_cut => until,
                _ => usize::MAX,
            },
            _ => died.step,
        }
    }

    fn is_young(&self, died: Timestamp) -> bool {
        died.saturating_add(MINUTE) > self.clock.now()
    }
}

fn target(key: &RecordKey, seen: &Seen) -> Target {
    Target {
        key: *key,
        names: seen.names(),
    }
}

/// Returns whether a session is always in a record, so that no acknowledged write may be lost.
fn keeps_all(kind: Kind) -> bool {
    is_in_record(kind)
}
