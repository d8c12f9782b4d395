//! Events for operators: lines in OWASP's vocabulary, and metrics.

use std::time::Duration;

use http::StatusCode;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use silverback::{
    Key, Keys, MemoryStore, Session,
    store::{Bytes, RecordKey, Store, count_sessions},
};
use tokio::time::advance;

use crate::support::{
    DAY, Jar, Kind, SECOND, Stores, World, keys,
    log::recorded,
    scripted::{ANY, Before, Cut, Fail, Load, Update},
    until,
};

/// The recorded lines, each from the event's name on.
async fn events(act: impl AsyncFnOnce()) -> Vec<String> {
    let log = recorded(act).await;
    let events = log.lines().filter(|line| line.contains(" event="));
    events.map(ToOwned::to_owned).collect()
}

#[track_caller]
fn assert_are(events: &[String], expected: &[&[&str]]) {
    assert_eq!(events.len(), expected.len(), "{events:#?}");
    for (event, words) in events.iter().zip(expected) {
        let missing: Vec<_> = words
            .iter()
            .filter(|word| !event.contains(**word))
            .collect();
        assert!(missing.is_empty(), "{missing:?} is not in {event}");
    }
}

/// On every kind of session that can have a subject.
#[tokio::test(start_paused = true)]
async fn a_login_and_its_ends_are_events() {
    for kind in Kind::WITH_SUBJECTS {
        let (world, jar) = (kind.in_time(), &mut Jar::default());
        let lived = events(async || {
            world.put(jar, "n", 1).await;
            world.put(jar, "n", 2).await;
            world.log_in(jar, "ann", "phone").await;
            world.destroy(jar).await;
        });
        let (created, renewed) = ("\"session_created\"", "\"session_renewed\"");
        let ended = |cause| {
            [
                "INFO",
                "\"session_expired\"",
                "session=\"s\"",
                cause,
                "count=1",
            ]
        };
        let lived = lived.await;
        let expected: [&[&str]; 3] = [
            &["INFO", created, "session=\"s\""],
            &["INFO", renewed, "session=\"s\""],
            &ended("cause=\"logout\""),
        ];
        assert_are(&lived, &expected);
        for saved in &lived[..2] {
            assert_eq!(saved.contains(" record="), !kind.is_cookie(), "{saved}");
        }

        let mut jars = [Jar::default(), Jar::default(), Jar::default()];
        for jar in &mut jars {
            world.log_in(jar, "bob", "phone").await;
        }
        let [first, second, _] = &mut jars;
        let ended_elsewhere = events(async || {
            let end = async |session: silverback::Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            world.visit(first, end).await;
            world.is_alive(second).await;
            world.destroy_all("bob").await;
        });
        let ended_elsewhere = ended_elsewhere.await;
        let [elsewhere, .., operator] = &ended_elsewhere[..] else {
            panic!("{ended_elsewhere:#?}");
        };
        assert!(
            elsewhere.contains("cause=\"elsewhere\" count=2"),
            "{elsewhere}"
        );
        assert!(
            operator.contains("cause=\"operator\" count=1"),
            "{operator}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_makes_room_and_one_that_is_emptied_are_events() {
    let world = Kind::Remote.with(|config| config.sessions_per_subject(1));
    let ends = events(async || {
        world.logged_in("ann", "phone").await;
        let jar = &mut world.logged_in("ann", "laptop").await;
        world
            .visit(jar, async |session| {
                session.load().await.unwrap();
                session.remove_subject().unwrap();
                session.clear().unwrap();
            })
            .await;
    });
    let ends = ends.await;
    let ends: Vec<_> = ends
        .into_iter()
        .filter(|line| line.contains("cause="))
        .collect();
    assert_are(
        &ends,
        &[&["cause=\"limit\" count=1"], &["cause=\"emptied\" count=1"]],
    );
}

/// The store takes no longer list, so the older half ends.
#[tokio::test]
async fn sessions_that_a_full_list_ends_are_events() {
    let mut stores = Stores::new();
    stores.records = stores.records.limit(1_000);
    let config = Kind::Remote.config(&stores, keys());
    let world = World::new(Kind::Remote, stores, config);
    let log = events(async || {
        for _ in 0..20 {
            world.logged_in("ann", "laptop").await;
        }
    });
    let log = log.await;
    let ended = log.iter().filter(|line| line.contains("cause=\"limit\""));
    let counts = ended.map(|line| line.rsplit_once("count=").unwrap().1);
    let ended: usize = counts.map(|count| count.parse::<usize>().unwrap()).sum();
    assert_eq!(ended + world.notes("ann").await.len(), 20, "{log:#?}");
}

/// Nobody remembers its end, so a logout counts as one.
#[tokio::test]
async fn a_session_without_a_store_has_events() {
    let (world, jar) = (Kind::Cookie.world(), &mut Jar::default());
    let lived = events(async || {
        world.put(jar, "n", 1).await;
        world.renew(jar).await;
        world.destroy(jar).await;
    });
    let expected: [&[&str]; 3] = [
        &["\"session_created\""],
        &["\"session_renewed\""],
        &["\"session_expired\"", "cause=\"logout\"", "count=1"],
    ];
    assert_are(&lived.await, &expected);
}

#[tokio::test]
async fn a_renewal_beside_another_save_is_an_event() {
    let (world, jar) = (Kind::Remote.world(), &mut Jar::default());
    world.put(jar, "n", 1).await;
    let other = &mut jar.clone();
    let renewed = events(async || {
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            world.put(other, "n", 2).await;
        };
        world.visit(jar, renew).await;
    });
    assert_are(&renewed.await, &[&["\"session_renewed\""]]);
}

#[tokio::test(start_paused = true)]
async fn a_use_after_the_end_is_an_event() {
    let (world, jar) = (Kind::Remote.in_time(), &mut Jar::default());
    world.put(jar, "n", 1).await;
    let old = jar.clone();
    let used = events(async || {
        world.destroy(jar).await;
        world.rejection(&mut old.clone()).await;
        world.clock.advance(2 * DAY);
        world.rejection(&mut old.clone()).await;
        world.rejection(&mut Jar::with("s", "forged")).await;
    });
    let expected: [&[&str]; 4] = [
        &["\"session_expired\"", "cause=\"logout\""],
        &["DEBUG", "\"session_use_after_expire\"", "destroyed"],
        &["DEBUG", "\"session_use_after_expire\"", "no such session"],
        &["WARN", "\"session_refused\"", "not a session token"],
    ];
    assert_are(&used.await, &expected);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stops_and_comes_back_is_two_events() {
    let (world, jar) = (Kind::Remote.in_time(), &mut Jar::default());
    world.put(jar, "n", 1).await;
    let outage = events(async || {
        let look = async |session: silverback::Session| drop(session.load().await);
        world.records().every(Before, ANY, Cut);
        for _ in 0..5 {
            world.visit(jar, look).await;
        }
        world.records().calm();
        // A store that fails intermittently has not come back.
        for _ in 0..3 {
            world.visit(jar, look).await;
            world.records().at(Before, Load, Cut);
            world.visit(jar, look).await;
        }
        advance(SECOND).await;
        for _ in 0..3 {
            world.visit(jar, look).await;
        }
    });
    let expected: [&[&str]; 2] = [
        &["ERROR", "\"store_unavailable\"", "Scripted"],
        &["WARN", "\"store_available\"", "Scripted", "seconds="],
    ];
    assert_are(&outage.await, &expected);
}

#[tokio::test]
async fn a_key_that_changes_is_an_event() {
    let keys = Keys::generate().unwrap();
    let [(old, _)] = keys.list()[..] else {
        panic!("one key")
    };
    let key = Key::generate().unwrap();
    let new = key.id();
    let changes = events(async || {
        keys.rotate(key).unwrap();
        keys.revoke(old).unwrap();
    });
    let expected: [&[&str]; 3] = [
        &[
            "INFO",
            "\"session_key_changed\"",
            &new.to_string(),
            "state=\"active\"",
        ],
        &[&old.to_string(), "state=\"retired\""],
        &[&old.to_string(), "state=\"revoked\""],
    ];
    assert_are(&changes.await, &expected);
}

/// Each visitor is a line, up to a hundred a minute.
#[tokio::test(start_paused = true)]
async fn a_flood_of_visitors_is_a_hundred_lines_a_minute() {
    let world = Kind::Memory.in_time();
    let visits = async |count| {
        for _ in 0..count {
            world.put(&mut Jar::default(), "n", 1).await;
        }
    };
    assert_eq!(events(async || visits(150).await).await.len(), 100);
    world.clock.advance(Duration::from_secs(60));
    let next = events(async || visits(1).await).await;
    assert_are(&next, &[&["\"session_created\"", "left_out=50"]]);
}

/// The recorder's metrics, as `name{labels} value`.
fn counted(recorder: &DebuggingRecorder) -> Vec<String> {
    let snapshot = recorder.snapshotter().snapshot().into_vec();
    let mut lines: Vec<_> = snapshot
        .into_iter()
        .map(|(key, _, _, value)| {
            let key = key.key();
            let labels: Vec<_> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Histogram(all) => format!("of {}", all.len()),
                DebugValue::Gauge(value) => value.to_string(),
            };
            format!("{} {} {value}", key.name(), labels.join(" "))
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn events_are_counted() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (world, jar) = (Kind::Remote.in_time(), &mut Jar::default());
    world.put(jar, "n", 1).await;
    world.log_in(jar, "ann", "phone").await;
    world.rejection(&mut Jar::with("s", "forged")).await;
    // Another request saves first.
    let beside = jar.clone();
    world
        .visit(jar, async |session| {
            session.load().await.unwrap();
            world.put(&mut beside.clone(), "m", 1).await;
            session.insert("n", 2).unwrap();
        })
        .await;
    world.records().at(Before, Update, Fail);
    world.put(jar, "n", 3).await;
    world.destroy(jar).await;
    let store = MemoryStore::new();
    let now = world.clock.now();
    count_sessions(&store, "carts", now).await.unwrap();
    // Room for one record in each of 64 parts.
    let full = MemoryStore::new().max_bytes(64 * 400);
    let full = full.clock(world.clock.clone());
    for key in [[0; 32], [64; 32]].map(RecordKey::from_bytes) {
        let data = Bytes::from(vec![1; 200]);
        let end = until(now.saturating_add(DAY));
        full.create(&key, data, end).await.unwrap();
    }
    let counted = counted(&recorder);
    let has = |line: &str| {
        assert!(
            counted.iter().any(|have| have == line),
            "{line}: {counted:#?}"
        )
    };
    has("silverback.cookies.refused session=s reason=malformed 1");
    has("silverback.sessions.created session=s 1");
    has("silverback.sessions.renewed session=s 1");
    has("silverback.sessions.ended session=s cause=logout 1");
    has("silverback.sessions.loaded session=s outcome=refused 1");
    has("silverback.sessions.loaded session=s outcome=new 1");
    has("silverback.store.conflicts operation=save 1");
    has("silverback.store.duration operation=create of 3");
    has("silverback.store.evictions kind=unused sessions 1");
    has("silverback.store.sessions store=carts 0");
    let named = |name: &str| counted.iter().any(|line| line.starts_with(name));
    for name in [
        "silverback.commit.duration",
        "silverback.request.store_calls",
        "silverback.sessions.saved session=s outcome=saved",
        "silverback.store.duration operation=load",
        "silverback.store.duration operation=create",
        "silverback.store.duration operation=update error.type=conflict",
    ] {
        assert!(named(name), "{name}: {counted:#?}");
    }
}

/// This includes an opening by the general path, after the session was asked for something too
/// early.
#[tokio::test]
async fn an_opening_is_counted_once() {
    for kind in Kind::ALL {
        for (is_asked_before, is_loaded) in [(false, true), (true, true), (true, false)] {
            let (world, jar) = (kind.world(), &mut Jar::default());
            world.put(jar, "n", 1).await;
            let recorder = DebuggingRecorder::new();
            let _guard = metrics::set_default_local_recorder(&recorder);
            world
                .visit(jar, async |session| {
                    if is_asked_before {
                        session.renew();
                    }
                    if is_loaded {
                        session.load().await.unwrap();
                        session.len().unwrap();
                    }
                })
                .await;
            let mut counted = counted(&recorder);
            counted.retain(|line| line.starts_with("silverback.sessions.loaded"));
            assert_eq!(
                counted,
                ["silverback.sessions.loaded session=s outcome=found 1"],
                "{kind:?}"
            );
        }
    }
}

/// Looks for values and cookies, over many lives on many layers.
#[tokio::test(start_paused = true)]
async fn no_secret_is_in_any_of_many_lines() {
    let is_long = std::env::var_os("SILVERBACK_SOAK").is_some();
    let (mut lines, mut life) = (0, 0);
    while lines < if is_long { 100_000 } else { 2_000 } {
        life += 1;
        let kind = Kind::ALL[life % Kind::ALL.len()];
        let own = Keys::generate().unwrap();
        let world = kind.with_keys(own.clone());
        let (jar, value) = (&mut Jar::default(), format!("a value of life {life}"));
        let mut secrets = vec![value.clone()];
        let log = recorded(async || {
            for round in 0..20 {
                world.put(jar, "secret", &value).await;
                secrets.extend(jar.0.values().cloned());
                if round % 3 == 0 {
                    world.renew(jar).await;
                    secrets.extend(jar.0.values().cloned());
                }
                if round % 7 == 0 {
                    world.destroy(jar).await;
                }
                world.rejection(&mut Jar::with("s", "x")).await;
                world.clock.advance(Duration::from_secs(60));
            }
        })
        .await;
        lines += log.lines().count();
        for secret in &secrets {
            assert!(
                secret.is_empty() || !log.contains(secret.as_str()),
                "{secret}"
            );
        }
    }
    println!("no secret in {lines} lines of {life} lives");
}

/// A client that repeats an old cookie, and a record that is removed while a request runs.
#[tokio::test]
async fn a_save_that_comes_too_late_is_counted_once() {
    for (kind, is_removed) in [
        (Kind::Memory, false),
        (Kind::Memory, true),
        (Kind::Remote, false),
        (Kind::Remote, true),
        (Kind::Revocable, false),
    ] {
        let (world, jar) = (kind.world(), &mut Jar::default());
        world.put(jar, "n", 1).await;
        let key = world.key(jar).await;
        let old = jar.clone();
        if !is_removed {
            world.destroy(jar).await;
        }
        let recorder = DebuggingRecorder::new();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let late = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
            if is_removed {
                world.records().memory.delete(&key, None).await.unwrap();
            }
        };
        let (_, response) = world.visit(&mut old.clone(), late).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{kind:?}");
        let mut counted = counted(&recorder);
        counted.retain(|line| line.starts_with("silverback.sessions.saved"));
        let expected = ["silverback.sessions.saved session=s outcome=gone 1"];
        assert_eq!(counted, expected, "{kind:?} {is_removed}");
    }
}
