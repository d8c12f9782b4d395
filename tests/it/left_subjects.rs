//! A session that leaves its subject in one request, while another request uses it.

use http::StatusCode;
use silverback::{ErrorKind, Session};
use tokio::sync::Notify;

use crate::support::{
    HOUR, Kind, World,
    scripted::{Before, Load, Scripted, Update, Wait},
};

/// Kinds whose sessions are in a record if they are [grown](World::grown).
const IN_RECORDS: [Kind; 2] = [Kind::Remote, Kind::RevocableOverflow];

fn rosters(world: &World) -> &Scripted {
    match world.kind {
        Kind::Remote => world.records(),
        _ => world.ends(),
    }
}

#[tokio::test]
async fn it_is_not_listed_again() {
    type Use = fn(&Session);
    let uses: [(&str, Use, StatusCode); 4] = [
        (
            "reads",
            |session| drop(session.get::<String>("cart").unwrap()),
            StatusCode::OK,
        ),
        (
            "writes",
            |session| session.insert("n", 1).unwrap(),
            StatusCode::CONFLICT,
        ),
        ("renews", Session::renew, StatusCode::CONFLICT),
        (
            "names it again",
            |session| session.set_subject("ada", "again").unwrap(),
            StatusCode::CONFLICT,
        ),
    ];
    for kind in IN_RECORDS {
        for (what, uses, status) in uses {
            let what = format!("{kind:?}, {what}");
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            world.set(jar, "cart", 600).await;
            world.clock.advance(2 * HOUR); // it is time to list it again
            let other = &mut jar.clone();
            let use_it = async |session: Session| {
                session.load().await.unwrap();
                let leave = async |session: Session| {
                    session.load().await.unwrap();
                    session.remove_subject().unwrap();
                };
                world.visit(other, leave).await;
                uses(&session);
            };
            let (_, response) = world.visit(jar, use_it).await;
            assert_eq!(response.status(), status, "{what}");
            assert_eq!(world.notes("ada").await, [""; 0], "{what}");
            assert_eq!(world.destroy_all("ada").await, 0, "{what}");
            assert_eq!(world.lens(other, ["cart"]).await, [Some(600)], "{what}");
            assert!(!world.is_alive(jar).await, "{what}");
        }
    }
}

#[tokio::test]
async fn it_leaves_though_another_request_saves_first() {
    for kind in IN_RECORDS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.set(jar, "cart", 600).await;
        let other = &mut jar.clone();
        let leave = async |session: Session| {
            session.load().await.unwrap();
            session.remove_subject().unwrap();
            world.set(other, "n", 600).await;
        };
        let (_, response) = world.visit(jar, leave).await;
        assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
        let look = async |session: Session| {
            session.load().await.unwrap();
            session.subject().unwrap()
        };
        assert_eq!(world.visit(jar, look).await.0, None, "{kind:?}");
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
        let lens = world.lens(jar, ["cart", "n"]).await;
        assert_eq!(lens, [Some(600); 2], "{kind:?}");
    }
}

/// The other request lists it under another note, and is too late.
#[tokio::test]
async fn the_request_that_leaves_it_finds_its_entry() {
    for kind in IN_RECORDS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.set(jar, "cart", 600).await;
        let leaves = &mut jar.clone();
        let list = async |session: Session| {
            session.load().await.unwrap();
            let leave = async |session: Session| {
                session.load().await.unwrap();
                session.remove_subject().unwrap();
            };
            rosters(&world).at(Before, Load.of_rosters(), Wait);
            let (_, saved) = tokio::join!(world.visit(leaves, leave), async {
                rosters(&world).reached().await;
                session.set_subject("ada", "again").unwrap();
                let saved = session.save().await;
                rosters(&world).go();
                saved
            });
            saved.unwrap_err().kind()
        };
        let (error, _) = world.visit(jar, list).await;
        assert_eq!(error, ErrorKind::Gone, "{kind:?}");
        assert_eq!(world.lens(leaves, ["cart"]).await, [Some(600)], "{kind:?}");
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
    }
}

/// The other request renews the session, after a third has saved it, and loses.
#[tokio::test]
async fn a_renewal_that_loses_leaves_the_winner_its_entry() {
    for kind in IN_RECORDS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.set(jar, "cart", 600).await;
        let (leaves, third) = (&mut jar.clone(), &mut jar.clone());
        let has_lost = Notify::new();
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
            session.renew();
            world.put(third, "m", 1).await;
            // It marks the old record, writes to the new one and marks again.
            world.records().nth(3, Before, Update.of_sessions(), Wait);
        };
        let leave = async |session: Session| {
            session.load().await.unwrap();
            session.remove_subject().unwrap();
        };
        let renewal = async {
            world.visit(jar, renew).await;
            has_lost.notify_one();
        };
        let ((), (_, response)) = tokio::join!(renewal, async {
            world.records().reached().await;
            rosters(&world).at(Before, Load.of_rosters(), Wait);
            let go_on = async {
                rosters(&world).reached().await;
                world.records().go();
                has_lost.notified().await;
                rosters(&world).go();
            };
            tokio::join!(world.visit(leaves, leave), go_on).0
        });
        assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
        assert_eq!(world.lens(leaves, ["cart"]).await, [Some(600)], "{kind:?}");
        assert_eq!(world.get(jar, "n").await, Some(1), "{kind:?}");
        assert_eq!(world.lens(jar, ["cart"]).await, [None], "{kind:?}");
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
    }
}
