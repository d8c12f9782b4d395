//! The explanation of a cookie for an operator.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use silverback::{
    CookieAttributes, Explanation, Key, KeyState, Keys, Rejection, SessionConfig, Timestamp,
};

use crate::support::{HOUR, Jar, Kind, START, World, keys};

const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];

/// A site, its keys, and the jar of a visitor with a session.
async fn saved(kind: Kind) -> (World, Keys, Jar) {
    let (keys, mut jar) = (keys(), Jar::default());
    let world = kind.with_keys(keys.clone());
    world.put(&mut jar, "user", "Ada Lovelace").await;
    (world, keys, jar)
}

fn explanation(world: &World, keys: &Keys, jar: &Jar, now: Timestamp) -> Explanation {
    let config = world.kind.config(&world.stores, keys.clone());
    config.explain(jar.value("s"), now).unwrap()
}

/// A server's rejection of the same cookie, if its store is empty.
async fn refused(world: &World, jar: &Jar) -> Option<Rejection> {
    world.rejection(&mut jar.clone()).await
}

#[tokio::test]
async fn a_cookie_shows_its_key_its_times_and_its_record() {
    for kind in KINDS {
        let (world, keys, jar) = &mut saved(kind).await;
        let key = world.key(jar).await;
        world.clock.advance(Duration::from_secs(60));
        let explained = explanation(world, keys, jar, world.clock.now());
        assert_eq!(
            (explained.rejection, explained.is_later_format),
            (None, false),
            "{kind:?}"
        );
        assert_eq!(
            (explained.key, explained.record_key),
            (Some(KeyState::Active), Some(key))
        );
        assert_eq!(explained.holds_values, kind.is_cookie(), "{kind:?}");
        let times = explained.times.unwrap();
        assert_eq!((times.issued, times.created), (START, START), "{kind:?}");
        assert!(explained.expires.unwrap() > START && explained.expires.unwrap() <= times.expires);
        let head = explained.head.unwrap();
        assert_eq!(Some(head.key), keys.list().first().map(|(id, _)| *id));
        assert_eq!((head.version, head.is_sealed), (1, kind.is_cookie()));
        // Anyone can read the times of a signed cookie, and nobody those of a sealed one.
        assert_eq!(head.claims, (!head.is_sealed).then_some(times), "{kind:?}");
    }
}

#[tokio::test]
async fn one_of_a_former_name_is_explained_like_any_other() {
    for kind in KINDS {
        let (world, keys, jar) = saved(kind).await;
        let renamed = kind.config(&world.stores, keys.clone()).cookie_name("new");
        let explained = |config: &SessionConfig| {
            let explained = config.explain(jar.value("s"), world.clock.now()).unwrap();
            (explained.rejection, explained.times.is_some())
        };
        assert!(!explained(&renamed).1, "{kind:?}: it is of another name");
        let renamed = renamed.former_cookie("s", CookieAttributes::default());
        assert_eq!(explained(&renamed), (None, true), "{kind:?}");
        keys.rotate_and_revoke(Key::generate().unwrap()).unwrap();
        let revoked = (Some(Rejection::UnknownKey), true);
        assert_eq!(explained(&renamed), revoked, "{kind:?}");
    }
}

#[tokio::test]
async fn an_expired_or_revoked_one_is_still_read() {
    for kind in KINDS {
        let (world, keys, jar) = &mut saved(kind).await;
        let key = world.key(jar).await;
        keys.rotate_and_revoke(Key::generate().unwrap()).unwrap();
        let revoked = explanation(world, keys, jar, START);
        assert_eq!(revoked.rejection, Some(Rejection::UnknownKey), "{kind:?}");
        assert_eq!(revoked.rejection, refused(world, jar).await);
        assert_eq!(revoked.key, Some(KeyState::Revoked), "{kind:?}");
        assert_eq!(
            (revoked.record_key, revoked.times.is_some()),
            (Some(key), true)
        );
    }
    for kind in [Kind::Cookie, Kind::Revocable, Kind::Overflow] {
        let (world, keys, jar) = &mut saved(kind).await;
        let key = world.key(jar).await;
        world.clock.advance(25 * HOUR);
        let expired = explanation(world, keys, jar, world.clock.now());
        assert_eq!(expired.rejection, Some(Rejection::Expired), "{kind:?}");
        assert_eq!(expired.rejection, refused(world, jar).await);
        assert_eq!(
            (expired.record_key, expired.times.is_some()),
            (Some(key), true)
        );
        assert!(expired.expires.unwrap() <= world.clock.now());
    }
}

#[tokio::test]
async fn a_foreign_one_is_explained_as_a_server_sees_it() {
    for kind in KINDS {
        let (world, keys, jar) = &mut saved(kind).await;
        let value = jar.value("s").to_owned();
        let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(&value).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let forged = Jar::with("s", &URL_SAFE_NO_PAD.encode_to_string(&bytes));
        let strange = Keys::generate().unwrap();
        for (jar, keys, reason, has_head) in [
            (&forged, &*keys, Rejection::Tampered, true),
            (&*jar, &strange, Rejection::UnknownKey, true),
            (&Jar::with("s", "x"), &*keys, Rejection::Malformed, false),
            (
                &Jar::with("s", &value[1..]),
                &*keys,
                Rejection::Malformed,
                false,
            ),
            (
                &Jar::with("s", &"A".repeat(5_000)),
                &*keys,
                Rejection::Malformed,
                false,
            ),
        ] {
            let explained = explanation(world, keys, jar, START);
            let other = world.beside(keys.clone());
            assert_eq!(explained.rejection, Some(reason), "{kind:?}");
            assert_eq!(refused(&other, jar).await, Some(reason), "{kind:?}");
            assert_eq!(explained.head.is_some(), has_head, "{kind:?} {reason:?}");
            assert_eq!(
                (explained.times, explained.record_key),
                (None, None),
                "{kind:?}"
            );
        }
        bytes[last] ^= 1;
        bytes[0] += 1;
        let later = Jar::with("s", &URL_SAFE_NO_PAD.encode_to_string(&bytes));
        let explained = explanation(world, keys, &later, START);
        assert_eq!(
            (explained.is_later_format, explained.rejection),
            (true, None),
            "{kind:?}"
        );
        assert_eq!(explained.head.map(|head| head.version), Some(2), "{kind:?}");
    }
}

#[tokio::test]
async fn an_explanation_may_be_logged() {
    for kind in KINDS {
        let (world, keys, jar) = &mut saved(kind).await;
        let printed = format!("{:?}", explanation(world, keys, jar, START));
        let value = jar.value("s");
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(value).unwrap();
        // The ID of a session in a store is between the times and the tag, two bytes before the
        // tag.
        let id = bytes
            .get(19..bytes.len().saturating_sub(34))
            .unwrap_or_default();
        let id = format!("{:?}", &id[..id.len().min(16)]);
        for secret in [value, &id, "Ada"] {
            assert!(!printed.contains(secret), "{kind:?}: {printed}");
        }
    }
}
