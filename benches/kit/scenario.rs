//! The requests that are measured.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of the session and of its cookie.
pub const NAME: &str = "session";
pub const COUNT: &str = "count";

/// A request, and what its handler does with its sessions.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub text: &'static str,
    pub way: Way,
    /// Content of each session, apart from the counter. With `None` the request has no session and
    /// no cookie.
    pub content: Option<Content>,
    pub other_cookies: usize,
    /// The number of sessions in the layer.
    pub configured: usize,
    pub used: Used,
    pub action: Action,
}

/// How a handler gets its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// A Tower service takes it from the request's extensions.
    Extensions,
    /// An `async fn` behind axum's router gets it from an extractor.
    Extractor,
}

/// Which of the layer's sessions a handler uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Used {
    None,
    First,
    Third,
    /// The first and the second.
    Two,
}

/// The values of a session, apart from the counter, which comes last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    pub profiles: usize,
    /// The number of texts.
    pub texts: usize,
    /// The length of each text's JSON.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Nothing,
    /// Reads the counter.
    Read,
    /// Increments the counter.
    Count,
    /// Puts this many profiles into a new session.
    Create(usize),
    /// Makes the session that later requests bring.
    Prepare(Content),
    /// Asserts that the session has this content, and this count if there is one.
    Expect(Content, Option<u64>),
    /// Asserts that the session is empty.
    ExpectEmpty,
}

/// Makes a handler for an action. Each measured action becomes a constant, so that its closure
/// captures nothing: axum clones the handler for each request, and an application's handler is a
/// function, which takes no memory.
#[macro_export]
macro_rules! for_action {
    ($action:expr, $name:ident => $handler:expr) => {
        $crate::for_action!(
            $action,
            $name => $handler;
            Nothing, Read, Count, Create(1), Create(4)
        )
    };
    ($action:expr, $name:ident => $handler:expr; $($case:ident $(($number:literal))?),*) => {
        match $action {
            $($crate::scenario::Action::$case $(($number))? => {
                const $name: $crate::scenario::Action =
                    $crate::scenario::Action::$case $(($number))?;
                $handler
            })*
            other => {
                #[allow(non_snake_case)]
                let $name = other;
                $handler
            }
        }
    };
}

impl Content {
    pub const NOTHING: Self = Self {
        profiles: 0,
        texts: 0,
        bytes: 0,
    };

    pub const fn profiles(profiles: usize) -> Self {
        Self {
            profiles,
            ..Self::NOTHING
        }
    }

    /// One text, which together with the counter is this many bytes of JSON.
    pub const fn of_bytes(bytes: usize) -> Self {
        Self {
            texts: 1,
            bytes: bytes - 1,
            ..Self::NOTHING
        }
    }

    /// The text, which is the same under each key.
    pub fn text(&self) -> String {
        "x".repeat(self.bytes - 2)
    }
}

impl Scenario {
    /// A scenario of one session, taken from the extensions, in a browser without other cookies.
    pub const fn new(
        name: &'static str,
        text: &'static str,
        content: Option<Content>,
        action: Action,
    ) -> Self {
        Self {
            name,
            text,
            way: Way::Extensions,
            content,
            other_cookies: 0,
            configured: 1,
            used: Used::First,
            action,
        }
    }

    /// The same scenario under another name, with axum's extractor.
    pub const fn extracted(self, name: &'static str) -> Self {
        Self {
            name,
            way: Way::Extractor,
            ..self
        }
    }

    /// The action that makes the sessions of the request, if it has any.
    pub fn preparation(&self) -> Option<Action> {
        self.content.map(Action::Prepare)
    }

    /// The `Cookie` field of the request: the sessions' cookies amid the others.
    pub fn field(&self, pairs: &str) -> Bytes {
        foreign(pairs, self.other_cookies)
    }
}

/// A `Cookie` field of these pairs with foreign cookies around them.
pub fn foreign(pairs: &str, others: usize) -> Bytes {
    let others = (0..others).map(|number| format!("other{number}=0123456789abcdef01234567"));
    let mut all: Vec<String> = others.collect();
    all.insert(all.len() / 2, pairs.to_owned());
    all.join("; ").into()
}

/// A value of 119 bytes of JSON. The counter is the 120th byte.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Profile<S = String> {
    id: u32,
    name: S,
    mail: S,
    roles: [S; 2],
    language: S,
}

pub const ADA: Profile<&str> = Profile {
    id: 181_512_100,
    name: "Ada Lovelace",
    mail: "ada.lovelace@example.com",
    roles: ["author", "editor"],
    language: "en-GB",
};

impl Profile<&str> {
    pub fn to_owned(&self) -> Profile {
        Profile {
            id: self.id,
            name: self.name.to_owned(),
            mail: self.mail.to_owned(),
            roles: self.roles.map(str::to_owned),
            language: self.language.to_owned(),
        }
    }
}

/// The keys of the first profiles, as constants that no request has to format.
pub const PROFILES: [&str; 4] = ["profile0", "profile1", "profile2", "profile3"];

/// The key of the profile with this number.
pub fn profile_key(number: usize) -> String {
    format!("profile{number}")
}

/// The key of the text with this number.
pub fn text_key(number: usize) -> String {
    format!("text{number}")
}

const ONE: Option<Content> = Some(Content::profiles(1));
const TWO_KIB: Option<Content> = Some(Content::profiles(17));

/// The seven requests.
pub const SEVEN: [Scenario; 7] = [
    Scenario::new("S1", "no cookie, session not used", None, Action::Nothing),
    Scenario::new("S2", "valid cookie, session not used", ONE, Action::Nothing),
    Scenario::new("S3", "reads one value", ONE, Action::Read),
    Scenario::new("S4", "reads and writes a counter", ONE, Action::Count),
    Scenario::new("S5", "makes a new session", None, Action::Create(1)),
    Scenario::new("S6", "S4 with 2 KiB of values", TWO_KIB, Action::Count),
    Scenario {
        other_cookies: 10,
        ..Scenario::new("S7", "S3 with ten other cookies", ONE, Action::Read)
    },
];

/// The same requests to an `async fn` that gets the session from axum's extractor.
pub const EXTRACTED: [Scenario; 7] = {
    let [a, b, c, d, e, f, g] = SEVEN;
    [
        a.extracted("E1"),
        b.extracted("E2"),
        c.extracted("E3"),
        d.extracted("E4"),
        e.extracted("E5"),
        f.extracted("E6"),
        g.extracted("E7"),
    ]
};

/// Other requests, with the extractor too.
pub const MORE: [Scenario; 7] = {
    let [_, unused, _, count, create, ..] = EXTRACTED;
    [
        Scenario {
            name: "F5",
            text: "makes a new session of four values",
            action: Action::Create(4),
            ..create
        },
        Scenario {
            name: "N4",
            text: "four sessions, none used",
            configured: 4,
            used: Used::None,
            ..unused
        },
        Scenario {
            name: "T3",
            text: "E4 in the third of three sessions",
            configured: 3,
            used: Used::Third,
            ..count
        },
        Scenario {
            name: "T2",
            text: "E4 in both of two sessions",
            configured: 2,
            used: Used::Two,
            ..count
        },
        sized("P40", "E4 with 40 B of values", 40),
        sized("P600", "E4 with 600 B in one value", 600),
        sized("P2K", "E4 with 2 KiB in one value", 2_048),
    ]
};

/// For sessions in stores only, as it does not fit into a cookie.
pub const LARGE: Scenario = sized("P3K", "E4 with 3 KiB in one value", 3_072);

const fn sized(name: &'static str, text: &'static str, bytes: usize) -> Scenario {
    Scenario {
        way: Way::Extractor,
        ..Scenario::new(name, text, Some(Content::of_bytes(bytes)), Action::Count)
    }
}
