//! Which of several keys is used, in whatever order they are given.

use silverback::{Key, KeyError, Keys, Rejection, Session};

use crate::support::{Jar, Kind, no_cookie};

const OLD: &str = "9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";
const NEW: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn parse(text: &str) -> Keys {
    Keys::parse(text).unwrap()
}

#[tokio::test]
async fn the_active_key_seals_wherever_it_stands() {
    for kind in Kind::SIMPLE {
        for ring in [
            format!("retired:{OLD},active:{NEW}"),
            format!("pending:{OLD},active:{NEW}"),
            format!("active:{NEW},retired:{OLD}"),
        ] {
            let world = kind.with_keys(parse(&ring));
            let jar = &mut Jar::default();
            world.put(jar, "n", 1).await;
            let response = world.put(&mut jar.clone(), "n", 1).await;
            assert!(no_cookie(&response), "{kind:?}, {ring}: it is current");
            let (new, old) = (world.beside(parse(NEW)), world.beside(parse(OLD)));
            assert_eq!(new.get(&mut jar.clone(), "n").await, Some(1), "{ring}");
            let why = old.rejection(&mut jar.clone()).await;
            assert_eq!(why, Some(Rejection::UnknownKey), "{kind:?}, {ring}");
        }
    }
}

#[tokio::test]
async fn lists_use_the_active_key_too() {
    let world = Kind::Memory.with_keys(parse(&format!("retired:{OLD},active:{NEW}")));
    world.logged_in("ada", "laptop").await;
    assert_eq!(world.beside(parse(NEW)).notes("ada").await, ["laptop"]);
    assert_eq!(world.beside(parse(OLD)).notes("ada").await, [""; 0]);
}

/// After a change of `Path` or `Domain`, a browser may send a session twice, once as sealed before
/// the rotation. If it also has a cookie of the active key, none is due.
#[tokio::test]
async fn one_session_in_two_cookies_is_resealed() {
    let keys = parse(OLD);
    let world = Kind::Memory.with_keys(keys.clone());
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    let old = jar.value("s").to_owned();
    keys.rotate(Key::from_hex(NEW).unwrap()).unwrap();
    world.get::<u32>(jar, "n").await;
    let new = jar.value("s").to_owned();
    assert_ne!(old, new);

    for (one, other, is_due) in [
        (&old, &new, false),
        (&new, &old, false),
        (&new, &new, false),
        (&old, &old, true),
    ] {
        let jar = &mut Jar::with("s", &format!("{one}; s={other}"));
        let read = async |session: Session| session.get("n").unwrap();
        let (found, response) = world.visit(jar, read).await;
        assert_eq!((found, no_cookie(&response)), (Some(1), !is_due));
        let (found, response) = world.visit(jar, read).await;
        assert_eq!((found, no_cookie(&response)), (Some(1), true));
    }
}

#[test]
fn half_a_hexadecimal_pair_is_no_key() {
    for text in [&NEW[1..], &format!("{NEW}0"), &format!("{NEW}{NEW}f")] {
        let error = Key::from_hex(text).unwrap_err();
        assert!(matches!(error, KeyError::InvalidEncoding), "{error}");
    }
    assert_eq!(Key::from_hex(NEW).unwrap().id(), parse(NEW).list()[0].0);
}
