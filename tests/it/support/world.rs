//! Everything around one session: a site, its stores, its subjects.

use std::ops::Deref;

use http::StatusCode;
use silverback::{
    Clock, Keys, Session, SessionConfig, SessionLayer, SessionRecords, SubjectSession, Subjects,
    Timestamp,
    store::{CookieStore, MemoryStore, RecordKey},
};

use super::{HOUR, Jar, SECOND, START, Site, keys, scripted::Scripted};

/// Where a session is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In its cookie.
    Cookie,
    /// In its cookie, and a store that never waits remembers which sessions have ended.
    Revocable,
    /// As `Revocable`, with a store that waits.
    RemoteRevocable,
    /// In its cookie up to 500 bytes, then in a store that waits.
    Overflow,
    /// Both: `Overflow` and `RemoteRevocable`.
    RevocableOverflow,
    /// In a store that never waits.
    Memory,
    /// In a store that waits.
    Remote,
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
    /// In the cookie or in a store, which never waits.
    pub(crate) const SIMPLE: [Self; 2] = [Self::Cookie, Self::Memory];
    /// In the cookie or in a store of each sort.
    pub(crate) const PLAIN: [Self; 3] = [Self::Cookie, Self::Memory, Self::Remote];
    /// Those that can say whose a session is, and fit where they are.
    pub(crate) const WITH_SUBJECTS: [Self; 4] = [
        Self::Revocable,
        Self::RemoteRevocable,
        Self::Memory,
        Self::Remote,
    ];
    /// Those whose sessions a server can end. One that has [grown](World::grown) is in a record.
    pub(crate) const ENDED_BY_SERVER: [Self; 5] = [
        Self::Revocable,
        Self::RemoteRevocable,
        Self::RevocableOverflow,
        Self::Memory,
        Self::Remote,
    ];
    /// Those of them whose store waits, and obeys a script.
    pub(crate) const REMOTE_SUBJECTS: [Self; 2] = [Self::RemoteRevocable, Self::Remote];

    pub(crate) fn world(self) -> World {
        self.with(|config| config)
    }

    /// With as much time for stores as by default, for tests whose clock is paused. In others a busy
    /// machine may need more.
    pub(crate) fn in_time(self) -> World {
        self.with(|config| config.store_timeout(5 * SECOND))
    }

    pub(crate) fn with(self, change: impl FnOnce(SessionConfig) -> SessionConfig) -> World {
        let stores = Stores::new();
        let config = change(self.config(&stores, keys()));
        World::new(self, stores, config)
    }

    /// With another [`CookieStore`] than usual.
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

    /// A session named `s` in these stores.
    pub(crate) fn config(self, stores: &Stores, keys: Keys) -> SessionConfig {
        let config = match self {
            Self::Memory => SessionConfig::new("s", stores.records.at_once(), keys),
            Self::Remote => SessionConfig::new("s", stores.records.clone(), keys),
            _ => SessionConfig::new("s", self.cookies(stores), keys),
        };
        let config = config.cookie_name("s");
        match self {
            Self::Cookie => config,
            _ => config.store_timeout(HOUR),
        }
    }

    /// What its cookies are, for those that have one.
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
            Self::Memory | Self::Remote => panic!("is in a store"),
        }
    }

    /// Whether a session loads itself.
    pub(crate) fn never_waits(self) -> bool {
        matches!(self, Self::Cookie | Self::Revocable | Self::Memory)
    }

    /// Whether a new session is in its cookie.
    pub(crate) fn is_cookie(self) -> bool {
        !matches!(self, Self::Memory | Self::Remote)
    }
}

/// The stores of a world, with its clock.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) clock: Clock,
    /// Of sessions. Kinds that never wait use it [`at_once`](Scripted::at_once).
    pub(crate) records: Scripted,
    /// Of ended sessions.
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

/// A [`Site`] of one session, and what is behind it.
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

    /// A server with other keys at the same stores.
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

    /// The store with the rosters, for a script.
    pub(crate) fn rosters(&self) -> &Scripted {
        assert!(Kind::REMOTE_SUBJECTS.contains(&self.kind), "nobody asks it");
        if self.kind.is_cookie() {
            self.ends()
        } else {
            self.records()
        }
    }

    /// The subjects' sessions, seen from outside of a request.
    pub(crate) fn subjects(&self) -> Subjects {
        Subjects::new(&self.config)
            .unwrap()
            .clock(self.clock.clone())
    }

    /// The sessions by their keys, seen from outside of a request.
    pub(crate) fn session_records(&self) -> SessionRecords {
        SessionRecords::new(&self.config)
            .unwrap()
            .clock(self.clock.clone())
    }

    /// What the session of these cookies is called.
    pub(crate) async fn key(&self, jar: &Jar) -> RecordKey {
        let key = async |session: Session| {
            session.load().await.unwrap();
            session.record_key().unwrap()
        };
        self.visit(&mut jar.clone(), key).await.0
    }

    /// Whether a browser with these cookies has a session at that time; nothing changes by that.
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
