//! Sessions that Go's stores keep in Redis, used in Go and in Rust. redistore is the one of Debian.
//! redisstore is reimplemented in `tests/go/redis.go`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "../../../../tests/go/both.rs"]
mod both;
#[path = "../../../../tests/go/on_server.rs"]
mod on_server;

use std::time::Duration;

use silverback::{GoRecords, gorilla::GoPayload};
use silverback_redis::{GorillaRedis, RedisStore};
use silverback_test_servers::{GoServer, Redis, Reply};

use self::both::{Both, RUNTIME};

const PROGRAM: (&str, &[&str]) = (
    "redis.go",
    &["github.com/boj/redistore", "github.com/gomodule/redigo"],
);

/// Longer than any call takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// A Redis, and the prefixes of the stores' keys in it.
struct Bench {
    redis: Redis,
    both: Both,
    prefix: &'static str,
}

impl Bench {
    fn redistore(payload: GoPayload) -> Option<Self> {
        let serializer = match payload {
            GoPayload::Json => "json",
            _ => "gob",
        };
        let redis = Redis::start()?;
        let address = address(&redis);
        let records = records(&redis, GorillaRedis::redistore);
        let store = ["redistore", &address, serializer];
        let both = on_server::start(PROGRAM, &store, true, records, payload)?;
        Some(Self {
            redis,
            both,
            prefix: "session_",
        })
    }

    fn redisstore() -> Option<Self> {
        let redis = Redis::start()?;
        let address = address(&redis);
        let records = records(&redis, GorillaRedis::redisstore);
        let store = ["redisstore", &address];
        let both = on_server::start(PROGRAM, &store, false, records, GoPayload::Sessions)?;
        Some(Self {
            redis,
            both,
            prefix: "session:",
        })
    }

    fn each() -> impl Iterator<Item = Self> {
        let both = [|| Self::redistore(GoPayload::Sessions), Self::redisstore];
        both.into_iter().filter_map(|start| start())
    }

    fn tell(&self, command: &[&str]) {
        let reply = self.redis.ask(command);
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
    }

    fn keys(&self) -> Vec<String> {
        keys(&self.redis)
    }

    fn count(&self) -> usize {
        let keys = self.keys();
        assert!(keys.iter().all(|key| key.starts_with(self.prefix)));
        keys.len()
    }
}

fn address(redis: &Redis) -> String {
    format!("127.0.0.1:{}", redis.port())
}

fn records(redis: &Redis, make: fn(RedisStore) -> GorillaRedis) -> GorillaRedis {
    let store = RUNTIME.block_on(RedisStore::connect(&redis.url()));
    make(store.unwrap().timeout(LONG))
}

fn keys(redis: &Redis) -> Vec<String> {
    match redis.ask(&["KEYS", "*"]) {
        Reply::Many(keys) => keys.iter().map(Reply::text).collect(),
        other => panic!("{other:?}"),
    }
}

fn left(redis: &Redis, key: &str) -> i64 {
    match redis.ask(&["TTL", key]) {
        Reply::Number(left) => left,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_go_both_ways() {
    for bench in Bench::each() {
        both::values_go_both_ways(&bench.both);
    }
}

#[test]
fn a_message_is_shown_once() {
    for bench in Bench::each() {
        both::a_message_is_shown_once(&bench.both);
    }
}

#[test]
fn a_logout_ends_the_session_for_both() {
    for bench in Bench::each() {
        both::a_logout_ends_the_session_for_both(&bench.both);
        assert_eq!(bench.count(), 0);
    }
}

#[test]
fn an_old_cookie_revives_nothing() {
    for bench in Bench::each() {
        both::an_old_cookie_revives_nothing(&bench.both, || bench.count());
    }
}

#[test]
fn a_faster_request_loses_nothing() {
    for bench in Bench::each() {
        both::a_faster_request_loses_nothing(&bench.both, || bench.count());
    }
}

#[test]
fn a_renewal_locks_an_old_cookie_out() {
    for bench in Bench::each() {
        both::a_renewal_locks_an_old_cookie_out(&bench.both, || bench.count());
    }
}

#[test]
fn json_is_shared_too() {
    let Some(bench) = Bench::redistore(GoPayload::Json) else {
        return;
    };
    assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
    assert_eq!(bench.both.rust("/insert/text/%22%3Cb%3E%22"), "");
    assert_eq!(bench.both.rust("/show/n"), "1");
    assert_eq!(bench.both.go("/show"), "n float64 1\ntext string <b>\n");
    assert_eq!(bench.count(), 1);
}

#[test]
fn redis_has_what_go_puts_there() {
    for bench in Bench::each() {
        assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
        let key = bench.keys().remove(0);
        let month = left(&bench.redis, &key);
        assert!((2_591_000..=2_592_000).contains(&month), "{month}");
        bench.tell(&["EXPIRE", &key, "1000"]);
        assert_eq!(bench.both.rust("/insert/n/2"), "");
        assert_eq!(bench.keys(), std::slice::from_ref(&key));
        assert!(left(&bench.redis, &key) > 2_000_000);
        // A value of another program is not a session, and stays.
        bench.tell(&["SET", &key, "garbage"]);
        assert_eq!(bench.both.rust("/show/n"), "null");
        assert_eq!(bench.both.rust("/insert/n/3"), "");
        assert_eq!(bench.count(), 2);
        assert_eq!(bench.both.go("/show"), "n int 3\n");
        bench.tell(&["DEL", &key]);
        let key = bench.keys().remove(0);
        bench.tell(&["DEL", &key]);
        bench.tell(&["LPUSH", &key, "a list"]);
        assert_eq!(bench.both.status("/show/n"), "503");
    }
}

/// An ID that the attacker knows and Go would accept.
#[test]
fn a_planted_id_is_taken_in_go_alone() {
    let Some(bench) = Bench::redisstore() else {
        return;
    };
    let planted = "A".repeat(103);
    bench.both.plant(&planted);
    assert_eq!(bench.both.rust("/insert/n/1"), "");
    assert_ne!(bench.both.cookie(), planted);
    bench.both.plant(&planted);
    assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
    assert_eq!(bench.both.cookie(), planted);
    // A login in Rust locks the attacker out of this session, too.
    assert_eq!(bench.both.rust("/renew"), "");
    assert_ne!(bench.both.cookie(), planted);
    assert_eq!(bench.both.rust("/show/n"), "1");
    bench.both.plant(&planted);
    assert_eq!(bench.both.rust("/show/n"), "null");
}

#[test]
fn calls_say_what_they_did() {
    let Some(redis) = Redis::start() else { return };
    let records = records(&redis, GorillaRedis::redistore).prefix("shop_");
    let minute = Duration::from_secs(60);
    RUNTIME.block_on(async {
        assert_eq!(records.load("ID").await.unwrap(), None);
        assert!(!records.replace("ID", b"", b"x", minute).await.unwrap());
        records.create("ID", b"\0\xff", minute).await.unwrap();
        assert!(records.create("ID", b"x", minute).await.is_err());
        let loaded = records.load("ID").await.unwrap().unwrap();
        assert!(format!("{loaded:?}").starts_with("GoRecord { bytes: 2, remains: Some("));
        assert!(!records.replace("ID", b"\0", b"x", minute).await.unwrap());
        assert!(
            records
                .replace("ID", b"\0\xff", b"x", minute)
                .await
                .unwrap()
        );
        assert_eq!(keys(&redis), ["shop_ID"]);
        assert!((1..=60).contains(&left(&redis, "shop_ID")));
        assert!(!records.remove("ID", Some(b"other")).await.unwrap());
        assert!(records.remove("ID", Some(b"x")).await.unwrap());
        assert!(!records.remove("ID", Some(b"x")).await.unwrap());
        records.create("ID", b"y", minute).await.unwrap();
        assert!(records.remove("ID", None).await.unwrap());
        assert!(!records.remove("ID", None).await.unwrap());
    });
    assert!(keys(&redis).is_empty());
}
