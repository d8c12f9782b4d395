//! Sessions that outgrow their cookie, go on in a store, and come back.

use http::{Response, StatusCode};
use silverback::{
    Clock, Error, ErrorKind, Key, Keys, Rejection, Session, SessionConfig, SessionLayer, Subjects,
    store::{CookieStore, MemoryStore},
};

use crate::support::{
    DAY, HOUR, Jar, START, Site, keys,
    schedule::{all, now_and_then, rounds},
    scripted::{Create, Op, Scripted},
    set_cookie,
};

/// A site whose sessions overflow above 500 bytes.
struct World {
    site: Site,
    remote: Scripted,
}

fn world_of(signed: bool, change: impl FnOnce(SessionConfig) -> SessionConfig) -> World {
    let clock = Clock::manual(START);
    let remote = Scripted::new(MemoryStore::new().clock(clock.clone()));
    let config = match signed {
        true => SessionConfig::new("s", CookieStore::new().signed(), keys()),
        false => SessionConfig::cookie("s", keys()),
    };
    let config = change(config.overflow(remote.clone()).cookie_bytes(500));
    World {
        site: Site {
            layer: SessionLayer::new(config).clock(clock.clone()),
            clock,
        },
        remote,
    }
}

fn worlds() -> [World; 2] {
    [false, true].map(|signed| world_of(signed, |config| config))
}

impl World {
    async fn set(&self, jar: &mut Jar, key: &str, len: usize) -> Response<String> {
        let (_, response) = self
            .site
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.insert(key, "x".repeat(len)).unwrap();
            })
            .await;
        response
    }

    async fn remove(&self, jar: &mut Jar, key: &str) -> Response<String> {
        let (_, response) = self
            .site
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.remove(key).unwrap();
            })
            .await;
        response
    }

    /// The lengths of the values under these keys.
    async fn get<const N: usize>(&self, jar: &mut Jar, keys: [&str; N]) -> [Option<usize>; N] {
        let read = async |session: Session| {
            session.load().await.unwrap();
            keys.map(|key| session.get::<String>(key).unwrap().map(|value| value.len()))
        };
        let (lengths, response) = self.site.visit(jar, read).await;
        assert_eq!(response.status(), StatusCode::OK);
        lengths
    }

    fn operations(&self) -> Vec<Op> {
        self.remote.take_log()
    }
}

async fn rejection(session: Session) -> Option<Rejection> {
    session.load().await.unwrap();
    session.rejection()
}

#[tokio::test]
async fn a_session_keeps_its_name_and_its_age_on_the_way() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    let name = async |session: Session| {
        session.load().await.unwrap();
        session.id()
    };
    world.set(jar, "small", 10).await;
    let id = world.site.visit(jar, name).await.0;
    world.set(jar, "large", 1_000).await;
    assert_eq!(world.site.visit(jar, name).await.0, id);
    world.remove(jar, "large").await;
    assert_eq!(world.site.visit(jar, name).await.0, id);
    assert_eq!(world.site.visit(jar, name).await.0, id);
    world.site.visit(jar, async |session| session.renew()).await;
    assert_ne!(world.site.visit(jar, name).await.0, id);

    // Used every eight hours, back and forth, it ends after fourteen days.
    let mut hours = 0;
    while hours < 14 * 24 {
        assert_eq!(
            world.get(jar, ["small"]).await,
            [Some(10)],
            "after {hours} hours"
        );
        match hours / 8 % 3 {
            0 => drop(world.set(jar, "large", 1_000).await),
            1 => drop(world.remove(jar, "large").await),
            _ => {}
        }
        world.site.clock.advance(8 * HOUR);
        hours += 8;
    }
    assert_eq!(world.get(jar, ["small"]).await, [None]);
}

#[tokio::test]
async fn a_new_session_begins_where_it_fits() {
    for world in worlds() {
        let jar = &mut Jar::default();
        world.set(jar, "large", 1_000).await;
        assert_eq!(world.operations(), [Create]);
        assert_eq!(world.get(jar, ["large"]).await, [Some(1_000)]);
    }
}

#[tokio::test]
async fn the_border_is_where_it_was_set_and_at_4096_bytes() {
    for limit in [1, 100, 2_000, usize::MAX] {
        let world = world_of(false, |config| config.cookie_bytes(limit));
        let mut largest = 0;
        for len in (0..4_200).step_by(7) {
            let jar = &mut Jar::default();
            let response = world.set(jar, "k", len).await;
            assert_eq!(response.status(), StatusCode::OK);
            let value = jar.value("s").len();
            assert!(value < 4_096, "{len}: {value}");
            if world.operations().is_empty() {
                largest = len;
            }
            assert_eq!(world.get(jar, ["k"]).await, [Some(len)], "{limit}, {len}");
        }
        let expected = match limit {
            1 => 0..1,
            100 => 70..100,
            2_000 => 1_970..2_000,
            _ => 2_900..3_072,
        };
        assert!(expected.contains(&largest), "{limit}: {largest}");
    }
}

#[tokio::test]
async fn a_lost_response_loses_nothing_that_was_answered() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "small", 10).await;

    // Growing: what the browser has is the cookie of before.
    let before = jar.clone();
    world.set(&mut before.clone(), "large", 1_000).await;
    assert_eq!(world.get(jar, ["small", "large"]).await, [Some(10), None]);
    world.site.clock.advance(HOUR);
    world.set(jar, "answered", 20).await;
    world.set(jar, "large", 2_000).await;
    let all = ["small", "answered", "large"];
    assert_eq!(world.get(jar, all).await, [Some(10), Some(20), Some(2_000)]);

    // Shrinking: what the browser has is the cookie of before, and the record is up to date.
    let before = jar.clone();
    world.remove(&mut before.clone(), "large").await;
    assert_eq!(world.get(jar, all).await, [Some(10), Some(20), None]);
    world.set(jar, "answered", 30).await;
    assert_eq!(world.get(jar, all).await, [Some(10), Some(30), None]);

    // Leaving the record: the browser still has the copy.
    let copy = &mut jar.clone();
    assert_eq!(world.get(jar, all).await, [Some(10), Some(30), None]);
    assert_eq!(world.get(copy, all).await, [Some(10), Some(30), None]);
    world.set(copy, "answered", 40).await;
    assert_eq!(world.get(copy, all).await, [Some(10), Some(40), None]);
}

#[tokio::test]
async fn a_record_that_the_browser_never_heard_of_gives_way_where_a_settled_one_was() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    world.remove(jar, "large").await;
    // It settles, and the answer gets lost; the next one, to a read, brings a new cookie.
    world.set(&mut jar.clone(), "value", 34).await;
    world.site.clock.advance(3 * HOUR);
    assert_eq!(world.get(jar, ["value"]).await, [Some(34)]);
    // It outgrows that, and the answer gets lost.
    world.set(&mut jar.clone(), "large", 1_179).await;
    world.set(jar, "value", 39).await;
    world.set(jar, "large", 1_086).await;
    assert_eq!(
        world.get(jar, ["value", "large"]).await,
        [Some(39), Some(1_086)]
    );
}

#[tokio::test]
async fn a_record_that_was_changed_since_the_copy_decides() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    let slow = &mut jar.clone();
    let (_, response) = world
        .site
        .visit(slow, async |session: Session| {
            session.load().await.unwrap();
            session.insert("slow", "kept").unwrap();
            // Meanwhile the session becomes small, and its cookie is a copy.
            world.remove(jar, "large").await;
        })
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    // Whichever cookie came last, nothing is lost.
    for cookies in [jar.clone(), slow.clone()] {
        assert_eq!(
            world.get(&mut cookies.clone(), ["large", "slow"]).await,
            [None, Some(4)]
        );
    }
}

#[tokio::test]
async fn an_old_copy_does_not_take_the_place_of_the_record() {
    for last_answer in 0..2 {
        let world = world_of(false, |config| config);
        let jar = &mut Jar::default();
        world.set(jar, "large", 1_000).await;
        let other = &mut jar.clone();
        world.remove(jar, "large").await;
        world.set(other, "other", 10).await;
        world.set(jar, "own", 20).await;
        let last = if last_answer == 0 { jar } else { other };
        for _ in 0..3 {
            assert_eq!(
                world.get(last, ["other", "own"]).await,
                [Some(10), Some(20)]
            );
        }
    }
}

#[tokio::test]
async fn only_the_writer_of_a_record_makes_copies_of_it() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    let late = &mut jar.clone();
    world.remove(jar, "large").await;
    world.site.clock.advance(3 * HOUR);
    world.set(late, "late", 10).await;
    // It is time for a new cookie; but were it a copy, it could come back before the answer that is
    // late.
    assert_eq!(world.get(jar, ["late"]).await, [Some(10)]);
    world.set(jar, "own", 20).await;
    assert_eq!(world.get(late, ["late", "own"]).await, [Some(10), Some(20)]);
}

#[tokio::test]
async fn a_request_with_a_copy_keeps_what_another_writes_meanwhile() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    let other = &mut jar.clone();
    world.remove(jar, "large").await;
    let (_, response) = world
        .site
        .visit(jar, async |session: Session| {
            session.load().await.unwrap();
            session.insert("own", "x".repeat(20)).unwrap();
            world.set(other, "other", 10).await;
        })
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, ["other", "own"]).await, [Some(10), Some(20)]);
}

#[tokio::test]
async fn of_two_that_outgrow_one_cookie_nothing_is_lost() {
    for renews in [false, true] {
        let world = world_of(false, |config| config);
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        let (one, two) = (&mut jar.clone(), &mut jar.clone());
        let (_, response) = world
            .site
            .visit(one, async |session: Session| {
                session.load().await.unwrap();
                session.insert("one", "x".repeat(700)).unwrap();
                session.update("both", |n: &mut u32| *n += 1).unwrap();
                let (_, response) = world
                    .site
                    .visit(two, async |session: Session| {
                        session.load().await.unwrap();
                        session.insert("two", "x".repeat(800)).unwrap();
                        session.update("both", |n: &mut u32| *n += 1).unwrap();
                        if renews {
                            session.renew();
                        }
                    })
                    .await;
                assert_eq!(response.status(), StatusCode::OK);
            })
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        let both = async |session: Session| {
            session.load().await.unwrap();
            session.get::<u32>("both").unwrap()
        };
        if renews {
            // As with any two cookies: the last response wins.
            assert_eq!(world.get(one, ["one", "two"]).await, [Some(700), None]);
            assert_eq!(world.get(two, ["one", "two"]).await, [None, Some(800)]);
        } else {
            for cookies in [one, two] {
                assert_eq!(
                    world.get(cookies, ["one", "two"]).await,
                    [Some(700), Some(800)]
                );
                assert_eq!(world.site.visit(cookies, both).await.0, Some(2));
            }
        }
    }
}

#[tokio::test]
async fn counters_across_the_border_lose_nothing() {
    for seed in rounds(200) {
        let world = world_of(false, |config| config);
        let mut jar = Jar::default();
        world.set(&mut jar, "large", 1_000).await;
        // All of these know the record; one of them makes the session small.
        let mut jars: [Jar; 6] = std::array::from_fn(|_| jar.clone());
        let mut answered = 0;
        {
            let work = jars.iter_mut().enumerate().map(|(at, jar)| {
                let world = &world;
                now_and_then(seed * 100 + at as u64, async move {
                    let (_, response) = world
                        .site
                        .visit(jar, async |session: Session| {
                            session.load().await.unwrap();
                            session.update("count", |n: &mut u32| *n += 1).unwrap();
                            if at == 2 {
                                session.remove("large").unwrap();
                            }
                        })
                        .await;
                    response.status().is_success()
                })
            });
            for done in all(work.collect()).await {
                answered += u32::from(done);
            }
        }
        assert_eq!(
            answered, 6,
            "seed {seed}: the record is there until the copy has come back"
        );
        let count = async |session: Session| {
            session.load().await.unwrap();
            session.get::<u32>("count").unwrap()
        };
        // Whichever answer the browser got last.
        let jar = &mut jars[seed as usize % 6];
        for _ in 0..3 {
            assert_eq!(world.site.visit(jar, count).await.0, Some(6), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn logout_ends_it_wherever_it_is() {
    let list = MemoryStore::new();
    for stage in 0..4 {
        let world = world_of(false, |config| config.revocation(list.clone()));
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        let mut copies = vec![jar.clone()];
        if stage > 0 {
            world.set(jar, "large", 1_000).await;
            copies.push(jar.clone());
        }
        if stage > 1 {
            world.remove(jar, "large").await;
            copies.push(jar.clone());
        }
        if stage > 2 {
            world.get(jar, ["small"]).await;
            copies.push(jar.clone());
        }
        let (_, response) = world
            .site
            .visit(jar, async |session| session.destroy().await.unwrap())
            .await;
        assert!(set_cookie(&response).contains("Max-Age=0"));
        for (at, copy) in copies.iter_mut().enumerate() {
            let rejected = world.site.visit(copy, rejection).await.0;
            assert!(
                matches!(rejected, Some(Rejection::Revoked | Rejection::NotFound)),
                "{stage}, {at}: {rejected:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_session_on_its_way_into_the_store_does_not_survive_logout() {
    let world = world_of(false, |config| config.revocation(MemoryStore::new()));
    let jar = &mut Jar::default();
    world.set(jar, "small", 10).await;
    let other = &mut jar.clone();
    let (_, response) = world
        .site
        .visit(jar, async |session: Session| {
            session.load().await.unwrap();
            session.insert("large", "x".repeat(1_000)).unwrap();
            world
                .site
                .visit(other, async |session| session.destroy().await.unwrap())
                .await;
        })
        .await;
    assert_eq!(
        response.extensions().get::<Error>().unwrap().kind(),
        ErrorKind::Gone
    );
    assert_eq!(world.remote.memory.len(), 0);
}

#[tokio::test]
async fn a_renewal_ends_the_old_name_wherever_it_is() {
    for large in [false, true] {
        for grows in [false, true] {
            let world = world_of(false, |config| config.revocation(MemoryStore::new()));
            let jar = &mut Jar::default();
            world.set(jar, "small", 10).await;
            let mut copies = vec![jar.clone()];
            if large {
                world.set(jar, "large", 1_000).await;
                copies.push(jar.clone());
            }
            let renew = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                if grows {
                    session.insert("larger", "x".repeat(2_000)).unwrap();
                }
            };
            world.site.visit(jar, renew).await;
            for copy in &mut copies {
                assert!(
                    world.site.visit(copy, rejection).await.0.is_some(),
                    "{large}, {grows}"
                );
            }
            let expected = [Some(10), large.then_some(1_000), grows.then_some(2_000)];
            assert_eq!(world.get(jar, ["small", "large", "larger"]).await, expected);
        }
    }
}

#[tokio::test]
async fn a_copy_is_as_good_as_the_record_it_is_of() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    world.remove(jar, "large").await;
    // The record ends: so does the copy.
    let copy = jar.clone();
    world
        .site
        .visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    assert_eq!(
        world.site.visit(&mut copy.clone(), rejection).await.0,
        Some(Rejection::NotFound)
    );
}

#[tokio::test]
async fn a_session_in_use_outlives_its_copy() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    let other = &mut jar.clone();
    world.remove(jar, "large").await;
    // The copy cannot come back as it was: another browser tab writes, knowing the record only.
    for _ in 0..20 {
        world.set(other, "other", 1_000).await;
        world.site.clock.advance(8 * HOUR);
        assert_eq!(world.get(jar, ["other"]).await, [Some(1_000)]);
    }
}

#[tokio::test]
async fn what_a_store_may_keep_is_bounded_too() {
    let world = world_of(false, |config| config.max_bytes(10_000));
    let too_large = async |session: Session| {
        session.load().await.unwrap();
        session
            .insert("huge", "x".repeat(10_000))
            .unwrap_err()
            .kind()
    };
    let (kind, _) = world.site.visit(&mut Jar::default(), too_large).await;
    assert!(
        matches!(kind, ErrorKind::TooLarge { limit: 10_000, .. }),
        "{kind:?}"
    );
}

#[tokio::test]
async fn a_socket_goes_on_with_a_session_in_the_store_and_not_with_one_in_the_cookie() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    world.set(jar, "small", 10).await;
    let socket = world.site.visit(jar, keep).await.0;
    socket.load().await.unwrap();
    assert_eq!(
        socket.insert("late", 1).unwrap_err().kind(),
        ErrorKind::AlreadyCommitted
    );

    world.set(jar, "large", 1_000).await;
    let socket = world.site.visit(jar, keep).await.0;
    socket.load().await.unwrap();
    socket.remove("large").unwrap();
    socket.insert("late", "kept").unwrap();
    socket.save().await.unwrap();
    assert_eq!(world.get(jar, ["large", "late"]).await, [None, Some(4)]);
}

#[tokio::test]
async fn records_that_overflow_are_encrypted_if_records_are() {
    let world = world_of(false, |config| config.encrypt_records());
    let jar = &mut Jar::default();
    world.set(jar, "large", 1_000).await;
    for key in world.remote.keys() {
        let record = silverback::store::Store::load(&world.remote, &key)
            .await
            .unwrap()
            .unwrap();
        assert!(!record.data().windows(8).any(|part| part == b"xxxxxxxx"));
    }
    world.remove(jar, "large").await;
    assert_eq!(world.get(jar, ["large"]).await, [None]);
}

#[tokio::test]
async fn keys_rotate_in_both_places() {
    let clock = Clock::manual(START);
    let ring = Keys::generate().unwrap();
    let store = MemoryStore::new().clock(clock.clone());
    let config = SessionConfig::cookie("s", ring.clone())
        .overflow(store)
        .cookie_bytes(500);
    let site = Site {
        layer: SessionLayer::new(config).clock(clock.clone()),
        clock,
    };
    let jar = &mut Jar::default();
    let visit = async |session: Session| session.update("n", |n: &mut u32| *n += 1).unwrap();
    let grow = async |session: Session| session.insert("large", "x".repeat(1_000)).unwrap();
    let shrink = async |session: Session| assert!(session.remove("large").unwrap());
    for round in 0..4 {
        assert_eq!(site.visit(jar, visit).await.0, round * 2 + 1);
        site.visit(jar, grow).await;
        let old = ring
            .list()
            .iter()
            .find(|(_, state)| *state == silverback::KeyState::Active)
            .unwrap()
            .0;
        ring.rotate(Key::generate().unwrap()).unwrap();
        assert_eq!(site.visit(jar, visit).await.0, round * 2 + 2);
        ring.revoke(old).unwrap();
        site.visit(jar, shrink).await;
        site.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn subjects_are_listed_and_ended_on_both_sides() {
    for large in [false, true] {
        let clock = Clock::manual(START);
        let memory = || MemoryStore::new().clock(clock.clone());
        let config = SessionConfig::cookie("s", keys())
            .overflow(memory())
            .cookie_bytes(500)
            .revocation(memory());
        let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
        let world = World {
            site: Site {
                layer: SessionLayer::new(config).clock(clock.clone()),
                clock: clock.clone(),
            },
            remote: Scripted::default(),
        };
        let log_in = async |session: Session| {
            session.renew();
            session.set_subject("ada", "laptop").unwrap();
            session.insert("small", "x".repeat(10)).unwrap();
        };
        let (jar, other) = (&mut Jar::default(), &mut Jar::default());
        world.site.visit(jar, log_in).await;
        world.site.visit(other, log_in).await;
        let copy = &mut jar.clone();
        if large {
            world.set(jar, "large", 1_000).await;
        }
        assert_eq!(subjects.list("ada").await.unwrap().len(), 2);
        clock.advance(2 * HOUR);
        world.get(jar, ["small"]).await;
        let listed = subjects.list("ada").await.unwrap();
        assert_eq!(
            (listed.len(), listed[0].last_used()),
            (2, START.saturating_add(2 * HOUR))
        );
        assert_eq!(subjects.destroy_all("ada").await.unwrap(), 2);
        for jar in [jar, copy, other] {
            assert_eq!(world.get(jar, ["small"]).await, [None], "large {large}");
        }
        let jar = &mut Jar::default();
        world.site.visit(jar, log_in).await;
        world.set(jar, "large", 1_000).await;
        world.remove(jar, "large").await;
        for _ in 0..3 {
            assert_eq!(world.get(jar, ["small"]).await, [Some(10)]);
        }
        assert_eq!(subjects.list("ada").await.unwrap().len(), 1);
        clock.advance(DAY * 2);
        assert_eq!(subjects.list("ada").await.unwrap().len(), 0);
    }
}
