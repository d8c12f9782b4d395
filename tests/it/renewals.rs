//! A renewed session lives under its new ID, and under no other.

use http::StatusCode;
use silverback::Session;

use crate::support::{Jar, Kind, MINUTE, set_cookies};

#[tokio::test]
async fn a_session_is_renewed_soon_after_login() {
    let kinds = [Kind::Remote, Kind::RemoteRevocable, Kind::RevocableOverflow];
    for kind in kinds {
        for minutes in [0, 1, 10, 59, 60, 61, 119, 121] {
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            let before = jar.clone();
            for round in 0..3 {
                world.clock.advance(minutes * MINUTE);
                let response = world.renew(jar).await;
                let what = format!("{kind:?}, {minutes} minutes, round {round}");
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                assert!(world.is_alive(jar).await, "{what}");
                assert!(!world.is_alive(&before).await, "{what}");
                assert_eq!(world.notes("ada").await, ["laptop"], "{what}");
            }
            assert_eq!(world.destroy_all("ada").await, 1);
            assert!(!world.is_alive(jar).await);
        }
    }
}

/// The response that refers the browser to the record is late, so the login comes with the cookie
/// from before.
#[tokio::test]
async fn a_renewal_leaves_no_earlier_record() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        for size in [0, 1_000] {
            let world = kind.world();
            let jar = &mut Jar::default();
            world.put(jar, "visitor", 1).await;
            let late = &mut jar.clone();
            world.put(late, "cart", "x".repeat(1_000)).await;
            let login = async |session: Session| {
                session.load().await.unwrap();
                session.insert("user", "x".repeat(size)).unwrap();
                session.renew();
            };
            world.visit(jar, login).await;
            let keys = async |session: Session| {
                session.load().await.unwrap();
                session.keys().unwrap()
            };
            let (found, _) = world.visit(jar, keys).await;
            assert!(found.contains(&"user".to_owned()), "{found:?}");
            let (found, _) = world.visit(late, keys).await;
            assert_eq!(found, [""; 0], "{kind:?}, {size} bytes");
        }
    }
}

/// By then the session's ID differs from the one in the presented cookie.
#[tokio::test]
async fn a_session_renewed_in_mid_request_ends() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "user", "ada").await;
        let renew_and_end = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.save().await.unwrap();
            session.destroy().await.unwrap();
        };
        world.visit(jar, renew_and_end).await;
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
    }
}

/// Another request changes the note meanwhile: the roster has the new ID with that note.
#[tokio::test]
async fn a_renewal_that_lost_a_round_is_listed() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "visitor", 1).await;
        world
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.set_subject("ada", "laptop").unwrap();
            })
            .await;
        let meanwhile = &mut jar.clone();
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            let note = async |other: Session| {
                other.load().await.unwrap();
                other.set_subject("ada", "phone").unwrap();
            };
            world.visit(meanwhile, note).await;
        };
        assert_eq!(world.visit(jar, renew).await.1.status(), StatusCode::OK);
        assert_eq!(world.notes("ada").await, ["phone"], "{kind:?}");
        assert_eq!(world.destroy_all("ada").await, 1);
        assert_eq!(world.get::<u32>(jar, "visitor").await, None);
    }
}

/// A value that a request sets again counts as its own, even if it was there already.
#[tokio::test]
async fn the_loser_keeps_the_values_it_set_again() {
    for kind in [Kind::RemoteRevocable, Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        let fill = |session: &Session| {
            session.insert("inserted", 1).unwrap();
            let set = |value: &mut u32| *value = 2;
            session.update("updated", set).unwrap();
            session.set_attributes(|cookie| cookie.path("/x")).unwrap();
        };
        let begin = async |session: Session| {
            session.load().await.unwrap();
            session.insert("cart", 3).unwrap();
            fill(&session);
        };
        world.visit(jar, begin).await;
        let other = &mut jar.clone();
        let log_in = async |session: Session| {
            session.load().await.unwrap();
            world.renew(other).await;
            session.renew();
            fill(&session);
        };
        let (_, response) = world.visit(jar, log_in).await;
        let cookie = set_cookies(response.headers()).concat();
        assert!(cookie.contains("Path=/x"), "{kind:?}: {cookie}");
        let get = async |session: Session| {
            session.load().await.unwrap();
            ["inserted", "updated", "cart"].map(|key| session.get::<u32>(key).unwrap())
        };
        assert_eq!(world.visit(jar, get).await.0, [Some(1), Some(2), None]);
    }
}

/// The winner comes with the cookie from before the session outgrew it, which has the message.
#[tokio::test]
async fn the_loser_puts_back_no_message_that_it_has_read() {
    for kind in [Kind::Remote, Kind::RevocableOverflow] {
        let (world, jar) = (kind.world(), &mut Jar::default());
        let flash = async |session: Session| {
            session.load().await.unwrap();
            session.flash("hello").unwrap();
        };
        world.visit(jar, flash).await;
        let tab = &mut jar.clone();
        world.set(jar, "large", 600).await;
        let lose = async |session: Session| {
            session.load().await.unwrap();
            let claimed: Vec<String> = session.claim_flashes().await.unwrap();
            assert_eq!(claimed, ["hello"], "{kind:?}");
            session.keep_flashes().unwrap();
            world.renew(tab).await;
            session.renew();
            session.insert("user", 7).unwrap();
        };
        world.visit(jar, lose).await;
        let messages = async |session: Session| {
            session.load().await.unwrap();
            assert_eq!(session.get("user").unwrap(), Some(7), "{kind:?}");
            session.peek_flashes::<String>().unwrap()
        };
        assert!(world.visit(jar, messages).await.0.is_empty(), "{kind:?}");
    }
}
