//! The decisions, as tables. Tests play at `NOW`. By default the idle timeout is 1,000 seconds and
//! the absolute timeout 100,000.

mod change;
mod direct;
mod emptied;
mod enrolment;
mod life;
mod lifetime;
mod marked;
mod outcome;
mod plan;
mod provenance;
mod request;
mod take;
mod term;

use std::time::Duration;

use super::{
    Change, CookieDuty, Home, Place, Source, State, View, Write,
    lifetime::{Lifetime, Term},
    plan::Plan,
};
use crate::{
    clock::Timestamp,
    config::{SessionConfig, Settings},
    content::{Browser, Content, Subject, Writes},
    id::SessionId,
    key::{Key, Keys},
    store::{CookieStore, MemoryStore, Version},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const IDLE: u64 = 1_000;
const ABSOLUTE: u64 = 100_000;
const VERSION: Version = Version::from_u64(7);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn after(seconds: u64) -> Timestamp {
    NOW.saturating_add(secs(seconds))
}

fn before(seconds: u64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() - seconds)
}

/// Where the sessions of one configuration are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// In cookies, unknown to any store.
    InCookiesAlone,
    /// In cookies. A store remembers which sessions have ended.
    InCookies,
    /// In a cookie below 100 bytes, otherwise in a record.
    Overflowing,
    InRecords,
}

impl Kept {
    const ALL: [Self; 4] = [
        Self::InCookiesAlone,
        Self::InCookies,
        Self::Overflowing,
        Self::InRecords,
    ];

    /// All kinds except the first list a subject's sessions.
    fn config(self) -> SessionConfig {
        let key = Key::from_bytes(b"a key of thirty-two bytes or so.").unwrap();
        let (idle, absolute) = (secs(IDLE), secs(ABSOLUTE));
        let revocable = CookieStore::new().revocation(MemoryStore::new());
        let config = match self {
            Self::InCookiesAlone => SessionConfig::cookie("sid", Keys::new(key)),
            Self::InCookies => SessionConfig::new("sid", revocable, Keys::new(key)),
            Self::Overflowing => {
                let cookies = revocable.overflow(MemoryStore::new()).up_to(100);
                SessionConfig::new("sid", cookies, Keys::new(key))
            }
            Self::InRecords => SessionConfig::new("sid", MemoryStore::new(), Keys::new(key)),
        };
        config.idle_timeout(idle).absolute_timeout(absolute)
    }

    fn settings(self) -> Settings {
        self.config().build().unwrap()
    }
}

fn id() -> SessionId {
    SessionId::of_token(&[1; 16])
}

fn other_id() -> SessionId {
    SessionId::of_token(&[2; 16])
}

fn cookie() -> Home {
    cookie_of(id(), NOW)
}

fn cookie_of(id: SessionId, issued: Timestamp) -> Home {
    let expires = issued.saturating_add(secs(IDLE));
    Home::Cookie {
        id,
        issued,
        expires,
    }
}

/// The plan to save a session by its cookie.
fn plan_of_cookie(duty: CookieDuty) -> Plan {
    Plan {
        write: Write::Cookie { names: false },
        lifetime: Lifetime::of(&content(10), &Kept::InCookies.settings()),
        term: Term::Restarts,
        lists: false,
        duty,
        is_change: true,
        reseals: false,
    }
}

fn record() -> Home {
    record_of(id(), Browser::Knows)
}

fn record_of(id: SessionId, browser: Browser) -> Home {
    Home::Record(Place {
        id,
        version: VERSION,
        expires: after(IDLE),
        browser,
        writes: Writes::default(),
    })
}

/// One value of this length.
fn content(value: usize) -> Content {
    let mut content = Content::new(NOW);
    content.frames.insert("k", &vec![b'1'; value]);
    content
}

fn subject(name: &str, listed: Timestamp) -> Option<Box<Subject>> {
    let (name, since, note) = (name.into(), before(5_000), None);
    Some(Box::new(Subject {
        name,
        since,
        listed,
        note,
    }))
}

/// A session that was opened and not changed.
fn opened(home: Home, content: Content) -> State {
    let rejection = None;
    State {
        view: Some(View {
            home,
            content,
            rejection,
        }),
        is_used: true,
        ..State::default()
    }
}

fn content_of(state: &State) -> &Content {
    &state.view.as_ref().unwrap().content
}

fn insert(key: &str, value: &str) -> Change {
    Change::Insert {
        key: key.into(),
        value: value.into(),
    }
}

/// `"nothing"`, `"cookie"`, or the known ID.
fn source(state: &State) -> &'static str {
    named(&state.source)
}

fn named(source: &Source) -> &'static str {
    match source {
        Source::Cookie => "cookie",
        Source::Known(known) if **known == id() => "id",
        Source::Known(known) if **known == other_id() => "other id",
        Source::Known(_) => "unknown id",
        Source::Nothing => "nothing",
    }
}
