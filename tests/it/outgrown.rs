//! Sessions that have outgrown their cookie and are kept in a store.

use http::StatusCode;
use silverback::{
    ErrorKind, Key, KeyState, Keys, Session, SessionConfig,
    store::{Read, Store},
};

use crate::support::{
    DAY, HOUR, Jar, Kind, Place, START, Stores, World, keys,
    scripted::{ANY, Before, Create, Fail},
    set_cookie,
};

/// One store for outgrown sessions and for remembered ends.
fn one_store() -> World {
    let stores = Stores::new();
    let cookies = Kind::Overflow.cookies(&stores);
    let cookies = cookies.revocation(stores.records.clone());
    let config = SessionConfig::new("s", cookies, keys());
    World::new(Kind::Overflow, stores, config)
}

#[tokio::test]
async fn a_logout_lasts_in_one_store_for_both() {
    let world = one_store();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let copy = jar.clone();
    world.destroy(jar).await;
    assert!(!world.is_alive(&copy).await);
}

#[tokio::test]
async fn an_end_lasts_in_one_store_for_both() {
    let world = one_store();
    let jar = world.logged_in("ada", "laptop").await;
    let subjects = world.subjects();
    let id = subjects.list("ada").await.unwrap()[0].record_key();
    assert!(subjects.destroy("ada", &id).await.unwrap());
    assert!(!world.is_alive(&jar).await);
}

#[tokio::test]
async fn a_session_grows_in_one_store_for_both() {
    let world = one_store();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let response = world.set(jar, "large", 1_000).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.lens(jar, ["large"]).await, [Some(1_000)]);
    assert!(world.is_alive(jar).await);
}

#[tokio::test]
async fn a_session_that_fits_its_cookie_needs_no_store() {
    for (kind, calls) in Kind::OVERFLOWING
        .into_iter()
        .flat_map(|kind| [(kind, ANY), (kind, Create.into())])
    {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.set(jar, "user", 1).await;
        world.records().every(Before, calls, Fail);
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
        };
        let (_, response) = world.visit(jar, renew).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(world.is_alive(jar).await);
    }
}

/// In its cookie, in a record, in a record though it is small, and in a cookie again.
#[tokio::test]
async fn logout_ends_it_wherever_it_is() {
    let places = [Place::Cookie, Place::Record, Place::Record, Place::Cookie];
    for (stage, place) in places.into_iter().enumerate() {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut Jar::default();
        let mut copies = Vec::new();
        for step in 0..=stage {
            match step {
                0 => drop(world.set(jar, "small", 10).await),
                1 => drop(world.set(jar, "large", 1_000).await),
                2 => drop(world.remove(jar, "large").await),
                _ => drop(world.renew(jar).await),
            }
            copies.push(jar.clone());
        }
        assert_eq!(world.place(jar).await, place, "{stage}");
        let response = world.destroy(jar).await;
        assert!(set_cookie(&response).contains("Max-Age=0;"), "{stage}");
        assert_eq!(world.records().sessions().await, 0, "{stage}");
        for (at, copy) in copies.iter().enumerate() {
            assert_eq!(world.place(copy).await, Place::Nowhere, "{stage}, {at}");
        }
    }
}

async fn record_shows(world: &World, text: &[u8]) -> bool {
    let mut shows = false;
    for key in world.records().keys() {
        let record = world
            .records()
            .memory
            .load(&key, Read::Current)
            .await
            .unwrap()
            .unwrap();
        shows |= record.data().windows(text.len()).any(|part| part == text);
    }
    shows
}

#[tokio::test]
async fn its_record_is_encrypted_if_records_are() {
    for is_encrypted in [true, false] {
        let world = Kind::Overflow.with(|config| match is_encrypted {
            true => config.encrypt_records(),
            false => config,
        });
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        world.set_lost(jar, "large", 1_000).await;
        assert_eq!(record_shows(&world, b"xxxxxxxx").await, !is_encrypted);
        // Merged, changed, and renewed.
        world.set(jar, "larger", 2_000).await;
        assert_eq!(record_shows(&world, b"xxxxxxxx").await, !is_encrypted);
        world.set(jar, "larger", 2_001).await;
        assert_eq!(record_shows(&world, b"xxxxxxxx").await, !is_encrypted);
        let lens = world.lens(jar, ["small", "large", "larger"]).await;
        assert_eq!(lens, [Some(10), Some(1_000), Some(2_001)]);
        world.remove(jar, "large").await;
        world.remove(jar, "larger").await;
        world.renew(jar).await;
        assert_eq!(world.place(jar).await, Place::Cookie);
        assert_eq!(world.lens(jar, ["small"]).await, [Some(10)]);
    }
}

/// The cookie of a session, and the one that refers to its record, are resealed when they come.
#[tokio::test]
async fn keys_rotate_in_both_places() {
    let ring = Keys::generate().unwrap();
    let world = Kind::Overflow.with_keys(ring.clone());
    let jar = &mut Jar::default();
    world.set(jar, "small", 10).await;
    for (round, len) in [10, 1_000, 1_000, 10].into_iter().enumerate() {
        world.set(jar, "value", len).await;
        let is_active = |(_, state): &(_, _)| *state == KeyState::Active;
        let (old, _) = ring.list().into_iter().find(is_active).unwrap();
        ring.rotate(Key::generate().unwrap()).unwrap();
        world.clock.advance(12 * HOUR); // a read reseals what is in its cookie alone
        let lens = world.lens(jar, ["small", "value"]).await;
        assert_eq!(lens, [Some(10), Some(len)], "round {round}");
        ring.revoke(old).unwrap();
        let lens = world.lens(jar, ["small", "value"]).await;
        assert_eq!(lens, [Some(10), Some(len)], "round {round}");
        let is_record = round > 0;
        assert_eq!(world.place(jar).await == Place::Record, is_record);
    }
}

#[tokio::test]
async fn subjects_list_and_end_both_sides() {
    for is_large in [false, true] {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let other = world.logged_in("ada", "phone").await;
        let copy = jar.clone();
        if is_large {
            world.set(jar, "large", 1_000).await;
        }
        assert_eq!(world.notes("ada").await.len(), 2);
        world.clock.advance(2 * HOUR);
        assert!(world.visit(jar, crate::support::user).await.0.is_some());
        let listed = world.subjects().list("ada").await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].note(), "laptop");
        assert_eq!(listed[0].last_used(), START.saturating_add(2 * HOUR));
        assert_eq!(world.destroy_all("ada").await, 2);
        for jar in [&*jar, &copy, &other] {
            assert!(!world.is_alive(jar).await, "large: {is_large}");
        }
        assert_eq!(world.records().memory.len(), 0);
    }
}

#[tokio::test]
async fn its_subject_forgets_it_when_it_is_over() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    world.set(jar, "large", 1_000).await;
    assert_eq!(world.notes("ada").await, ["laptop"]);
    world.clock.advance(2 * DAY);
    assert!(world.notes("ada").await.is_empty());
}

async fn keep(session: Session) -> Session {
    session.load().await.unwrap();
    session
}

#[tokio::test]
async fn a_socket_can_save_one_in_the_store() {
    let world = Kind::Overflow.world();
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    let socket = world.visit(jar, keep).await.0;
    world.set(jar, "own", 30).await;
    socket.load().await.unwrap();
    let own: String = socket.get("own").unwrap().unwrap();
    assert_eq!(own.len(), 30);
    // Even when it becomes small.
    for len in [4, 5] {
        socket.load().await.unwrap();
        socket.remove("large").unwrap();
        socket.insert("late", "x".repeat(len)).unwrap();
        socket.save().await.unwrap();
        let lens = world.lens(jar, ["large", "late"]).await;
        assert_eq!(lens, [None, Some(len)]);
    }
    assert_eq!(world.place(jar).await, Place::Record);
}

#[tokio::test]
async fn a_socket_cannot_save_one_in_the_cookie() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        let socket = world.visit(jar, keep).await.0;
        socket.load().await.unwrap();
        let refused = socket.insert("late", 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyCommitted);
        // Nor one that a renewal has brought back into its cookie.
        world.set(jar, "large", 1_000).await;
        let shrink = async |session: Session| {
            session.load().await.unwrap();
            session.remove("large").unwrap();
            session.renew();
            session
        };
        let socket = world.visit(jar, shrink).await.0;
        socket.load().await.unwrap();
        let refused = socket.insert("late", 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyCommitted);
        assert_eq!(world.lens(jar, ["small", "late"]).await, [Some(10), None]);
    }
}
