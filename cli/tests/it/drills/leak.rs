//! A key has leaked.

use silverback::{CookieStore, Key, KeyId, Keys, MemoryStore, SessionConfig, store::IntoBackend};

use super::{
    Faults, Log, Node, Site, Traffic, operator, played,
    site::{self, Visitor, log_in, look, patient},
};
use crate::support::{At, KEY, World};

const HERE_AND_THERE: [usize; 2] = [0, 1];

/// Copies the file to one server after the other while visitors come.
async fn copy_keys(world: &World, site: &Site, traffic: &Traffic) {
    for which in HERE_AND_THERE {
        site.reload(which, &world.key_file());
        traffic.goes_on(4).await;
    }
}

fn leaked() -> Key {
    Key::from_base64(KEY).unwrap()
}

/// Makes a cookie for a session of a thief who has the key.
async fn forge(store: impl IntoBackend, thief: &Visitor) {
    let config = SessionConfig::new("account", store, Keys::new(leaked()));
    let forged = thief.seed(&config, |session| session.insert("user", "user-0"));
    forged.await.unwrap();
}

fn key_of(visitor: &Visitor) -> KeyId {
    let cookie = visitor.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
    silverback::TokenHead::read(&cookie).unwrap().key
}

#[test]
fn sessions_in_a_store_stay_when_cookies_are_sealed_anew_first() {
    played(async |log| in_a_store(&log).await);
}

async fn in_a_store(log: &Log) {
    let world = World::new(At::Files).await.unwrap();
    let site = Site::start(&world);
    let traffic = Traffic::start(&site, 1);
    traffic.goes_on(40).await;
    let absent = site.visitor(1);
    log_in(&absent, "on-holiday", "laptop").await;

    // The key alone opens no session, because the ID is missing.
    let thief = site.visitor_of(0);
    forge(MemoryStore::new(), &thief).await;
    assert_eq!(look(&thief).await.why, "NotFound");

    let (path, tool) = (world.key_file(), &world.tool);
    operator(tool, &["rotate", "--stage"])
        .await
        .says(0, "pending");
    copy_keys(&world, &site, &traffic).await;
    operator(tool, &["rotate", "--activate"])
        .await
        .says(0, "retired");
    copy_keys(&world, &site, &traffic).await;
    // Every visitor who comes meanwhile gets a cookie with the new key.
    traffic.goes_on(16).await;
    let id = leaked().id().to_string();
    operator(tool, &["revoke", &id]).await.says(2, "Revoke");
    operator(tool, &["revoke", &id[..8], "--yes"])
        .await
        .says(0, "revoked");
    copy_keys(&world, &site, &traffic).await;
    traffic.goes_on(40).await;

    for which in HERE_AND_THERE {
        let thief = site.visitor_of(which);
        forge(MemoryStore::new(), &thief).await;
        assert_eq!(look(&thief).await.why, "UnknownKey");
    }
    assert!(log.has(&["session_refused", "not in use"]));
    assert!(log.has(&["session_key_changed", &id, "revoked"]));
    let (tally, people) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
    let active = Keys::from_file(&path).unwrap().list()[0].0;
    let still_in = people.iter().filter(|person| person.is_in());
    assert!(
        still_in
            .map(|person| key_of(&person.browser))
            .all(|key| key == active)
    );

    // Visitors who stayed away log in again. Their old session is still found and ended.
    assert_eq!(look(&absent).await.why, "UnknownKey");
    let cookie = absent.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
    operator(tool, &["explain", &cookie])
        .await
        .says(4, "revoked");
    operator(tool, &["end-user", "on-holiday", "--yes"])
        .await
        .says(0, "ended 1 session");
    log_in(&absent, "on-holiday", "laptop").await;
    assert_eq!(look(&absent).await.user, "on-holiday");
}

#[test]
fn sessions_in_cookies_end_when_the_key_is_replaced_at_once() {
    played(async |log| in_cookies(&log).await);
}

async fn in_cookies(log: &Log) {
    let world = World::new(At::Files).await.unwrap();
    let node = || {
        let cookies = CookieStore::new().revocation(world.store.clone());
        Node::with(&world, cookies, &silverback::Clock::system(), patient)
    };
    let site = Site::new([node(), node()]);
    let traffic = Traffic::start(&site, 2);
    traffic.goes_on(40).await;

    // The thief can be any user, and a server that seals cookies with the new key seals the thief's
    // too.
    let thief = site.visitor_of(0);
    forge(CookieStore::new(), &thief).await;
    assert_eq!(look(&thief).await.user, "user-0");

    let tool = &world.tool;
    operator(tool, &["rotate", "--stage"])
        .await
        .says(0, "pending");
    copy_keys(&world, &site, &traffic).await;
    traffic.may_be_out(true);
    operator(tool, &["rotate", "--activate", "--revoke", "--yes"])
        .await
        .says(0, "revoked");
    copy_keys(&world, &site, &traffic).await;
    traffic.goes_on(24).await;
    // By now every user has logged in again.
    traffic.may_be_out(false);
    traffic.goes_on(40).await;
    for which in HERE_AND_THERE {
        let again = site.visitor_of(which);
        again.jar(|jar| *jar = thief.jar(|jar| jar.clone()));
        let seen = look(&again).await;
        assert_eq!((&*seen.user, &*seen.why), ("", "UnknownKey"));
    }
    assert!(log.has(&["session_refused", "not in use"]));
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
    assert!(tally.excused > 0);
}

/// The reason to revoke a leaked key at once if cookies hold the sessions.
#[test]
fn a_forged_cookie_is_sealed_anew_as_any_other() {
    played(async |_| {
        let world = World::new(At::Files).await.unwrap();
        let node = Node::with(
            &world,
            CookieStore::new(),
            &silverback::Clock::system(),
            |it| it,
        );
        let site = Site::new([node]);
        let thief = site.visitor_of(0);
        forge(CookieStore::new(), &thief).await;
        operator(&world.tool, &["rotate"]).await.says(0, "retired");
        site.reload(0, &world.key_file());
        let page = thief
            .post(&format!("{}/add", site::FOLDER), "text/plain", "")
            .await;
        assert_eq!(page.status(), 200);
        let id = leaked().id().to_string();
        operator(&world.tool, &["revoke", &id, "--yes"])
            .await
            .says(0, "revoked");
        site.reload(0, &world.key_file());
        assert_eq!(look(&thief).await.user, "user-0");
    });
}
