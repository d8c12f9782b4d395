//! Sessions read and changed by record key, without a request.

use silverback::{
    ConfigError, Error, ErrorKind, Rejection, Session, SessionConfig, SessionRecords,
    store::{CookieStore, MemoryStore, RecordKey, Store},
};

use crate::support::{
    DAY, HOUR, Jar, Kind, START, World, keys,
    scripted::{After, Before, Create, Fail, Load, Lose, Update, When},
    steps::in_between,
    until,
};

/// Kinds whose [grown](World::grown) session is in a record.
const KINDS: [Kind; 4] = [
    Kind::Memory,
    Kind::Remote,
    Kind::Overflow,
    Kind::RevocableOverflow,
];
/// Kinds of [`KINDS`] whose store waits.
const REMOTE: [Kind; 3] = [Kind::Remote, Kind::Overflow, Kind::RevocableOverflow];
const WHENS: [When; 2] = [Before, After];

async fn load(world: &World, key: &RecordKey) -> Option<Session> {
    world.session_records().load(key).await.unwrap()
}

/// Loads the session, increments `n` and saves. Returns `None` if there is no session.
async fn add(world: &World, key: &RecordKey) -> Option<Result<(), ErrorKind>> {
    let session = load(world, key).await?;
    session.update("n", |n: &mut u32| *n += 1).unwrap();
    Some(session.save().await.map_err(|error: Error| error.kind()))
}

async fn count(world: &World, jar: &Jar) -> Option<u32> {
    world.get(&mut jar.clone(), "n").await
}

#[tokio::test]
async fn one_is_read_and_changed() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let key = world.key(jar).await;
        let session = load(&world, &key).await.unwrap();
        assert_eq!(session.record_key(), Some(key), "{kind:?}");
        let cart: String = session.get("cart").unwrap().unwrap();
        assert_eq!((cart.len(), session.is_new().unwrap()), (600, false));
        session.insert("n", 1).unwrap();
        session.flash("hello").unwrap();
        session.remove("cart").unwrap();
        assert_eq!(world.get::<u32>(jar, "n").await, None, "not saved yet");
        session.save().await.unwrap();

        let read = async |session: Session| {
            session.load().await.unwrap();
            let flashes = session.flashes::<String>().unwrap();
            (session.get("n").unwrap(), session.len().unwrap(), flashes)
        };
        let (read, _) = world.visit(jar, read).await;
        assert_eq!(read, (Some(1), 1, vec!["hello".to_owned()]), "{kind:?}");
    }
}

#[tokio::test]
async fn the_handle_sees_what_happens_when_it_is_loaded_again() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let session = load(&world, &world.key(jar).await).await.unwrap();
        world.put(jar, "n", 5).await;
        assert_eq!(session.get::<u32>("n").unwrap(), None);
        session.load().await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(5), "{kind:?}");
        world.destroy(jar).await;
        session.load().await.unwrap();
        assert_eq!(session.rejection(), Some(Rejection::Ended), "{kind:?}");
        session.insert("n", 6).unwrap();
        let late = session.save().await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Gone, "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_is_not_there_is_none() {
    for kind in KINDS {
        let world = kind.world();
        assert!(
            load(&world, &RecordKey::from_bytes([7; 32]))
                .await
                .is_none()
        );
        let jar = &mut world.grown().await;
        let key = world.key(jar).await;
        world.renew(&mut jar.clone()).await;
        assert!(load(&world, &key).await.is_none(), "{kind:?}: renewed");
        let jar = &mut world.grown().await;
        let key = world.key(jar).await;
        world.destroy(jar).await;
        assert!(load(&world, &key).await.is_none(), "{kind:?}: destroyed");
        let key = world.key(&world.grown().await).await;
        world.clock.advance(2 * DAY);
        assert!(load(&world, &key).await.is_none(), "{kind:?}: expired");
        world.records().memory.delete(&key, None).await.unwrap();
        let damaged = b"\x01damaged".as_slice().into();
        let store = &world.records().memory;
        let end = until(START.saturating_add(9 * DAY));
        store.create(&key, damaged, end).await.unwrap();
        assert!(load(&world, &key).await.is_none(), "{kind:?}: damaged");
    }
}

#[tokio::test]
async fn one_that_fits_its_cookie_has_no_record() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let key = world.key(jar).await;
        assert!(load(&world, &key).await.is_none(), "{kind:?}");
    }
    let alone = CookieStore::new();
    let revocable = CookieStore::new().revocation(MemoryStore::new());
    for cookies in [alone, revocable] {
        let refused = SessionRecords::new(&SessionConfig::new("s", cookies, keys()));
        let refused = refused.unwrap_err();
        assert_eq!(refused, ConfigError::NoRecords("s".to_owned()));
        assert!(refused.to_string().contains("in their cookie"), "{refused}");
    }
}

#[tokio::test]
async fn an_encrypted_one_is_neither_read_nor_changed() {
    for kind in KINDS {
        let world = kind.with(SessionConfig::encrypt_records);
        let jar = &mut world.grown().await;
        let key = world.key(jar).await;
        let records = world.session_records();
        let refused = records.load(&key).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RecordsEncrypted, "{kind:?}");
        assert_eq!(refused.session(), Some("s"));
        let none = records.load(&RecordKey::from_bytes([7; 32])).await.unwrap();
        assert!(none.is_none(), "{kind:?}");
        assert!(world.get::<String>(jar, "cart").await.is_some());
    }
}

#[tokio::test]
async fn operations_that_need_a_response_are_refused() {
    type Ask = fn(&Session);
    let asks: [(&str, Ask); 3] = [
        ("renew", |session| session.renew()),
        ("persist_for", |session| session.persist_for(HOUR)),
        ("until_browser_closes", Session::until_browser_closes),
    ];
    for kind in KINDS {
        let world = kind.world();
        let key = world.key(&world.grown().await).await;
        for (what, ask) in asks {
            let session = load(&world, &key).await.unwrap();
            ask(&session);
            session.insert("n", 1).unwrap();
            let refused = session.save().await.unwrap_err();
            let what = format!("{kind:?}, {what}");
            assert_eq!(refused.kind(), ErrorKind::AlreadyCommitted, "{what}");
        }
        let session = load(&world, &key).await.unwrap();
        let moved = session.set_attributes(|cookie| cookie.path("/x"));
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::AlreadyCommitted);
    }
    let world = Kind::Remote.world();
    let key = world.key(&world.grown().await).await;
    let session = load(&world, &key).await.unwrap();
    let login = session.set_subject("ada", "laptop").unwrap_err();
    assert_eq!(login.kind(), ErrorKind::AlreadyCommitted);
    assert!(!session.remove_subject().unwrap(), "it has none");
}

#[tokio::test]
async fn a_subject_is_read_and_stays() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = world.logged_in("ada", "laptop").await;
        let session = load(&world, &world.key(&jar).await).await.unwrap();
        assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
        assert!(session.subject_sessions().await.unwrap()[0].is_current());
        let refused = session.remove_subject().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");
        session.save().await.unwrap();
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_is_left_empty_ends() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let session = load(&world, &world.key(jar).await).await.unwrap();
        session.clear().unwrap();
        session.save().await.unwrap();
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
        session.insert("n", 1).unwrap();
        let late = session.save().await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");
        assert_eq!(world.records().sessions().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn reading_is_one_call_and_writes_nothing() {
    let world = Kind::Remote.world();
    let key = world.key(&world.grown().await).await;
    let before = world
        .records()
        .memory
        .load(&key, silverback::store::Read::Current);
    let before = before.await.unwrap();
    world.clock.advance(23 * HOUR);
    world.records().take_log();
    let session = load(&world, &key).await.unwrap();
    session.get::<String>("cart").unwrap();
    session.save().await.unwrap();
    assert_eq!(world.records().take_log(), [Load]);
    let after = world
        .records()
        .memory
        .load(&key, silverback::store::Read::Current);
    assert_eq!(after.await.unwrap(), before);
    world.clock.advance(HOUR);
    assert!(
        load(&world, &key).await.is_none(),
        "the idle timeout kept running"
    );
}

#[tokio::test]
async fn a_change_is_not_use_by_the_visitor() {
    for kind in KINDS {
        for touches in [false, true] {
            let world = kind.world();
            let key = world.key(&world.grown().await).await;
            world.clock.advance(23 * HOUR);
            let session = load(&world, &key).await.unwrap();
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            session.save().await.unwrap();
            if touches {
                session.touch().await.unwrap();
            }
            world.clock.advance(HOUR);
            let is_there = load(&world, &key).await.is_some();
            assert_eq!(is_there, touches, "{kind:?}");
        }
    }
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = world.logged_in("ada", "laptop").await;
        let key = world.key(&jar).await;
        world.clock.advance(12 * HOUR);
        let session = load(&world, &key).await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        let listed = world.subjects().list("ada").await.unwrap();
        assert_eq!(listed[0].last_used(), START, "{kind:?}");
    }
}

#[tokio::test]
async fn a_failing_store_is_never_none() {
    let world = Kind::Remote.world();
    let jar = world.grown().await;
    let key = world.key(&jar).await;
    world.records().at(Before, Load, Fail);
    let failed = world.session_records().load(&key).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    assert!(failed.answer().retry_after().is_some(), "nothing was done");
    let session = load(&world, &key).await.unwrap();
    session.insert("n", 1).unwrap();
    world.records().at(Before, Update, Fail);
    let failed = session.save().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    session.save().await.unwrap();
    assert_eq!(count(&world, &jar).await, Some(1));
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_counts_once() {
    for kind in REMOTE {
        for act in [Lose, Fail] {
            let world = kind.world();
            let jar = world.grown().await;
            let session = load(&world, &world.key(&jar).await).await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            world.records().at(After, Update, act);
            let saved = session.save().await;
            assert_eq!(saved.is_ok(), act == Lose, "{kind:?}");
            session.save().await.unwrap();
            assert_eq!(count(&world, &jar).await, Some(1), "{kind:?}, {act:?}");
        }
    }
}

/// Runs `second` at each call that `first` makes of the records, before and after it.
async fn at_each_call(
    kind: Kind,
    mut run: impl AsyncFnMut(&World, &mut Jar, (usize, When), String) -> bool,
) {
    for when in WHENS {
        for n in 1.. {
            let world = kind.world();
            let mut jar = world.grown().await;
            let what = format!("{kind:?}, {when:?} call {n}");
            if !run(&world, &mut jar, (n, when), what).await {
                assert!(n > 1, "{kind:?}: no call at all");
                break;
            }
        }
    }
}

#[tokio::test]
async fn of_two_that_write_both_keep_their_changes() {
    let add_in_request = async |world: &World, jar: &mut Jar| {
        let add = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
        };
        world.visit(jar, add).await.1.status()
    };
    for kind in REMOTE {
        at_each_call(kind, async |world, jar, (n, when), what| {
            let key = world.key(jar).await;
            let visitor = &mut jar.clone();
            let hook = (world.records(), n, when);
            let (saved, status) =
                in_between(hook, add(world, &key), add_in_request(world, visitor)).await;
            assert_eq!(saved, Some(Ok(())), "{what}");
            assert!(status.is_none_or(|status| status.is_success()), "{what}");
            let writes = 1 + u32::from(status.is_some());
            assert_eq!(count(world, jar).await, Some(writes), "{what}");
            status.is_some()
        })
        .await;
        at_each_call(kind, async |world, jar, (n, when), what| {
            let key = world.key(jar).await;
            let visitor = &mut jar.clone();
            let hook = (world.records(), n, when);
            let (status, saved) =
                in_between(hook, add_in_request(world, visitor), add(world, &key)).await;
            assert!(status.is_success(), "{what}");
            let writes = 1 + u32::from(saved.is_some());
            assert_eq!(saved.unwrap_or(Some(Ok(()))), Some(Ok(())), "{what}");
            assert_eq!(count(world, jar).await, Some(writes), "{what}");
            saved.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn a_renewal_includes_a_save_or_the_save_is_gone() {
    for kind in REMOTE {
        for is_first in [true, false] {
            at_each_call(kind, async |world, jar, (n, when), what| {
                let key = world.key(jar).await;
                let hook = (world.records(), n, when);
                let (added, is_done) = if is_first {
                    let (added, renewed) =
                        in_between(hook, add(world, &key), world.renew(jar)).await;
                    (added, renewed.is_some())
                } else {
                    let (_, added) = in_between(hook, world.renew(jar), add(world, &key)).await;
                    (added.flatten(), added.is_some())
                };
                let expected = match added {
                    Some(Ok(())) => Some(1),
                    Some(Err(ErrorKind::Gone)) | None => None,
                    other => panic!("{what}: {other:?}"),
                };
                assert_eq!(
                    count(world, jar).await,
                    expected,
                    "{what}, first {is_first}"
                );
                assert!(world.get::<String>(jar, "cart").await.is_some(), "{what}");
                is_done
            })
            .await;
        }
    }
}

#[tokio::test]
async fn no_ended_session_comes_back() {
    for kind in REMOTE {
        for is_first in [true, false] {
            at_each_call(kind, async |world, jar, (n, when), what| {
                let key = world.key(jar).await;
                let before = jar.clone();
                let hook = (world.records(), n, when);
                let is_done = if is_first {
                    let (added, ended) =
                        in_between(hook, add(world, &key), world.destroy(jar)).await;
                    assert!(
                        matches!(added, Some(Ok(()) | Err(ErrorKind::Gone)) | None),
                        "{what}: {added:?}"
                    );
                    ended.is_some()
                } else {
                    let (_, added) = in_between(hook, world.destroy(jar), add(world, &key)).await;
                    added.is_some()
                };
                if is_first && !is_done {
                    return false;
                }
                assert_eq!(world.records().sessions().await, 0, "{what}");
                assert_eq!(count(world, &before).await, None, "{what}");
                assert!(load(world, &key).await.is_none(), "{what}");
                is_done
            })
            .await;
        }
    }
}

#[tokio::test]
async fn no_save_makes_a_record() {
    for kind in REMOTE {
        let world = kind.world();
        let key = world.key(&world.grown().await).await;
        let session = load(&world, &key).await.unwrap();
        world.records().memory.delete(&key, None).await.unwrap();
        world.records().take_log();
        session.insert("n", 1).unwrap();
        let gone = session.save().await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Gone, "{kind:?}");
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap_err();
        assert!(!world.records().take_log().contains(&Create), "{kind:?}");
    }
}

/// Its browser has never heard of the record, and the session outgrows a later cookie.
#[tokio::test]
async fn a_change_by_key_outlives_a_later_cookie() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let older = &mut Jar::default();
        world.put(older, "a", 1).await;
        let later = &mut older.clone();
        world.put(later, "b", 1).await;
        world.set(older, "large", 600).await;
        add(&world, &world.key(older).await).await.unwrap().unwrap();
        world.set(later, "large", 600).await;
        assert_eq!(count(&world, later).await, Some(1), "{kind:?}");
    }
}
