//! The building blocks of the tests: browsers, sites, scripted stores and schedules.

mod browser;
pub(crate) mod counting;
pub(crate) mod log;
pub(crate) mod schedule;
pub(crate) mod scripted;
mod site;
mod sizes;
pub(crate) mod steps;
pub(crate) mod streams;
pub(crate) mod visits;
pub(crate) mod watched;
mod world;

use std::time::Duration;

use silverback::{Key, Keys, Session, Sessions, Timestamp, store::Expiry};

pub(crate) use self::{
    browser::{Jar, failure, no_cookie, set_cookie, set_cookies},
    site::{Site, log_in, user},
    sizes::Place,
    world::{Kind, Stores, World, notes},
};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The [`Expiry`] for an end.
pub(crate) const fn until(end: Timestamp) -> Expiry {
    Expiry::new(end, START)
}
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn keys() -> Keys {
    Keys::new(Key::from_bytes(b"a key of the tests, 32 bytes long").unwrap())
}

/// A closure for `update` that increments and returns the count.
pub(crate) fn one_more(n: &mut u32) -> u32 {
    *n += 1;
    *n
}

pub(crate) fn sessions(session: &Session) -> Sessions {
    Sessions::from(session.clone())
}
