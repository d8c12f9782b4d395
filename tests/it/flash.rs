//! Messages that are shown once.

use silverback::{ErrorKind, FlashLevel, FlashMessage, Flashes, Session};

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
            "a page that does not read them leaves them"
        );
        assert_eq!(site.visit(jar, flashes).await.0, ["one", "two"]);
        let (none, response) = site.visit(jar, flashes).await;
        assert!(none.is_empty() && no_cookie(&response));
    }
}

#[tokio::test]
async fn queues_and_values_are_separate() {
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

/// Such as messages from an older release.
#[tokio::test]
async fn a_message_of_another_type_blocks_no_others() {
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
async fn taking_leaves_messages_that_come_meanwhile() {
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
    let other = &mut jar.clone();
    world
        .visit(jar, async |session| {
            let session = load_and(session).await;
            world.records().at(Before, Update | Delete, Fail);
            session.claim_flashes::<String>().await.unwrap_err();
            // A save that meets another one leaves them too.
            session.insert("n", 1).unwrap();
            world.put(other, "m", 1).await;
        })
        .await;
    let left = async |session: Session| flashes(load_and(session).await).await;
    assert_eq!(world.visit(jar, left).await.0, ["hi"]);
}

#[tokio::test]
async fn peeking_leaves_them() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        let leave = async |session: Session| {
            session.flash("one").unwrap();
            session.flash(2).unwrap();
            session.flash_in("other", "three").unwrap();
        };
        site.visit(jar, leave).await;
        let look = async |session: Session| {
            let other = session.peek_flashes_in::<String>("other").unwrap();
            assert_eq!(other, ["three"]);
            Flashes::of(&session).peek::<String>().unwrap()
        };
        for _ in 0..2 {
            let (seen, response) = site.visit(jar, look).await;
            assert_eq!(seen, ["one"], "and skips messages that are not text");
            assert!(no_cookie(&response));
        }
        assert_eq!(site.visit(jar, flashes).await.0, ["one"]);
    }
}

/// Taken, taken and saved, or claimed: the next page gets them again, before newer ones.
#[tokio::test]
async fn taken_messages_can_be_kept() {
    for (site, how) in Kind::SIMPLE
        .into_iter()
        .flat_map(|kind| [0, 1, 2].map(|how| (kind.world(), how)))
    {
        let jar = &mut Jar::default();
        let leave = async |session: Session| {
            session.flash("one").unwrap();
            session.flash_in("other", "two").unwrap();
        };
        site.visit(jar, leave).await;
        let keep = async |session: Session| {
            let all = Flashes::of(&session);
            let taken: Vec<String> = match how {
                2 => all.claim().await.unwrap(),
                _ => all.take().unwrap(),
            };
            if how == 1 {
                session.save().await.unwrap();
            }
            session.flashes_in::<String>("other").unwrap();
            all.push("newer").unwrap();
            all.keep().unwrap();
            taken
        };
        assert_eq!(site.visit(jar, keep).await.0, ["one"], "{how}");
        assert_eq!(site.visit(jar, flashes).await.0, ["one", "newer"], "{how}");
        let other = async |session: Session| session.flashes_in::<String>("other").unwrap();
        assert!(site.visit(jar, other).await.0.is_empty(), "it was not kept");
    }
}

/// The visitor has seen them.
#[tokio::test]
async fn messages_of_the_response_are_not_kept_after_it() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let leave = async |session: Session| {
        session.load().await.unwrap();
        session.flash("one").unwrap();
    };
    world.visit(jar, leave).await;
    let take = async |session: Session| {
        session.load().await.unwrap();
        assert_eq!(session.flashes::<String>().unwrap(), ["one"]);
        session.insert("n", 1).unwrap();
        session
    };
    let (late, _) = world.visit(jar, take).await;
    late.load().await.unwrap();
    late.keep_flashes().unwrap();
    late.insert("n", 2).unwrap();
    late.save().await.unwrap();
    let peek = async |session: Session| {
        session.load().await.unwrap();
        session.peek_flashes::<String>().unwrap()
    };
    assert_eq!(world.visit(jar, peek).await.0, [""; 0]);
}

#[tokio::test]
async fn taking_and_keeping_changes_nothing() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.flash("one").unwrap())
        .await;
    let keep = async |session: Session| {
        session.flashes::<String>().unwrap();
        session.keep_flashes().unwrap();
    };
    assert!(no_cookie(&site.visit(jar, keep).await.1));
    assert_eq!(site.visit(jar, flashes).await.0, ["one"]);
}

#[tokio::test]
async fn messages_without_room_are_not_kept() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    let leave = async |session: Session| session.flash("x".repeat(2_000)).unwrap();
    site.visit(jar, leave).await;
    let keep = async |session: Session| {
        session.flashes::<String>().unwrap();
        session.insert("large", "x".repeat(2_000)).unwrap();
        session.keep_flashes().unwrap_err()
    };
    let (error, _) = site.visit(jar, keep).await;
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }));
    assert_eq!(error.session(), Some("s"));
}

#[tokio::test]
async fn messages_have_levels() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    let leave = async |session: Session| {
        let all = Flashes::of(&session);
        all.success("a").unwrap();
        all.info("b").unwrap();
        all.warning("c").unwrap();
        all.error("d").unwrap();
        session.flash("e").unwrap();
    };
    site.visit(jar, leave).await;
    let take = async |session: Session| session.flashes::<FlashMessage>().unwrap();
    let (messages, _) = site.visit(jar, take).await;
    let found: Vec<_> = messages
        .iter()
        .map(|message| (message.level, message.text.as_str()))
        .collect();
    let expected = [
        (FlashLevel::Success, "a"),
        (FlashLevel::Info, "b"),
        (FlashLevel::Warning, "c"),
        (FlashLevel::Error, "d"),
        (FlashLevel::Info, "e"),
    ];
    assert_eq!(found, expected);
}

/// A client can leave as many as fit, by never opening the page that shows them.
#[tokio::test]
async fn as_many_messages_as_fit_are_taken_and_kept() {
    let world = Kind::Memory.world();
    world
        .visit(&mut Jar::default(), async |session| {
            let mut left = 0..;
            while session.flash(left.start).is_ok() {
                left.next();
            }
            let taken: Vec<u32> = session.flashes().unwrap();
            session.keep_flashes().unwrap();
            assert_eq!(session.flashes::<u32>().unwrap(), taken);
            assert!(taken.len() > 50_000 && taken.into_iter().eq(0..left.start));
        })
        .await;
}
