//! Sessions ended by record key, without a request.

use http::Response;
use silverback::{
    Error, ErrorKind, Rejection, Session, SessionConfig,
    store::{RecordKey, RecordKind},
};

use crate::support::{
    Jar, Kind, MINUTE, Stores, World, failure, keys,
    scripted::{Before, Delete, Fail, Update, When},
    steps::in_between,
};

/// Kinds whose [grown](World::grown) session is in a record.
const KINDS: [Kind; 4] = [
    Kind::Memory,
    Kind::Remote,
    Kind::Overflow,
    Kind::RevocableOverflow,
];
const WHENS: [When; 2] = [Before, When::After];

async fn destroy(world: &World, key: &RecordKey) -> Result<bool, ErrorKind> {
    let ended = world.session_records().destroy(key).await;
    ended.map_err(|error: Error| error.kind())
}

async fn is_there(world: &World, jar: &Jar) -> bool {
    let cart: Option<String> = world.get(&mut jar.clone(), "cart").await;
    cart.is_some()
}

async fn write(world: &World, jar: &mut Jar) -> Response<String> {
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("late", 1).unwrap();
    };
    world.visit(jar, write).await.1
}

/// A world, and the same world with encrypted records.
fn worlds(kind: Kind) -> [World; 2] {
    [kind.world(), kind.with(SessionConfig::encrypt_records)]
}

#[tokio::test]
async fn it_works_like_a_logout() {
    for kind in KINDS {
        for by_handle in [false, true] {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let key = world.key(jar).await;
            let what = format!("{kind:?}, by handle: {by_handle}");
            if by_handle {
                let session = world.session_records().load(&key).await.unwrap();
                session.unwrap().destroy().await.unwrap();
            } else {
                assert_eq!(destroy(&world, &key).await, Ok(true), "{what}");
            }
            assert_eq!(world.records().sessions().await, 0, "{what}");
            assert_eq!(world.records().count(RecordKind::Mark).await, 1, "{what}");
            assert_eq!(world.rejection(jar).await, Some(Rejection::Ended), "{what}");
            let late = write(&world, jar).await;
            assert_eq!(failure(&late), Some(ErrorKind::Gone), "{what}");
            assert_eq!(destroy(&world, &key).await, Ok(false), "{what}: again");
        }
    }
}

#[tokio::test]
async fn a_key_without_a_session_is_false() {
    for kind in [Kind::Memory, Kind::Remote, Kind::Overflow] {
        for world in worlds(kind) {
            let nobody = RecordKey::from_bytes([7; 32]);
            assert_eq!(destroy(&world, &nobody).await, Ok(false), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn it_leaves_its_subjects_list() {
    for kind in [Kind::Memory, Kind::Remote] {
        for world in worlds(kind) {
            let jar = world.logged_in("ada", "laptop").await;
            let key = world.key(&jar).await;
            assert_eq!(destroy(&world, &key).await, Ok(true), "{kind:?}");
            assert!(world.notes("ada").await.is_empty(), "{kind:?}");
            let other = world.logged_in("ada", "phone").await;
            assert_eq!(world.notes("ada").await, ["phone"], "{kind:?}");
            assert!(world.is_alive(&other).await && !world.is_alive(&jar).await);
        }
    }
}

#[tokio::test]
async fn one_in_its_cookie_ends_if_ends_are_remembered() {
    for (kind, ends) in [(Kind::Overflow, false), (Kind::RevocableOverflow, true)] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 1).await;
        let key = world.key(jar).await;
        assert_eq!(destroy(&world, &key).await, Ok(ends), "{kind:?}");
        let cart: Option<u32> = world.get(jar, "cart").await;
        assert_eq!(cart.is_none(), ends, "{kind:?}");
    }
}

#[tokio::test]
async fn a_renewal_of_the_last_minute_is_followed() {
    for kind in KINDS {
        for world in worlds(kind) {
            let jar = &mut world.grown().await;
            let key = world.key(jar).await;
            world.renew(jar).await;
            world.renew(jar).await;
            let ended = destroy(&world, &key).await;
            let is_sealed = world.session_records().load(&key).await.is_err();
            // The new name is sealed with the ID, unless the renewal is remembered as an end.
            if is_sealed && kind != Kind::RevocableOverflow {
                assert_eq!(ended, Err(ErrorKind::Gone), "{kind:?}");
                assert!(is_there(&world, jar).await, "{kind:?}: as the error says");
            } else {
                assert_eq!(ended, Ok(true), "{kind:?}");
                assert!(!is_there(&world, jar).await, "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_encrypted_one_leaves_no_mark() {
    for kind in KINDS {
        let world = kind.with(SessionConfig::encrypt_records);
        let jar = &mut world.grown().await;
        let key = world.key(jar).await;
        let slow = async |session: Session| {
            session.load().await.unwrap();
            assert_eq!(destroy(&world, &key).await, Ok(true), "{kind:?}");
            session.insert("late", 1).unwrap();
        };
        let (_, response) = world.visit(&mut jar.clone(), slow).await;
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{kind:?}");
        assert_eq!(world.records().count(RecordKind::Mark).await, 0, "{kind:?}");
        assert!(!is_there(&world, jar).await, "{kind:?}");
        assert_eq!(destroy(&world, &key).await, Ok(false), "{kind:?}: again");
    }
}

#[tokio::test]
async fn a_failing_store_is_an_error_and_can_be_retried() {
    for (world, call) in worlds(Kind::Remote).into_iter().zip([Update, Delete]) {
        let jar = world.grown().await;
        let key = world.key(&jar).await;
        world.records().at(Before, call, Fail);
        let failed = destroy(&world, &key).await;
        assert_eq!(failed, Err(ErrorKind::StoreFailed), "{call:?}");
        assert!(is_there(&world, &jar).await, "{call:?}");
        assert_eq!(destroy(&world, &key).await, Ok(true), "{call:?}");
    }
}

/// What the visitor does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Write,
    Renew,
    LogOut,
}

impl Meanwhile {
    async fn happen(self, world: &World, jar: &mut Jar) {
        match self {
            Self::Write => drop(write(world, jar).await),
            Self::Renew => drop(world.renew(jar).await),
            Self::LogOut => {
                let log_out = async |session: Session| drop(session.destroy().await);
                world.visit(jar, log_out).await;
            }
        }
    }
}

#[tokio::test]
async fn it_overlaps_every_other_operation_at_every_call() {
    use Meanwhile::{LogOut, Renew, Write};

    for meanwhile in [Write, Renew, LogOut] {
        for (is_first, when, is_sealed) in all() {
            for n in 1.. {
                for kind in [Kind::Remote, Kind::RevocableOverflow] {
                    let world = &worlds(kind)[usize::from(is_sealed)];
                    let mut jar = world.grown().await;
                    let (before, key) = (jar.clone(), world.key(&jar).await);
                    let hook = (world.records(), n, when);
                    let visit = meanwhile.happen(world, &mut jar);
                    let ended = if is_first {
                        let (ended, other) = in_between(hook, destroy(world, &key), visit).await;
                        other.map(|()| ended)
                    } else {
                        in_between(hook, visit, destroy(world, &key)).await.1
                    };
                    let Some(ended) = ended else { continue };
                    let what = format!(
                        "{kind:?}, {meanwhile:?}, {when:?} call {n}, first: {is_first}, sealed: {is_sealed}"
                    );
                    if ended == Err(ErrorKind::Gone) && is_sealed {
                        assert!(meanwhile != Write, "{what}: nothing took it away");
                        continue;
                    }
                    let expected = match meanwhile {
                        Write => ended == Ok(true),
                        Renew | LogOut => ended.is_ok(),
                    };
                    assert!(expected, "{what}: {ended:?}");
                    assert!(!is_there(world, &before).await, "{what}: by its old name");
                    assert!(!is_there(world, &jar).await, "{what}: by its new name");
                }
                if n > 12 {
                    break;
                }
            }
        }
    }
}

fn all() -> impl Iterator<Item = (bool, When, bool)> {
    let of = |is_first| WHENS.map(|when| [false, true].map(|sealed| (is_first, when, sealed)));
    [true, false].into_iter().flat_map(of).flatten()
}

/// A listing of the whole store also has the keys of rosters and of remembered ends.
#[tokio::test]
async fn a_key_of_no_session_ends_nothing() {
    let stores = Stores::new();
    let cookies = Kind::Overflow.cookies(&stores);
    let cookies = cookies.revocation(stores.records.clone());
    let config = SessionConfig::new("s", cookies, keys());
    let in_one_store = World::new(Kind::Overflow, stores, config);
    for world in [Kind::Memory.world(), Kind::Remote.world(), in_one_store] {
        let jar = world.logged_in("ada", "laptop").await;
        let ended = world.logged_in("ada", "phone").await;
        world.destroy(&mut ended.clone()).await;
        for kind in [RecordKind::Roster, RecordKind::End] {
            for key in world.records().keys_of(kind).await {
                assert!(destroy(&world, &key).await.is_ok());
            }
        }
        world.clock.advance(MINUTE * 2);
        assert!(!world.is_alive(&ended).await, "{:?}", world.kind);
        assert!(world.is_alive(&jar).await, "{:?}", world.kind);
        assert_eq!(world.notes("ada").await, ["laptop"], "{:?}", world.kind);
    }
}
