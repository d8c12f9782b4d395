//! Reading and changing values.

use std::{collections::BTreeMap, error::Error as _, sync::mpsc, thread, time::Duration};

use silverback::{ErrorKind, Session};
use tokio::runtime;

use crate::support::{DAY, Jar, Kind, failure, no_cookie, one_more, set_cookie};

async fn with_session<T, F: Future<Output = T>>(use_it: impl FnOnce(Session) -> F) -> T {
    Kind::Cookie
        .world()
        .visit(&mut Jar::default(), use_it)
        .await
        .0
}

#[tokio::test]
async fn values_of_any_serde_type_read_back() {
    with_session(async |session| {
        session.insert("number", 7_u8).unwrap();
        session.insert("text", "ä\0\"").unwrap();
        session.insert("list", [Some(1.5), None]).unwrap();
        session.insert("map", BTreeMap::from([("k", "v")])).unwrap();
        session.insert("", ()).unwrap();
        assert_eq!(session.get("number").unwrap(), Some(7_u64));
        assert_eq!(
            session.get::<String>("text").unwrap().as_deref(),
            Some("ä\0\"")
        );
        assert_eq!(session.get("list").unwrap(), Some(vec![Some(1.5), None]));
        assert_eq!(
            session.get("map").unwrap(),
            Some(BTreeMap::from([("k".to_owned(), "v".to_owned())]))
        );
        assert_eq!(session.get("").unwrap(), Some(()));
        assert_eq!(session.get::<u8>("none").unwrap(), None);
        assert_eq!(session.len().unwrap(), 5);
    })
    .await;
}

#[tokio::test]
async fn keys_can_be_listed_removed_and_cleared() {
    with_session(async |session| {
        assert!(session.is_empty().unwrap() && session.keys().unwrap().is_empty());
        session.insert("a", 1).unwrap();
        session.insert("b", 2).unwrap();
        assert!(session.contains_key("a").unwrap() && !session.contains_key("c").unwrap());
        assert!(session.remove("a").unwrap() && !session.remove("a").unwrap());
        assert_eq!(session.keys().unwrap(), ["b"]);
        session.clear().unwrap();
        assert!(session.is_empty().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_value_of_another_type_stays() {
    with_session(async |session| {
        session.insert("user", "Ada").unwrap();
        let read = session.get::<u64>("user").unwrap_err();
        let updated = session.update("user", |n: &mut u64| *n += 1).unwrap_err();
        for wrong in [read, updated] {
            assert_eq!(wrong.kind(), ErrorKind::DeserializeFailed);
            assert_eq!(
                (wrong.session(), wrong.value_key()),
                (Some("s"), Some("user"))
            );
            let sentence = wrong.to_string();
            assert!(sentence.starts_with("session \"s\": value \"user\": the stored value is not"));
        }
        let nan = session.insert("nan", f64::NAN).unwrap_err();
        assert_eq!(nan.value_key(), Some("nan"));
        assert_eq!(
            session.get::<String>("user").unwrap().as_deref(),
            Some("Ada")
        );
    })
    .await;
}

#[tokio::test]
async fn values_that_json_would_change_are_refused() {
    with_session(async |session| {
        session.insert("x", 1).unwrap();
        for (refused, reason) in [
            (session.insert("x", f64::NAN), "NaN"),
            (session.insert("x", u128::MAX), "64 bits"),
            (session.insert("x", Some(())), "`Some` of a null"),
            (session.insert("x", [Some(None::<u8>)]), "`Some` of a null"),
            (session.flash(Some(())), "`Some` of a null"),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SerializeFailed);
            let said = error.source().unwrap().to_string();
            assert!(said.contains(reason), "{said}");
        }
        assert_eq!(session.get("x").unwrap(), Some(1));
    })
    .await;
}

#[tokio::test]
async fn null_is_not_a_value_for_a_type_without_one() {
    with_session(async |session| {
        session.insert("user", None::<u8>).unwrap();
        assert_eq!(session.get::<u8>("user").unwrap(), None);
        assert_eq!(session.get::<Option<u8>>("user").unwrap(), Some(None));
        assert!(session.contains_key("user").unwrap());
        assert_eq!(session.update("user", one_more).unwrap(), 1);
        let log_out = |user: &mut Option<u8>| user.take();
        assert_eq!(session.update("user", log_out).unwrap(), Some(1));
        assert_eq!(session.get::<u8>("user").unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_default_is_read_where_there_is_none() {
    with_session(async |session| {
        assert_eq!(session.get_or_default::<u8>("n").unwrap(), 0);
        assert!(session.is_empty().unwrap());
        session.insert("n", 7).unwrap();
        assert_eq!(session.get_or_default::<u8>("n").unwrap(), 7);
        let wrong = session.get_or_default::<String>("n").unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::DeserializeFailed);
    })
    .await;
}

#[tokio::test]
async fn bytes_are_kept_as_they_are() {
    let all: Vec<u8> = (0..=255).collect();
    for world in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        let put = async |session: Session| {
            session.insert_bytes("all", &all).unwrap();
            session.insert_bytes("none", []).unwrap();
        };
        world.visit(jar, put).await;
        let read = async |session: Session| {
            session.insert_bytes("all", &all).unwrap();
            ["all", "none", "other"].map(|key| session.get_bytes(key).unwrap())
        };
        let (read, response) = world.visit(jar, read).await;
        assert_eq!(read, [Some(all.clone()), Some(vec![]), None]);
        assert!(no_cookie(&response), "equal bytes are no change");
    }
}

/// As numbers in JSON, 2,000 bytes would not fit into a cookie.
#[tokio::test]
async fn bytes_take_only_their_own_room() {
    with_session(async |session| {
        let long = vec![200_u8; 2_000];
        let error = session.insert("list", &long).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }));
        session.insert_bytes("bytes", &long).unwrap();
        assert_eq!(session.get_bytes("bytes").unwrap(), Some(long));
    })
    .await;
}

#[tokio::test]
async fn bytes_and_json_are_not_mistaken_for_each_other() {
    with_session(async |session| {
        session.insert_bytes("bytes", "7").unwrap();
        session.insert("json", 7).unwrap();
        let wrong = [
            session.get::<u8>("bytes").map(drop),
            session.get::<serde_json::Value>("bytes").map(drop),
            session.get_or_default::<u8>("bytes").map(drop),
            session.update("bytes", one_more).map(drop),
            session.get_bytes("json").map(drop),
        ];
        let names = ["get_bytes", "get_bytes", "get_bytes", "get_bytes", "`get`"];
        for (wrong, name) in wrong.into_iter().zip(names) {
            let error = wrong.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DeserializeFailed);
            let said = error.source().unwrap().to_string();
            assert!(said.contains(name), "{said}");
        }
        session.insert("bytes", 8).unwrap();
        assert_eq!(session.get("bytes").unwrap(), Some(8));
    })
    .await;
}

#[tokio::test]
async fn there_may_be_many_keys() {
    let world = Kind::Memory.world();
    let jar = &mut Jar::default();
    let fill = async |session: Session| {
        for n in 0..2_000 {
            session.insert(&format!("key {n}"), n).unwrap();
        }
        for n in 0..1_000 {
            assert!(session.remove(&format!("key {n}")).unwrap());
        }
    };
    world.visit(jar, fill).await;
    let read = async |session: Session| {
        for n in 0..2_000 {
            let expected = (n >= 1_000).then_some(n);
            assert_eq!(session.get(&format!("key {n}")).unwrap(), expected);
        }
    };
    world.visit(jar, read).await;
}

/// Xorshift: enough of a generator to reach every exponent.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[tokio::test]
async fn floats_read_back_bit_for_bit() {
    let (mut any, mut everyday) = (0x9E37_79B9_7F4A_7C15, 88_172_645_463_325_252);
    let mut floats = vec![31.245_270_191_439_438];
    for _ in 0..20_000 {
        floats.push(f64::from_bits(next(&mut any)));
        floats.push((next(&mut everyday) >> 11) as f64 / (1_u64 << 53) as f64 * 1000.0);
    }
    floats.retain(|float| float.is_finite());
    with_session(async |session| {
        for float in floats {
            session.insert("float", float).unwrap();
            let read: f64 = session.get("float").unwrap().unwrap();
            assert_eq!(read.to_bits(), float.to_bits(), "{float:e}");
        }
    })
    .await;
}

#[tokio::test]
async fn update_starts_from_the_default() {
    with_session(async |session| {
        assert_eq!(session.update("n", one_more).unwrap(), 1);
        assert_eq!(session.update("n", one_more).unwrap(), 2);
        let push = |list: &mut Vec<u8>| list.push(4);
        session.update("list", push).unwrap();
        assert_eq!(session.get("list").unwrap(), Some([4]));
    })
    .await;
}

#[tokio::test]
async fn a_panicking_update_breaks_nothing() {
    with_session(async |session| {
        session.insert("n", 1).unwrap();
        let same = session.clone();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            same.update("n", |_: &mut u32| panic!("in the closure"))
        }));
        assert!(panicked.is_err());
        assert_eq!(session.update("n", one_more).unwrap(), 2);
    })
    .await;
}

/// Runs in another thread, so that a deadlock fails the test.
#[test]
fn an_update_may_use_the_session() {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let update = with_session(async |session| {
            session.insert("m", 7).unwrap();
            let same = session.clone();
            let add = move |n: &mut u32| {
                *n += same.get::<u32>("m").unwrap().unwrap();
                *n
            };
            session.update("n", add).unwrap()
        });
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        done.send(runtime.block_on(update)).unwrap();
    });
    let sum = wait.recv_timeout(Duration::from_secs(60));
    assert_eq!(sum, Ok(7), "the thread deadlocked or died");
}

#[tokio::test]
async fn changing_nothing_saves_nothing() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let (_, response) = site
        .visit(jar, async |session| {
            session.insert("n", 1).unwrap();
            session.update("n", |n: &mut u8| *n *= 1).unwrap();
            session.remove("none").unwrap();
            assert!(session.flashes::<String>().unwrap().is_empty());
        })
        .await;
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn clones_share_the_session() {
    with_session(async |session| {
        let other = session.clone();
        session.insert("a", 1).unwrap();
        assert_eq!(other.get("a").unwrap(), Some(1));
    })
    .await;
}

#[tokio::test]
async fn a_session_cannot_outgrow_its_cookie() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    let (largest, response) = site
        .visit(jar, async |session| {
            let fits = |len: &usize| session.insert("x", "x".repeat(*len)).is_ok();
            let largest = (2_000..4_000).take_while(fits).last().unwrap();
            let error = session.insert("x", "x".repeat(largest + 1)).unwrap_err();
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::TooLarge {
                        size: 4097..,
                        limit: 4096
                    }
                ),
                "{error}"
            );
            let error = session.flash("x".repeat(20)).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TooLarge { .. }),
                "{error}"
            );
            largest
        })
        .await;
    assert!(largest > 2_850, "{largest}");
    // The limit leaves room for `persist_for` and `renew`, in the session and in the header.
    let lasts = 12 + "; Max-Age=34560000; Expires=Thu, 01 Jan 1970 00:00:00 GMT".len();
    let sent = set_cookie(&response).len() + lasts;
    assert!((4_080..=4_096).contains(&sent), "{sent}");
    assert_eq!(response.status(), 200);
    let (read, _) = site
        .visit(jar, async |session| {
            session.get::<String>("x").unwrap().unwrap().len()
        })
        .await;
    assert_eq!(read, largest);
}

#[tokio::test]
async fn accepted_values_fit_the_cookie() {
    for size in 2_880..3_072 {
        let write = async |session: Session| {
            let accepted = session.insert("large", "x".repeat(size)).is_ok();
            session.persist_for(30 * DAY);
            accepted
        };
        let world = Kind::Cookie.world();
        let (accepted, response) = world.visit(&mut Jar::default(), write).await;
        if accepted {
            assert_eq!(failure(&response), None, "{size}");
        }
    }
}
