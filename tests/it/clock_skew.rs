//! Machines whose clocks differ.

use std::time::Duration;

use silverback::{Clock, Rejection, Session, SessionConfig, SessionLayer, store::CookieStore};

use crate::support::{HOUR, Jar, Kind, SECOND, START, Site, Stores, keys};

/// Two machines at the same stores, of which the first has a clock that is ahead.
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

/// A machine reissues the cookie of a session that, by its own clock, is not made yet.
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
