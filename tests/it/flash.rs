//! Messages that are shown once.

use silverback::{Flashes, Session};

use crate::support::{
    Jar, Kind, no_cookie,
    scripted::{Before, Delete, Fail, Update},
};

async fn flashes(session: Session) -> Vec<String> {
    session.flashes().unwrap()
}

#[tokio::test]
async fn a_message_is_shown_once() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        site.visit(jar, async |session| {
            session.flash("one").unwrap();
            session.flash("two").unwrap();
        })
        .await;
        let (_, response) = site
            .visit(jar, async |session| session.len().unwrap())
            .await;
        assert!(
            no_cookie(&response),
            "a page that does not look leaves them"
        );
        assert_eq!(site.visit(jar, flashes).await.0, ["one", "two"]);
        let (none, response) = site.visit(jar, flashes).await;
        assert!(none.is_empty() && no_cookie(&response));
    }
}

#[tokio::test]
async fn queues_and_values_are_apart() {
    Kind::Cookie
        .world()
        .visit(&mut Jar::default(), async |session| {
            session.insert("errors", "a value").unwrap();
            session.insert("_flash", "a value").unwrap();
            session.flash("hello").unwrap();
            session.flash_in("errors", 7).unwrap();
            session.flash_in("_flash", 8).unwrap();
            assert_eq!(session.len().unwrap(), 2);
            assert_eq!(session.flashes_in::<u8>("errors").unwrap(), [7]);
            assert!(session.flashes_in::<u8>("errors").unwrap().is_empty());
            assert_eq!(session.flashes::<String>().unwrap(), ["hello"]);
            assert_eq!(
                session.get::<String>("errors").unwrap().as_deref(),
                Some("a value")
            );
        })
        .await;
}

/// As those that an older release has left.
#[tokio::test]
async fn messages_of_another_type_hold_up_no_others() {
    for site in Kind::SIMPLE.map(Kind::world) {
        for claims in [false, true] {
            let jar = &mut Jar::default();
            site.visit(jar, async |session| {
                session.flash("one").unwrap();
                session.flash(2).unwrap();
                session.flash("three").unwrap();
            })
            .await;
            let take = async |session: Session| match claims {
                true => session.claim_flashes::<String>().await.unwrap(),
                false => session.flashes::<String>().unwrap(),
            };
            let (shown, _) = site.visit(jar, take).await;
            assert_eq!(shown, ["one", "three"], "{:?}, {claims}", site.kind);
            let left = async |session: Session| session.flashes::<serde_json::Value>().unwrap();
            assert!(site.visit(jar, left).await.0.is_empty(), "it is dropped");
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_loses_no_message() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.flash("hello").unwrap())
            .await;
        site.answer(jar, http::StatusCode::INTERNAL_SERVER_ERROR, flashes)
            .await;
        assert_eq!(site.visit(jar, flashes).await.0, ["hello"]);
    }
}

#[tokio::test]
async fn one_of_two_requests_claims_a_message() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.flash("hello").unwrap())
        .await;
    let mut other = jar.clone();
    let (first, _) = site
        .visit(jar, async |session| {
            session.len().unwrap();
            let (second, _) = site
                .visit(&mut other, async |session| {
                    Flashes::of(&session).claim::<String>().await.unwrap()
                })
                .await;
            assert_eq!(second, ["hello"]);
            session.claim_flashes::<String>().await.unwrap()
        })
        .await;
    assert!(first.is_empty(), "{first:?}");
    assert!(site.visit(jar, flashes).await.0.is_empty());
}

#[tokio::test]
async fn taking_leaves_those_that_come_meanwhile() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.flash("same").unwrap())
        .await;
    let mut other = jar.clone();
    let (shown, _) = site
        .visit(jar, async |session| {
            let shown = flashes(session).await;
            site.visit(&mut other, async |session| session.flash("same").unwrap())
                .await;
            shown
        })
        .await;
    assert_eq!(shown, ["same"]);
    assert_eq!(site.visit(jar, flashes).await.0, ["same"]);
}

#[tokio::test]
async fn messages_whose_claim_failed_are_kept() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let load_and = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    world
        .visit(jar, async |session| {
            load_and(session).await.flash("hi").unwrap()
        })
        .await;
    world
        .visit(jar, async |session| {
            let session = load_and(session).await;
            world.records().at(Before, Update | Delete, Fail);
            session.claim_flashes::<String>().await.unwrap_err();
        })
        .await;
    let left = async |session: Session| flashes(load_and(session).await).await;
    assert_eq!(world.visit(jar, left).await.0, ["hi"]);
}
