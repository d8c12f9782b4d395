//! What must become of messages for the next page.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;

use super::{Ended, Oracle, Request, answers::RENEWALS, keeps_all};
use crate::interleaved::{
    plan::Act,
    script::{Seen, Tag},
};

#[derive(Default)]
pub(super) struct Flashes {
    /// Messages that somebody has got, and who was the first.
    taken: BTreeMap<Tag, u32>,
    /// Those that are to come back, as nobody sees the response, by who has taken them.
    borrowed: BTreeMap<u32, Vec<Tag>>,
    /// Those that were to come back once.
    returned: BTreeSet<Tag>,
}

impl Request {
    /// Whether what it has taken is gone for those who come after it.
    fn has_taken(&self) -> bool {
        self.status == Some(StatusCode::OK)
            && !self.has_failed
            && self.errors.is_empty()
            && !self.did(&RENEWALS)
            && !self.did(&[Act::Destroy])
    }
}

impl Oracle {
    /// Somebody gets these messages.
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

    /// What nobody sees comes back.
    pub(super) fn gives_back(&mut self, number: u32, how: &Ended) {
        let borrowed = self.flashes.borrowed.remove(&number).unwrap_or_default();
        let request = &self.requests[&number];
        let is_ok = matches!(how, Ended::Answered(StatusCode::OK, _));
        if !is_ok || request.has_failed || !request.errors.is_empty() {
            let taken = borrowed.into_iter().map(|tag| (tag, number));
            self.flashes.taken.extend(taken);
        }
    }

    /// Whether the session has it, or it was a message that somebody has got.
    pub(super) fn has(&self, seen: &Seen, tag: Tag) -> bool {
        let mut borrowed = self.flashes.borrowed.values().flatten();
        seen.counted.contains(&tag)
            || seen.flashes.contains(&tag)
            || self.flashes.taken.contains_key(&tag)
            || borrowed.any(|other| *other == tag)
    }
}
