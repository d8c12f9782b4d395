//! Everything around one session: a site, its stores, its subjects.

use std::ops::Deref;

use http::StatusCode;
use silverback::{
    Clock, Keys, Session, SessionConfig, SessionLayer, SessionRecords, SubjectSession, Subjects,
    Timestamp,
    store::{CookieStore, MemoryStore, RecordKey},
};

use super::{HOUR, Jar, SECOND, START, Site, keys, scripted::Scripted};

/// How a session is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In its cookie.
    Cookie,
    /// In its cookie. A store that never waits remembers which sessions have ended.
    Revocable,
    /// Like `Revocable`, with a store that waits.
    RemoteRevocable,
    /// In its cookie up to 500 bytes, above that in a store that waits.
    Overflow,
    /// `Overflow` and `RemoteRevocable` combined.
    RevocableOverflow,
    /// In a store that never waits.
    Memory,
    /// In a store that waits.
    Remote,
    /// In a Go store's records, which another layer loads and saves.
    Go,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Cookie,
        Self::Revocable,
        Self::RemoteRevocable,
        Self::Overflow,
        Self::RevocableOverflow,
        Self::Memory,
        Self::Remote,
    ];
    /// In the cookie, and in a store that never waits.
    pub(crate) const SIMPLE: [Self; 2] = [Self::Cookie, Self::Memory];
    /// In the cookie, and in a store of each sort.
    pub(crate) const PLAIN: [Self; 3] = [Self::Cookie, Self::Memory, Self::Remote];
    /// Kinds whose sessions can have a subject and never overflow.
    pub(crate) const WITH_SUBJECTS: [Self; 4] = [
        Self::Revocable,
        Self::RemoteRevocable,
        Self::Memory,
        Self::Remote,
    ];
    /// Kinds whose sessions a server can end. A [grown](World::grown) session is in a record.
    pub(crate) const ENDED_BY_SERVER: [Self; 5] = [
        Self::Revocable,
        Self::RemoteRevocable,
        Self::RevocableOverflow,
        Self::Memory,
        Self::Remote,
    ];
    /// Kinds of `WITH_SUBJECTS` whose store waits and obeys a script.
    pub(crate) const REMOTE_SUBJECTS: [Self; 2] = [Self::RemoteRevocable, Self::Remote];

    pub(crate) fn world(self) -> World {
        self.with(|config| config)
    }

    /// With the default store timeout, for tests with a paused clock. Other tests allow more time
    /// for a busy machine.
    pub(crate) fn in_time(self) -> World {
        self.with(|config| config.store_timeout(5 * SECOND))
    }

    pub(crate) fn with(self, change: impl FnOnce(SessionConfig) -> SessionConfig) -> World {
        let stores = Stores::new();
        let config = change(self.config(&stores, keys()));
        World::new(self, stores, config)
    }

    /// With changed settings of its [`CookieStore`].
    pub(crate) fn with_cookies(self, change: impl FnOnce(CookieStore) -> CookieStore) -> World {
        let stores = Stores::new();
        let cookies = change(self.cookies(&stores));
        let config = SessionConfig::new("s", cookies, keys()).cookie_name("s");
        World::new(self, stores, config)
    }

    pub(crate) fn with_keys(self, keys: Keys) -> World {
        let stores = Stores::new();
        let config = self.config(&stores, keys);
        World::new(self, stores, config)
    }

    /// The settings of a session named `s` in these stores.
    pub(crate) fn config(self, stores: &Stores, keys: Keys) -> SessionConfig {
        let config = match self {
            Self::Memory => SessionConfig::new("s", stores.records.at_once(), keys),
            Self::Remote => SessionConfig::new("s", stores.records.clone(), keys),
            Self::Go => SessionConfig::cookie("s", keys),
            _ => SessionConfig::new("s", self.cookies(stores), keys),
        };
        let config = config.cookie_name("s");
        match self {
            Self::Cookie | Self::Go => config,
            _ => config.store_timeout(HOUR),
        }
    }

    /// The [`CookieStore`] of a kind that has one.
    pub(crate) fn cookies(self, stores: &Stores) -> CookieStore {
        let cookies = CookieStore::new();
        match self {
            Self::Cookie => cookies,
            Self::Revocable => cookies.revocation(stores.ends.at_once()),
            Self::RemoteRevocable => cookies.revocation(stores.ends.clone()),
            Self::Overflow => cookies.overflow(stores.records.clone()).up_to(500),
            Self::RevocableOverflow => Self::Overflow
                .cookies(stores)
                .revocation(stores.ends.clone()),
            Self::Memory | Self::Remote | Self::Go => panic!("is in a store"),
        }
    }

    /// Returns whether a session loads without waiting.
    pub(crate) fn never_waits(self) -> bool {
        matches!(self, Self::Cookie | Self::Revocable | Self::Memory)
    }

    /// Returns whether a new session is in its cookie.
    pub(crate) fn is_cookie(self) -> bool {
        !matches!(self, Self::Memory | Self::Remote | Self::Go)
    }
}

/// The stores of a world, and its clock.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) clock: Clock,
    /// Holds sessions. Kinds that never wait use it [`at_once`](Scripted::at_once).
    pub(crate) records: Scripted,
    /// Remembers ended sessions.
    pub(crate) ends: Scripted,
}

impl Stores {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual(START);
        let store = || Scripted::new(MemoryStore::new().clock(clock.clone()));
        Self {
            records: store(),
            ends: store(),
            clock,
        }
    }
}

/// A [`Site`] with one session, and the stores behind it.
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) stores: Stores,
    site: Site,
    config: SessionConfig,
}

impl Deref for World {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl World {
    pub(crate) fn new(kind: Kind, stores: Stores, config: SessionConfig) -> Self {
        Self {
            kind,
            site: Site::at(&stores.clock, SessionLayer::new(config.clone())),
            stores,
            config,
        }
    }

    /// Another server with these keys at the same stores.
    pub(crate) fn beside(&self, keys: Keys) -> Self {
        let config = self.kind.config(&self.stores, keys);
        Self::new(self.kind, self.stores.clone(), config)
    }

    pub(crate) fn records(&self) -> &Scripted {
        &self.stores.records
    }

    pub(crate) fn ends(&self) -> &Scripted {
        &self.stores.ends
    }

    /// The store that holds the rosters.
    pub(crate) fn rosters(&self) -> &Scripted {
        assert!(
            Kind::REMOTE_SUBJECTS.contains(&self.kind),
            "no scripted store holds its rosters"
        );
        if self.kind.is_cookie() {
            self.ends()
        } else {
            self.records()
        }
    }

    /// The subjects' sessions, accessed without a request.
    pub(crate) fn subjects(&self) -> Subjects {
        Subjects::new(&self.config)
            .unwrap()
            .clock(self.clock.clone())
    }

    /// The sessions by their keys, accessed without a request.
    pub(crate) fn session_records(&self) -> SessionRecords {
        SessionRecords::new(&self.config)
            .unwrap()
            .clock(self.clock.clone())
    }

    /// The record key of the session of these cookies.
    pub(crate) async fn key(&self, jar: &Jar) -> RecordKey {
        let key = async |session: Session| {
            session.load().await.unwrap();
            session.record_key().unwrap()
        };
        self.visit(&mut jar.clone(), key).await.0
    }

    /// Returns whether a browser with these cookies has a session at that time. Changes nothing.
    pub(crate) async fn lives_at(&self, jar: &Jar, time: Timestamp) -> bool {
        let now = self.clock.now();
        self.clock.set(time);
        let look = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            !session.is_new().unwrap()
        };
        let lives = self.visit(&mut jar.clone(), look).await.0;
        self.clock.set(now);
        lives
    }

    /// A new browser with `cart` in its session, which is in a record if it can be in one.
    pub(crate) async fn grown(&self) -> Jar {
        let mut jar = Jar::default();
        self.put(&mut jar, "cart", "x".repeat(600)).await;
        jar
    }

    /// A new browser that has logged in.
    pub(crate) async fn logged_in(&self, user: &str, device: &str) -> Jar {
        let mut jar = Jar::default();
        let response = self.log_in(&mut jar, user, device).await;
        assert_eq!(response.status(), StatusCode::OK);
        jar
    }

    /// The notes of a subject's sessions.
    pub(crate) async fn notes(&self, user: &str) -> Vec<String> {
        notes(&self.subjects().list(user).await.unwrap())
    }

    pub(crate) async fn destroy_all(&self, user: &str) -> usize {
        self.subjects().destroy_all(user).await.unwrap()
    }
}

pub(crate) fn notes(sessions: &[SubjectSession]) -> Vec<String> {
    sessions
        .iter()
        .map(|session| session.note().to_owned())
        .collect()
}
