//! What is asked: seven requests, each of three kinds of session.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use serde::Serialize;

/// The name of the session and of its cookie.
pub(crate) const NAME: &str = "session";
pub(crate) const COUNT: &str = "count";
pub(crate) const PROFILE: &str = "profile";

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
    /// Sees to it that the counter is this high.
    Expect(u64),
}

/// How the session is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Encrypted,
    Signed,
    Memory,
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

    /// What makes the session that the request comes with.
    pub(crate) fn preparation(&self) -> Option<Action> {
        (self.profiles > 0).then_some(Action::Prepare(self.profiles))
    }

    /// The `Cookie` field of the request: `pair` amid the others.
    pub(crate) fn field(&self, pair: &str) -> Bytes {
        let others =
            (0..self.other_cookies).map(|number| format!("other{number}=0123456789abcdef01234567"));
        let mut pairs: Vec<String> = others.collect();
        pairs.insert(pairs.len() / 2, pair.to_owned());
        pairs.join("; ").into()
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Encrypted, Self::Signed, Self::Memory];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Signed => "signed",
            Self::Memory => "memory",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Encrypted => "Encrypted cookie",
            Self::Signed => "Signed cookie",
            Self::Memory => "Memory store",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A request as a server makes it: with extensions, and a header value that is a slice of a shared
/// buffer.
pub(crate) fn request(field: Option<&Bytes>) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert("as every real request has");
    if let Some(field) = field {
        let value =
            HeaderValue::from_maybe_shared(field.clone()).expect("cookies are visible ASCII");
        request.headers_mut().append(header::COOKIE, value);
    }
    request
}

/// 119 bytes of JSON; the counter is the 120th.
#[derive(Serialize)]
pub(crate) struct Profile {
    id: u32,
    name: &'static str,
    mail: &'static str,
    roles: [&'static str; 2],
    language: &'static str,
}

pub(crate) const ADA: Profile = Profile {
    id: 181_512_100,
    name: "Ada Lovelace",
    mail: "ada.lovelace@example.com",
    roles: ["author", "editor"],
    language: "en-GB",
};
