//! Machines with different clocks.

use std::time::Duration;

use http::StatusCode;
use silverback::{
    Clock, ErrorKind, MemoryStore, Rejection, Session, SessionConfig, SessionLayer, SessionRecords,
    Subjects, Timestamp,
    store::{CookieStore, DynStore},
    testing::FlakyStore,
};

use crate::support::{
    DAY, HOUR, Jar, Kind, SECOND, START, Site, Stores, failure, keys, log::recorded, log_in,
    no_cookie,
};

/// Two machines at the same stores. The clock of the first is ahead.
fn machines(
    kind: Kind,
    ahead: Duration,
    change: impl FnOnce(CookieStore) -> CookieStore,
) -> [Site; 2] {
    let stores = Stores::new();
    let config = if kind.is_cookie() {
        SessionConfig::new("s", change(kind.cookies(&stores)), keys())
    } else {
        kind.config(&stores, keys())
    };
    let layer = SessionLayer::new(config);
    let ahead = Clock::manual(START.saturating_add(ahead));
    [
        Site::at(&ahead, layer.clone()),
        Site::at(&stores.clock, layer),
    ]
}

async fn id(site: &Site, jar: &Jar) -> Option<String> {
    let id = async |session: Session| {
        session.load().await.unwrap();
        session.record_key().map(|id| id.to_string())
    };
    site.visit(&mut jar.clone(), id).await.0
}

#[tokio::test]
async fn a_session_in_a_store_is_found_by_any_clock() {
    for kind in [Kind::Memory, Kind::Remote] {
        for ahead in [61 * SECOND, 90 * SECOND, HOUR] {
            let [early, late] = machines(kind, ahead, |cookies| cookies);
            let jar = &mut Jar::default();
            early.put(jar, "cart", 3).await;
            let made = id(&early, jar).await;
            assert_eq!(late.rejection(&mut jar.clone()).await, None, "{kind:?}");
            late.put(jar, "seen", true).await;
            assert_eq!(id(&late, jar).await, made, "{kind:?}: it is the same one");
            assert_eq!(early.get(jar, "cart").await, Some(3));
        }
    }
}

#[tokio::test]
async fn an_outgrown_session_is_found_by_any_clock() {
    let [early, late] = machines(Kind::Overflow, 90 * SECOND, |cookies| cookies);
    let jar = &mut Jar::default();
    early.put(jar, "cart", "x".repeat(600)).await;
    let found: Option<String> = late.get(jar, "cart").await;
    assert_eq!(found.map(|cart| cart.len()), Some(600));
}

#[tokio::test]
async fn a_session_in_a_cookie_is_from_a_clock_within_the_skew() {
    for kind in [Kind::Cookie, Kind::Revocable, Kind::Overflow] {
        for (skew, ahead, expected) in [
            (None, 60, None),
            (None, 61, Some(Rejection::NotYetValid)),
            (Some(300), 300, None),
            (Some(300), 301, Some(Rejection::NotYetValid)),
            (Some(0), 0, None),
            (Some(0), 1, Some(Rejection::NotYetValid)),
        ] {
            let [early, late] = machines(kind, ahead * SECOND, |cookies| match skew {
                Some(secs) => cookies.clock_skew(secs * SECOND),
                None => cookies,
            });
            let jar = &mut Jar::default();
            early.put(jar, "n", 1).await;
            let why = late.rejection(jar).await;
            assert_eq!(why, expected, "{kind:?}, {skew:?}, {ahead}");
        }
    }
}

/// The cookie comes from a clock that is ahead of that of the machine and the store where it ends.
/// The other machine still accepts the cookie, and this one will.
#[tokio::test]
async fn a_logout_ends_a_session_from_a_clock_far_ahead() {
    for kind in [
        Kind::Revocable,
        Kind::RemoteRevocable,
        Kind::RevocableOverflow,
    ] {
        let [early, late] = machines(kind, HOUR, |cookies| cookies);
        let jar = &mut Jar::default();
        early.put(jar, "n", 1).await;
        let old = jar.clone();
        assert_eq!(late.rejection(jar).await, Some(Rejection::NotYetValid));
        late.destroy(jar).await;
        assert!(jar.0.is_empty(), "{kind:?}");
        for machine in [&early, &late] {
            machine.clock.set(START.saturating_add(HOUR));
            let n: Option<u32> = machine.get(&mut old.clone(), "n").await;
            assert_eq!(n, None, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn an_end_is_remembered_as_long_as_a_cookie_of_any_clock() {
    for ends_all in [false, true] {
        let stores = Stores::new();
        let config = Kind::RemoteRevocable.config(&stores, keys());
        let subjects = Subjects::new(&config).unwrap().clock(stores.clock.clone());
        let ahead = Clock::manual(START.saturating_add(50 * SECOND));
        let [early, late] =
            [&ahead, &stores.clock].map(|clock| Site::at(clock, SessionLayer::new(config.clone())));
        let jar = &mut Jar::default();
        let log_in = async |session: Session| {
            log_in(session.clone(), "ada", "laptop").await;
            session.persist_for(30 * DAY);
        };
        early.visit(jar, log_in).await;
        if ends_all {
            assert_eq!(subjects.destroy_all("ada").await.unwrap(), 1);
        } else {
            late.destroy(&mut jar.clone()).await;
        }
        late.clock.advance(30 * DAY + 10 * SECOND);
        assert!(!late.is_alive(jar).await, "all: {ends_all}");
    }
}

/// By the clock that is ahead the laptop's session has expired. By the other it can be extended.
#[tokio::test]
async fn a_session_stays_listed_until_it_has_expired_by_every_clock() {
    let kinds = Kind::WITH_SUBJECTS.into_iter();
    for (kind, ends) in kinds.flat_map(|kind| [(kind, false), (kind, true)]) {
        let stores = Stores::new();
        let config = kind.config(&stores, keys()).idle_timeout(120 * SECOND);
        let ahead = Clock::manual(START.saturating_add(50 * SECOND));
        let [early, late] =
            [&ahead, &stores.clock].map(|clock| Site::at(clock, SessionLayer::new(config.clone())));
        let (laptop, phone) = (&mut Jar::default(), &mut Jar::default());
        late.log_in(laptop, "ada", "laptop").await;
        for site in [&early, &late] {
            site.clock.advance(100 * SECOND);
        }
        early.log_in(phone, "ada", "phone").await;
        if ends {
            let destroy_others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            early.visit(phone, destroy_others).await;
        }
        assert_eq!(late.is_alive(laptop).await, !ends, "{kind:?}");
        assert!(early.is_alive(phone).await, "{kind:?}");
    }
}

/// A machine reissues the cookie of a session that is created in the future by its own clock.
#[tokio::test]
async fn machines_within_the_skew_write_by_turns() {
    for kind in [Kind::Cookie, Kind::Overflow, Kind::Memory] {
        let [early, late] = machines(kind, 50 * SECOND, |cookies| cookies);
        let jar = &mut Jar::default();
        for turn in 1..=3 {
            for (site, name) in [(&early, "early"), (&late, "late")] {
                site.put(jar, name, turn).await;
                let mut other = jar.clone();
                assert_eq!(early.get(&mut other, name).await, Some(turn), "{kind:?}");
                assert_eq!(late.get(&mut other, name).await, Some(turn), "{kind:?}");
            }
            late.renew(jar).await;
        }
    }
}

/// One store with the system's clock, of each kind that uses the clock of this process.
fn of_the_system() -> [DynStore; 2] {
    [
        DynStore::new(MemoryStore::new()),
        DynStore::new(FlakyStore::new(MemoryStore::new())),
    ]
}

#[tokio::test]
async fn a_store_that_was_not_given_the_clock_is_an_error() {
    for store in of_the_system() {
        misses_the_layers_clock(store).await;
    }
}

/// Without the error, every request would start a new session for no visible reason.
pub(crate) async fn misses_the_layers_clock(store: DynStore) {
    let long_ago = Timestamp::from_secs(1_000);
    let layer = SessionLayer::new(SessionConfig::new("s", store, keys()));
    let site = Site::at(&Clock::manual(long_ago), layer);
    let log = recorded(async || {
        let response = site.put(&mut Jar::default(), "n", 1).await;
        assert_eq!(failure(&response), Some(ErrorKind::ClocksDiffer));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(no_cookie(&response));
    })
    .await;
    assert!(
        log.contains("ERROR") && log.contains("the layer's `Clock`"),
        "{log}"
    );
    assert!(
        log.contains("the session's clock says 1970-01-01T00:16:40Z"),
        "{log}"
    );
    let saved = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.map_err(|error| error.kind())
    };
    let (saved, _) = site.visit(&mut Jar::default(), saved).await;
    assert_eq!(saved, Err(ErrorKind::ClocksDiffer));
}

/// The reverse mistake.
#[tokio::test]
async fn a_layer_that_was_not_given_the_stores_clock_is_an_error() {
    let clock = Clock::manual(IN_2100);
    let store = DynStore::new(MemoryStore::new().clock(clock.clone()));
    misses_the_stores_clock(store, &clock).await;
}

pub(crate) const IN_2100: Timestamp = Timestamp::from_secs(4_102_444_800);

pub(crate) async fn misses_the_stores_clock(store: DynStore, clock: &Clock) {
    let config = SessionConfig::new("s", store, keys()).idle_timeout(HOUR);
    let site = Site::at(&Clock::system(), SessionLayer::new(config.clone()));
    let response = site.put(&mut Jar::default(), "n", 1).await;
    assert_eq!(failure(&response), Some(ErrorKind::ClocksDiffer));
    // A handle without a request is another place to forget the clock.
    let (site, jar) = (Site::at(clock, site.layer), &mut Jar::default());
    assert_eq!(failure(&site.put(jar, "n", 1).await), None);
    let key = async |session: Session| {
        session.load().await.unwrap();
        session.record_key().unwrap()
    };
    let (key, _) = site.visit(jar, key).await;
    let records = SessionRecords::new(&config).unwrap();
    let session = records.load(&key).await.unwrap().unwrap();
    session.insert("n", 2).unwrap();
    let saved = session.save().await.map_err(|error| error.kind());
    assert_eq!(saved, Err(ErrorKind::ClocksDiffer));
    assert_eq!(site.get(jar, "n").await, Some(1));
}

#[tokio::test]
async fn a_store_behind_the_layers_clock_keeps_its_sessions() {
    for store in of_the_system() {
        falls_behind_the_layers_clock(store).await;
    }
}

/// A test that advances the clock of its layer loses no session.
pub(crate) async fn falls_behind_the_layers_clock(store: DynStore) {
    let layer = SessionLayer::new(SessionConfig::new("s", store, keys()));
    let site = Site::at(&Clock::manual(Clock::system().now()), layer);
    let jar = &mut Jar::default();
    for day in 0..3 {
        site.put(jar, "n", day).await;
        site.clock.advance(DAY / 2);
        assert_eq!(site.get(jar, "n").await, Some(day));
    }
}
