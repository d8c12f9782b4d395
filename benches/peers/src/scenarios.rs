//! What is asked: the seven requests of docs/performance.md.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of the session and of its cookie.
pub(crate) const NAME: &str = "session";
pub(crate) const COUNT: &str = "count";
/// The key of the first profile.
pub(crate) const PROFILE: &str = "profile0";

/// A request, and what its handler does with the session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// How many profiles are in the session beside the counter; without any, no cookie comes.
    profiles: usize,
    other_cookies: usize,
    pub(crate) action: Action,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Nothing,
    /// Reads the counter.
    Read,
    /// Reads the counter and writes it one higher.
    Count,
    /// Writes a profile into a session that is new.
    Create,
    /// Makes the session that the request comes with: so many profiles, and the counter.
    Prepare(usize),
    /// Sees to it that the session has so many profiles, and a counter that is this high if one is
    /// given.
    Expect(usize, Option<u64>),
    /// Sees to it that the session has neither.
    ExpectEmpty,
}

const fn scenario(
    name: &'static str,
    text: &'static str,
    profiles: usize,
    action: Action,
) -> Scenario {
    Scenario {
        name,
        text,
        profiles,
        other_cookies: 0,
        action,
    }
}

pub(crate) const SCENARIOS: [Scenario; 7] = [
    scenario("S1", "no cookie, session not used", 0, Action::Nothing),
    scenario("S2", "valid cookie, session not used", 1, Action::Nothing),
    scenario("S3", "reads one value", 1, Action::Read),
    scenario("S4", "reads and writes a counter", 1, Action::Count),
    scenario("S5", "makes a new session", 0, Action::Create),
    scenario("S6", "S4 with 2 KiB of values", 17, Action::Count),
    Scenario {
        other_cookies: 10,
        ..scenario("S7", "S3 with ten other cookies", 1, Action::Read)
    },
];

impl Scenario {
    pub(crate) fn find(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    pub(crate) fn profiles(&self) -> Option<usize> {
        (self.profiles > 0).then_some(self.profiles)
    }

    /// The `Cookie` field of the request: the session's cookies amid the others.
    pub(crate) fn field(&self, session: &str) -> Bytes {
        let others =
            (0..self.other_cookies).map(|number| format!("other{number}=0123456789abcdef01234567"));
        let mut pairs: Vec<String> = others.collect();
        pairs.insert(pairs.len() / 2, session.to_owned());
        pairs.join("; ").into()
    }
}

/// 119 bytes of JSON; the counter is the 120th.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Profile<S = String> {
    id: u32,
    name: S,
    mail: S,
    roles: [S; 2],
    language: S,
}

pub(crate) const ADA: Profile<&str> = Profile {
    id: 181_512_100,
    name: "Ada Lovelace",
    mail: "ada.lovelace@example.com",
    roles: ["author", "editor"],
    language: "en-GB",
};

impl Profile<&str> {
    pub(crate) fn to_owned(&self) -> Profile {
        Profile {
            id: self.id,
            name: self.name.to_owned(),
            mail: self.mail.to_owned(),
            roles: self.roles.map(str::to_owned),
            language: self.language.to_owned(),
        }
    }
}

/// Under which key the profile of this number is.
pub(crate) fn key(number: usize) -> String {
    format!("profile{number}")
}
