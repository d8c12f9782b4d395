//! Which key of several is used, in whatever order they are given.

use silverback::{
    Clock, Key, KeyError, Keys, Rejection, Session, SessionConfig, SessionLayer, Subjects,
    store::MemoryStore,
};

use crate::support::{Jar, START, Site, no_cookie, set_cookie};

const OLD: &str = "9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";
const NEW: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn parse(text: &str) -> Keys {
    Keys::parse(text).unwrap()
}

async fn log_in(session: Session) {
    session.load().await.unwrap();
    session.insert("user", 7).unwrap();
}

async fn look(session: Session) -> (Option<u32>, Option<Rejection>) {
    session.load().await.unwrap();
    (session.get("user").unwrap(), session.rejection())
}

/// A session in a cookie, and one in a store.
fn configs(store: &MemoryStore, keys: Keys) -> [SessionConfig; 2] {
    [
        SessionConfig::cookie("s", keys.clone()),
        SessionConfig::new("s", store.clone(), keys),
    ]
}

fn site(config: SessionConfig, clock: &Clock) -> Site {
    Site {
        layer: SessionLayer::new(config).clock(clock.clone()),
        clock: clock.clone(),
    }
}

#[tokio::test]
async fn the_active_key_seals_wherever_it_stands() {
    for ring in [
        format!("retired:{OLD},active:{NEW}"),
        format!("pending:{OLD},active:{NEW}"),
        format!("active:{NEW},retired:{OLD}"),
    ] {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        let all = configs(&store, parse(&ring));
        let (only_new, only_old) = (configs(&store, parse(NEW)), configs(&store, parse(OLD)));
        for ((all, only_new), only_old) in all.into_iter().zip(only_new).zip(only_old) {
            let jar = &mut Jar::default();
            let here = site(all, &clock);
            here.visit(jar, log_in).await;
            let (found, response) = here.visit(jar, look).await;
            assert_eq!(found, (Some(7), None));
            assert!(no_cookie(&response), "{ring}: it is of the active key");
            let found = site(only_new, &clock).visit(&mut jar.clone(), look).await.0;
            assert_eq!(found, (Some(7), None), "{ring}");
            let found = site(only_old, &clock).visit(&mut jar.clone(), look).await.0;
            assert_eq!(found, (None, Some(Rejection::UnknownKey)), "{ring}");
        }
    }
}

#[tokio::test]
async fn lists_are_of_the_active_key_too() {
    let clock = Clock::manual(START);
    let store = MemoryStore::new().clock(clock.clone());
    let ring = parse(&format!("retired:{OLD},active:{NEW}"));
    let config = SessionConfig::new("s", store.clone(), ring);
    let login = async |session: Session| {
        log_in(session.clone()).await;
        session.set_subject("ada", "laptop").unwrap();
    };
    site(config, &clock).visit(&mut Jar::default(), login).await;
    for (key, expected) in [(NEW, 1), (OLD, 0)] {
        let config = SessionConfig::new("s", store.clone(), parse(key));
        let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
        assert_eq!(subjects.list("ada").await.unwrap().len(), expected);
    }
}

/// After a change of `Path` or `Domain` a browser may send a session twice, once as it was sealed
/// before the rotation.
#[tokio::test]
async fn one_session_in_two_cookies_is_sealed_anew() {
    for old_comes_first in [false, true] {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        let keys = parse(OLD);
        let site = site(SessionConfig::new("s", store, keys.clone()), &clock);
        let jar = &mut Jar::default();
        site.visit(jar, log_in).await;
        let old = jar.value("s").to_owned();
        keys.rotate(Key::from_hex(NEW).unwrap()).unwrap();
        site.visit(jar, look).await;
        let new = jar.value("s").to_owned();
        assert_ne!(old, new);

        let (one, other) = if old_comes_first {
            (&old, &new)
        } else {
            (&new, &old)
        };
        let both = &mut Jar::with("s", &format!("{one}; s={other}"));
        let (found, response) = site.visit(both, look).await;
        assert_eq!(found, (Some(7), None), "old first: {old_comes_first}");
        assert!(set_cookie(&response).starts_with("s="));
        let (found, response) = site.visit(both, look).await;
        assert_eq!(found, (Some(7), None));
        assert!(no_cookie(&response));
        let twice = &mut Jar::with("s", &format!("{new}; s={new}"));
        let (found, response) = site.visit(twice, look).await;
        assert_eq!(found, (Some(7), None));
        assert!(no_cookie(&response), "both are of the active key");
    }
}

#[test]
fn half_a_hexadecimal_pair_is_no_key() {
    for text in [&NEW[1..], &format!("{NEW}0"), &format!("{NEW}{NEW}f")] {
        let error = Key::from_hex(text).unwrap_err();
        assert!(matches!(error, KeyError::Encoding), "{error}");
    }
    assert_eq!(Key::from_hex(NEW).unwrap().id(), parse(NEW).list()[0].0);
}
