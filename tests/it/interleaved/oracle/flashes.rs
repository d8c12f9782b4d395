//! Checks of flash messages.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;

use super::{Ended, Oracle, Request, answers::RENEWALS, keeps_all};
use crate::interleaved::{
    plan::Act,
    script::{Seen, Tag},
};

#[derive(Default)]
pub(super) struct Flashes {
    /// The messages that a request has taken, and which request was first.
    taken: BTreeMap<Tag, u32>,
    /// By request, the taken messages that must come back, as nobody sees its response.
    borrowed: BTreeMap<u32, Vec<Tag>>,
    /// The messages that had to come back once.
    returned: BTreeSet<Tag>,
}

impl Request {
    /// Returns whether the messages it took are gone for later requests.
    fn has_taken(&self) -> bool {
        self.status == Some(StatusCode::OK)
            && !self.has_failed
            && self.errors.is_empty()
            && !self.did(&RENEWALS)
            && !self.did(&[Act::Destroy])
    }
}

impl Oracle {
    /// Notes that a request has taken these messages.
    pub(super) fn took(&mut self, number: u32, tags: Vec<Tag>) {
        let request = &self.requests[&number];
        if request.started.is_head {
            self.flashes.returned.extend(&tags);
            self.flashes
                .borrowed
                .entry(number)
                .or_default()
                .extend(tags);
            return;
        }
        let since = request.since;
        for tag in tags {
            let first = *self.flashes.taken.entry(tag).or_insert(number);
            let taker = &self.requests[&first];
            let is_over = taker.until.is_some_and(|until| until <= since) && taker.has_taken();
            if is_over && keeps_all(self.kind) && !self.flashes.returned.contains(&tag) {
                let story = format!("{tag}, to request {first} and {number}");
                self.rings("a flash message shown twice", story);
            }
        }
    }

    /// Notes which borrowed messages do not come back after all.
    pub(super) fn gives_back(&mut self, number: u32, how: &Ended) {
        let borrowed = self.flashes.borrowed.remove(&number).unwrap_or_default();
        let request = &self.requests[&number];
        let is_ok = matches!(how, Ended::Answered(StatusCode::OK, _));
        if !is_ok || request.has_failed || !request.errors.is_empty() {
            let taken = borrowed.into_iter().map(|tag| (tag, number));
            self.flashes.taken.extend(taken);
        }
    }

    /// Returns whether the session has it, or a request has taken it as a message.
    pub(super) fn has(&self, seen: &Seen, tag: Tag) -> bool {
        let mut borrowed = self.flashes.borrowed.values().flatten();
        seen.counted.contains(&tag)
            || seen.flashes.contains(&tag)
            || self.flashes.taken.contains_key(&tag)
            || borrowed.any(|other| *other == tag)
    }
}
