//! Rosters that are damaged, forged or lost, or whose key has changed.

use http::StatusCode;
use silverback::{
    ErrorKind, Key, KeyId, KeyState, Keys, Session,
    store::{Bytes, Read, Record, RecordKey, Store},
};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, World, no_cookie,
    scripted::{Before, Fail, Update},
    until, user,
};

/// The only roster in a world.
async fn roster(world: &World) -> (RecordKey, Record) {
    let keys = world.rosters().roster_keys();
    assert_eq!(keys.len(), 1);
    let record = world.rosters().load(&keys[0], Read::Current).await.unwrap();
    (keys[0], record.unwrap())
}

/// Replaces the roster's data.
async fn forge(world: &World, data: Bytes) {
    let (key, record) = roster(world).await;
    let (version, expires) = (record.version(), until(record.expires()));
    let forged = world.rosters().update(&key, version, data, expires).await;
    forged.unwrap();
}

#[tokio::test]
async fn a_thief_of_the_store_cannot_read_them() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let note = b"a very particular laptop";
        world.logged_in("ada", str::from_utf8(note).unwrap()).await;
        let (_, record) = roster(&world).await;
        for part in note.windows(10) {
            assert!(!record.data().windows(10).any(|data| data == part));
        }
    }
}

#[tokio::test]
async fn forged_ones_are_errors_until_a_login() {
    for kind in Kind::REMOTE_SUBJECTS {
        let (world, other) = (kind.world(), kind.world());
        let mut jar = world.logged_in("ada", "laptop").await;
        other.logged_in("bob", "desk").await;
        let of_bob = roster(&other).await.1.into_data();
        let older = roster(&world).await.1.into_data();
        let bytes = Bytes::from_static;
        for forged in [of_bob, bytes(b""), bytes(b"\x01"), older.slice(1..)] {
            world.clock.advance(HOUR);
            forge(&world, forged).await;
            let error = world.subjects().list("ada").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreFailed);
            // A time ends sessions in a cookie. For sessions in a store, nobody can tell which are
            // the subject's.
            let ended = world.subjects().destroy_all("ada").await;
            let expected = match kind.is_cookie() {
                true => Ok(0),
                false => Err(ErrorKind::StoreFailed),
            };
            assert_eq!(ended.map_err(|error| error.kind()), expected);
            assert_eq!(world.is_alive(&jar).await, !kind.is_cookie());
            jar = world.logged_in("ada", "again").await;
            assert_eq!(world.notes("ada").await, ["again"]);
        }
    }
}

#[tokio::test]
async fn a_damaged_one_is_an_error_once() {
    let world = Kind::Remote.world();
    world.logged_in("ada", "laptop").await;
    forge(&world, Bytes::from_static(b"torn")).await;
    world.subjects().destroy_all("ada").await.unwrap_err();
    let login = world.log_in(&mut Jar::default(), "ada", "phone").await;
    assert_eq!(login.status(), StatusCode::OK);
}

/// Cookies carry the time when the subject's sessions were last ended.
#[tokio::test]
async fn cookies_end_even_if_it_got_lost() {
    for destroys_others in [false, true] {
        let world = Kind::RemoteRevocable.world();
        let laptop = &mut world.logged_in("ada", "laptop").await;
        let phone = &mut world.logged_in("ada", "phone").await;
        for key in world.rosters().keys() {
            world.rosters().delete(&key, None).await.unwrap();
        }
        if destroys_others {
            let others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            world.visit(phone, others).await;
        } else {
            world.destroy_all("ada").await;
        }
        // As long as a browser may come back with one of the old cookies.
        for day in 0..13 {
            assert!(!world.is_alive(laptop).await, "day {day}");
            let lives = world.visit(phone, user).await.0.is_some();
            assert_eq!(lives, destroys_others, "day {day}");
            world.clock.advance(DAY - HOUR);
        }
        assert!(world.is_alive(&world.logged_in("ada", "again").await).await);
    }
}

/// Replaces the active key, and returns the old key's ID.
fn rotate(ring: &Keys, next: Key) -> KeyId {
    let is_active = |(_, state): &&(_, KeyState)| *state == KeyState::Active;
    let old = ring.list().iter().find(is_active).unwrap().0;
    ring.rotate(next).unwrap();
    old
}

#[tokio::test]
async fn they_survive_a_rotation() {
    for kind in Kind::WITH_SUBJECTS {
        let ring = Keys::generate().unwrap();
        let world = kind.with_keys(ring.clone());
        let kept = &mut world.logged_in("ada", "kept").await;
        let left = &mut world.logged_in("ada", "left").await;
        let old = rotate(&ring, Key::generate().unwrap());
        world.visit(kept, user).await;
        ring.revoke(old).unwrap();
        assert!(world.is_alive(kept).await && !world.is_alive(left).await);
        assert_eq!(
            world.notes("ada").await.len(),
            2,
            "the other one's record may still be there"
        );
        world.destroy_all("ada").await;
        assert!(!world.is_alive(kept).await);
    }
}

/// This holds even in the second of their last write, when nothing else in them changes.
#[tokio::test]
async fn the_first_use_after_a_rotation_seals_them_anew() {
    for kind in Kind::WITH_SUBJECTS {
        let ring = Keys::generate().unwrap();
        let world = kind.with_keys(ring.clone());
        let jar = &mut world.logged_in("ada", "laptop").await;
        let next = Key::generate().unwrap();
        rotate(&ring, next.clone());
        world.visit(jar, user).await;
        let world = world.beside(Keys::new(next));
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
    }
}

#[tokio::test]
async fn a_revoked_key_reads_them() {
    for kind in Kind::WITH_SUBJECTS {
        let ring = Keys::generate().unwrap();
        let world = kind.with_keys(ring.clone());
        let jar = &mut world.logged_in("bob", "desk").await;
        let next = Key::generate().unwrap();
        let old = rotate(&ring, next.clone());
        ring.revoke(old).unwrap();
        assert!(!world.is_alive(jar).await);
        assert_eq!(world.notes("bob").await, ["desk"]);
        // A roster of an unknown key counts as missing, like the cookies of all its sessions.
        let world = world.beside(Keys::new(next));
        assert_eq!(world.notes("bob").await, [""; 0]);
        world.log_in(jar, "bob", "again").await;
        assert_eq!(world.notes("bob").await, ["again"]);
    }
}

#[tokio::test]
async fn a_rotation_machine_by_machine_loses_none() {
    let (one, two) = (Key::generate().unwrap(), Key::generate().unwrap());
    let rings = [Keys::new(one.clone()), Keys::new(one.clone())];
    for ring in &rings {
        ring.add(two.clone(), KeyState::Pending).unwrap();
    }
    let first = Kind::Memory.with_keys(rings[0].clone());
    let second = first.beside(rings[1].clone());
    rings[0].rotate(two.clone()).unwrap();
    let jar = &mut first.logged_in("ada", "laptop").await; // a cookie of the new key
    second.logged_in("ada", "phone").await; // the roster is sealed with the old one
    rings[1].rotate(two).unwrap();
    first.clock.advance(12 * HOUR);
    for ring in &rings {
        ring.revoke(one.id()).unwrap();
    }
    first.destroy_all("ada").await;
    assert!(!first.is_alive(jar).await);
}

#[tokio::test]
async fn a_cookie_of_a_new_key_needs_a_roster() {
    let ring = Keys::generate().unwrap();
    let world = Kind::Remote.with_keys(ring.clone());
    let jar = &mut world.logged_in("ada", "laptop").await;
    let old = rotate(&ring, Key::generate().unwrap());
    world.clock.advance(MINUTE);
    world.records().every(Before, Update, Fail);
    let (_, response) = world.visit(jar, user).await;
    assert!(no_cookie(&response), "the browser keeps its cookie");
    world.records().calm();
    ring.revoke(old).unwrap();
    world.is_alive(jar).await;
    world.destroy_all("ada").await;
    assert!(!world.is_alive(jar).await);
}
